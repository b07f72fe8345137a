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
from seeingkit.results import Verdict

from ..tables import FORMATS, Cell, TableColumn, render_table
from ..templates import MARKS
from ..words.numbers import MINUS, between, change, probability
from .reading import Suite, read_suite
from .standings import ClassKey, Ranking, Standing
from .words import difference_ends

TableKind = Literal["ranking", "classes", "differences"]
FOR_PROGRAMS = ("csv", "json", "parquet")
LATEX_MARKS: dict[Verdict, str] = {
    "omitted": "o",
    "reduced": "r",
    "in fewer images": "f",
    "excess": "e",
    "in more images": "m",
    "no evidence": "",
}
"""Marks of verdicts in letters, for fonts without the signs of ``MARKS``."""

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
        "classes": _classes,
        "differences": _differences,
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


def _names(suite: Suite, rankings: Sequence[Ranking]) -> list[TableColumn]:
    """The column of the rankings' names, where there are several."""
    if len(suite.rankings) < 2:
        return []
    return [TableColumn("ranking", [ranking.name for ranking in rankings])]


# -------------------------------------------------------------------------------------- ranking


def _ranking(suite: Suite, format: str) -> list[TableColumn]:
    rows = [(ranking, row) for ranking in suite.rankings for row in ranking.rows]
    head = _names(suite, [ranking for ranking, _ in rows])
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


# -------------------------------------------------------------------------------------- classes


def _classes(suite: Suite, format: str) -> list[TableColumn]:
    if format in FOR_PROGRAMS:
        return _class_rows(suite)
    rows = [(ranking, head) for ranking in suite.rankings for head in ranking.classes]
    names = dict.fromkeys(row.name for ranking in suite.rankings for row in ranking.columns)
    controls = {row.name for ranking in suite.rankings for row in ranking.controls}
    by_name = {
        ranking.name: {row.name: row for row in ranking.columns} for ranking in suite.rankings
    }
    marks: dict[Verdict, str] = LATEX_MARKS if format == "latex" else MARKS  # type: ignore[assignment]

    def cell(ranking: Ranking, name: str, key: ClassKey) -> str | None:
        row = by_name[ranking.name].get(name)
        value = None if row is None else row.values.get(key)
        if value is None:
            return None
        what = "images " if value.by_images else ""
        return f"{marks[value.verdict]} {what}{change(value.change, unit=False)}".strip()

    return [
        *_names(suite, [ranking for ranking, _ in rows]),
        TableColumn("class", [head.key.label for _, head in rows]),
        TableColumn("real area", [head.real_area for _, head in rows], unit="%"),
        *(
            TableColumn(
                _free(f"{name} (control)" if name in controls else name),
                [cell(ranking, name, head.key) for ranking, head in rows],
                unit="%",
                align="right",
            )
            for name in names
        ),
    ]


def _free(name: str) -> str:
    """A generator's name as the head of a column, different from the heads of the others."""
    return f"{name} " if name in ("ranking", "class", "real area") else name


def _class_rows(suite: Suite) -> list[TableColumn]:
    """One row a ranking, class and member."""
    found = [
        (ranking, head, row, row.values[head.key])
        for ranking in suite.rankings
        for head in ranking.classes
        for row in ranking.columns
    ]
    values = [value for *_, value in found]
    return [
        *_names(suite, [ranking for ranking, *_ in found]),
        TableColumn("class", [head.key.label for _, head, *_ in found]),
        TableColumn("category", [head.category for _, head, *_ in found]),
        TableColumn("generator", [row.name for _, _, row, _ in found]),
        TableColumn("kind", [row.kind for _, _, row, _ in found]),
        TableColumn("verdict", [value.verdict for value in values]),
        TableColumn("relative_difference", [value.relative for value in values]),
        TableColumn("real_area", [head.real_area for _, head, *_ in found], unit="percent"),
        *(
            TableColumn(
                f"{name}{suffix}", [getattr(getattr(v, name), key) for v in values], unit=unit
            )
            for name, unit in (("area", "percent"), ("images", "share"))
            for suffix, key in (("", "value"), ("_low", "low"), ("_high", "high"))
        ),
        TableColumn("real_images", [head.real_images for _, head, *_ in found], unit="share"),
        TableColumn("area_groups", [value.area.letters or None for value in values]),
        TableColumn("images_groups", [value.images.letters or None for value in values]),
    ]


# ---------------------------------------------------------------------------------- differences


def _differences(suite: Suite, format: str) -> list[TableColumn]:
    pairs = [(ranking, pair) for ranking in suite.rankings for pair in ranking.pairs]
    p_values = [pair.p_alike for _, pair in pairs]
    head = [
        *_names(suite, [ranking for ranking, _ in pairs]),
        TableColumn("first", [pair.first for _, pair in pairs]),
        TableColumn("second", [pair.second for _, pair in pairs]),
    ]
    nearer = TableColumn("nearer", [pair.nearer for _, pair in pairs])
    if format in FOR_PROGRAMS:
        return [
            *head,
            TableColumn("difference", [pair.value for _, pair in pairs], unit="percent^2"),
            TableColumn("ci_low", [pair.ci_low for _, pair in pairs], unit="percent^2"),
            TableColumn("ci_high", [pair.ci_high for _, pair in pairs], unit="percent^2"),
            TableColumn("standard_error", [pair.standard_error for _, pair in pairs]),
            TableColumn("p_alike", p_values),
            nearer,
        ]
    return [
        *head,
        TableColumn("first − second", [pair.value for _, pair in pairs], unit="percent²"),
        TableColumn(
            "interval",
            [difference_ends(pair.ci_low, pair.ci_high) for _, pair in pairs],
            align="right",
        ),
        TableColumn("p", [None if p is None else probability(p) for p in p_values], align="right"),
        nearer,
    ]
