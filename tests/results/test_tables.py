"""Tables of results are the same with pandas and without it."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.results import Column, FSDResult, Table, table

COLUMNS = {
    "label": Column(str, "of the class"),
    "area": Column(float, "percent of the image"),
    "images": Column(int, "number"),
    "omitted": Column(bool, "yes or no"),
}
ROWS: list[dict[str, Any]] = [
    {"label": "sky", "area": 40.0, "images": 9, "omitted": False, "other": 1},
    {"label": None, "area": None, "images": 0, "omitted": True},
    {"label": "<b>\x1b[31m", "area": 1 / 3, "images": 12345, "omitted": False},
]
HEAD = "   label    area  images  omitted"


@pytest.fixture
def without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)


def same(first: Any, second: Any) -> bool:
    """Equal, NaN being equal to NaN."""
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second) or (first != first and second != second)


def test_a_dataframe_and_a_table_do_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table(ROWS, COLUMNS)
    monkeypatch.setitem(sys.modules, "pandas", None)
    plain = table(ROWS, COLUMNS)
    assert type(frame).__name__ == "DataFrame" and isinstance(plain, Table)
    assert list(frame) == list(plain) == list(frame.columns) == plain.columns == list(COLUMNS)
    assert len(frame) == len(plain) == 3
    for orient in ("dict", "records", "list"):
        assert same(frame.to_dict(orient), plain.to_dict(orient)), orient
    assert same(frame.to_dict(), plain.to_dict())
    for index in (True, False):
        pairs = zip(frame.itertuples(index), plain.itertuples(index), strict=True)
        assert all(same(tuple(a), tuple(b)) and a._fields == b._fields for a, b in pairs)
    assert all(same(list(frame[name]), plain[name]) for name in COLUMNS)
    assert frame.attrs == plain.attrs == {name: c.about for name, c in COLUMNS.items()}


def test_types_of_a_dataframe_do_not_depend_on_its_rows() -> None:
    kinds = [("area", "f"), ("images", "i"), ("omitted", "b")]
    nothing = [{"label": "x", "images": 1, "omitted": True}]
    for rows in (ROWS, nothing, []):
        frame = table(rows, COLUMNS)
        assert list(frame.columns) == list(COLUMNS)
        assert [(name, frame[name].dtype.kind) for name, _ in kinds] == kinds


def test_values_are_what_they_were_and_names_printable(without_pandas: None) -> None:
    found = table(ROWS, COLUMNS)
    assert found["area"][0] == 40 and math.isnan(found["area"][1])
    assert found["label"] == ["sky", "", "<b>\ufffd[31m"]
    assert found["omitted"] == [False, True, False]


def test_a_table_is_readable_as_text_and_html(without_pandas: None) -> None:
    found = table(ROWS, COLUMNS)
    lines = repr(found).splitlines()
    assert lines[0] == HEAD
    assert lines[1] == "     sky      40       9    False"
    assert lines[2] == "               –       0     True"
    html = found._repr_html_()
    assert "<th>label</th>" in html and "<td>40</td>" in html and "<td>12345</td>" in html
    assert "&lt;b&gt;" in html and "<b>" not in html and "\x1b" not in html


def test_long_tables_say_what_they_leave_out(without_pandas: None) -> None:
    found = table([{"area": k} for k in range(1070)], {"area": Column(float, "")})
    assert repr(found).splitlines()[-1] == "… and 1,010 more rows"
    assert found._repr_html_().endswith("<p>… and 1,010 more rows</p>")
    assert repr(table([], COLUMNS)) == "label  area  images  omitted"


def test_what_a_table_cannot_do_is_named(without_pandas: None) -> None:
    found = table(ROWS, COLUMNS)
    with pytest.raises(UnknownNameError, match="no column named 'aera'; did you mean 'area'"):
        found["aera"]
    with pytest.raises(UsageError, match="orient 'split'"):
        found.to_dict("split")


def test_a_broken_pandas_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "pandas":
                raise ModuleNotFoundError("No module named 'dateutil'", name="dateutil")

    for name in [name for name in sys.modules if name.partition(".")[0] == "pandas"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="dateutil"):
        table(ROWS, COLUMNS)


def test_a_record_shows_its_fields() -> None:
    record = FSDResult(value=25.0, mean_term=9.0, cov_term=16.0, floor=None)
    assert float(record) == record.value == 25
    html = record._repr_html_()
    assert "<caption>FSDResult</caption>" in html
    assert "<td>value</td><td>25</td>" in html and "<td>floor</td><td>–</td>" in html
