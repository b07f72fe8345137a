"""Layers beside each other as records of ``results.json``, and as tables for Python."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seeingkit.results import (
    Column,
    ComparedLayer,
    Frame,
    UnitDifference,
    UnitNumber,
    UnitPanel,
    UnitQuantity,
    table,
)
from seeingkit.statistics.arrays import defined
from seeingkit.statistics.letters import letters

from .contrasts import Contrasts
from .counts import KINDS

_OF = {
    "panel": Column(str, "the layer that several runs have, or the generator of the layers"),
    "kind": Column(str, "labelled, distinct (classes with a unit), category or class"),
    "label": Column(str, "the class"),
    "category": Column(str, "object, part, material, …"),
}
COUNTS = {
    "panel": _OF["panel"],
    "layer": Column(str, "name of the layer in the comparison"),
    "units": Column(int, "units of the layer"),
    **{name: _OF[name] for name in ("kind", "label", "category")},
    "count": Column(int, "units with the label, or classes with a unit"),
    "low": Column(float, "lower end of the 95 % interval of count"),
    "high": Column(float, "upper end of the 95 % interval of count"),
    "letters": Column(str, "layers that share no letter differ surely"),
}
"""Columns of the table of counts."""
DIFFERENCES = {
    "panel": _OF["panel"],
    "first": Column(str, "a layer"),
    "second": Column(str, "the layer it is compared with"),
    **{name: _OF[name] for name in ("kind", "label", "category")},
    "difference": Column(float, "first less second: shares of units, or numbers of classes"),
    "low": Column(float, "lower end of its simultaneous interval"),
    "high": Column(float, "upper end of its simultaneous interval"),
    "p": Column(float, "of: no difference on average over images"),
    "adjusted": Column(float, "p after Holm, over the comparison"),
    "claimed": Column(bool, "the layers differ surely"),
}
"""Columns of the table of differences."""


def panel_of(
    found: Contrasts, layers: Sequence[ComparedLayer], title: str, images: int
) -> UnitPanel:
    """The record of layers that are compared with each other.

    Classes of most units come first; numbers that are 0 in all layers are left out but for units
    with a label, and count among ``tests``.

    Args:
        found: the comparison.
        layers: records of its members, in their order, with their names.
        title: of the panel.
        images: that were counted of each layer.

    ::

        panel_of(contrasts(members), layers, "r8.conv1", 480).differences
    """
    totals = np.sum([one.observed for one in found.counted], axis=0)
    shown = [k for k, one in enumerate(found.asked) if totals[k] > 0 or one.kind == "labelled"]
    shown.sort(key=lambda k: (KINDS.index(found.asked[k].kind), -totals[k], k))
    names = [layer.name for layer in layers]
    return UnitPanel(
        title=title,
        groups=found.groups,
        images=images,
        tests=len(found.differences) * len(found.asked),
        layers=list(layers),
        quantities=[_quantity(found, k) for k in shown],
        differences=[
            UnitDifference(
                first=names[one.first],
                second=names[one.second],
                kind=found.asked[k].kind,
                label=found.asked[k].label,
                plane=found.asked[k].plane,
                category=found.asked[k].category,
                difference=float(one.value[k]),
                low=defined(one.low[k]),
                high=defined(one.high[k]),
                p=float(one.p[k]),
                adjusted=float(one.adjusted[k]),
                claimed=bool(one.claimed[k]),
            )
            for one in found.differences
            for k in shown
        ],
    )


def _quantity(found: Contrasts, number: int) -> UnitQuantity:
    asked = found.asked[number]
    observed = np.array([one.observed[number] for one in found.counted])
    order = np.argsort(-observed, kind="stable")
    named = [""] * len(order)
    if len(order) > 1:
        claims = found.claims(number)[np.ix_(order, order)]
        for place, text in zip(order.tolist(), letters(claims), strict=True):
            named[place] = text
    numbers = [
        UnitNumber(
            count=int(observed[k]),
            low=float(found.low[k, number]),
            high=float(found.high[k, number]),
            letters=named[k],
        )
        for k in range(len(observed))
    ]
    return UnitQuantity(
        kind=asked.kind,
        label=asked.label,
        plane=asked.plane,
        category=asked.category,
        numbers=numbers,
    )


def count_table(panels: Sequence[UnitPanel]) -> Frame:
    """All numbers of all layers, panel by panel.

    ::

        count_table(results.panels)["count"]
    """
    rows = [
        {
            "panel": panel.title,
            "layer": layer.name,
            "units": layer.units,
            **one.model_dump(include={"kind", "label", "category"}),
            **number.model_dump(),
        }
        for panel in panels
        for one in panel.quantities
        for layer, number in zip(panel.layers, one.numbers, strict=True)
    ]
    return table(rows, COUNTS)


def difference_table(panels: Sequence[UnitPanel]) -> Frame:
    """All differences, panel by panel.

    ::

        difference_table(results.panels)["claimed"]
    """
    rows = [
        {"panel": panel.title, **one.model_dump(include=set(DIFFERENCES) - {"panel"})}
        for panel in panels
        for one in panel.differences
    ]
    return table(rows, DIFFERENCES)
