"""Tables of a suite for ``suite table``: its rankings, classes by generators, and all differences.

Formats for people have short tables with intervals in one column; formats for programs have a
column for each number. Controls, failed and waiting generators are rows of their own in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from seeingkit.errors import UnknownNameError, UsageError

from ..tables import FORMATS, Cell, TableColumn, render_table
from ..words.numbers import MINUS, between, probability
from .classtables import FOR_PROGRAMS, class_columns, difference_columns, ranking_names
from .reading import Suite, read_suite
from .standings import Ranking, Standing

TableKind = Literal["ranking", "classes", "differences"]
_Row = tuple[Ranking, Standing]


def suite_table(folder: Path, *, what: str = "ranking", format: str = "terminal") -> str | bytes:
    """A table of a suite::

        print(suite_table(Path("suites/churches"), what="classes", format="markdown"))

    Args:
        folder: of the suite.
        what: ``ranking``: a row for each generator and control of each ranking, with distance,
            groups, and the number of classes with each verdict; ``classes``: verdict and relative
            difference in area (in the number of images, where the verdict is about these alone) of
            each class in each of them; ``differences``: a row for each pair.
        format: ``terminal``, ``markdown``, ``latex``, ``csv``, ``json`` or ``parquet``.

    Returns:
        Text that ends with a line break; bytes of ``parquet``.

    Raises:
        RunError: the folder is no suite, or a file of it is missing, damaged, or does not fit.
        UnknownNameError: no such table or format.
        UsageError: there is nothing to show yet.
    """
    return render_table(suite_columns(folder, what, format), format)


def suite_columns(
    folder: Path, what: str = "ranking", format: str = "terminal"
) -> list[TableColumn]:
    """The columns of ``suite_table``, for ``report.tables``; errors as there::

    columns = suite_columns(Path("suites/churches"), "classes", "csv")
    """
    kinds: dict[str, Callable[[Suite, str], list[TableColumn]]] = {
        "ranking": _ranking,
        "classes": class_columns,
        "differences": difference_columns,
    }
    if what not in kinds:
        raise UnknownNameError("table", what, get_args(TableKind))
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    suite = read_suite(folder)
    columns = kinds[what](suite, format)
    if not columns[0].values:
        raise UsageError(f"{folder}: the table {what} has no rows yet; seeingkit suite goes on")
    if format == "latex":
        columns = [_for_latex(column) for column in columns]
    return columns


def _column(
    name: str,
    rows: Sequence[_Row],
    value: Callable[[Standing], Cell],
    unit: str = "",
    *,
    digits: int | None = None,
    align: Literal["left", "right"] | None = None,
) -> TableColumn:
    return TableColumn(name, [value(row) for _, row in rows], unit, align, digits)


def _of_fsd(name: str) -> Callable[[Standing], float | None]:
    """Reads a number of the FSD of a row, where it has one."""

    def value(row: Standing) -> float | None:
        found: float | None = None if row.fsd is None else getattr(row.fsd, name)
        return found

    return value


def _for_latex(column: TableColumn) -> TableColumn:
    """A column whose texts have the minus that every font has."""
    values = [x.replace(MINUS, "-") if isinstance(x, str) else x for x in column.values]
    return replace(column, values=values)


# -------------------------------------------------------------------------------------- ranking


def _ranking(suite: Suite, format: str) -> list[TableColumn]:
    rows = [(ranking, row) for ranking in suite.rankings for row in ranking.rows]
    head = ranking_names(suite, [ranking for ranking, _ in rows])
    made = _for_programs(rows) if format in FOR_PROGRAMS else _for_people(rows)
    steps = any(row.step is not None for _, row in rows)
    return [
        *head,
        *(column for column in made if steps or column.name not in ("step", "step_unit", "series")),
    ]


def _for_people(rows: Sequence[_Row]) -> list[TableColumn]:
    return [
        _column("rank", rows, rank_words, align="right"),
        _column("generator", rows, lambda r: r.name),
        _column("FSD", rows, _of_fsd("value"), "percent²"),
        _column("bias-reduced", rows, lambda r: None if r.fsd is None else r.distance),
        _column("95 % interval", rows, _interval, align="right"),
        _column("floor", rows, _of_fsd("floor")),
        _column("p", rows, _p, align="right"),
        _column("groups", rows, lambda r: r.letters or None),
        _column("omitted", rows, lambda r: r.counts["omitted"] if r.values else None),
        _column("reduced", rows, lambda r: r.reduced if r.values else None),
        _column("excess", rows, lambda r: r.excess if r.values else None),
        _column("n", rows, lambda r: r.n or None),
        _column("step", rows, lambda r: r.step_text or None, align="right"),
        *_notes(rows),
    ]


def rank_words(row: Standing) -> str | None:
    """The places that a row can have: ``3``, ``2–5``; nothing for a control."""
    if row.kind == "control":
        return "control"
    if row.rank_low is None or row.rank_low == row.rank_high:
        return None if row.rank_low is None else str(row.rank_low)
    return f"{row.rank_low}–{row.rank_high}"


def _interval(row: Standing) -> str | None:
    return None if row.low is None else between((row.low, row.high))


def _p(row: Standing) -> str | None:
    return None if row.fsd is None or row.fsd.p_value is None else probability(row.fsd.p_value)


def _notes(rows: Sequence[_Row]) -> list[TableColumn]:
    """Why a generator has no place; no column where all have one."""
    notes = [note_words(row) or None for _, row in rows]
    return [TableColumn("note", notes)] if any(notes) else []


def note_words(row: Standing) -> str:
    """Why a row has no place: ``failed: out of memory``; empty where it has one."""
    if row.fsd is not None:
        return ""
    state = "not ranked" if row.state == "done" else row.state
    return f"{state}: {row.reason}" if row.reason else state


def _for_programs(rows: Sequence[_Row]) -> list[TableColumn]:
    return [
        _column("generator", rows, lambda r: r.name),
        _column("kind", rows, lambda r: r.kind),
        _column("state", rows, lambda r: r.state),
        _column("reason", rows, lambda r: r.reason or None),
        _column("rank", rows, lambda r: r.rank),
        _column("rank_low", rows, lambda r: r.rank_low),
        _column("rank_high", rows, lambda r: r.rank_high),
        _column("groups", rows, lambda r: r.letters or None),
        _column("fsd", rows, _of_fsd("value"), "percent^2"),
        _column("bias_reduced", rows, lambda r: None if r.fsd is None else r.distance, "percent^2"),
        _column("distance", rows, lambda r: None if r.fsd is None else r.shared, "percent^2"),
        _column("ci_low", rows, lambda r: r.low, "percent^2"),
        _column("ci_high", rows, lambda r: r.high, "percent^2"),
        _column("floor", rows, _of_fsd("floor"), "percent^2"),
        _column("p_value", rows, _of_fsd("p_value")),
        _column("omitted", rows, lambda r: r.counts["omitted"] if r.values else None),
        _column("reduced", rows, lambda r: r.reduced if r.values else None),
        _column("excess", rows, lambda r: r.excess if r.values else None),
        _column("n", rows, lambda r: r.n or None),
        _column("series", rows, lambda r: r.series or None),
        _column("step", rows, lambda r: r.step),
        _column("step_unit", rows, lambda r: r.step_unit or None),
    ]
