"""The paper's figure of class areas, one builder for page, SVG and PNG.

Classes by real area, the largest 30, "no object" and materials left out; above, the area on a
logarithmic axis (bars real, line and points generated); below, the relative difference
(generated − real) / real with its 95 % interval (Bau et al. 2019; the rules are those of the
``diff_figure`` in the paper's ``fsd.py``). Differences outside −1 … 1.1 are cut there and their
number is written. Importing this loads neither Altair nor vl-convert.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from seeingkit.results import ClassResult, Results, is_background

from ..words.findings import verdict_words
from ..words.numbers import area, change, interval, probability, share

if TYPE_CHECKING:
    import altair as alt

LABELS = 30
LOW, HIGH = -1.0, 1.1
"""Relative differences are drawn between these two, as in the paper."""
DECADES = 5000.0
"""The area axis spans at least this ratio below its top, as in the paper."""

Layout = Literal["wide", "narrow"]

PRINT_COLOURS: Mapping[str, str] = {
    "paper": "#ffffff",
    "ink": "#1c2024",
    "muted": "#565d66",
    "grid": "#e3e6ea",
    "real": "#aab4c0",
    "generated": "#1d5fae",
    "omitted": "#c4420f",
    "reduced": "#e0a070",
    "excess": "#3d9a8b",
    "neutral": "#b9bfc7",
}
"""Colours on white; the page replaces them by those of its theme."""

FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
_VERDICTS = ("omitted", "reduced", "excess", "no evidence")


def in_figure(record: ClassResult) -> bool:
    """Whether the figure may show a class: in real images, not "no object", not a material."""
    return record.real_area > 0 and record.category != "material" and not is_background(record)


def figure_rows(results: Results) -> list[dict[str, Any]]:
    """One row per class that the figure may show, by real area, largest first.

    Keys: ``key`` (unique text for the axis), ``label``, ``category``, ``verdict``, ``omitted``,
    ``real``, ``generated`` (percent), ``relative``, ``shown``, ``low``, ``high`` (relative
    difference and interval, cut to the axis), ``open`` (interval without a bound), ``note``
    (number of a difference that was cut), ``q``, and ``text_…`` for tooltips.
    """
    records = [record for record in results.classes if in_figure(record)]
    records.sort(key=lambda record: (-record.real_area, record.index))
    names = [record.label for record in records]
    return [
        _row(record, unique=names.count(record.label) == 1 and record.label.strip() != "")
        for record in records
    ]


def _cut(value: float) -> float:
    return min(HIGH, max(LOW, value))


def _row(record: ClassResult, *, unique: bool) -> dict[str, Any]:
    relative = record.relative_difference
    low, high = record.ci_low, record.ci_high
    bounded = low is not None or high is not None
    return {
        "key": record.label if unique else f"{record.label} ({record.index})",
        "label": record.label,
        "category": record.category,
        "verdict": record.verdict,
        "omitted": record.omitted,
        "real": record.real_area,
        "generated": record.generated_area,
        "relative": relative,
        "shown": None if relative is None else _cut(relative),
        "low": _cut(low if low is not None else LOW) if bounded else None,
        "high": _cut(high if high is not None else HIGH) if bounded else None,
        "open": bounded and (low is None or high is None),
        "note": change(relative) if relative is not None and relative > HIGH else "",
        "q": record.q_value,
        "text_real": area(record.real_area),
        "text_generated": area(record.generated_area),
        "text_relative": change(relative),
        "text_interval": interval(low, high),
        "text_presence": f"{share(record.real_presence)} → {share(record.generated_presence)}",
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
    top = next(
        step * 10.0 ** math.floor(math.log10(largest))
        for step in (1, 2, 5, 10)
        if step * 10.0 ** math.floor(math.log10(largest)) >= largest
    )
    smallest = min((r["real"] for r in rows), default=top)
    floor = top / DECADES
    while floor > smallest and floor > top / DECADES / 100:
        floor /= 10
    return floor, top


def difference_end(rows: Sequence[Mapping[str, Any]]) -> float:
    """Upper end of the axis of relative differences: with room for numbers where there are any."""
    return HIGH + (0.55 if any(row["note"] for row in rows) else 0.1)


def build_chart(
    rows: Sequence[Mapping[str, Any]],
    *,
    layout: Layout = "wide",
    size: int | None = None,
    legends: bool = True,
) -> alt.VConcatChart | alt.HConcatChart:
    """The figure as an Altair chart; Vega-Lite parameters carry its colours and the area axis.

    Args:
        rows: what to show, in this order, as ``figure_rows`` gives them.
        layout: ``wide`` = classes along x, panels on top of each other; ``narrow`` = classes
            along y, panels side by side, for a phone.
        size: length of the class axis (wide) or width of one panel (narrow) in pixels.
        legends: whether the chart explains its colours itself.
    """
    import altair as alt

    wide = layout == "wide"
    floor, top = area_domain(rows)
    params = [alt.param(name=name, value=value) for name, value in PRINT_COLOURS.items()]
    params += [alt.param(name="area_floor", value=floor), alt.param(name="area_top", value=top)]
    params.append(alt.param(name="upper_end", value=difference_end(rows)))
    base = alt.Chart(alt.NamedData(name="classes"))
    legend = alt.Legend() if legends else None
    upper = _area_panel(alt, base, wide, legend)
    lower = _difference_panel(alt, base, wide, legend)
    chart: Any
    if wide:
        length = size or max(240, 25 * len(rows))
        upper = upper.properties(width=length, height=130)
        lower = lower.properties(width=length, height=200)
        chart = alt.vconcat(upper, lower, spacing=8)
    else:
        narrow = {"width": size or 110, "height": alt.Step(20)}
        chart = alt.hconcat(upper.properties(**narrow), lower.properties(**narrow), spacing=10)
    chart = (
        chart.add_params(*params)
        .resolve_scale(color="independent", shape="independent")
        .properties(
            padding=4,
            datasets={"classes": [dict(row) for row in rows]},
            description="Class areas in real and generated images, and their relative difference",
        )
        .configure(**chart_config(alt))
    )
    return cast("alt.VConcatChart | alt.HConcatChart", chart)


def chart_config(alt: Any) -> dict[str, Any]:
    """Fonts, axes and legends of the report's charts, in colours that parameters name."""
    ink, muted, grid = (alt.ExprRef(name) for name in ("ink", "muted", "grid"))
    return {
        "background": alt.ExprRef("paper"),
        "font": FONT,
        "view": alt.ViewConfig(stroke=None),
        "axis": alt.AxisConfig(
            labelColor=ink, titleColor=muted, gridColor=grid, domainColor=muted, tickColor=muted,
            labelFontSize=11, titleFontSize=11, titleFontWeight="normal", labelLimit=130,
        ),
        "legend": alt.LegendConfig(
            labelColor=ink, labelFontSize=11, symbolSize=80, orient="top", title=None, offset=6,
            columnPadding=14, symbolStrokeWidth=0, symbolOpacity=1,
        ),
    }  # fmt: skip


