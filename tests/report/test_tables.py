"""Tables in each format: read back by other programs they hold the same texts and numbers."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pyarrow import parquet

from seeingkit.errors import UnknownNameError, UsageError, printable
from seeingkit.report.escaping import csv_original, csv_text, latex_text, markdown_text, shown_text
from seeingkit.report.tables import FORMATS, TableColumn, render_table

SPECIAL = st.text(st.sampled_from(list("\\`*_[]<>&|~$#!^%{}\"'-=+@,;:./ \n\tab1é日\u202e\x1b")))
TEXTS = st.one_of(SPECIAL, st.text())
COLUMNS = [
    TableColumn("class", ["tree", "traffic light", None]),
    TableColumn("area", [12.345, -1e-7, math.nan], unit="%"),
    TableColumn("images", [1, -20_000, None]),
    TableColumn("omitted", [True, False, None]),
]


def text(columns: Sequence[TableColumn], format: str) -> str:
    found = render_table(columns, format)
    assert isinstance(found, str)
    return found


def parsed(markdown: str) -> list[list[str]]:
    """The cells of the only table of a document, as a reader sees them; else nothing."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    if tokens[0].type != "table_open" or tokens[-1].type != "table_close":
        return []
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            assert token.children is not None
            kinds = {child.type for child in token.children}
            assert kinds <= {"text", "text_special"}, kinds
            rows[-1].append("".join(child.content for child in token.children))
    return rows


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3), TEXTS)
def test_markdown_shows_every_text_as_it_is(rows: list[tuple[str, str]], name: str) -> None:
    columns = [
        TableColumn(f"a {name}", [row[0] for row in rows]),
        TableColumn(f"b {name}", [row[1] for row in rows]),
    ]
    found = parsed(text(columns, "markdown"))
    assert found[0] == [shown_text(column.name) for column in columns]
    assert found[1:] == [[shown_text(cell) for cell in row] for row in rows]


@given(TEXTS)
def test_markdown_of_one_column(cell: str) -> None:
    assert parsed(text([TableColumn("a", [cell])], "markdown")) == [["a"], [shown_text(cell)]]


def test_markdown_aligns_as_told() -> None:
    columns = [TableColumn("a", [1, 2], align="center"), TableColumn("b", ["x", "y"])]
    table = MarkdownIt("commonmark").enable("table").render(text(columns, "markdown"))
    assert 'text-align:center">1' in table and 'text-align:left">x' in table


@given(st.lists(st.tuples(TEXTS, st.floats() | st.none() | st.integers())), TEXTS)
def test_csv_reads_back(rows: list[tuple[str, float | None]], name: str) -> None:
    columns = [
        TableColumn(f"a{name}", [row[0] for row in rows]),
        TableColumn("n", [row[1] for row in rows]),
    ]
    head, *found = csv.reader(io.StringIO(text(columns, "csv"), newline=""))
    assert [csv_original(cell) for cell in head] == [printable(c.name) for c in columns]
    assert [csv_original(cell) for cell, _ in found] == [printable(cell) for cell, _ in rows]
    for (_, read), (_, value) in zip(found, rows, strict=True):
        missing = value is None or math.isnan(value)
        assert read == "" if missing else float(read) == float(value or 0)


@given(TEXTS, st.sampled_from(["", "'", " ", "''", "' "]))
def test_no_cell_of_csv_is_a_formula(body: str, before: str) -> None:
    for sign in "=+-@＝＋－＠":
        cell = csv_text(before + sign + body)
        assert cell.strip() == sign or cell.startswith("'") or not cell.lstrip().startswith(sign)
        assert csv_original(cell) == printable(before + sign + body)


LATEX = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textasciigrave{}": "`",
    r"\char34{}": '"',
    "{[}": "[",
    "{]}": "]",
    "{*}": "*",
    "{}": "",
    **{f"\\{character}": character for character in "&%$#_{}"},
}
PIECES = re.compile("|".join(map(re.escape, LATEX)) + r"|[^\\&%$#_{}~^<>|`\"\[\]*]")


def latex_read(source: str) -> str:
    """The text that LaTeX shows; fails at a character that does something."""
    read, at = "", 0
    while at < len(source):
        found = PIECES.match(source, at)
        assert found is not None, source[at:]
        read += LATEX.get(found[0], found[0])
        at = found.end()
    return read


