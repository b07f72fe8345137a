"""Faults of the operating system: one line each, with the path and the remedy."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.errors import RunError, StorageError, printable
from seeingkit.system.failures import storage_error, told
from seeingkit.system.writing import atomic_write, json_text, make_folder, write_text


@contextmanager
def limit_of_size(most: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: the fault a full disk gives, where no disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_cannot_grow_keeps_its_content_and_leaves_nothing(tmp_path: Path) -> None:
    path = write_text(tmp_path / "notes", "kept")
    with limit_of_size(100), pytest.raises(StorageError, match=r"ulimit -f") as fault:
        write_text(path, "x" * 1000)
    assert str(fault.value).startswith(f"{path}: cannot be written (File too large)")
    assert fault.value.errno == errno.EFBIG
    assert path.read_text() == "kept" and os.listdir(tmp_path) == ["notes"]


def test_a_full_disk_is_named_with_the_way_on(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_write(tmp_path / "notes"), open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")

    with pytest.raises(StorageError, match="free space on that disk") as fault:
        write()
    assert fault.value.errno == errno.ENOSPC and str(fault.value).startswith(f"{tmp_path}/notes: ")


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    file = write_text(tmp_path / "file", "x")
    for make in (
        lambda: write_text(file / "below" / "notes", "x"),
        lambda: make_folder(file / "below"),
        lambda: make_folder(file),
    ):
        with pytest.raises(StorageError, match=f"{file} is a file and not a folder") as fault:
            make()
        assert "name another place" in str(fault.value)


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=f"^{tmp_path}: is a folder, which is never replaced; name a"
    ):
        write_text(tmp_path, "x")


def test_names_that_are_too_long_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="give a shorter name"):
        write_text(tmp_path / ("x" * 300), "x")


def test_in_the_cache_the_remedy_is_another_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_text(tmp_path / "cache", "x")
    monkeypatch.setenv("SEEINGKIT_CACHE", str(file))
    with pytest.raises(StorageError, match="is a file and not a folder: set SEEINGKIT_CACHE"):
        write_text(file / "tallies" / "one", "x")


@pytest.mark.parametrize("number", sorted(set(errno.errorcode) - {errno.EPIPE}))
def test_every_fault_has_a_path_a_reason_and_a_remedy(number: int) -> None:
    reason = os.strerror(number)
    line = str(storage_error(OSError(number, reason, "photos/a"), doing="cannot be read"))
    assert line.startswith(f"photos/a: cannot be read ({reason}): ")
    assert len(line) > len(f"photos/a: cannot be read ({reason}): ") + 10
    assert "{" not in line and "report" not in line


def test_a_closed_pipe_is_no_fault_of_a_file() -> None:
    with pytest.raises(BrokenPipeError), told("notes"):
        raise BrokenPipeError


@given(st.text())
def test_json_is_shown_and_comes_back(text: str) -> None:
    shown = json_text({"item": text, text: [text]}, indent=1)
    assert json.loads(shown) == {"item": text, text: [text]}
    assert printable(shown.replace("\n", "")) == shown.replace("\n", "")


def test_json_of_lone_surrogates_can_be_written(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.json", json_text("\udcff\U0001f600\x9b"))
    assert path.read_text("utf-8") == '"\\udcff\U0001f600\\u009b"'
    assert json.loads(path.read_text("utf-8")) == "\udcff\U0001f600\x9b"
