"""The library of charts is made once, checked when it is read, and needs no cache."""

from __future__ import annotations

from pathlib import Path

import pytest
import vl_convert

from seeingkit.report.templates import embedded_script, library


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Counts how often the library is put together."""
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    calls: list[int] = []

    def bundle() -> str:
        calls.append(1)
        return "var a = '€';"

    monkeypatch.setattr(vl_convert, "javascript_bundle", bundle)
    library._library.cache_clear()
    return calls


def read_again() -> str:
    library._library.cache_clear()
    return library.chart_library()


def test_it_is_made_once_and_is_what_was_made(made: list[int], tmp_path: Path) -> None:
    first = library.chart_library()
    assert "(function () {\nvar a = '€';\n})();" in embedded_script(first)
    assert read_again() == first and made == [1]
    (path,) = (tmp_path / "cache/charts").iterdir()
    assert path.name.startswith("vega-of-vl-convert-") and path.read_text("utf-8") == first


@pytest.mark.parametrize("damage", ["changed", "cut", "empty", "not text"])
def test_a_damaged_file_is_made_again(made: list[int], tmp_path: Path, damage: str) -> None:
    first = library.chart_library()
    (path,) = (tmp_path / "cache/charts").iterdir()
    whole = path.read_bytes()
    wrong = {
        "changed": whole.replace(b"var", b"let"),
        "cut": whole[:-3],
        "empty": b"",
        "not text": b"\xff" + whole,
    }
    path.write_bytes(wrong[damage])
    assert read_again() == first and made == [1, 1]
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_time_only(made: list[int], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    first = library.chart_library()
    assert read_again() == first and made == [1, 1]
