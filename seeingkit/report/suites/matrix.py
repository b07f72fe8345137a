"""The matrix of classes and generators: of one ranking, or counted over several.

A cell is a short text with a mark; its numbers in words stand in the data of the page, for a
pointer or a key that comes to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from seeingkit.results import Verdict

from ..templates import MARKS
from ..words.numbers import change, count
from .classwords import value_words
from .standings import LESS, MORE, ClassKey, ClassValue, Ranking

CODES: dict[Verdict, str] = {
    "omitted": "o",
    "reduced": "r",
    "in fewer images": "f",
    "excess": "e",
    "in more images": "m",
    "no evidence": "n",
}
"""Short names of the verdicts in classes of the style sheet and in the data of the page."""

LONGEST = 18
"""Characters of a generator's name above its column."""


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One class of one generator.

    Attributes:
        code: of its verdict, or of the most frequent one.
        text: what stands in the cell; words: the same in full.
        value: relative difference in what the verdict is about (area, or images), or the median
            of that in area over rankings, for sorting.
    """

    code: str
    text: str
    words: str
    value: float | None


EMPTY = MatrixCell("", "", "not compared", None)


@dataclass(frozen=True)
class MatrixColumn:
    """One generator, or one control."""

    name: str
    control: bool

    @property
    def short(self) -> str:
        """The name, or beginning and end of a long one: snapshots differ at the end."""
        if len(self.name) <= LONGEST:
            return self.name
        return f"{self.name[:5]}…{self.name[6 - LONGEST :]}"


@dataclass(frozen=True)
class MatrixRow:
    """One class; ``omitted``: how many generators omit it (or comparisons, of several rankings)."""

    key: ClassKey
    category: str
    area: float
    omitted: int
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True)
class Matrix:
    """All classes and generators, most omitted classes first, then the largest."""

    columns: tuple[MatrixColumn, ...]
    rows: tuple[MatrixRow, ...]
    of: int

    @property
    def upright(self) -> bool:
        """Whether names stand upright above their columns, for there is no room for them."""
        return len(self.columns) > 7 or any(len(column.name) > 12 for column in self.columns)

    @property
    def head(self) -> int:
        """Pixels that the longest name needs in height."""
        return 24 + 7 * max((len(column.short) for column in self.columns), default=0)

    @property
    def categories(self) -> list[str]:
        """The categories of the classes."""
        return sorted({row.category for row in self.rows})

    def data(self) -> dict[str, Any]:
        """What the page's script needs, as lists: one entry a row, and in it one a column."""
        return {
            "columns": [column.name for column in self.columns],
            "labels": [row.key.label for row in self.rows],
            "categories": [row.category for row in self.rows],
            "areas": [row.area for row in self.rows],
            "omitted": [row.omitted for row in self.rows],
            "words": [[cell.words for cell in row.cells] for row in self.rows],
            "values": [
                [None if cell.value is None else round(cell.value, 4) for cell in row.cells]
                for row in self.rows
            ],
        }


def ranking_matrix(ranking: Ranking) -> Matrix:
    """The matrix of one ranking, columns by place and controls last."""
    columns = tuple(MatrixColumn(row.name, row.kind == "control") for row in ranking.columns)
    rows = []
    for head in ranking.classes:
        cells = []
        for column in ranking.columns:
            value = column.values.get(head.key)
            if value is None:
                cells.append(EMPTY)
            else:
                words = value_words(value, head.real_area, head.real_images)
                cells.append(_cell(value, words))
        omitted = len(ranking.omitted_by(head.key))
        rows.append(MatrixRow(head.key, head.category, head.real_area, omitted, tuple(cells)))
    return Matrix(columns, _ordered(rows), len(ranking.compared))


def _cell(value: ClassValue, words: str) -> MatrixCell:
    text = f"{MARKS[value.verdict]} {change(value.change, unit=False)}"
    return MatrixCell(CODES[value.verdict], text, words, value.change)


def counted_matrix(rankings: Sequence[Ranking]) -> Matrix:
    """The matrix over several rankings: in how many of them a generator omits a class."""
    names = _by_place(rankings)
    heads = {head.key: head for ranking in rankings for head in ranking.classes}
    areas: dict[ClassKey, list[float]] = {key: [] for key in heads}
    for ranking in rankings:
        for head in ranking.classes:
            areas[head.key].append(head.real_area)
    found: dict[tuple[ClassKey, str], list[ClassValue]] = {}
    for ranking in rankings:
        for row in ranking.compared:
            for key, value in row.values.items():
                found.setdefault((key, row.name), []).append(value)
    rows = []
    for key, head in heads.items():
        values = [found.get((key, name), []) for name in names]
        omitted = sum(v.verdict == "omitted" for one in values for v in one)
        cells = tuple(_counted(one) for one in values)
        rows.append(MatrixRow(key, head.category, median(areas[key]), omitted, cells))
    cells_in_all = sum(len(ranking.compared) for ranking in rankings)
    return Matrix(tuple(MatrixColumn(n, False) for n in names), _ordered(rows), cells_in_all)


def _by_place(rankings: Sequence[Ranking]) -> list[str]:
    """The generators by their mean place over the rankings."""
    places: dict[str, list[int]] = {}
    for ranking in rankings:
        for row in ranking.compared:
            places.setdefault(row.name, []).append(row.rank or len(ranking.compared))
    return sorted(places, key=lambda name: sum(places[name]) / len(places[name]))


def _counted(values: Sequence[ClassValue]) -> MatrixCell:
    if not values:
        return EMPTY
    verdicts = Counter(value.verdict for value in values)
    omitted = verdicts["omitted"]
    less = omitted + sum(verdicts[v] for v in LESS)
    more = sum(verdicts[v] for v in MORE)
    code, mark, k = "n", MARKS["no evidence"], 0
    if 2 * omitted > len(values):
        code, mark, k = "o", MARKS["omitted"], omitted
    elif 2 * less > len(values):
        code, mark, k = "r", MARKS["reduced"], less
    elif 2 * more > len(values):
        code, mark, k = "e", MARKS["excess"], more
    known = [value.relative for value in values if value.relative is not None]
    middle = median(known) if known else None
    said = ", ".join(f"{verdict} in {k:,}" for verdict, k in verdicts.most_common())
    words = f"{said} of {count(len(values), 'ranking')}; median difference {change(middle)}"
    return MatrixCell(code, f"{mark} {k}" if k else mark, words, middle)


def _ordered(rows: Sequence[MatrixRow]) -> tuple[MatrixRow, ...]:
    return tuple(sorted(rows, key=lambda row: (-row.omitted, -row.area)))
