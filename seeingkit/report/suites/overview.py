"""All rankings of a suite side by side: the place of each generator in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..words.numbers import number
from .reading import Suite
from .standings import Ranking, Standing
from .tables import rank_words


@dataclass(frozen=True)
class OverviewCell:
    """One generator in one ranking: its place, its distance, and the colour of both."""

    text: str
    small: str = ""
    code: str = ""


@dataclass(frozen=True)
class OverviewRow:
    """One generator, or control, in all rankings."""

    name: str
    cells: tuple[OverviewCell, ...]


@dataclass(frozen=True)
class Overview:
    """All rankings side by side."""

    rankings: tuple[Ranking, ...]
    rows: tuple[OverviewRow, ...]


def overview(suite: Suite, order: Sequence[str]) -> Overview:
    """All rankings side by side.

    Args:
        order: generators that come first; the others follow as the suite lists them.
    """
    listed = [each.name for each in suite.results.generators]
    controls = [row.name for ranking in suite.rankings for row in ranking.controls]
    by_name = [{row.name: row for row in ranking.rows} for ranking in suite.rankings]
    rows = [
        OverviewRow(name, tuple(_overview_cell(rows.get(name)) for rows in by_name))
        for name in dict.fromkeys([*order, *listed, *controls])
    ]
    return Overview(suite.rankings, tuple(rows))


def _overview_cell(row: Standing | None) -> OverviewCell:
    if row is None:
        return OverviewCell("")
    if row.fsd is None:
        return OverviewCell("–" if row.state == "done" else row.state, code="bad")
    lead = "lead-cell" if row.rank_low == 1 else ""
    return OverviewCell(rank_words(row) or "–", number(row.distance), lead)
