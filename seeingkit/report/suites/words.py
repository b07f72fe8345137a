"""The findings of a suite as sentences: who is surely nearer, who cannot be told apart, what lacks.

"Surely" stands only where a pair is claimed at the ranking's level over all its pairs; two rows
"cannot be told apart" exactly where they share a letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seeingkit.results import CellState

from ..words.nouns import plural
from ..words.numbers import between, count, listing, number
from .reading import Suite
from .standings import ClassKey, Ranking, Standing

NAMED = 6
"""At most so many generators, or classes, are named in a sentence."""
ENOUGH = 3
"""From so many generators on, no more are named in the headline of a suite."""


def ranking_headline(ranking: Ranking) -> str:
    """Who is nearest to the real images, in one sentence."""
    rows, leaders = ranking.compared, ranking.leaders
    if not rows:
        return "Nothing has been compared yet."
    if len(rows) == 1:
        return f"{rows[0].name} is the only generator that has been compared."
    if len(leaders) == 1:
        behind = [r.name for r in rows if r.name in leaders[0].nearer_than]
        if len(behind) == len(rows) - 1:
            others = (
                behind[0] if len(behind) == 1 else f"each of the {len(behind)} other generators"
            )
            return f"{leaders[0].name} is surely nearer to the real images than {others}."
        return (
            f"No generator is surely nearer to the real images than {leaders[0].name}, which is "
            f"surely nearer than {len(behind)} of the {len(rows) - 1} others."
        )
    if len(leaders) == len(rows):
        return (
            f"The {len(rows)} generators cannot be told apart by their distance from the real "
            "images."
        )
    return f"{_names(leaders)} are nearest to the real images and cannot be told apart."


def ranking_details(ranking: Ranking) -> list[str]:
    """Further findings on one ranking, a sentence or two each."""
    return [
        *_ahead(ranking),
        *_last(ranking),
        *_missing(ranking),
        *_controls(ranking),
        *_unfinished(ranking),
    ]


def _names(rows: Sequence[Standing]) -> str:
    return listing([row.name for row in rows], limit=NAMED)


def _ahead(ranking: Ranking) -> Iterator[str]:
    """Than whom the nearest ones are surely nearer."""
    leaders = ranking.leaders
    if len(leaders) == len(ranking.compared) or len(leaders) < 2:
        return
    behind = [
        row for row in ranking.compared if all(row.name in leader.nearer_than for leader in leaders)
    ]
    others = len(ranking.compared) - len(leaders)
    if behind:
        text = f"the other {others}" if len(behind) == others > 1 else _names(behind)
        yield f"Each of them is surely nearer than {text}."
        return
    names = {row.name: row for row in ranking.compared}
    for leader in leaders[:ENOUGH]:
        farther = [names[name] for name in leader.nearer_than if name in names]
        if farther:
            yield f"{leader.name} is surely nearer than {_names(farther)}."


def _last(ranking: Ranking) -> Iterator[str]:
    rows = ranking.compared
    last = [row for row in rows if row.rank_high == len(rows)]
    if len(rows) > 2 and len(last) == 1 and last[0].rank_low == len(rows):
        yield f"{last[0].name} is surely farther than every other one."


def _missing(ranking: Ranking) -> Iterator[str]:
    """The classes that most generators omit, and how many none does."""
    rows, heads = ranking.compared, ranking.classes
    if not rows or not heads:
        return
    found = [(head.key, len(ranking.omitted_by(head.key))) for head in heads]
    often = sorted(((key, k) for key, k in found if 2 * k > len(rows)), key=lambda x: -x[1])
    if len(rows) == 1:
        named = [plural(key.label) for key, k in found if k]
        yield f"It omits {listing(named, limit=NAMED)}." if named else "It omits no class."
        return
    some = sum(k > 0 for _, k in found)
    rest = count(some - len(often), "further class is", "further classes are")
    if often:
        said = [f"{plural(key.label)} ({k})" for key, k in often]
        text = f"Omitted by most of the {len(rows)} generators: {listing(said, limit=NAMED + 2)}"
        yield f"{text}; {rest} omitted by at least one." if some > len(often) else f"{text}."
    elif some:
        by = count(some, "class is", "classes are")
        text = f"No class is omitted by most of the {len(rows)} generators"
        yield f"{text}; {by} omitted by at least one."
    else:
        yield f"None of the {len(rows)} generators is found to omit a class."


def _controls(ranking: Ranking) -> Iterator[str]:
    controls = [row for row in ranking.controls if row.fsd is not None]
    if not controls:
        if ranking.compared:
            yield "No control of real images against real images stands in this ranking."
        return
    values = listing([number(row.distance) for row in controls])
    claimed = sum(sum(v.verdict != "no evidence" for v in row.values.values()) for row in controls)
    classes = count(claimed, "class has", "classes have")
    one = len(controls) == 1
    text = "The control of real images against real images has a distance"
    if not one:
        text = f"The {len(controls)} controls of real images against real images have distances"
    beside = [row for row in ranking.compared if row.beside_controls]
    told = f"{_names(beside)} cannot be told from {'it' if one else 'some of them'}"
    if not beside:
        told = "every generator is surely farther than " + ("it" if one else "one of them")
    yield f"{text} of {values}, and {classes} a verdict there; {told}."


def _unfinished(ranking: Ranking) -> Iterator[str]:
    failed = [row for row in ranking.unfinished if row.state == "failed"]
    others = len(ranking.unfinished) - len(failed)
    said = []
    if failed:
        said.append(f"{count(len(failed), 'generator')} failed ({_names(failed)})")
    if others:
        said.append(f"{count(others, 'generator is', 'generators are')} not in the ranking yet")
    if said:
        yield " and ".join(said) + "."


def suite_headline(suite: Suite) -> str:
    """Who is nearest, over all rankings."""
    rankings = suite.compared
    if not rankings:
        return "Nothing has been compared yet."
    if len(rankings) == 1:
        return ranking_headline(rankings[0])
    first: Counter[str] = Counter()
    for ranking in rankings:
        first.update(row.name for row in ranking.leaders)
    said: list[str] = []
    for times in sorted(set(first.values()), reverse=True):
        names = [name for name, k in first.items() if k == times]
        where = f"{times} of {len(rankings)} rankings"
        if times == len(rankings):
            where = "both rankings" if times == 2 else f"all {times} rankings"
        said.append(f"{listing(names, limit=NAMED)} in {where}")
        if sum(k >= times for k in first.values()) >= ENOUGH:
            break
    return f"Among the nearest to the real images: {', '.join(said)}."


def suite_details(suite: Suite) -> list[str]:
    """Further findings over all rankings."""
    rankings = suite.compared
    if len(rankings) == 1:
        return ranking_details(rankings[0])
    return [
        "Among the nearest are those than which no other generator is surely nearer.",
        *_missing_everywhere(rankings),
        *_cells(suite),
    ]


def difference_ends(low: float, high: float) -> str:
    """The interval of a difference; an end that was set just beside 0 is said in words.

    >>> difference_ends(1e-9, 3.0), difference_ends(-3.0, -1e-9), difference_ends(-1.0, 2.0)
    ('above 0 to 3.0', '−3.0 to below 0', '−1.0 to 2.0')
    """
    beside = 1e-6 * max(abs(low), abs(high))
    if 0 < low < beside:
        return f"above 0 to {number(high)}"
    if -beside < high < 0:
        return f"{number(low)} to below 0"
    return between((low, high))


def _missing_everywhere(rankings: Sequence[Ranking]) -> Iterator[str]:
    cells = sum(len(ranking.compared) for ranking in rankings)
    found: Counter[ClassKey] = Counter()
    for ranking in rankings:
        for row in ranking.compared:
            found.update(row.of_verdict(["omitted"]))
    often = [(key, k) for key, k in found.most_common() if 2 * k > cells]
    if often:
        said = [f"{plural(key.label)} ({k:,})" for key, k in often]
        yield f"Omitted in most of the {cells:,} comparisons: {listing(said, limit=NAMED + 2)}."
    elif cells:
        yield f"No class is omitted in most of the {cells:,} comparisons."


def _cells(suite: Suite) -> Iterator[str]:
    states = Counter(cell.state for cell in suite.results.cells)
    failed, waiting = states["failed"], states["waiting"]
    if failed:
        yield f"{count(failed, 'comparison')} failed, with the reasons below."
    if waiting:
        yield f"{count(waiting, 'comparison has', 'comparisons have')} not run yet."


@dataclass(frozen=True)
class Unfinished:
    """A cell that failed or waits, or a ranking as a whole (without a generator)."""

    generator: str
    ranking: str
    state: CellState
    reason: str


def unfinished(suite: Suite, ranking: str | None = None) -> list[Unfinished]:
    """What failed or waits, failed parts first, rankings before their cells.

    Args:
        ranking: the name of one; None: all of the suite.
    """
    rankings = [Unfinished("", r.name, r.state, r.reason) for r in suite.results.rankings]
    cells = [Unfinished(c.generator, c.ranking, c.state, c.reason) for c in suite.results.cells]
    found = [
        one for one in (*rankings, *cells) if one.state != "done" and ranking in (None, one.ranking)
    ]
    return sorted(found, key=lambda one: one.state != "failed")
