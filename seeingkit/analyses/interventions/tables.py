"""Tables of an intervention for Python: effects on classes, single units, the curve."""

from __future__ import annotations

from typing import Any

from seeingkit.results import AssessmentResults, Column, Frame, InterventionResults, table

EFFECTS = {
    "label": Column(str, "the class"),
    "before": Column(float, "mean area without the edit, percent of the image"),
    "after": Column(float, "mean area with the edit, percent of the image"),
    "difference": Column(float, "after − before, percent of the image"),
    "low": Column(float, "lower end of its 95 % interval"),
    "high": Column(float, "upper end of its 95 % interval"),
    "relative": Column(float, "difference / before"),
    "relative_low": Column(float, "lower end of its 95 % interval"),
    "relative_high": Column(float, "upper end of its 95 % interval"),
    "q_area": Column(float, "false discovery rate at which the change of area is claimed"),
    "area_claim": Column(str, "less area, more area or no evidence"),
    "q_images": Column(float, "that at which the change of the images that show it is claimed"),
    "images_claim": Column(str, "in fewer images, in more images or no evidence"),
}
"""Columns of the table of classes."""

SINGLE = {
    "unit": Column(int, "number in the layer"),
    "label": Column(str, "the class"),
    "ablated": Column(float, "difference of the area with the unit at 0, percent of the image"),
    "inserted": Column(float, "the same with the unit at the class's mean of it"),
    "value": Column(float, "average causal effect, percent of the image"),
    "low": Column(float, "lower end of its 95 % interval"),
    "high": Column(float, "upper end of its 95 % interval"),
    "q": Column(float, "false discovery rate at which it is claimed"),
    "claimed": Column(bool, "whether q is at most the level"),
}
"""Columns of the table of single units."""

CURVE = {
    "ranking": Column(str, "name of the ranking; random: of random units"),
    "units": Column(int, "units that were set to 0"),
    "remaining": Column(float, "share of the class's area that is left"),
    "remaining_low": Column(float, "lower end of its 95 % interval; random: least of the sets"),
    "remaining_high": Column(float, "upper end of its 95 % interval; random: most of the sets"),
}
"""Columns of the table of the curve."""


def effect_table(results: InterventionResults | AssessmentResults) -> Frame:
    """The effect on every class that occurs, largest change first: ``effect_table(results)``."""
    return table((one.model_dump(include=set(EFFECTS)) for one in results.effect.classes), EFFECTS)


def unit_effect_table(results: InterventionResults) -> Frame:
    """Single units, strongest first; without rows where they were not measured.

    ::

        unit_effect_table(results)["value"]
    """
    found = () if results.single is None else results.single.effects
    return table((one.model_dump(include=set(SINGLE)) for one in found), SINGLE)


def curve_table(results: InterventionResults) -> Frame:
    """The curve, a row for each ranking and number of units; without rows where there is none.

    ::

        curve_table(results)["remaining"]
    """
    return table(curve_rows(results), CURVE)


def curve_rows(results: InterventionResults) -> list[dict[str, Any]]:
    """The curve as rows: points of rankings, then the bands of random units as ``random``.

    ::

        curve_rows(results)[0]["ranking"]
    """
    if (curve := results.curve) is None:
        return []
    rows: list[dict[str, Any]] = [
        {"ranking": line.name, **point.model_dump()}
        for line in curve.lines
        for point in line.points
    ]
    for band in curve.random:
        shares = {"remaining_low": band.lowest, "remaining_high": band.highest}
        rows.append({"ranking": "random", "units": band.units, "remaining": band.mean} | shares)
    return rows
