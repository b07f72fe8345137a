"""``groups.parquet`` of a run of ``dissect``: numbers from which its labels can be claimed again.

A row is a candidate, a pair of unit and class, of a layer; ``both``, ``union``, ``excess`` and
``excess2`` are lists of whole numbers, one a bin of groups of images
(``analyses.dissection.series``). Numbers of groups, how many of them make a bin, and all classes of
each layer stand in the metadata ``seeingkit``, as JSON. A file of schema 1 has a bin for each group
and no ``excess2``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seeingkit.analyses.dissection.counts import Labelled
from seeingkit.analyses.dissection.series import NAMES, SUMS, GroupSeries
from seeingkit.analyses.dissection.stage import LayerDissection
from seeingkit.errors import RunError
from seeingkit.results import DissectedLayer, DissectionResults
from seeingkit.system import seals
from seeingkit.tallies.chunks import read_table, write_table

FILE = "groups.parquet"
SCHEMA = 2
"""Version of the file; 1 is read too."""


def labelled_layers(found: Sequence[LayerDissection], results: DissectionResults) -> list[Labelled]:
    """The layers of a dissection, as those that are compared.

    ::

        labelled_layers(found, results)[0].labels()
    """
    rule = results.settings
    return [
        Labelled(
            one.layer.name,
            one.layer.units,
            [(plane, label.name, label.category) for plane, label in one.classes],
            one.series,
            rule.fdr,
            rule.least_iou,
        )
        for one in found
    ]


def write_groups(path: Path, layers: Sequence[Labelled]) -> None:
    """Write the numbers of all layers.

    ::

        write_groups(run.path / FILE, labelled_layers(found, results))
    """
    tables, about = [], []
    for one in layers:
        series = one.series
        rows = {"layer": pa.array([one.name] * len(series.pairs), pa.string())}
        rows["unit"] = pa.array(series.pairs[:, 0], pa.int32())
        rows["label"] = pa.array([one.classes[k][1] for k in series.pairs[:, 1]], pa.string())
        rows["column"] = pa.array(series.pairs[:, 1], pa.int32())
        for name in SUMS:
            rows[name] = _lists(getattr(series, name).T)
        tables.append(pa.table(rows))
        about.append(
            {
                "name": one.name,
                "units": one.units,
                "classes": [list(names) for names in one.classes],
                "groups": series.groups.tolist(),
                "span": series.span,
            }
        )
    stated = json.dumps({"schema": SCHEMA, "layers": about})
    write_table(path, pa.concat_tables(tables).replace_schema_metadata({"seeingkit": stated}))


def _lists(rows: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    ends = pa.array(np.arange(len(rows) + 1) * rows.shape[1], pa.int32())
    return pa.ListArray.from_arrays(ends, pa.array(rows.ravel(), pa.int64()))


def read_groups(run: Path, results: DissectionResults) -> list[Labelled]:
    """The layers of a finished run, with the numbers of their groups.

    Args:
        run: its directory.
        results: its ``results.json``, whose labels must follow from the numbers.

    Raises:
        RunError: the file is missing, damaged or of another run.

    ::

        read_groups(Path("runs/church"), results)[0].series.groups
    """
    path = run / FILE
    if not path.is_file():
        raise RunError(
            f"{path} is missing, so that the layers cannot be compared: make the run again with "
            f"seeingkit dissect --config {run / 'manifest.json'} --out NEW (its images are counted "
            "anew where an earlier version counted them)"
        )
    try:
        data = seals.read_whole(path)
        seals.check_seal(data)
        table = read_table(data)
        about = json.loads(table.schema.metadata[b"seeingkit"])
        if about["schema"] not in (1, SCHEMA):
            raise ValueError(f"it has schema {about['schema']}, this version reads {SCHEMA}")
        found = [_layer(table, one, results) for one in about["layers"]]
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise RunError(f"{path} is damaged ({error}): make the run again") from error
    stated = {layer.name: layer for layer in results.layers}
    for own in found:
        if own.name not in stated or _units(own) != _units_of(stated[own.name]):
            raise RunError(
                f"{path}: the labels of {own.name} in results.json do not follow from it; the "
                "files are of different runs"
            )
    return found


def _layer(table: pa.Table, about: dict[str, Any], results: DissectionResults) -> Labelled:
    own = table.filter(pc.equal(table["layer"], about["name"]))
    groups = np.array(about["groups"], np.int64)
    pairs = np.stack([own["unit"].to_numpy(), own["column"].to_numpy()], 1).astype(np.int64)
    span = int(about.get("span", 1))
    bins, numbers = len(np.unique(groups // span)), {}
    for name in SUMS if "excess2" in own.column_names else NAMES:
        flat = own[name].combine_chunks().flatten().to_numpy().astype(np.int64)
        numbers[name] = np.ascontiguousarray(flat.reshape(len(pairs), bins).T)
    numbers.setdefault("excess2", numbers["excess"] ** 2)
    classes = [(str(plane), str(label), str(kind)) for plane, label, kind in about["classes"]]
    units, rule = int(about["units"]), results.settings
    if pairs.size and (pairs.min() < 0 or (pairs.max(0) >= [units, len(classes)]).any()):
        raise ValueError("a pair of no unit or no class")
    series = GroupSeries(pairs, groups, span, **numbers)
    return Labelled(str(about["name"]), units, classes, series, rule.fdr, rule.least_iou)


def _units(layer: Labelled) -> dict[tuple[str, str], int]:
    columns, numbers = np.unique(layer.labels(), return_counts=True)
    found: dict[tuple[str, str], int] = {}
    for column, count in zip(columns.tolist(), numbers.tolist(), strict=True):
        if column >= 0:
            plane, label, _ = layer.classes[column]
            found[plane, label] = found.get((plane, label), 0) + count
    return found


def _units_of(layer: DissectedLayer) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for one in layer.classes:
        found[one.plane, one.label] = found.get((one.plane, one.label), 0) + one.units
    return found
