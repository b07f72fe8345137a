"""Tables of results: a pandas DataFrame where pandas is installed, else a ``Table`` of ours.

Guarantees: both have the same columns, values and order, and what a ``Table`` can do, a DataFrame
does alike: ``columns``, ``len``, ``table["label"]``, ``itertuples``, ``to_dict``, and ``attrs``, in
which every column is explained with its unit. A number that is not defined is NaN, a name that
there is not is empty; names are ``printable``. Importing this never imports pandas.
"""

from __future__ import annotations

import html
import math
from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from seeingkit.errors import UnknownNameError, UsageError, printable

SHOWN = 60
"""Rows that a printed table has at most."""

Frame = Any
"""A ``pandas.DataFrame``, or a ``Table`` where pandas is not installed."""


class Column(NamedTuple):
    """What a column holds: its type (float, int, bool or str), and its meaning with the unit."""

    kind: type
    about: str


def table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Column]) -> Frame:
    """Rows as a DataFrame, or as a ``Table`` where pandas is not installed.

    Args:
        rows: one mapping a row; None where a value is not defined, keys beside the columns are
            left out.
        columns: by name, in their order.

    >>> found = table([{"label": "sky", "area": 40.0}], {"label": Column(str, "of the class"),
    ...     "area": Column(float, "percent of the image")})
    >>> found.to_dict("records")
    [{'label': 'sky', 'area': 40.0}]
    >>> found.attrs["area"]
    'percent of the image'
    """
    whole = Table(rows, columns)
    try:
        import pandas
    except ModuleNotFoundError as error:
        if error.name != "pandas":  # a pandas that lacks a part of its own: told as it is
            raise
        return whole
    kinds = {name: column.kind for name, column in columns.items() if column.kind is not str}
    frame = pandas.DataFrame({name: whole[name] for name in whole.columns}).astype(kinds)
    frame.attrs.update(whole.attrs)
    return frame


class Table:
    """Rows with named columns, for where pandas is not installed.

    >>> found = Table([{"label": "sky", "area": None}], {"label": Column(str, ""),
    ...     "area": Column(float, "")})
    >>> found["area"], len(found)
    ([nan], 1)
    >>> [row.label for row in found.itertuples()]
    ['sky']

    Attributes:
        columns: their names.
        attrs: the meaning of each column, by its name.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Column]) -> None:
        self.columns = list(columns)
        self.attrs = {name: column.about for name, column in columns.items()}
        kinds = [(name, column.kind) for name, column in columns.items()]
        self._rows = [[_value(row.get(name), kind) for name, kind in kinds] for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        """The names of the columns, as a DataFrame gives them; rows: ``itertuples``."""
        return iter(self.columns)

    def __getitem__(self, name: str) -> list[Any]:
        """The values of a column.

        Raises:
            UnknownNameError: there is no such column.
        """
        if name not in self.columns:
            raise UnknownNameError("column", str(name), self.columns)
        at = self.columns.index(name)
        return [row[at] for row in self._rows]

    def itertuples(self, index: bool = True) -> Iterator[Any]:
        """Rows as named tuples; ``index``: with the number of the row first, as ``Index``."""
        made = namedtuple("Row", (["Index"] if index else []) + self.columns)  # type: ignore[misc]
        for number, row in enumerate(self._rows):
            yield made(*([number] if index else []), *row)

    def to_dict(self, orient: str = "dict") -> Any:
        """The content in plain objects.

        Args:
            orient: ``records``: a list of rows; ``list``: {column: values}; ``dict``: {column:
                {number of the row: value}}.

        Raises:
            UsageError: another word.
        """
        if orient == "records":
            return [dict(zip(self.columns, row, strict=True)) for row in self._rows]
        if orient == "list":
            return {name: self[name] for name in self.columns}
        if orient == "dict":
            return {name: dict(enumerate(self[name])) for name in self.columns}
        raise UsageError(f"orient {orient!r}: give records, list or dict (pandas knows more)")

    def __repr__(self) -> str:
        cells = [self.columns, *([_text(cell) for cell in row] for row in self._rows[:SHOWN])]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
            for row in cells
        ]
        return "\n".join([*lines, *self._rest()])

    def _repr_html_(self) -> str:
        rest = "".join(f"<p>{line}</p>" for line in self._rest())
        return grid([self.columns, *([_text(c) for c in row] for row in self._rows[:SHOWN])]) + rest

    def _rest(self) -> Sequence[str]:
        more = len(self) - SHOWN
        return [f"… and {more:,} more rows"] if more > 0 else []


def grid(rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Rows of texts as an HTML table, the first one as its head; every text is escaped.

    >>> grid([["class"], ["<sky>"]])
    '<table><tr><th>class</th></tr><tr><td>&lt;sky&gt;</td></tr></table>'
    """
    text = f"<caption>{_escaped(caption)}</caption>" if caption else ""
    for number, row in enumerate(rows):
        cell = "td" if number else "th"
        text += "<tr>" + "".join(f"<{cell}>{_escaped(x)}</{cell}>" for x in row) + "</tr>"
    return f"<table>{text}</table>"


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def _value(value: Any, kind: type) -> Any:
    if value is None:
        return "" if kind is str else math.nan
    return printable(value) if kind is str else kind(value)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return str(value)
