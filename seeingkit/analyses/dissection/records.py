"""A dissection as the records of ``results.json``. Numbers alone: no image is made here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seeingkit.results import DissectedLayer, UnitAgreement, UnitClass, UnitResult

from .stage import LayerDissection

RUNNERS_UP = 3
"""Further classes of a unit that are listed."""

RULES = {
    "default": (
        "For each unit and class the level of the greatest information quality ratio on images of "
        "their own; a label where the agreement exceeds what place and area explain."
    ),
    "paper": (
        "The code published with Bau et al. (ICLR 2019): one level for each unit, of the greatest "
        "information quality ratio at a pixel accuracy above 0.8; a label where IoU > 0.05 and "
        "information quality > 0.01. It has no null: read the counts with other images' label maps."
    ),
    "pnas": (
        "Bau et al. (PNAS 2020): the top 1 % of a unit's values; a label where IoU > 0.04. It has "
        "no null: read the counts with other images' label maps."
    ),
}
"""The named rules in words."""

NULL = (
    "the map of the unit and the label map of the class belong together no more than the map of "
    "one image and the label map of another"
)
"""What a claim rejects (``claims``)."""
NULL_OF_CLASSES = f"{NULL} of the same class of the generator"
"""The same for a conditional generator, of which groups are of one class (``grouping``)."""


def layer_record(found: LayerDissection) -> DissectedLayer:
    """The record of a layer.

    ::

        [layer_record(one).labelled for one in dissect_layers(source, segmenter, config)]
    """
    extent = found.layer.boundary.extent
    assert extent is not None
    numbers = Counter(int(column) for column in found.labels if column >= 0)
    own, others = found.by_iou
    categories: Counter[str] = Counter()
    classes = []
    for column, units in sorted(numbers.items(), key=lambda item: (-item[1], item[0])):
        plane, label = found.classes[column]
        categories[label.category] += units
        classes.append(
            UnitClass(label=label.name, category=label.category, plane=plane, units=units)
        )
    return DissectedLayer(
        name=found.layer.name,
        extent=extent,
        responses=found.layer.response is not None,
        units=found.layer.units,
        labelled=sum(numbers.values()),
        classes=classes,
        categories=dict(categories.most_common()),
        distinct=len(numbers),
        groups=found.sums.groups,
        images=found.sums.images,
        pixels=found.sums.pixels,
        candidates=int(found.levels.candidates.sum()),
        claimed=int(found.found.claimed.sum()),
        by_iou=own,
        by_iou_of_others=others,
    )


def unit_records(found: LayerDissection) -> list[UnitResult]:
    """The records of all units of a layer, by number.

    ::

        unit_records(dissect_layers(source, segmenter, config)[0])[5].label
    """
    columns = columns_of(found)
    return [_unit(found, unit, int(column)) for unit, column in enumerate(columns)]


def columns_of(found: LayerDissection) -> NDArray[np.int64]:
    """(U,) the class of each unit that its numbers are of: its label, else the nearest."""
    nearest = (found.found.iou - found.found.chance).argmax(1)
    return np.where(found.labels >= 0, found.labels, nearest).astype(np.int64)


def level_of(found: LayerDissection, unit: int, column: int) -> float | None:
    """The level of a unit for a class; None where none could be chosen."""
    place = int(found.levels.levels.places[unit, column])
    return None if place < 0 else float(found.levels.levels.values[unit, place])


def _unit(found: LayerDissection, unit: int, column: int) -> UnitResult:
    plane, label = found.classes[column]
    agree, sums, response = found.found, found.sums, found.layer.response
    there = sums.strongest[unit] >= 0
    excess = agree.iou[unit] - agree.chance[unit]
    others = [int(k) for k in np.argsort(-excess, kind="stable") if k != column]
    return UnitResult(
        layer=found.layer.name,
        unit=found.layer.numbers[unit],
        label=label.name if found.labels[unit] >= 0 else None,
        category=label.category,
        plane=plane,
        nearest=label.name,
        iou=float(agree.iou[unit, column]),
        chance=float(agree.chance[unit, column]),
        low=float(agree.low[unit, column]),
        high=float(agree.high[unit, column]),
        q=float(agree.q[unit, column]),
        quality=float(found.quality[unit, column]),
        level=level_of(found, unit, column),
        active=float(sums.active[unit, column] / max(sums.pixels, 1)),
        runners_up=[_agreement(found, unit, k) for k in others[:RUNNERS_UP]],
        strongest=[int(k) for k in sums.strongest[unit][there]],
        peaks=[float(x) for x in sums.peaks[unit][there]],
        step=None if response is None else float(response.spread[response.units[unit]]),
    )


def _agreement(found: LayerDissection, unit: int, column: int) -> UnitAgreement:
    _, label = found.classes[column]
    return UnitAgreement(
        label=label.name,
        category=label.category,
        iou=float(found.found.iou[unit, column]),
        chance=float(found.found.chance[unit, column]),
        q=float(found.found.q[unit, column]),
    )


def classes_tested(found: Sequence[LayerDissection]) -> list[str]:
    """Names of the classes that took part, as the layers list them.

    >>> classes_tested([])
    []
    """
    return list(dict.fromkeys(label.name for one in found for _, label in one.classes))
