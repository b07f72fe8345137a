"""Layers of units that are labelled by construction, as series of numbers, and runs of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seeingkit.analyses.dissection.counts import Labelled
from seeingkit.analyses.dissection.series import GroupSeries
from seeingkit.results import DissectedLayer, Manifest, UnitClass
from seeingkit.runs.unit_groups import FILE, write_groups
from tests.helpers.dissections import made_dissection

CLASSES = (("object", "sky", "object"), ("object", "tree", "object"), ("part", "window", "part"))
PIXELS = 1000


def strengths(rng: np.random.Generator, units: int = 40) -> NDArray[np.float64]:
    """(U, 3) excess of each unit over chance at each class, in shares of the union: each unit draws
    one class, some far above the bound of 0.04, some right at it, some below."""
    found = rng.uniform(-0.03, 0.02, (units, 3))
    found[np.arange(units), np.arange(units) % 3] = rng.uniform(-0.02, 0.16, units)
    return found


def layer_of(
    truth: NDArray[np.float64],
    rng: np.random.Generator,
    groups: int = 20,
    *,
    name: str = "r8",
    scale: int = 1,
    noise: float = 0.06,
) -> Labelled:
    """A layer dissected on new images.

    Args:
        truth: as ``strengths`` gives it.
        groups: of images, each of another mood that all units share.
        scale: pixels are so many more.
        noise: of a unit in a group, as share of the union.
    """
    units, size = len(truth), PIXELS * scale
    shape = (groups, units, 3)
    mood = rng.normal(size=(groups, 1, 3)) * 0.6 + rng.normal(size=shape) * 0.8
    union = np.rint(size * (1 + 0.1 * rng.normal(size=shape)).clip(0.5)).astype(np.int32)
    chance = np.rint(0.2 * union * (1 + 0.1 * rng.normal(size=shape)).clip(0.1)).astype(np.int64)
    # IoU and chance are J / V and I / (V + I - J): a little more than the excess of pixels.
    excess = np.rint(union * (truth / 1.2 + noise * mood)).astype(np.int64)
    both = (chance + excess).clip(0, union)
    pairs = np.argwhere(np.ones((units, 3), bool)).astype(np.int64)
    excess = 2 * (both - chance)
    flat = [x.reshape(groups, -1).astype(np.int64) for x in (both, union, excess, excess**2)]
    series = GroupSeries(pairs, np.arange(groups), 1, *flat)
    return Labelled(name, units, CLASSES, series)


def write_run(folder: Path, layers: Sequence[Labelled], **settings: Any) -> Path:
    """A finished run of ``dissect`` with these layers, without pictures.

    Args:
        settings: of the generator (``generator``), of the manifest's config (``weights``,
            ``classes``), of ``n``, and otherwise of the record of settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = made_dissection(layers=1, units=1)
    name = settings.pop("generator", "toy:noise")
    config = {"command": "dissect", "generated": name}
    config |= {key: settings.pop(key) for key in ("weights", "classes") if key in settings}
    groups = len(layers[0].series.groups)
    n = settings.pop("n", 16 * groups)
    results = base.model_copy(
        update={
            "generator": base.generator.model_copy(update={"name": name}),
            "settings": base.settings.model_copy(update=settings),
            "n": n,
            "layers": [_record(one, n) for one in layers],
            "units": [],
        }
    )
    manifest = Manifest(seeingkit="0", command="seeingkit dissect", config=config, started="now")
    for file, record in (("results", results), ("manifest", manifest)):
        (folder / f"{file}.json").write_text(json.dumps(record.model_dump(mode="json")))
    write_groups(folder / FILE, layers)
    return folder


def _record(layer: Labelled, n: int) -> DissectedLayer:
    numbers = Counter(k for k in layer.labels().tolist() if k >= 0)
    classes = [
        UnitClass(label=label, category=kind, plane=plane, units=numbers[k])
        for k, (plane, label, kind) in enumerate(layer.classes)
        if numbers[k]
    ]
    return DissectedLayer(
        name=layer.name,
        extent=(8, 8),
        units=layer.units,
        labelled=sum(numbers.values()),
        classes=classes,
        distinct=len(classes),
        groups=len(layer.series.groups),
        images=n,
        pixels=n * 1024,
        candidates=len(layer.series.pairs),
        claimed=0,
        by_iou=0,
        by_iou_of_others=0,
    )
