"""Tables in Markdown, and how their numbers are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .summary import Rate

Cells = Iterable[Sequence[str]]


def percent(rate: Rate | float | None) -> str:
    """A share in percent, with its standard error if it has one."""
    if rate is None:
        return "–"
    if isinstance(rate, Rate):
        return f"{100 * rate.value:.1f} ± {100 * rate.error:.1f}"
    return f"{100 * rate:.1f}"


def number(rate: Rate | float | None) -> str:
    """A number of about three digits, with its standard error if it has one."""
    if rate is None or rate != rate:
        return "–"
    if isinstance(rate, Rate):
        return f"{_short(rate.value)} ± {_short(rate.error)}"
    return _short(rate)


def _short(value: float) -> str:
    size = abs(value)
    if size != size:
        return "–"
    if size == 0:
        return "0"
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.01 else 5
    return f"{value:.{digits}f}"


def table(titles: Sequence[str], rows: Cells) -> str:
    """A table in Markdown; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(titles) + " |"]
    lines.append("| --- |" + " ---: |" * (len(titles) - 1))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def pivot(
    titles: Sequence[str],
    heads: Iterable[tuple[str, ...]],
    columns: Iterable[Any],
    cells: Iterable[str],
    name: Callable[[Any], str] = lambda n: f"n = {n:,}",
) -> str:
    """A table with one row for each head and one column for each different column, ascending."""
    rows: dict[tuple[str, ...], dict[Any, str]] = {}
    for head, column, cell in zip(heads, columns, cells, strict=True):
        rows.setdefault(head, {})[column] = cell
    order = sorted({column for row in rows.values() for column in row})
    return table(
        (*titles, *(name(column) for column in order)),
        ((*head, *(row.get(column, "–") for column in order)) for head, row in rows.items()),
    )


def span(values: Iterable[int]) -> str:
    ends = sorted(set(values)) or [0]
    return str(ends[0]) if len(ends) == 1 else f"{ends[0]} to {ends[-1]}"


def plain(rate: Rate | None) -> str:
    return "–" if rate is None else f"{100 * rate.value:.1f}"
