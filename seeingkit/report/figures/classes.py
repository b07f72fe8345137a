"""The paper's figure of class areas, one builder for page, SVG and PNG.

Classes by real area, the largest 30, "no object" and materials left out; above, the area on a
logarithmic axis (bars real, line and points generated); below, the relative difference
(generated − real) / real with its interval (Bau et al. 2019; the rules are those of the
``diff_figure`` in the paper's ``fsd.py``). Differences outside −1 … 1.1 are cut there and their
number is written. Importing this loads neither Altair nor vl-convert.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from seeingkit.results import ClassResult, Results, images_lost

from ..selection import LABELS, in_figure
from ..words.findings import verdict_words
from ..words.numbers import area, change, interval, probability, share
from . import charts
from .charts import Layout

if TYPE_CHECKING:
    import altair as alt

LOW, HIGH = -1.0, 1.1
"""Relative differences are drawn between these two, as in the paper."""
DECADES = 5000.0
"""The area axis spans at least this ratio below its top, as in the paper."""
SERIES = ("real images", "generated images")
VERDICTS = ("omitted", "reduced", "excess", "no evidence")
TOOLTIPS: Mapping[str, str] = {
    "label": "class",
    "category": "category",
    "text_real": "real area",
    "text_generated": "generated area",
    "text_relative": "relative difference",
    "text_interval": "interval",
    "text_presence": "images with it, real → generated",
    "text_p": "p",
    "text_q": "q (false discovery)",
    "text_verdict": "verdict",
}
"""Fields of a row that a tooltip shows, and how it calls them."""


def figure_rows(results: Results) -> list[dict[str, Any]]:
    """One row per class that the figure may show, by real area, largest first.

    Keys: ``key`` (unique text for the axis), ``label``, ``category``, ``verdict``, ``omitted``,
    ``real``, ``generated`` (percent), ``relative``, ``shown``, ``low``, ``high`` (relative
    difference and interval, cut to the axis), ``open`` (interval without a bound), ``note``
    (number of a difference that was cut), ``q``, and ``text_…`` for tooltips.
    """
    return rows_of(results.classes)


def rows_of(classes: Iterable[ClassResult]) -> list[dict[str, Any]]:
    """The rows of ``figure_rows`` for these classes."""
    records = [record for record in classes if in_figure(record)]
    records.sort(key=lambda record: (-record.real_area, record.index))
    names = [record.label for record in records]
    return [_row(r, unique=names.count(r.label) == 1 and r.label.strip() != "") for r in records]


def cut(value: float) -> float:
    """A relative difference, within the axis."""
    return min(HIGH, max(LOW, value))


def _row(record: ClassResult, *, unique: bool) -> dict[str, Any]:
    relative = record.relative_difference
    low, high = record.ci_low, record.ci_high
    bounded = low is not None or high is not None
    return {
        "key": record.label if unique else f"{record.label} ({record.index})",
        "label": record.label,
        "index": record.index,
        "category": record.category,
        # Bars are of area, about which a claim of images alone says nothing.
        "verdict": record.verdict if record.verdict in VERDICTS else "no evidence",
        "omitted": record.omitted,
        "real": record.real_area,
        "generated": record.generated_area,
        "relative": relative,
        "shown": None if relative is None else cut(relative),
        "low": cut(low if low is not None else LOW) if bounded else None,
        "high": cut(high if high is not None else HIGH) if bounded else None,
        "open": bounded and (low is None or high is None),
        "note": change(relative) if relative is not None and relative > HIGH else "",
        "q": record.q_value,
        "text_real": area(record.real_area),
        "text_generated": area(record.generated_area),
        "text_relative": change(relative),
        "text_interval": interval(low, high),
        "text_presence": " → ".join(share(seen) for seen in images_lost(record)[:2]),
        "text_p": probability(record.p_value),
        "text_q": probability(record.q_value),
        "text_verdict": verdict_words(record),
    }


def area_domain(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Ends of the area axis in percent: a round number above all, ``top / 5000`` or less below.

    The lower end reaches down to the smallest positive real area, but to no more than a
    hundredth of the paper's axis, so that one stray pixel does not flatten the rest.
    """
    largest = max((max(r["real"], r["generated"]) for r in rows), default=50.0)
    decade = 10.0 ** math.floor(math.log10(largest))
    top = next(step * decade for step in (1, 2, 5, 10) if step * decade >= largest)
    smallest = min((r["real"] for r in rows), default=top)
    floor = top / DECADES
    while floor > smallest and floor > top / DECADES / 100:
        floor /= 10
    return floor, top


