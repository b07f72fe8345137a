"""Counts of labelled pixels are kept, and found again only where nothing has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

import seeingkit
from seeingkit.analyses.comparison.checks import labelled_pixels
from seeingkit.analyses.comparison.checks.ground_truth import confusion_of, folder_labels
from seeingkit.analyses.comparison.checks.labelled_pixels import KeptPixels, check_confusion_file
from seeingkit.contracts import Skipped
from seeingkit.errors import SourceError
from seeingkit.images import open_folder, select
from seeingkit.images.labelmaps import read_label_map
from seeingkit.runs.stored import check_stored, stored_files

from .test_ground_truth import NATIVE, LevelNames, png, world

__all__ = ["world"]


LEVELS = LevelNames().vocabulary


class Counting(LevelNames):
    """Counts the images that it segments."""

    images = 0

    def segment(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return super().segment(images)


@pytest.fixture
def kept(tmp_path: Path) -> KeptPixels:
    return KeptPixels(tmp_path / "confusions", {"source": "these photos"})


def test_counts_are_found_again(world: tuple[Path, Path], kept: KeptPixels) -> None:
    photos, maps = world
    source, segmenter = open_folder(photos, preset=NATIVE), Counting()
    first, second = (
        confusion_of(
            folder_labels(maps, source, segmenter.vocabulary), source, segmenter, kept=kept
        )
        for _ in range(2)
    )
    assert segmenter.images == 5
    for name in ("counts", "shown", "known"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert (first.images, first.against) == (second.images, second.against)


def test_other_work_is_counted_anew(world: tuple[Path, Path], kept: KeptPixels) -> None:
    """Other images, label maps, names, numbers, or another segmenter: nothing stale is found."""
    photos, maps = world
    source, segmenter = open_folder(photos, preset=NATIVE), Counting()

    def images_segmented(**other: Any) -> int:
        before = segmenter.images
        labels = folder_labels(maps, source, segmenter.vocabulary)
        confusion_of(labels, source, segmenter, **{"kept": kept} | other)
        return segmenter.images - before

    assert (images_segmented(), images_segmented()) == (5, 0)
    assert images_segmented(images=3) == 3
    assert images_segmented(images=3) == 0
    assert images_segmented(kept=replace(kept, images={"source": "others"})) == 5
    numbers = read_label_map(maps / "0.png")
    numbers[0, 0] = 255
    png(maps / "0.png", numbers, 8)
    assert (images_segmented(), images_segmented()) == (5, 0)
    (maps / "labels.txt").write_text("dark\nmiddle\nvoid\n")
    assert (images_segmented(), images_segmented()) == (5, 0)
    segmenter.info = segmenter.info.model_copy(update={"weights_sha256": "1f"})
    assert (images_segmented(), images_segmented()) == (5, 0)


def test_labels_that_may_change_unseen_are_counted_each_time(
    world: tuple[Path, Path], kept: KeptPixels
) -> None:
    photos, maps = world
    source, segmenter = open_folder(photos, preset=NATIVE), Counting()
    labels = replace(folder_labels(maps, source, segmenter.vocabulary), fingerprint=None)
    for _ in range(2):
        confusion_of(labels, source, segmenter, kept=kept)
    assert segmenter.images == 10 and not Path(str(kept.folder)).exists()


def test_a_source_says_whether_its_labels_can_change() -> None:
    churches = seeingkit.open_images("minichurches", n=4)
    assert churches.labels_fingerprint
    other = seeingkit.open_images("minichurches", n=4, data_options={"seed": 9})
    assert other.labels_fingerprint != churches.labels_fingerprint
    assert select(churches, 2).labels_fingerprint == churches.labels_fingerprint


def test_images_that_could_not_be_read_are_tried_again(
    world: tuple[Path, Path], kept: KeptPixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, maps = world
    source, segmenter = open_folder(photos, preset=NATIVE), Counting()
    labels = folder_labels(maps, source, segmenter.vocabulary)
    whole = source.load

    def broken(indices: Sequence[int]) -> Any:
        images, good, skipped = whole([k for k in indices if k != 2])
        return images, good, [*skipped, Skipped("2.png", "broken on purpose")]

    with monkeypatch.context() as patch:
        patch.setattr(source, "load", broken)
        assert confusion_of(labels, source, segmenter, kept=kept).images == 4
    assert confusion_of(labels, source, segmenter, kept=kept).images == 5


def test_a_damaged_file_is_set_aside_and_counted_again(
    world: tuple[Path, Path], kept: KeptPixels, caplog: pytest.LogCaptureFixture
) -> None:
    photos, maps = world
    source, segmenter = open_folder(photos, preset=NATIVE), Counting()
    labels = folder_labels(maps, source, segmenter.vocabulary)
    first = confusion_of(labels, source, segmenter, kept=kept)
    (path,) = Path(str(kept.folder)).rglob("*.safetensors")
    check_confusion_file(path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="digest"):
        check_confusion_file(path)
    again = confusion_of(labels, source, segmenter, kept=kept)
    assert np.array_equal(first.counts, again.counts) and segmenter.images == 10
    assert "damaged" in caplog.text


def test_numbers_are_looked_at_when_they_are_found_again(
    world: tuple[Path, Path], kept: KeptPixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What refuses labels with other numbers sees the same counts both times."""
    photos, maps = world
    source, segmenter = open_folder(photos, preset=NATIVE), Counting()
    seen: list[Any] = []

    def refused(counts: Any, *_: Any, **__: Any) -> None:
        seen.append(counts.tolist())
        raise SourceError("other numbers fit better")

    monkeypatch.setattr(labelled_pixels, "check_numbers", refused)
    for _ in range(2):
        labels = folder_labels(maps, source, segmenter.vocabulary)
        with pytest.raises(SourceError, match="fit better"):
            confusion_of(labels, source, segmenter, kept=kept)
    assert segmenter.images == 5 and seen[0] == seen[1]


def test_it_is_listed_and_checked_as_stored_work(
    world: tuple[Path, Path], kept: KeptPixels, tmp_path: Path
) -> None:
    photos, maps = world
    source, segmenter = open_folder(photos, preset=NATIVE), Counting()
    labels = folder_labels(maps, source, segmenter.vocabulary)
    confusion_of(labels, source, segmenter, kept=kept)
    (file,) = stored_files(tmp_path / "confusions")
    assert (file.kind, file.unneeded) == ("confusion", "")
    assert file.about.endswith("by levels")
    assert [fault for _, fault in check_stored(tmp_path / "confusions")] == [""]
    renamed = file.path.with_name("00" * 16 + ".safetensors")
    (tmp_path / "confusions" / "00").mkdir()
    file.path.rename(tmp_path / "confusions" / "00" / renamed.name)
    ((_, fault),) = check_stored(tmp_path / "confusions")
    assert "its name says" in fault
