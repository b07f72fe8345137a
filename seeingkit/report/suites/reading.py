"""A suite's folder, read and checked: its records, and each ranking in the form that is shown.

Whatever the records name is below the suite's folder, or an error that names the file.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seeingkit.errors import RunError
from seeingkit.results import (
    BACKGROUND_NAMES,
    CellState,
    FSDResult,
    RankedClass,
    RankedMember,
    RankingResults,
    SuiteCell,
    SuiteGenerator,
    SuiteRanking,
    SuiteResults,
)

from ..pictures.files import resolve
from ..runfiles import read_record
from .standings import ClassHead, ClassKey, ClassValues, Ranking, Standing

RESULTS = "results.json"
HALVES = "real images, one half against the other"
"""The row of that control."""
NORMAL = 1.96
"""Standard errors on each side of a normal value in its 95 % interval."""


@dataclass(frozen=True)
class Suite:
    """A suite as it is shown.

    Attributes:
        folder: where it lies.
        results: its records.
        rankings: in the order of the records, those without results too.
    """

    folder: Path
    results: SuiteResults
    rankings: tuple[Ranking, ...]

    @property
    def title(self) -> str:
        """Its title, or the name of its folder."""
        return self.results.title or self.folder.resolve().name

    @property
    def compared(self) -> tuple[Ranking, ...]:
        """The rankings in which something has been compared."""
        return tuple(ranking for ranking in self.rankings if ranking.compared)


def read_suite(folder: Path) -> Suite:
    """A suite with all its rankings::

        suite = read_suite(Path("suites/churches"))

    Raises:
        RunError: the folder is no suite, or a file of it is missing, damaged, or does not fit.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise RunError(
            f"{folder}: no suite, for it holds no {RESULTS}; name the folder that a suite has "
            "written"
        )
    results = read_record(path, SuiteResults)
    generators = {each.name: each for each in results.generators}
    cells = {(cell.ranking, cell.generator): cell for cell in results.cells}
    rankings = tuple(_ranking(folder, each, generators, cells) for each in results.rankings)
    return Suite(folder, results, rankings)


def _ranking(
    folder: Path,
    record: SuiteRanking,
    generators: Mapping[str, SuiteGenerator],
    cells: Mapping[tuple[str, str], SuiteCell],
) -> Ranking:
    found = None
    if record.state == "done":
        found = read_record(resolve(folder, f"rankings/{record.name}/{RESULTS}"), RankingResults)
    classes = {} if found is None else _classes(found)
    rows = [] if found is None else [*_members(found, classes), *_halves(found)]
    place = {row.name: k for k, row in enumerate(rows)}
    own = [name for ranking, name in cells if ranking == record.name]
    for name in dict.fromkeys([*record.generators, *own]):
        cell = cells.get((record.name, name))
        entry = generators.get(name)
        changes: dict[str, Any] = {
            "series": "" if entry is None else entry.series,
            "step": None if entry is None else entry.step,
            "step_unit": "" if entry is None else entry.step_unit,
            "folder": "" if cell is None else cell.folder,
        }
        if name in place:
            rows[place[name]] = replace(rows[place[name]], **changes)
        else:
            state: CellState = "waiting" if cell is None else cell.state
            reason = "" if cell is None else cell.reason
            if state == "done":  # a ranking is made again after its cells
                reason = "compared with the real images, but not yet ranked"
            rows.append(replace(Standing(name, "generator", state, reason), **changes))
    rows.sort(key=_order)
    return Ranking(
        record=record,
        rows=tuple(rows),
        classes=tuple(
            ClassHead(key, one.category, one.real_area, one.real_images)
            for key, one in classes.items()
        ),
        level=0.05 if found is None else found.level,
        n_real=record.n if found is None else found.n_real,
        pairs=() if found is None else tuple(found.differences),
        warnings=() if found is None else (*found.cautions, *found.warnings),
    )


def _order(row: Standing) -> tuple[int, float]:
    """Compared rows by their place, then failed ones, then waiting ones; else as listed."""
    if row.fsd is not None:
        return 0, row.shared
    return (1, 0.0) if row.state == "failed" else (2, 0.0)


def _members(found: RankingResults, classes: Mapping[ClassKey, RankedClass]) -> list[Standing]:
    nearer = defaultdict(list)
    for pair in found.differences:
        if pair.nearer is not None:
            nearer[pair.nearer].append(pair.second if pair.nearer == pair.first else pair.first)
    return [
        _member(one, ClassValues(classes, k), nearer[one.name])
        for k, one in enumerate(found.members)
    ]


def _member(one: RankedMember, values: ClassValues, nearer: list[str]) -> Standing:
    low, high = _interval(one)
    return Standing(
        name=one.name,
        kind="control" if one.control else "generator",
        state="done",
        rank=one.rank,
        rank_low=one.best_rank,
        rank_high=one.worst_rank,
        letters=one.letters,
        distance=_distance(one.fsd, one.distance),
        shared=one.distance,
        low=low,
        high=high,
        beside_controls=one.beside_controls,
        nearer_than=tuple(nearer),
        n=one.n,
        fsd=one.fsd,
        values=values,
    )


def _distance(fsd: FSDResult, shared: float) -> float:
    """Bias-reduced as its own comparison does it, which is right at 0; else as the ranking does."""
    return shared if fsd.bias_reduced is None else fsd.bias_reduced


def _interval(one: RankedMember) -> tuple[float, float | None]:
    """The 95 % interval of its own comparison; where that has none, the normal one, cut at 0."""
    if one.fsd.ci_low is not None:
        return one.fsd.ci_low, one.fsd.ci_high
    middle = _distance(one.fsd, one.distance)
    reach = NORMAL * one.standard_error
    return max(0.0, middle - reach), max(0.0, middle + reach)


def _halves(found: RankingResults) -> list[Standing]:
    """The two halves of the real images as a control, in no group; where there is no other."""
    if found.halves is None:
        return []
    fsd = found.halves.fsd
    distance = _distance(fsd, fsd.value)
    row = Standing(
        HALVES,
        "control",
        "done",
        distance=distance,
        shared=distance,
        low=fsd.ci_low,
        high=fsd.ci_high,
        n=found.halves.n,
        fsd=fsd,
    )
    return [row]


def _classes(found: RankingResults) -> dict[ClassKey, RankedClass]:
    """The classes that findings speak of: not "no object", and not materials."""
    classes: dict[ClassKey, RankedClass] = {}
    seen: Counter[str] = Counter()
    for one in found.classes:
        nothing = one.index == 0 and one.label.strip().lower() in BACKGROUND_NAMES
        if nothing or one.category in ("material", "background"):
            continue
        classes[ClassKey(one.label, seen[one.label])] = one
        seen[one.label] += 1
    return classes
