"""Braces, and what the names of shards say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.cli.groups import check_patterns
from seeingkit.errors import ImageError, SourceError, UsageError
from seeingkit.images import open_images
from seeingkit.images.opening import check_there
from seeingkit.images.shardnames import expand_braces, has_braces, in_sequence
from tests.helpers.shards import picture


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a-{08..11}.tar", ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{x,y}/{0..1}", ["x/0", "x/1", "y/0", "y/1"]),
        ("{x,}", ["x", ""]),
        ("{draft}.tar", ["{draft}.tar"]),
        ("{}{,}", ["{}", "{}"]),
        ("{a..c}", ["{a..c}"]),
        ("{{0..1}}", ["{0}", "{1}"]),
    ],
)
def test_braces(pattern: str, expected: list[str]) -> None:
    assert expand_braces(pattern) == expected
    assert has_braces(pattern) == (expected != [pattern])


@given(st.integers(0, 10**6), st.integers(0, 50), st.integers(1, 7))
def test_ranges_are_as_wide_as_their_first_number(first: int, more: int, width: int) -> None:
    found = expand_braces(f"{{{first:0{width}d}..{first + more}}}")
    assert [int(number) for number in found] == list(range(first, first + more + 1))
    assert all(len(number) >= width for number in found)


def test_braces_that_name_too_many() -> None:
    for pattern in ("{0..999999999999}", "{0..9999}{0..9999}", "{0..1000000}"):
        with pytest.raises(UsageError, match="names more than 1,000,000 files"):
            expand_braces(pattern)
    assert expand_braces("{" + "9" * 30 + "..0}") == ["{" + "9" * 30 + "..0}"]


def test_braces_name_pictures_too(tmp_path: Path) -> None:
    for folder in "abc":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(picture(ord(folder)))
    source = open_images(f"{tmp_path}/{{a,c}}/*.png")
    assert source.ids == ("a/1.png", "c/1.png")
    check_there(f"{tmp_path}/{{a,c}}/*.png")  # a plan opens nothing
    with pytest.raises(SourceError, match=r"no file matches '.*/d/\*\.png'"):
        open_images(f"{tmp_path}/{{a,d}}/*.png")
    with pytest.raises(UsageError, match="'column' is for Parquet files"):
        open_images(f"{tmp_path}/{{a,c}}/*.png", column="image")
    with pytest.raises(UsageError, match="'member' is for tar shards or Parquet files"):
        open_images(tmp_path / "a" / "1.png", member="x")
    (tmp_path / "{a,c}").mkdir()
    (tmp_path / "{a,c}" / "2.png").write_bytes(picture(1))
    assert open_images(tmp_path / "{a,c}").ids == ("2.png",)  # a folder that is called so


def test_shards_that_the_shell_has_laid_side_by_side() -> None:
    with pytest.raises(UsageError, match=r"a-000\.tar and a-001\.tar look like shards of one set"):
        check_patterns(["real.tar", "a-000.tar", "a-001.tar"])
    with pytest.raises(UsageError, match="look like shards of one set"):
        check_patterns(["x-00000-of-00002.parquet", "x-00001-of-00002.parquet", "drawn.tar"])
    check_patterns(["a-000.tar", "a-001.tar"])  # one against the other
    check_patterns(["real.tar", "gan-1.tar", "gan-2.tar"])
    check_patterns(["real.tar", "snapshot-001000.tar", "snapshot-002000.tar"])
    assert in_sequence(["a-010.tar", "a-009.tar"]) is None


@pytest.mark.parametrize("name", ["a.tar", "a.parquet", "a.png"])
def test_pointers_of_git_lfs_are_told(tmp_path: Path, name: str) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"
    (tmp_path / name).write_bytes(pointer)
    with pytest.raises((SourceError, ImageError), match="git lfs pull"):
        open_images(tmp_path / name).read([0])
