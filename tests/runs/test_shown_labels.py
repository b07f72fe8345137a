"""Label maps of real pictures are kept for the next page, and are those of the segmenter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from seeingkit.contracts import ImageSource
from seeingkit.errors import StorageError
from seeingkit.runs import shown_labels
from seeingkit.runs.shown_labels import check_shown_labels_file, keeping_labels
from seeingkit.runs.stored import check_stored, remove_unneeded, stored_files
from tests.helpers.toys import LevelSegmenter


class Pictures(ImageSource):
    """Random pictures of several sizes, one read at a time."""

    name = "pictures"
    fingerprint = "pictures"
    ids = tuple(f"{k}.png" for k in range(6))

    def read(self, indices: object) -> Tensor:
        (k,) = indices  # type: ignore[misc, attr-defined]
        draw = torch.Generator().manual_seed(int(k))
        return torch.rand(1, 3, 4 + k, 8, generator=draw) * 2 - 1


SOURCE = Pictures()


def labelled(folder: Path | None, rows: range = range(6)) -> tuple[list[Tensor], int]:
    """Labels of some pictures, and how many the segmenter was given."""
    segmenter = LevelSegmenter()
    with keeping_labels(segmenter, SOURCE, folder) as labelling:
        found = [labelling.label_maps(SOURCE.read([k])) for k in rows]
    return found, segmenter.seen


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("??/*.safetensors"))


def test_pictures_of_an_earlier_page_are_not_segmented_again(tmp_path: Path) -> None:
    plain, _ = labelled(None)
    assert not files(tmp_path)
    for rows, new in ((range(4), 4), (range(2, 6), 2), (range(6), 0)):
        found, seen = labelled(tmp_path, rows)
        assert seen == new
        assert all(map(torch.equal, found, plain[rows.start : rows.stop]))
    (path,) = files(tmp_path)
    before = path.read_bytes()
    labelled(tmp_path)
    assert path.read_bytes() == before and not list(tmp_path.rglob("*.tmp"))


def test_damage_is_found_told_and_mended(tmp_path: Path) -> None:
    plain, _ = labelled(tmp_path)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    ((file, fault),) = check_stored(tmp_path)
    assert (file.kind, file.about, file.unneeded, fault) == (
        *("shown labels", "pictures by levels", "", ""),
    )
    path.write_bytes(whole[:-3] + b"bad")
    ((_, fault),) = check_stored(tmp_path)
    assert "differs from its digest" in fault
    found, seen = labelled(tmp_path)
    assert seen == 6 and all(map(torch.equal, found, plain)) and files(tmp_path) == [path]
    assert path.read_bytes() == whole
    moved = path.with_name(path.stem[:2] + "0" * 30 + ".safetensors")
    path.rename(moved)
    with pytest.raises(StorageError, match="of another data set than its name says"):
        check_shown_labels_file(moved)


def test_work_of_another_version_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled(tmp_path)
    monkeypatch.setattr("seeingkit.runs.stored.SHOWN_LABELS_SCHEMA", 2)
    assert [file.unneeded for file in stored_files(tmp_path)] == ["of an older version"]
    assert len(list(remove_unneeded(tmp_path))) == 1 and not files(tmp_path)


def test_a_folder_that_cannot_be_written_is_told_and_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "folder").write_text("a file")
    found, seen = labelled(tmp_path / "folder")
    assert all(map(torch.equal, found, labelled(None)[0])) and seen == 6
    assert "label maps for the next page were not kept" in caplog.text


def test_a_file_stays_below_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_labels, "MOST_BYTES", 3 * 500)
    labelled(tmp_path)
    assert labelled(tmp_path)[1] >= 3  # two or three are known
    assert files(tmp_path)[0].stat().st_size < 4_000
