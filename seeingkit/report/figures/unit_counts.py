"""The figure of layers beside each other: units of each category and class, with intervals.

One small panel a class, a row a layer, so that two networks and twelve snapshots of a training are
read alike. Importing this loads neither Altair nor vl-convert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from seeingkit.results import UnitPanel, UnitQuantity

from ..pictures.colours import class_colour
from ..pictures.marks import css_colour
from ..words.unit_contrasts import quantity_name
from .charts import Layout, finish

if TYPE_CHECKING:
    import altair as alt

PANELS = 12
"""Classes and categories that are drawn, of most units first."""
_ROW, _LABELS = 18, 220
_PLAIN = "generated"
"""Colour of numbers that are of no class."""
Row = dict[str, Any]


def shown_quantities(panel: UnitPanel) -> list[UnitQuantity]:
    """Units with a label, categories, and the classes of most units; numbers of classes are not."""
    return [one for one in panel.quantities if one.kind != "distinct"][:PANELS]


def count_rows(panel: UnitPanel) -> list[Row]:
    """A row a quantity and layer: ``what``, ``layer``, ``share``, ``low``, ``high`` (percent of the
    units), ``text``."""
    rows: list[Row] = []
    for place, one in enumerate(shown_quantities(panel)):
        for layer, number in zip(panel.layers, one.numbers, strict=True):
            scale = 100 / max(layer.units, 1)
            rows.append(
                {
                    "what": f"{place}",
                    "layer": layer.name,
                    "share": scale * number.count,
                    "low": scale * number.low,
                    "high": scale * number.high,
                    "text": f"{number.count:,} {number.letters}".strip(),
                }
            )
    return rows


def build_unit_counts_chart(panel: UnitPanel, layout: Layout = "wide") -> alt.ConcatChart:
    """The figure as an Altair chart.

    Args:
        panel: the layers.
        layout: ``wide``: several panels beside each other; ``narrow``: one, for a phone.
    """
    import altair as alt

    shown = shown_quantities(panel)
    columns = 4 if layout == "wide" else 1
    rows = count_rows(panel)
    parts = [
        _panel(
            panel,
            str(place),
            one,
            max([1.0, *(row["high"] for row in rows if row["what"] == str(place))]),
            labels=place % columns == 0,
        )
        for place, one in enumerate(shown)
    ]
    made = finish(
        alt.concat(*parts, columns=columns, spacing=14),
        data={"counts": rows},
        description="Units of each layer by category and class, with 95 % intervals",
        padding=6,
    )
    return cast("alt.ConcatChart", made)


def _panel(
    panel: UnitPanel, key: str, one: UnitQuantity, most: float, *, labels: bool
) -> alt.LayerChart:
    import altair as alt

    longest = max((len(layer.name) for layer in panel.layers), default=0)
    extent = min(_LABELS, 12 + 6 * longest)
    axis = alt.Axis(
        title=None,
        ticks=False,
        domain=False,
        labels=labels,
        labelLimit=_LABELS,
        minExtent=extent if labels else 0,
        labelPadding=6,
    )
    layer = alt.Y("layer:N", sort=[one.name for one in panel.layers], axis=axis)
    scale = alt.Scale(domain=[0, most * 1.05], nice=False)
    ticks = alt.Axis(title="% of the units", tickCount=4)
    base = alt.Chart(alt.NamedData(name="counts")).transform_filter(
        alt.FieldEqualPredicate(field="what", equal=key)
    )
    colour: Any = css_colour(class_colour(one.label)) if one.kind == "class" else _PLAIN
    if colour == _PLAIN:
        colour = alt.ExprRef(_PLAIN)
    bars = base.mark_bar(height=_ROW - 7, color=colour).encode(
        layer, alt.X("share:Q", scale=scale, axis=ticks)
    )
    lines = base.mark_rule(color=alt.ExprRef("ink"), strokeWidth=1.4).encode(
        layer, alt.X("low:Q", scale=scale), alt.X2("high:Q")
    )
    words = base.mark_text(align="left", dx=4, fontSize=11, fill=alt.ExprRef("ink")).encode(
        layer, alt.X("high:Q", scale=scale), text="text:N"
    )
    made = alt.layer(bars, lines, words).properties(
        width=130,
        height=_ROW * len(panel.layers),
        title=alt.TitleParams(
            quantity_name(one), fontSize=12, anchor="start", color=alt.ExprRef("ink")
        ),
    )
    return cast("alt.LayerChart", made)
