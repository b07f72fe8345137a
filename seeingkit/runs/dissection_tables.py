"""Tables of a dissection as Parquet: ``units.parquet`` and ``agreements.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from seeingkit.analyses.dissection.stage import LayerDissection
from seeingkit.results import UnitResult
from seeingkit.tallies.chunks import write_table

_TEXTS = ("label", "category", "plane", "nearest")
_NUMBERS = ("iou", "chance", "low", "high", "q", "quality", "level", "active")


def write_units(path: Path, units: Sequence[UnitResult]) -> None:
    """``units.parquet``: a row a unit, the keys of ``results.json``; ``label`` is null without one.

    ``strongest`` and ``peaks`` are lists, greatest first.
    """
    kinds = {"layer": pa.string(), "unit": pa.int32()}
    kinds |= dict.fromkeys(_TEXTS, pa.string()) | dict.fromkeys(_NUMBERS, pa.float64())
    columns = {
        name: pa.array([getattr(unit, name) for unit in units], kind)
        for name, kind in kinds.items()
    }
    columns["strongest"] = pa.array([unit.strongest for unit in units], pa.list_(pa.int64()))
    columns["peaks"] = pa.array([unit.peaks for unit in units], pa.list_(pa.float32()))
    write_table(path, pa.table(columns))


def write_agreements(path: Path, found: Sequence[LayerDissection]) -> None:
    """``agreements.parquet``: a row for each layer, unit and class that took part.

    ``iou``, ``chance``, ``low``, ``high``, ``p``, ``q``, ``quality`` are shares in [0, 1];
    ``level`` is null where none could be chosen; ``both``, ``active``, ``area`` are pixels.
    """
    write_table(path, pa.concat_tables([_layer(one) for one in found]))


def _layer(found: LayerDissection) -> pa.Table:
    units, classes = found.found.iou.shape
    names = np.array([label.name for _, label in found.classes], object)
    categories = np.array([label.category for _, label in found.classes], object)
    planes = np.array([plane for plane, _ in found.classes], object)
    places = found.levels.levels.places.numpy()
    values = found.levels.levels.values.numpy().astype(np.float64)
    levels = np.take_along_axis(values, np.clip(places, 0, None), 1)
    agree, sums = found.found, found.sums
    numbers = {
        "iou": agree.iou,
        "chance": agree.chance,
        "low": agree.low,
        "high": agree.high,
        "p": agree.p,
        "q": agree.q,
        "quality": found.quality,
    }
    size = units * classes
    return pa.table(
        {
            "layer": pa.array([found.layer.name] * size, pa.string()),
            "unit": pa.array(np.repeat(np.array(found.layer.numbers), classes), pa.int32()),
            "label": pa.array(np.tile(names, units), pa.string()),
            "category": pa.array(np.tile(categories, units), pa.string()),
            "plane": pa.array(np.tile(planes, units), pa.string()),
            **{name: pa.array(value.ravel(), pa.float64()) for name, value in numbers.items()},
            "candidate": pa.array(found.levels.candidates.ravel(), pa.bool_()),
            "claimed": pa.array(agree.claimed.ravel(), pa.bool_()),
            "level": pa.array(levels.ravel(), pa.float64(), mask=(places < 0).ravel()),
            "both": pa.array(sums.both.ravel(), pa.int64()),
            "active": pa.array(sums.active.ravel(), pa.int64()),
            "area": pa.array(np.tile(sums.area, units), pa.int64()),
        }
    )