def _positions(alt: Any, wide: bool) -> tuple[Any, Any, Any, str]:
    """Channels of class, value and second value, and the name of the class channel."""
    return (alt.X, alt.Y, alt.Y2, "x") if wide else (alt.Y, alt.X, alt.X2, "y")


def _tooltips(alt: Any) -> list[Any]:
    fields = {
        "label": "class", "category": "category", "text_real": "real area",
        "text_generated": "generated area", "text_relative": "relative difference",
        "text_interval": "95 % interval", "text_presence": "images with it, real → generated",
        "text_p": "p", "text_q": "q (false discovery)", "text_verdict": "verdict",
    }  # fmt: skip
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in fields.items()]


def _class_axis(alt: Any, wide: bool, *, labels: bool) -> Any:
    channel = _positions(alt, wide)[0]
    axis = alt.Axis(
        labels=labels, ticks=False, domain=False, title=None, labelPadding=4,
        **({"labelAngle": -45} if wide else {"labelLimit": 96}),
    )  # fmt: skip
    scale = alt.Scale(paddingInner=0.25, paddingOuter=0.15)
    return channel("key:N", sort=None, axis=axis, scale=scale)


def _scale(alt: Any, names: Sequence[str], tokens: Sequence[str]) -> Any:
    return alt.Scale(domain=list(names), range=[alt.ExprRef(token) for token in tokens])


def _area_panel(alt: Any, base: Any, wide: bool, legend: Any) -> Any:
    _, value, second, _ = _positions(alt, wide)
    place = _class_axis(alt, wide, labels=not wide)
    series = ("real images", "generated images")
    colour = alt.Color("series:N", scale=_scale(alt, series, ("real", "generated")), legend=legend)
    # A logarithmic axis has no zero: what lies below it is drawn on its lower end.
    base = base.transform_calculate(
        real_shown="max(datum.real, area_floor)",
        generated_shown="max(datum.generated, area_floor)",
        bottom="area_floor",
        below="datum.generated < area_floor",
    )
    axis = alt.Axis(
        title="area, % of image", grid=True, labelOverlap="parity", labelSeparation=2,
        labelFlush=False,
        labelExpr="datum.value >= 0.001 ? format(datum.value, '~g') : format(datum.value, '.0e')",
        values=[10.0**k for k in range(-7, 3)],
    )  # fmt: skip
    scale = alt.Scale(
        type="log",
        domainMin=alt.ExprRef("area_floor"),
        domainMax=alt.ExprRef("area_top"),
        nice=False,
    )
    tips = _tooltips(alt)
    real = base.transform_calculate(series="'real images'").mark_bar().encode(
        place, value("real_shown:Q", axis=axis, scale=scale, stack=None),
        second("bottom:Q"), colour, tooltip=tips,
    )  # fmt: skip
    drawn = base.transform_calculate(series="'generated images'")
    line = drawn.mark_line(strokeWidth=1, opacity=0.55).encode(
        place, value("generated_shown:Q", axis=axis, scale=scale), colour,
        order=alt.Order("order:Q"),
    ).transform_window(order="row_number()")  # fmt: skip
    points = drawn.mark_point(filled=True, opacity=1, size=34).encode(
        place, value("generated_shown:Q", axis=axis, scale=scale), colour, tooltip=tips,
        shape=alt.condition(
            "datum.below", alt.value("triangle-down" if wide else "triangle-left"),
            alt.value("circle"),
        ),
    )  # fmt: skip
    return alt.layer(real, line, points)


