"""The page of each generator of a suite as text: its places, reports and classes, or a reason."""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.results import SuiteGenerator

from ..words.numbers import plain_text
from .places import Links, Places
from .reading import Suite
from .shell import page
from .standings import ClassKey, ClassValue, Ranking, Standing
from .tables import note_words, rank_words
from .words import difference_ends


def generator_page(suite: Suite, entry: SuiteGenerator, places: Places) -> str:
    """The page of one generator: places, reports, its classes, or why there are none."""
    shown = [
        (ranking, row)
        for ranking in suite.rankings
        for row in ranking.rows
        if row.name == entry.name and row.kind == "generator"
    ]
    compared = [(ranking, row) for ranking, row in shown if row.fsd is not None]
    sections = [("reports", "Reports"), ("classes", "Classes"), ("method", "What it is")]
    return page(
        "suite/generator.html.j2",
        {},
        title=suite.title,
        to=Links(places, "../"),
        name=entry.name,
        headline=_generator_headline(entry.name, shown),
        details=[],
        sections=[each for each in sections if compared or each[0] != "classes"],
        shown=shown,
        compared=[(ranking, row, _against(ranking, row.name)) for ranking, row in compared],
        facts=_facts(entry),
        verdicts=_verdicts,
        note_words=note_words,
        rank_words=rank_words,
    )


def _generator_headline(name: str, shown: Sequence[tuple[Ranking, Standing]]) -> str:
    compared = [(ranking, row) for ranking, row in shown if row.fsd is not None]
    if not compared:
        reasons = dict.fromkeys(note_words(row) for _, row in shown)
        said = "; ".join(reason for reason in reasons if reason) or "it is in no ranking"
        return f"{name} has not been compared: {said}."
    if len(compared) > 1:
        first = sum(row.rank_low == 1 for _, row in compared)
        return (
            f"In {first} of {len(compared)} rankings no other generator is surely nearer to the "
            f"real images than {name}."
        )
    ranking, row = compared[0]
    others = len(ranking.compared) - 1
    if not others:
        return f"{name} is the only generator that has been compared."
    names = {one.name for one in ranking.compared}
    ahead = sum(other in names for other in row.nearer_than)
    behind = (row.rank_low or 1) - 1
    are = "is" if behind == 1 else "are"
    return (
        f"{name} is surely nearer to the real images than {ahead or 'none'} of the {others} other "
        f"generators, and {behind or 'none'} of them {are} surely nearer than it."
    )


def _against(ranking: Ranking, name: str) -> list[tuple[str, float, str, str | None]]:
    """Its distance less that of every other row, in the order of the rows."""
    found = {}
    for pair in ranking.pairs:
        if pair.first == name:
            found[pair.second] = (
                pair.value,
                difference_ends(pair.ci_low, pair.ci_high),
                pair.nearer,
            )
        elif pair.second == name:
            ends = difference_ends(-pair.ci_high, -pair.ci_low)
            found[pair.first] = (-pair.value, ends, pair.nearer)
    return [(row.name, *found[row.name]) for row in ranking.rows if row.name in found]


def _verdicts(row: Standing) -> list[tuple[ClassKey, ClassValue]]:
    """Its classes with a verdict, the largest losses first."""
    found = [(key, v) for key, v in row.values.items() if v.verdict != "no evidence"]
    return sorted(found, key=lambda one: (one[1].relative is None, one[1].relative or 0.0))


def _facts(entry: SuiteGenerator) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = [("source", entry.source)]
    if entry.weights:
        made.append(("weights", entry.weights))
    made += [(name, plain_text(value)) for name, value in sorted(entry.options.items())]
    if entry.labels is not None:
        made.append(("labels", entry.labels))
    if entry.series:
        made.append(("series", entry.series))
    if entry.step is not None:
        made.append(("step", f"{entry.step:,.10g} {entry.step_unit}".strip()))
    return made