@given(TEXTS)
def test_latex_shows_every_text_as_it_is(cell: str) -> None:
    source = latex_text(cell)
    assert latex_read(source) == shown_text(cell)
    assert not re.search(r"--|''|,,|``", source)
    bare = re.sub(r"\\.", "", source)
    assert bare.count("{") == bare.count("}")


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_latex_has_a_line_a_row(cells: list[str]) -> None:
    lines = text([TableColumn("a", cells), TableColumn("b", cells)], "latex").splitlines()
    assert lines[0] == "\\begin{tabular}{ll}" and lines[-1] == "\\end{tabular}"
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == len(cells) + 1
    for row, cell in zip(rows[1:], cells, strict=True):
        first, second = re.split(r"(?<!\\)&", row.removesuffix(r"\\"))
        assert latex_read(first.strip()) == latex_read(second.strip()) == shown_text(cell)


def test_latex_numbers_are_mathematics() -> None:
    lines = text(COLUMNS, "latex").splitlines()
    assert [re.sub(" +", " ", line) for line in (lines[2], *lines[4:7])] == [
        r"class & area (\%) & images & omitted \\",
        r"tree & 12.3 & 1 & yes \\",
        r"traffic light & $-1.0 \times 10^{-7}$ & $-$20,000 & no \\",
        r"-- & -- & -- & -- \\",
    ]


@given(st.lists(TEXTS))
def test_json_and_parquet_read_back(cells: list[str]) -> None:
    columns = [TableColumn("a", cells), TableColumn("n", range(len(cells)))]
    rows = json.loads(text(columns, "json"))
    assert rows == [{"a": cell, "n": k} for k, cell in enumerate(cells)]
    read = parquet.read_table(io.BytesIO(bytes(render_table(columns, "parquet"))))  # type: ignore[arg-type]
    assert read.column("a").to_pylist() == [printable(cell) for cell in cells]


def test_values_keep_their_types_and_units() -> None:
    read = parquet.read_table(io.BytesIO(render_table(COLUMNS, "parquet")))  # type: ignore[arg-type]
    assert [str(kind) for kind in read.schema.types] == ["string", "double", "int64", "bool"]
    assert read.schema.field("area").metadata[b"unit"] == b"%"
    rows = json.loads(text(COLUMNS, "json"))
    assert rows == read.to_pylist()
    assert rows[2] == dict.fromkeys(["class", "area", "images", "omitted"])


@given(SPECIAL)
def test_a_terminal_gets_one_printable_line_a_row(cell: str) -> None:
    lines = text([TableColumn("a", [cell, "b"]), TableColumn("n", [1, 2])], "terminal").split("\n")
    assert len(lines) == 4 and all(line.isprintable() for line in lines)


def test_columns_of_wide_characters_are_aligned() -> None:
    columns = [TableColumn("a", ["日本", "tree", "é"]), TableColumn("n", [1, 20, 300])]
    assert text(columns, "terminal").splitlines() == [
        "a       n",
        "日本    1",
        "tree   20",
        "é     300",
    ]


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (31.24, None, "31.2"),
        (0.0123, None, "0.012"),
        (31.24, 0, "31"),
        (1234.5678, 2, "1,234.57"),
        (-0.001, 2, "0.00"),
        (-0.25, 2, "-0.25"),
        (math.inf, 2, "∞"),
        (-math.inf, None, "-∞"),
        (1234, None, "1,234"),
        (True, None, "yes"),
    ],
)
def test_numbers_are_rounded_for_people(value: float, digits: int | None, shown: str) -> None:
    column = TableColumn("a", [value], digits=digits)
    assert text([column], "terminal").splitlines()[1].strip() == shown
    (row,) = json.loads(text([column], "json"))
    assert float(row["a"]) == value


def test_an_unsigned_seed_is_no_overflow() -> None:
    assert json.loads(text([TableColumn("seed", [2**64])], "json")) == [{"seed": 2.0**64}]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([], "a table needs columns"),
        ([TableColumn("a", [1]), TableColumn("a", [2])], "two columns of a table are called 'a'"),
        ([TableColumn("a", [1]), TableColumn("b", [])], "have different lengths"),
    ],
)
def test_faults_of_tables_are_named(columns: list[TableColumn], said: str) -> None:
    for format in FORMATS:
        with pytest.raises(UsageError, match=said):
            render_table(columns, format)


def test_faults_of_columns_and_formats_are_named() -> None:
    with pytest.raises(UsageError, match="column 'a' has texts and numbers"):
        TableColumn("a", ["x", 1])
    with pytest.raises(UnknownNameError, match="did you mean 'markdown'"):
        render_table(COLUMNS, "markdwn")


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_columns_give_the_same_bytes(format: str) -> None:
    assert render_table(COLUMNS, format) == render_table(COLUMNS, format)
    assert render_table([TableColumn("a", [])], format)


def test_markdown_text_in_a_sentence() -> None:
    found = MarkdownIt("commonmark").render(f"of {markdown_text('<b>*x*')} only")
    assert found == "<p>of &lt;b&gt;*x* only</p>\n"
