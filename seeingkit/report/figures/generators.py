"""The paper's figure of class areas for several generators: bars real, a line for each generator.

Classes, order and axes are those of ``figures.classes``; below, the relative difference of each
generator with its 95 % interval, side by side within a class. Generators differ in colour and in
shape, so that print without colours tells them apart. Importing this loads neither Altair nor
vl-convert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from seeingkit.results import ClassResult, GeneratorsResults

from ..selection import LABELS, in_figure
from ..words.numbers import change
from . import charts
from .charts import Layout
from .classes import HIGH, LOW, area_domain, cut, difference_end

if TYPE_CHECKING:
    import altair as alt

COLOURS = ("#1d6fb8", "#d2601a", "#1f9e77", "#a65fb0", "#b3902a", "#5b6cd6")
"""Of the generators, readable on white and on black; the first six are drawn."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


Series = Mapping[str, Sequence[ClassResult]]
"""The classes of each generator against the same real images, by its name."""


def generator_rows(results: GeneratorsResults) -> list[dict[str, Any]]:
    """The rows of ``series_rows`` for a run that compares several generators."""
    return series_rows({g.name: g.classes for g in results.generators[: len(COLOURS)]})


def series_rows(series: Series, limit: int = LABELS) -> list[dict[str, Any]]:
    """One row a class and generator, classes by real area.

    Keys: ``key`` (of the class), ``generator``, ``real``, ``generated`` (percent), ``shown``,
    ``low``, ``high`` (relative difference and interval, cut to the axis), ``note`` (number of a
    difference that was cut), ``omitted``.

    Args:
        series: of one to ``len(COLOURS)`` generators, with the same labels.
        limit: this many of the largest classes.
    """
    records = {name: {c.index: c for c in found if in_figure(c)} for name, found in series.items()}
    first = next(iter(records.values()))
    shown = sorted(first.values(), key=lambda record: (-record.real_area, record.index))[:limit]
    names = [record.label for record in shown]
    rows = []
    for record in shown:
        key = record.label if names.count(record.label) == 1 else f"{record.label} ({record.index})"
        for generator, found in records.items():
            one = found[record.index]
            relative = one.relative_difference or 0.0
            low, high = (None, None) if one.ci_low is None else (one.ci_low, one.ci_high)
            rows.append(
                {
                    "key": key,
                    "generator": generator,
                    "real": one.real_area,
                    "generated": one.generated_area,
                    "shown": cut(relative),
                    "low": None if low is None else cut(low),
                    "high": None if low is None else cut(HIGH if high is None else high),
                    "note": change(relative) if relative > HIGH else "",
                    "omitted": one.omitted,
                }
            )
    return rows


def build_generators_chart(
    rows: Sequence[Mapping[str, Any]], layout: Layout = "wide"
) -> alt.VConcatChart | alt.HConcatChart:
    """The figure as an Altair chart.

    Args:
        rows: as ``series_rows`` gives them.
        layout: ``wide`` = classes along x, panels on top of each other; ``narrow`` = classes
            along y, panels side by side, for a phone.
    """
    import altair as alt

    wide = layout == "wide"
    names = list(dict.fromkeys(row["generator"] for row in rows))
    classes = list(dict.fromkeys(row["key"] for row in rows))
    floor, top = area_domain(rows)
    base = alt.Chart(alt.NamedData(name="generators"))
    upper = _areas(base, wide, names, classes, (floor, top))
    lower = _differences(base, wide, names, classes, difference_end(rows))
    chart: Any
    if wide:
        width = max(320, len(classes) * max(26, 9 * len(names) + 8))
        sizes = {"width": width}
        chart = alt.vconcat(
            upper.properties(**sizes, height=150), lower.properties(**sizes, height=220), spacing=8
        )
    else:
        sizes = {"width": 110, "height": len(classes) * max(20, 8 * len(names) + 6)}
        chart = alt.hconcat(upper.properties(**sizes), lower.properties(**sizes), spacing=10)
    chart = charts.finish(
        chart.resolve_scale(color="independent", shape="independent"),
        data={"generators": rows},
        description="Class areas of real images and of each generator, and relative differences",
    )
    return cast("alt.VConcatChart | alt.HConcatChart", chart)


def _class_channel(wide: bool, classes: Sequence[str], *, labels: bool) -> Any:
    import altair as alt

    turned = {"labelAngle": -45} if wide else {"labelLimit": charts.NARROW_LABEL}
    place = alt.X if wide else alt.Y
    return place(
        "key:N",
        sort=list(classes),
        axis=charts.class_axis(padding=4, labels=labels, **turned),
        scale=alt.Scale(paddingInner=0.25, paddingOuter=0.15),
    )


