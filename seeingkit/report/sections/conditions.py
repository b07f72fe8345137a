"""The section on the classes of a conditional generator, worst first, with their omissions."""

from __future__ import annotations

from typing import Any

from seeingkit.results import ConditionResult, Results

from ..selection import is_judged
from ..templates import Section, render
from ..words.numbers import listing

SHOWN = 100


def conditions_section(results: Results) -> Section | None:
    """A table of one row per class of the generator, or None for an unconditional one."""
    if not results.conditions:
        return None
    worst = sorted(results.conditions, key=lambda record: -record.fsd.value)
    body = render(
        "conditions.html.j2",
        rows=[_row(record) for record in worst[:SHOWN]],
        against=worst[0].against,
        hidden=max(0, len(worst) - SHOWN),
    )
    return Section("conditions", "Classes of the generator", body)


def _row(record: ConditionResult) -> dict[str, Any]:
    return {
        "name": record.name,
        "n_real": f"{record.n_real:,}",
        "n_generated": f"{record.n_generated:,}",
        "fsd": record.fsd,
        "omitted": listing(missing(record, "omitted"), limit=6),
        "reduced": listing(missing(record, "reduced"), limit=6),
    }


def missing(record: ConditionResult, verdict: str) -> list[str]:
    """Names of the labels with this verdict, by real area, largest first."""
    return [c.label for c in record.classes if c.verdict == verdict and is_judged(c)]
