"""Tables of one list of columns: terminal, Markdown, LaTeX, CSV, JSON, Parquet.

Guarantees: texts are escaped for each format (``escaping``); a value that there is not is missing
in each (never 0 and never NaN); the formats for people round as the columns say, those for programs
keep all digits. The same columns give the same bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seeingkit.errors import RunError, UnknownNameError, UsageError, printable
from seeingkit.system.failures import told
from seeingkit.system.writing import atomic_write, json_text, refuse_special

from .escaping import csv_text, latex_text, markdown_text, shown_text
from .words.numbers import MINUS, number

if TYPE_CHECKING:
    import pyarrow

Cell = str | float | int | bool | None
"""A value of a table; None: there is none. NaN counts as None."""
_LARGEST = 2**63


@dataclass(frozen=True)
class TableColumn:
    """A column of a table.

    Attributes:
        name: its head, and its name for programs, unique in the table.
        values: one a row: texts or numbers (not both); yes and no among numbers count as 1 and 0.
        unit: of the numbers; stands behind the head for people, and in Parquet's metadata.
        align: None: numbers on the right, texts on the left.
        digits: after the point, for people; None: about three significant ones.

    Raises:
        UsageError: texts and numbers in one column.

    >>> TableColumn("FSD", [31.25, None], unit="percent²", digits=2).cells()
    ['31.25', None]
    """

    name: str
    values: Sequence[Cell]
    unit: str = ""
    align: Literal["left", "right", "center"] | None = None
    digits: int | None = None

    def __post_init__(self) -> None:
        texts = {isinstance(value, str) for value in self.values if value is not None}
        if len(texts) > 1:
            raise UsageError(f"column {self.name!r} has texts and numbers: give one of the two")

    @property
    def kind(self) -> type[str | float | int | bool]:
        """The type of the values: str, bool, int, else float; float where all are missing."""
        found = {type(value) for value in self.values if value is not None}
        for kind in (str, bool, int):
            if found == {kind}:
                break
        else:
            return str if found and all(issubclass(one, str) for one in found) else float
        if kind is int and any(abs(x) >= _LARGEST for x in self.values if isinstance(x, int)):
            return float
        return kind

    def data(self) -> list[Cell]:
        """The values, each of ``kind``; None for what is missing and for NaN."""
        kind = self.kind
        return [None if _is_missing(value) else kind(value) for value in self.values]  # type: ignore[arg-type]

    def cells(self) -> list[str | None]:
        """The values as people read them, not yet escaped; None for what is missing."""
        return [None if value is None else self._shown(value) for value in self.data()]

    def _shown(self, value: Cell) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "yes" if value else "no"
        assert value is not None
        if not math.isfinite(value):
            return f"{MINUS if value < 0 else ''}∞"
        if isinstance(value, int):
            return f"{value:,}".replace("-", MINUS)
        if self.digits is None:
            return number(value)
        text = f"{value:,.{self.digits}f}"
        return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def render_table(columns: Sequence[TableColumn], format: str) -> str | bytes:
    r"""A table in a format.

    Args:
        columns: of equal length, with different names.
        format: one of ``FORMATS``: ``terminal`` (aligned text, without colours), ``markdown``
            (of GitHub), ``latex`` (a ``tabular`` with the rules of booktabs), ``csv`` (texts in
            quotation marks, a guard before formulas), ``json`` (a list of rows; infinite numbers
            are the texts "Infinity" and "-Infinity"), ``parquet`` (units in the fields' metadata).

    Returns:
        Text that ends with a line break; bytes of ``parquet``.

    Raises:
        UnknownNameError: no such format.
        UsageError: no columns, of different lengths, or two of one name.

    >>> areas = TableColumn("area", [12.5, None], unit="%", digits=1)
    >>> columns = [TableColumn("class", ["tree", "a|b"]), areas]
    >>> print(render_table(columns, "terminal"), end="")
    class  area (%)
    tree       12.5
    a|b           -
    >>> print(render_table(columns, "markdown"), end="")
    | class | area (%) |
    | :---- | -------: |
    | tree  |     12.5 |
    | a\|b  |        – |
    >>> print(render_table(columns, "csv"), end="")
    "class","area"
    "tree",12.5
    "a|b",
    """
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    if not columns:
        raise UsageError("a table needs columns")
    names = [column.name for column in columns]
    (twice, many), *_ = Counter(names).most_common(1)
    if many > 1:
        raise UsageError(f"two columns of a table are called {twice!r}")
    if len({len(column.values) for column in columns}) > 1:
        raise UsageError("the columns of a table have different lengths")
    return FORMATS[format](columns)


def write_table(path: Path, columns: Sequence[TableColumn], format: str) -> Path:
    """Write a table to a file, whole or not at all; returns its path.

    Raises:
        RunError: a file is there that is no table of this format with the same first column.
        StorageError: it cannot be written.
    """
    content = render_table(columns, format)
    data = content.encode() if isinstance(content, str) else content
    target = path.resolve() if path.is_symlink() else path
    refuse_special(target)
    with told(path):
        earlier = target.read_bytes() if target.exists() else b""
    if earlier and not _is_alike(earlier, data, columns[0].name, format):
        raise RunError(f"{path}: is no table of this command, so it is not replaced; name another")
    with atomic_write(target) as stream:
        stream.write(data)
    return path


def _is_alike(earlier: bytes, now: bytes, name: str, format: str) -> bool:
    """Whether a file begins as a table does whose first column has this name."""
    if format == "parquet":
        from pyarrow import ArrowException, parquet

        try:
            names = parquet.read_schema(io.BytesIO(earlier)).names
        except (ArrowException, OSError):
            return False
        return bool(names[:1] == [printable(name)])
    if format == "latex":
        return earlier.startswith(b"\\begin{tabular}{")
    head, found, _ = now.partition(name.encode())
    return earlier == now or earlier.startswith(head + found)


def _terminal(columns: Sequence[TableColumn]) -> str:
    rows = _rows(columns, shown_text, "-")
    plain = [[cell.replace(MINUS, "-").replace("\u00a0", " ") for cell in row] for row in rows]
    return "".join(f"{'  '.join(row).rstrip()}\n" for row in _padded(plain, columns))


_RULES = {"left": (":", "-"), "right": ("-", ":"), "center": (":", ":")}


def _markdown(columns: Sequence[TableColumn]) -> str:
    head, *rows = _padded(_rows(columns, markdown_text, "–"), columns, least=3)
    rules = []
    for cell, column in zip(head, columns, strict=True):
        left, right = _RULES[_align(column)]
        rules.append(left + "-" * (_width(cell) - 2) + right)
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rules, *rows))


def _latex(columns: Sequence[TableColumn]) -> str:
    rows = _rows(columns, latex_text, "--", number=_latex_number)
    head, *body = (f"{' & '.join(row)} \\\\" for row in _padded(rows, columns))
    places = "".join(_align(column)[0] for column in columns)
    begin, end = f"\\begin{{tabular}}{{{places}}}", "\\end{tabular}"
    lines = [begin, "\\toprule", head, "\\midrule", *body, "\\bottomrule", end]
    return "\n".join(lines) + "\n"


def _latex_number(text: str) -> str:
    """A rounded number with a minus and powers of ten as mathematics."""
    found = re.fullmatch(rf"({MINUS}?)([\d.,]+)e({MINUS}?\d+)", text)
    if found is not None:
        power = found[3].replace(MINUS, "-")
        return f"${'-' if found[1] else ''}{found[2]} \\times 10^{{{power}}}$"
    return text.replace(MINUS, "$-$").replace("∞", "$\\infty$")


def _csv(columns: Sequence[TableColumn]) -> str:
    from pyarrow import csv

    guarded = [
        TableColumn(
            csv_text(column.name),
            [csv_text(cell) if isinstance(cell, str) else cell for cell in column.data()],
        )
        for column in columns
    ]
    written = io.BytesIO()
    csv.write_csv(arrow_table(guarded), written)
    return written.getvalue().decode()


def _json(columns: Sequence[TableColumn]) -> str:
    rows = zip(*(map(_json_value, column.data()) for column in columns), strict=True)
    names = [column.name for column in columns]
    # A row a line: many times faster than an indented list, and a line of a diff is a row.
    lines = [json_text(dict(zip(names, row, strict=True))) for row in rows]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _json_value(value: Cell) -> Cell:
    if isinstance(value, float) and math.isinf(value):  # JSON has no such numbers
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _parquet(columns: Sequence[TableColumn]) -> bytes:
    from pyarrow import parquet

    written = io.BytesIO()
    parquet.write_table(arrow_table(columns), written, compression="zstd")
    return written.getvalue()


def arrow_table(columns: Iterable[TableColumn]) -> pyarrow.Table:
    """The columns as an Arrow table; units are metadata of the fields, texts are printable.

    >>> arrow_table([TableColumn("area", [1.5, None], unit="%")]).schema.field("area").metadata
    {b'unit': b'%'}
    """
    import pyarrow as pa

    types = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    fields, arrays = [], []
    for column in columns:
        values = [printable(x) if isinstance(x, str) else x for x in column.data()]
        unit = {"unit": column.unit} if column.unit else None
        fields.append(pa.field(printable(column.name), types[column.kind], metadata=unit))
        arrays.append(pa.array(values, fields[-1].type))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


FORMATS: dict[str, Callable[[Sequence[TableColumn]], str | bytes]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
}
"""The formats by their names."""


def _rows(
    columns: Sequence[TableColumn],
    escape: Callable[[object], str],
    missing: str,
    number: Callable[[str], str] = str,
) -> list[list[str]]:
    """The head and the rows, as escaped texts."""
    made = []
    for column in columns:
        unit = f" ({column.unit})" if column.unit else ""
        write = escape if column.kind is str else number
        cells = (missing if cell is None else write(cell) for cell in column.cells())
        made.append([escape(column.name + unit), *cells])
    return [list(row) for row in zip(*made, strict=True)]


def _padded(
    rows: Sequence[Sequence[str]], columns: Sequence[TableColumn], least: int = 0
) -> list[list[str]]:
    """The cells of each column as wide as its widest, counted as a terminal shows them."""
    widths = [max(least, *map(_width, column)) for column in zip(*rows, strict=True)]
    aligned = [_align(column) for column in columns]  # looks at all values of each
    return [
        [_pad(cell, width, align) for cell, width, align in zip(row, widths, aligned, strict=True)]
        for row in rows
    ]


def _pad(text: str, width: int, align: str) -> str:
    space = width - _width(text)
    before = {"left": 0, "right": space, "center": space // 2}[align]
    return " " * before + text + " " * (space - before)


def _width(text: str) -> int:
    if text.isascii():  # printable, so each character is one wide
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _align(column: TableColumn) -> str:
    return column.align or ("left" if column.kind is str else "right")


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