def difference_end(rows: Sequence[Mapping[str, Any]]) -> float:
    """Upper end of the axis of relative differences: with room for numbers where there are any."""
    return HIGH + (0.55 if any(row["note"] for row in rows) else 0.1)


def build_chart(
    rows: Sequence[Mapping[str, Any]], *, layout: Layout = "wide", legends: bool = True
) -> alt.VConcatChart | alt.HConcatChart:
    """The figure as an Altair chart; Vega-Lite parameters carry its colours and the area axis.

    Args:
        rows: one per class, in this order, as ``figure_rows`` gives them.
        layout: ``wide`` = classes along x, panels on top of each other; ``narrow`` = classes
            along y, panels side by side, for a phone.
        legends: whether the chart explains its colours itself.
    """
    import altair as alt

    wide = layout == "wide"
    base = alt.Chart(alt.NamedData(name="classes"))
    legend = alt.Legend() if legends else None
    upper, lower = area_panel(base, wide, legend), difference_panel(base, wide, legend)
    chart: Any
    if wide:
        width = max(240, 25 * len(rows))
        upper = upper.properties(width=width, height=130)
        lower = lower.properties(width=width, height=200)
        chart = alt.vconcat(upper, lower, spacing=8)
    else:
        size = {"width": 110, "height": alt.Step(20)}
        chart = alt.hconcat(upper.properties(**size), lower.properties(**size), spacing=10)
    floor, top = area_domain(rows)
    chart = charts.finish(
        chart.resolve_scale(color="independent", shape="independent"),
        data={"classes": rows},
        description="Class areas in real and generated images, and their relative difference",
        numbers={"area_floor": floor, "area_top": top, "upper_end": difference_end(rows)},
    )
    return cast("alt.VConcatChart | alt.HConcatChart", chart)


class _Axes:
    """The channels of one panel: the class along one axis, values along the other.

    Args:
        wide: whether classes are along x.
        labels: whether the axis names the classes.
        options: of the axis of values; ``scale``: of its scale.
    """

    def __init__(self, wide: bool, *, labels: bool, scale: dict[str, Any], **options: Any) -> None:
        import altair as alt

        place, value, second = (alt.X, alt.Y, alt.Y2) if wide else (alt.Y, alt.X, alt.X2)
        self.second: Any = second
        turned = {"labelAngle": -45} if wide else {"labelLimit": charts.NARROW_LABEL}
        self.place = place(
            "key:N",
            sort=None,
            axis=charts.class_axis(padding=4, labels=labels, **turned),
            scale=alt.Scale(paddingInner=0.25, paddingOuter=0.15),
        )
        self.value = partial(value, axis=alt.Axis(grid=True, **options), scale=alt.Scale(**scale))
        self.tips = [alt.Tooltip(f"{field}:N", title=title) for field, title in TOOLTIPS.items()]
        self.triangle = "triangle-down" if wide else "triangle-left"  # points at the classes


