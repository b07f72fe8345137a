"""The figure of a dissection: each layer's units by class, and by category where there are several.

Bars are shares of a layer's units, so that layers of other widths can be compared; the number of
classes with a unit stands at the end. Importing this loads neither Altair nor vl-convert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from seeingkit.results import DissectedLayer, DissectionResults

from ..pictures.colours import class_colour
from ..pictures.marks import css_colour
from ..words.numbers import count
from .charts import Layout, finish

if TYPE_CHECKING:
    import altair as alt

CLASSES = 9
"""Classes that have a colour of their own; the rest are together."""
OTHER, NONE = "other classes", "no label"
_CATEGORIES = ("#1d5fae", "#c4420f", "#3d9a8b", "#8a5fb0", "#b98a35", "#5d6874")
Row = dict[str, Any]


def class_rows(results: DissectionResults) -> list[Row]:
    """A row a layer and class: ``layer``, ``group``, ``units``, ``share`` (percent), ``order``.

    Classes beyond the largest, and units without a label, are groups of their own.
    """
    named = shown_classes(results)
    rows: list[Row] = []
    for layer in results.layers:
        numbers: Counter[str] = Counter()
        for one in layer.classes:
            numbers[one.label if one.label in named else OTHER] += one.units
        rows += _rows(layer, numbers, [*named, OTHER])
    return rows


def category_rows(results: DissectionResults) -> list[Row]:
    """The same by category: object, part, material."""
    known = categories(results)
    return [
        row for layer in results.layers for row in _rows(layer, Counter(layer.categories), known)
    ]


def _rows(layer: DissectedLayer, numbers: Counter[str], order: Sequence[str]) -> list[Row]:
    numbers[NONE] = layer.units - layer.labelled
    return [
        {
            "layer": layer.name,
            "group": group,
            "units": numbers[group],
            "share": 100 * numbers[group] / max(layer.units, 1),
            "order": k,
        }
        for k, group in enumerate([*order, NONE])
        if numbers[group]
    ]


def shown_classes(results: DissectionResults) -> list[str]:
    """The classes of most units over all layers, which have colours of their own."""
    numbers: Counter[str] = Counter()
    for layer in results.layers:
        numbers.update({one.label: one.units for one in layer.classes})
    return [label for label, _ in numbers.most_common(CLASSES)]


def categories(results: DissectionResults) -> list[str]:
    """Categories that some unit has, most units first."""
    numbers: Counter[str] = Counter()
    for layer in results.layers:
        numbers.update(layer.categories)
    return [name for name, _ in numbers.most_common()]


def build_units_chart(
    results: DissectionResults, layout: Layout = "wide"
) -> alt.HConcatChart | alt.VConcatChart:
    """The figure as an Altair chart: panels side by side, or on top of each other (narrow).

    Args:
        results: of the dissection.
        layout: ``wide``, or ``narrow`` for a phone.
    """
    import altair as alt

    named, rows = shown_classes(results), class_rows(results)
    groups = [g for g in (*named, OTHER, NONE) if any(row["group"] == g for row in rows)]
    colours = [css_colour(class_colour(g)) for g in groups if g not in (OTHER, NONE)]
    known = categories(results)
    several = len(known) > 1
    wide = layout == "wide"
    width = 190 if not wide else 400 if several else 720
    panels = [_panel("classes", groups, colours, "units by class, % of the layer", width, wide)]
    data: dict[str, list[Row]] = {"classes": rows, "layers": _ends(results)}
    if several:
        kinds = [*known, NONE]
        shades = [_CATEGORIES[k % len(_CATEGORIES)] for k in range(len(known))]
        width = 280 if wide else 190
        panels.append(_panel("kinds", kinds, shades, "units by category, %", width, wide))
        data["kinds"] = category_rows(results)
    chart = alt.hconcat(*panels, spacing=30) if wide else alt.vconcat(*panels, spacing=24)
    made = finish(
        chart.resolve_scale(color="independent"),
        data=data,
        description="Units of each layer by the class they agree with",
        padding=6,
    )
    return cast("alt.HConcatChart | alt.VConcatChart", made)


def _ends(results: DissectionResults) -> list[Row]:
    return [
        {
            "layer": layer.name,
            "text": f"{layer.labelled:,} of {layer.units:,} · "
            + count(layer.distinct, "class", "classes"),
        }
        for layer in results.layers
    ]


def _panel(
    name: str, groups: Sequence[str], colours: Sequence[str], title: str, width: int, wide: bool
) -> alt.LayerChart:
    """Stacked bars, a layer a row; ``colours``: of all groups but the last ones, which are grey."""
    import altair as alt

    columns = 3 if not wide else 8 if width > 500 else 4
    greys = [alt.ExprRef("neutral" if g == OTHER else "grid") for g in groups[len(colours) :]]
    layers = alt.Y(
        "layer:N",
        sort=None,
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=120, labelPadding=6),
    )
    bars = (
        alt.Chart(alt.NamedData(name=name))
        .mark_bar(height=16)
        .encode(
            layers,
            alt.X(
                "share:Q",
                stack="zero",
                scale=alt.Scale(domain=[0, 100]),
                axis=alt.Axis(title=title, tickCount=5),
            ),
            alt.Color(
                "group:N",
                scale=alt.Scale(domain=list(groups), range=[*colours, *greys]),
                legend=alt.Legend(columns=columns, symbolType="square"),
            ),
            alt.Order("order:Q"),
        )
    )
    if name != "classes":
        return cast("alt.LayerChart", alt.layer(bars).properties(width=width))
    words = (
        alt.Chart(alt.NamedData(name="layers"))
        .mark_text(align="left", dx=6, fontSize=11, fill=alt.ExprRef("ink"))
        .encode(layers, x=alt.value(width), text="text:N")
    )
    return cast("alt.LayerChart", alt.layer(bars, words).properties(width=width))