def _real(names: Sequence[str]) -> str:
    """What the legend calls the bars: no generator has that name."""
    name = "real images"
    while name in names:
        name += " "
    return name


def _series(names: Sequence[str], *, legend: bool) -> tuple[Any, Any]:
    """Colour and shape of each generator."""
    import altair as alt

    key = alt.Legend(title=None, labelLimit=260) if legend else None
    domain = [_real(names), *names]
    colours = alt.Scale(domain=domain, range=[alt.ExprRef("real"), *COLOURS[: len(names)]])
    shapes = alt.Scale(domain=domain, range=["square", *SHAPES[: len(names)]])
    colour = alt.Color("generator:N", scale=colours, legend=key)
    return colour, alt.Shape("generator:N", scale=shapes, legend=key)


def _areas(
    base: alt.Chart,
    wide: bool,
    names: Sequence[str],
    classes: Sequence[str],
    ends: tuple[float, float],
) -> alt.LayerChart:
    """Areas on a logarithmic axis: real ones as bars, a line with points for each generator."""
    import altair as alt

    value, second = (alt.Y, alt.Y2) if wide else (alt.X, alt.X2)
    place = _class_channel(wide, classes, labels=not wide)
    scale = alt.Scale(type="log", nice=False, domain=list(ends))
    axis = alt.Axis(
        title="area, % of image",
        labelOverlap="parity",
        labelExpr="datum.value >= 0.001 ? format(datum.value, '~g') : format(datum.value, '.0e')",
        values=[10.0**k for k in range(-7, 3)],
    )
    # A logarithmic axis has no zero: smaller areas are drawn on its lower end.
    base = base.transform_calculate(
        real_shown=f"max(datum.real, {ends[0]})",
        generated_shown=f"max(datum.generated, {ends[0]})",
        bottom=str(ends[0]),
    )
    bars = (
        base.transform_filter(alt.FieldEqualPredicate(field="generator", equal=names[0]))
        .mark_bar(color=alt.ExprRef("real"))
        .encode(
            place, value("real_shown:Q", stack=None, scale=scale, axis=axis), second("bottom:Q")
        )
    )
    colour, shape = _series(names, legend=True)
    height = value("generated_shown:Q", scale=scale, axis=axis)
    order = alt.Order("order:Q")
    drawn = base.transform_window(order="row_number()")
    line = drawn.mark_line(strokeWidth=1, opacity=0.55)
    points = base.mark_point(filled=True, opacity=1, size=36)
    return cast(
        "alt.LayerChart",
        alt.layer(
            bars,
            line.encode(place, height, colour, order=order),
            points.encode(place, height, colour, shape),
        ),
    )


def _differences(
    base: alt.Chart, wide: bool, names: Sequence[str], classes: Sequence[str], end: float
) -> alt.LayerChart:
    """Relative differences as points with intervals, generators side by side.

    A triangle beside the axis marks an omitted class; a difference that is cut has its number.
    """
    import altair as alt

    value, second = (alt.Y, alt.Y2) if wide else (alt.X, alt.X2)
    place = _class_channel(wide, classes, labels=wide)
    offset: Any = (alt.XOffset if wide else alt.YOffset)("generator:N", sort=list(names))
    axis = alt.Axis(
        title="relative difference" if wide else "difference",
        values=[-1, -0.5, 0, 0.5, 1] if wide else [-1, 0, 1],
        labelExpr="(datum.value > 0 ? '+' : datum.value < 0 ? '\u2212' : '')"
        " + format(abs(100 * datum.value), '.0f') + ' %'",
    )
    scale = alt.Scale(domain=[LOW - 0.06, end], nice=False, zero=False)
    colour, shape = _series(names, legend=False)
    shown = value("shown:Q", scale=scale, axis=axis)
    points = base.mark_point(filled=True, opacity=1, size=34)
    rules = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.4)
    low, high = value("low:Q", scale=scale, axis=axis), second("high:Q")
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=alt.ExprRef("muted"))
    zero = zero.encode(value("zero:Q", scale=scale, axis=axis))
    mark = "triangle-down" if wide else "triangle-left"
    omitted = base.transform_filter("datum.omitted").transform_calculate(at="0.12")
    omitted = omitted.mark_point(filled=True, opacity=1, shape=mark, size=26)
    notes = base.transform_filter("datum.note != ''").mark_text(
        fontSize=8, color=alt.ExprRef("ink"), align="left", dx=5, angle=270 if wide else 0
    )
    return cast(
        "alt.LayerChart",
        alt.layer(
            zero,
            rules.encode(place, offset, low, high, colour),
            points.encode(place, offset, shown, colour, shape),
            omitted.encode(place, offset, value("at:Q", scale=scale, axis=axis), colour),
            notes.encode(place, offset, shown, text="note:N"),
        ),
    )