def _difference_panel(alt: Any, base: Any, wide: bool, legend: Any) -> Any:
    _, value, second, _ = _positions(alt, wide)
    place = _class_axis(alt, wide, labels=wide)
    ticks = [-1, -0.5, 0, 0.5, 1]
    axis = alt.Axis(
        title="relative difference" if wide else "difference",
        values=ticks if wide else [-1, 0, 1], grid=True,
        labelExpr="(datum.value > 0 ? '+' : datum.value < 0 ? '\u2212' : '')"
        " + format(abs(100 * datum.value), '.0f') + ' %'",
    )  # fmt: skip
    scale = alt.Scale(domain=[LOW - 0.06, alt.ExprRef("upper_end")], nice=False, zero=False)
    verdict = alt.Color(
        "verdict:N",
        scale=_scale(alt, _VERDICTS, ("omitted", "reduced", "excess", "neutral")),
        legend=legend,
    )
    tips = _tooltips(alt)
    bars = base.mark_bar().encode(
        place, value("shown:Q", axis=axis, scale=scale, stack=None), verdict, tooltip=tips
    )
    ink = {"color": alt.ExprRef("ink")}
    rules = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.2, **ink).encode(
        place, value("low:Q", axis=axis, scale=scale), second("high:Q"), tooltip=tips,
        strokeDash=alt.condition("datum.open", alt.value([2, 2]), alt.value([1, 0])),
    )  # fmt: skip
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=alt.ExprRef("muted"))
    zero = zero.encode(value("zero:Q", axis=axis, scale=scale))
    # The mark beside the axis says "omitted" a second time, to those who see no colours.
    mark = {"shape": "triangle-down" if wide else "triangle-left", "size": 40}
    omitted = base.transform_filter("datum.omitted").transform_calculate(at="0.12").mark_point(
        filled=True, opacity=1, color=alt.ExprRef("omitted"), **mark
    ).encode(place, value("at:Q", axis=axis, scale=scale), tooltip=tips)  # fmt: skip
    notes = base.transform_filter("datum.note != ''").mark_text(
        fontSize=9, color=alt.ExprRef("ink"), align="left", dx=3, angle=270 if wide else 0
    ).encode(place, value("shown:Q", axis=axis, scale=scale), text="note:N")  # fmt: skip
    return alt.layer(bars, zero, rules, omitted, notes)


@functools.lru_cache(maxsize=1)
def vega_lite_version() -> str:
    """The version of Vega-Lite that Altair writes, or the nearest that vl-convert can read."""
    import altair as alt
    import vl_convert

    wanted = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    known: list[str] = vl_convert.get_vegalite_versions()
    same = [version for version in known if version.split(".")[0] == wanted.split(".")[0]]
    return wanted if wanted in known else (same or known)[-1]


def chart_svg(chart: alt.TopLevelMixin) -> str:
    """An Altair chart as SVG text; one that a file and the page both show is converted once."""
    return _converted(json.dumps(chart.to_dict()))


@functools.lru_cache(maxsize=8)
def _converted(spec: str) -> str:
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.loads(spec), vl_version=vega_lite_version())
    return svg


def figure_svg(results: Results) -> str:
    """The static figure, wide layout on white, as SVG text."""
    return chart_svg(build_chart(figure_rows(results)[:LABELS]))


def write_figures(results: Results, folder: Path) -> tuple[Path, Path]:
    """Write ``classes.svg`` and ``classes.png`` (two pixels per point) into the folder."""
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    svg = figure_svg(results)
    paths = folder / "classes.svg", folder / "classes.png"
    paths[0].write_text(svg, encoding="utf-8", newline="\n")
    paths[1].write_bytes(vl_convert.svg_to_png(svg, scale=2))
    return paths