def area_panel(base: alt.Chart, wide: bool, legend: alt.Legend | None) -> alt.LayerChart:
    """Areas on a logarithmic axis: real ones as bars, generated ones as a line with points."""
    import altair as alt

    ends = {"domainMin": alt.ExprRef("area_floor"), "domainMax": alt.ExprRef("area_top")}
    axes = _Axes(
        wide,
        labels=not wide,
        scale={"type": "log", "nice": False, **ends},
        title="area, % of image",
        labelOverlap="parity",
        labelSeparation=2,
        labelFlush=False,
        labelExpr="datum.value >= 0.001 ? format(datum.value, '~g') : format(datum.value, '.0e')",
        values=[10.0**k for k in range(-7, 3)],
    )
    series = alt.Color(
        "series:N", scale=charts.colour_scale(SERIES, ("real", "generated")), legend=legend
    )
    # A logarithmic axis has no zero: smaller areas are drawn on its lower end.
    base = base.transform_calculate(
        real_shown="max(datum.real, area_floor)",
        generated_shown="max(datum.generated, area_floor)",
        bottom="area_floor",
        below="datum.generated < area_floor",
    )
    real, drawn = (base.transform_calculate(series=f"'{name}'") for name in SERIES)
    area, bottom = axes.value("real_shown:Q", stack=None), axes.second("bottom:Q")
    bars = real.mark_bar().encode(axes.place, area, bottom, series, tooltip=axes.tips)
    height = axes.value("generated_shown:Q")
    line = (
        drawn.mark_line(strokeWidth=1, opacity=0.55)
        .encode(axes.place, height, series, order=alt.Order("order:Q"))
        .transform_window(order="row_number()")
    )
    shape = alt.condition("datum.below", alt.value(axes.triangle), alt.value("circle"))
    points = drawn.mark_point(filled=True, opacity=1, size=34)
    points = points.encode(axes.place, height, series, tooltip=axes.tips, shape=shape)
    return cast("alt.LayerChart", alt.layer(bars, line, points))


def difference_panel(
    base: alt.Chart, wide: bool, legend: alt.Legend | None, *, labels: bool = True
) -> alt.LayerChart:
    """Relative differences as bars, with intervals, and with numbers where they are cut.

    Args:
        labels: whether the axis of a wide panel names the classes.
    """
    import altair as alt

    axes = _Axes(
        wide,
        labels=wide and labels,
        scale={"domain": [LOW - 0.06, alt.ExprRef("upper_end")], "nice": False, "zero": False},
        title="relative difference" if wide else "difference",
        values=[-1, -0.5, 0, 0.5, 1] if wide else [-1, 0, 1],
        labelExpr="(datum.value > 0 ? '+' : datum.value < 0 ? '\u2212' : '')"
        " + format(abs(100 * datum.value), '.0f') + ' %'",
    )
    place, tips = axes.place, axes.tips
    names = ("omitted", "reduced", "excess", "neutral")
    verdict = alt.Color("verdict:N", scale=charts.colour_scale(VERDICTS, names), legend=legend)
    shown = axes.value("shown:Q", stack=None)
    bars = base.mark_bar().encode(place, shown, verdict, tooltip=tips)
    dash = alt.condition("datum.open", alt.value([2, 2]), alt.value([1, 0]))
    low, high = axes.value("low:Q"), axes.second("high:Q")
    rules = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=1.2, color=alt.ExprRef("ink"))
        .encode(place, low, high, tooltip=tips, strokeDash=dash)
    )
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=alt.ExprRef("muted"))
    zero = zero.encode(axes.value("zero:Q"))
    # The mark beside the axis says "omitted" a second time, to those who see no colours.
    omitted = (
        base.transform_filter("datum.omitted")
        .transform_calculate(at="0.12")
        .mark_point(
            filled=True, opacity=1, color=alt.ExprRef("omitted"), shape=axes.triangle, size=40
        )
        .encode(place, axes.value("at:Q"), tooltip=tips)
    )
    notes = (
        base.transform_filter("datum.note != ''")
        .mark_text(
            fontSize=9, color=alt.ExprRef("ink"), align="left", dx=3, angle=270 if wide else 0
        )
        .encode(place, axes.value("shown:Q"), text="note:N")
    )
    return cast("alt.LayerChart", alt.layer(bars, zero, rules, omitted, notes))


def figure_svg(results: Results) -> str:
    """The static figure, wide layout on white, as SVG text."""
    return charts.chart_svg(build_chart(figure_rows(results)[:LABELS]))
