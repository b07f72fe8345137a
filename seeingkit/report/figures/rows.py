"""The rows of the paper's figure of class areas, and the ends of its axes.

Plain data, which the static figure and the scripts of the page share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seeingkit.results import ClassResult, Results

from ..selection import in_figure
from ..words.findings import verdict_words
from ..words.numbers import area, change, interval, probability, share

LOW, HIGH = -1.0, 1.1
"""Relative differences are drawn between these two, as in the paper."""
DECADES = 5000.0
"""The area axis spans at least this ratio below its top, as in the paper."""


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
