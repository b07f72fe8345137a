"""Figures of an intervention: effect on classes, share left by number of units, single units.

Importing this loads neither Altair nor vl-convert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from seeingkit.results import AssessmentResults, InterventionResults
from seeingkit.results.effects import RandomUnits

from .charts import NARROW_LABEL, Layout, class_axis, colour_scale, finish

if TYPE_CHECKING:
    import altair as alt

CLASSES, UNITS = 12, 24
"""Rows of the figures of classes and of single units."""
CLAIMED, OTHER = "claimed", "no evidence"
LINES = ("generated", "omitted", "excess", "muted")
"""Colours of the rankings of a curve."""


Effects = InterventionResults | AssessmentResults
"""Results with an effect on every class."""


def asked_of(results: Effects) -> tuple[RandomUnits | None, str | None]:
    """Random units, and the class that was asked for, of results that have them.

    ``asked_of(results)[1]``.
    """
    if isinstance(results, AssessmentResults):
        return None, None
    return results.random, results.label


def effect_rows(results: Effects) -> list[dict[str, Any]]:
    """Rows of the figure of classes: the largest changes, and the class that was asked for.

    ``effect_rows(results)[0]["difference"]``.
    """
    units, label = asked_of(results)
    random = {} if units is None else {one.label: one for one in units.classes}
    classes = results.effect.classes
    shown = [c for k, c in enumerate(classes) if k < CLASSES or c.label == label]
    rows = []
    for one in shown:
        control = random.get(one.label)
        rows.append(
            {
                "label": one.label,
                "difference": one.difference,
                "low": one.difference if one.low is None else one.low,
                "high": one.difference if one.high is None else one.high,
                "claim": OTHER if one.area_claim == "no evidence" else CLAIMED,
                "lowest": None if control is None else control.lowest,
                "highest": None if control is None else control.highest,
            }
        )
    return rows


def build_effect_chart(results: Effects, layout: Layout = "wide") -> alt.LayerChart:
    """The change of each class's area, with its interval and the range of random units.

    Args:
        results: of an intervention or an assessment.
        layout: ``wide``, or ``narrow`` for a phone.
    """
    import altair as alt

    rows = effect_rows(results)
    place = _places("label", [row["label"] for row in rows], layout)
    title = "change of the area, % of the image"
    value = alt.X("difference:Q", axis=alt.Axis(title=title, tickCount=5))
    data = alt.Chart(alt.NamedData(name="classes"))
    random = (
        data.transform_filter("isValid(datum.lowest)")
        .mark_bar(height=12, opacity=1, color=alt.ExprRef("grid"))
        .encode(place, alt.X("lowest:Q", title=title), alt.X2("highest:Q"))
    )
    line = alt.Chart(alt.NamedData(name="zero"))
    zero = line.mark_rule(color=alt.ExprRef("muted")).encode(alt.X("x:Q", title=title))
    ends = data.mark_rule(strokeWidth=2, color=alt.ExprRef("ink")).encode(
        place, alt.X("low:Q", title=title), alt.X2("high:Q")
    )
    points = data.mark_point(filled=True, opacity=1, size=60).encode(place, value, _claims())
    chart = finish(
        alt.layer(random, zero, ends, points).properties(width=_width(layout), height=alt.Step(22)),
        data={"classes": rows, "zero": [{"x": 0}]},
        description="Change of the area of each class by the edit",
        padding=6,
    )
    return cast("alt.LayerChart", chart)


def build_curve_chart(results: InterventionResults, layout: Layout = "wide") -> alt.LayerChart:
    """The share of the class that is left against the number of units set to 0.

    Args:
        results: with a curve.
        layout: ``wide``, or ``narrow`` for a phone.
    """
    import altair as alt

    curve = results.curve
    assert curve is not None
    points = [
        {
            "ranking": line.name,
            "units": point.units,
            "left": 100 * point.remaining,
            "low": 100 * (point.remaining if point.remaining_low is None else point.remaining_low),
            "high": 100
            * (point.remaining if point.remaining_high is None else point.remaining_high),
        }
        for line in curve.lines
        for point in line.points
        if point.remaining is not None
    ]
    random = [
        {"units": band.units, "lowest": 100 * band.lowest, "highest": 100 * band.highest}
        for band in curve.random
    ]
    names = [line.name for line in curve.lines]
    steps = sorted({point.units for line in curve.lines for point in line.points})
    place = alt.X(
        "units:Q",
        axis=alt.Axis(title="units set to 0", values=steps, format="d", labelOverlap="greedy"),
    )
    title = f"{curve.label} left, %"
    colour = alt.Color("ranking:N", scale=colour_scale(names, LINES[: len(names)]))
    band = (
        alt.Chart(alt.NamedData(name="random"))
        .mark_area(color=alt.ExprRef("grid"), line=False)
        .encode(place, alt.Y("lowest:Q", title=title), alt.Y2("highest:Q"))
    )
    data = alt.Chart(alt.NamedData(name="points"))
    ends = data.mark_rule(strokeWidth=1.4).encode(
        place, alt.Y("low:Q", title=title), alt.Y2("high:Q"), colour
    )
    lines = data.mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=45, filled=True)).encode(
        place, alt.Y("left:Q", axis=alt.Axis(title=title, tickCount=5)), colour
    )
    chart = finish(
        alt.layer(band, ends, lines).properties(width=_width(layout) + 60, height=230),
        data={"points": points, "random": random},
        description=f"Share of {curve.label} that is left against the number of units set to 0",
        padding=6,
    )
    return cast("alt.LayerChart", chart)


def single_rows(results: InterventionResults) -> list[dict[str, Any]]:
    """Rows of the figure of single units: those of the largest effects, of either sign.

    ``single_rows(results)[0]["value"]``.
    """
    found = () if results.single is None else results.single.effects
    largest = sorted(found, key=lambda one: (-abs(one.value), one.unit))[:UNITS]
    several = results.single is not None and results.single.label is None
    return [
        {
            "unit": f"{one.unit}, {one.label}" if several else str(one.unit),
            "value": one.value,
            "low": one.value if one.low is None else one.low,
            "high": one.value if one.high is None else one.high,
            "claim": CLAIMED if one.claimed else OTHER,
        }
        for one in sorted(largest, key=lambda one: (-one.value, one.unit))
    ]


def build_single_chart(results: InterventionResults, layout: Layout = "wide") -> alt.LayerChart:
    """The average causal effect of single units as bars with intervals.

    Args:
        results: with single units.
        layout: ``wide``, or ``narrow`` for a phone.
    """
    import altair as alt

    rows = single_rows(results)
    place = _places("unit", [row["unit"] for row in rows], layout)
    title = "effect of the unit alone, % of the image"
    data = alt.Chart(alt.NamedData(name="units"))
    value = alt.X("value:Q", axis=alt.Axis(title=title, tickCount=5))
    bars = data.mark_bar(height=11).encode(place, value, _claims())
    ends = data.mark_rule(strokeWidth=1.6, color=alt.ExprRef("ink")).encode(
        place, alt.X("low:Q", title=title), alt.X2("high:Q")
    )
    chart = finish(
        alt.layer(bars, ends).properties(width=_width(layout), height=alt.Step(17)),
        data={"units": rows},
        description="Effect of each unit alone",
        padding=6,
    )
    return cast("alt.LayerChart", chart)


def _width(layout: Layout) -> int:
    return 460 if layout == "wide" else 190


def _places(field: str, order: list[str], layout: Layout) -> alt.Y:
    import altair as alt

    limit = 170 if layout == "wide" else NARROW_LABEL
    return alt.Y(f"{field}:N", sort=order, axis=class_axis(padding=6, labelLimit=limit))


def _claims() -> alt.Color:
    import altair as alt

    names = (CLAIMED, OTHER)
    return alt.Color("claim:N", scale=colour_scale(names, ("generated", "neutral")))
