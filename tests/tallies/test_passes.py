"""Batches are loaded and counted the fastest way that is safe, and all ways give the same rows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import seeingkit
from seeingkit.contracts import ImageSource
from seeingkit.errors import ImageError, ModelError, SourceError
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.models.remembered import RememberedSegmenter
from seeingkit.models.staged import StagedAdapter
from seeingkit.models.wrapped import WrappedSegmenter
from seeingkit.tallies import Tally, tally
from tests.helpers.toys import LevelSegmenter

N, BATCH = 21, 8


class Door:
    """How many were inside at once; where two are to meet, the first waits for another."""

    def __init__(self, meet: bool) -> None:
        self.meet, self.inside, self.most = meet, 0, 0
        self.change = threading.Condition()

    def __enter__(self) -> None:
        with self.change:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.change.notify_all()
            if self.meet:
                self.change.wait_for(lambda: self.most > 1, timeout=5)

    def __exit__(self, *_: object) -> None:
        with self.change:
            self.inside -= 1


class Watched(LevelSegmenter):
    """Tells how many threads are in it at once, and how many threads each pass has."""

    def __init__(self, thread_safe: bool = True, meet: bool = False) -> None:
        super().__init__()
        self.thread_safe = thread_safe
        self.door = Door(meet)
        self.threads: set[int] = set()
        self.sizes: list[int] = []

    @property
    def most(self) -> int:
        return self.door.most

    def statistics(self, images: Tensor) -> Tensor:
        with self.door:
            self.threads.add(torch.get_num_threads())
            self.sizes.append(len(images))
            return super().statistics(images)


class Asked(ImageSource):
    """Image k is k levels of grey; tells whether it was asked by two at once."""

    name, kind, fingerprint, preset = "asked", "numbers", "asked", None

    def __init__(self, wrong: int | None = None, value: float = 7.0) -> None:
        self.ids = [f"{k:02d}" for k in range(N)]
        self.at_once, self.order = False, list[int]()
        self.wrong, self.value = wrong, value
        self.door = threading.Lock()

    def read(self, indices: Sequence[int]) -> Tensor:
        self.at_once |= not self.door.acquire(blocking=False)
        threading.Event().wait(0.002)
        self.order += indices
        if self.door.locked():
            self.door.release()
        values = [self.value if k == self.wrong else (k % 5) / 2.5 - 1 for k in indices]
        return torch.tensor(values).reshape(-1, 1, 1, 1).expand(-1, 3, 4, 4)


def counted(source: ImageSource, segmenter: LevelSegmenter, folder: Path) -> Tally:
    return tally(source, segmenter, store=folder, batch_size=BATCH)


def equal(a: Tally, b: Tally) -> bool:
    same = np.array_equal(a.counts.todense(), b.counts.todense())
    return a.ids == b.ids and same and np.array_equal(a.pixels, b.pixels)


def test_two_batches_of_half_the_size_are_counted_at_once(
    tmp_path: Path, two_threads: None
) -> None:
    watched, source = Watched(meet=True), Asked()
    found = counted(source, watched, tmp_path / "two")
    assert watched.most == 2 and watched.threads == {1} and max(watched.sizes) == BATCH // 2
    assert not source.at_once and source.order == list(range(N))
    torch.set_num_threads(1)
    alone = Watched()
    assert equal(counted(Asked(), alone, tmp_path / "one"), found)
    assert alone.most == 1 and max(alone.sizes) == BATCH


def test_an_annotator_that_does_not_say_so_is_never_asked_by_two_threads(
    tmp_path: Path, two_threads: None
) -> None:
    assert not LevelSegmenter().thread_safe
    watched = Watched(thread_safe=False)
    counted(Asked(), watched, tmp_path)
    assert watched.most == 1 and watched.threads == {2} and max(watched.sizes) == BATCH


def test_one_image_at_a_time_stays_one(tmp_path: Path, two_threads: None) -> None:
    watched = Watched()
    tally(Asked(), watched, store=tmp_path, batch_size=1)
    assert watched.most == 1 and set(watched.sizes) == {1}


def generated(thread_safe: bool, meet: bool = False) -> tuple[SamplerSource, Door]:
    generator = seeingkit.load_generator("progan:minichurches")
    assert isinstance(generator, StagedAdapter) and generator.thread_safe
    source = SamplerSource(generator, 40, preset=find_preset("paper", 64))
    if meet:
        source.examine()  # the first images are made one batch after the other
    generator.thread_safe = thread_safe
    door, advance = Door(meet), generator.advance

    def told(*args: object, **how: object) -> object:
        with door:
            return advance(*args, **how)  # type: ignore[arg-type]

    generator.advance = told  # type: ignore[method-assign, assignment]
    return source, door


def test_a_generator_is_run_by_two_threads_only_where_that_is_safe(
    tmp_path: Path, two_threads: None
) -> None:
    found = []
    for safe in (True, False):
        source, door = generated(safe, meet=safe)
        watched = Watched(meet=True)
        found.append(counted(source, watched, tmp_path / str(safe)))
        assert door.most == (2 if safe else 1)
        assert watched.most == 2 and watched.threads == {1}
    torch.set_num_threads(1)
    source, door = generated(True)
    assert equal(counted(source, Watched(), tmp_path / "one"), found[0])
    assert equal(*found) and door.most == 1


def test_threads_of_an_image_do_not_depend_on_how_many_there_are(
    tmp_path: Path, two_threads: None
) -> None:
    for n in (1, 2, 3, BATCH + 1):
        for safe in (True, False):
            source, _ = generated(safe)
            watched = Watched()
            counted(source.first(n), watched, tmp_path / f"{safe}{n}")
            assert watched.threads == {1} and sum(watched.sizes) == n
    watched = Watched()
    tally(Asked(), watched, n=4, store=tmp_path / "few", batch_size=BATCH)
    assert sorted(watched.sizes) == [2, 2]  # a batch that is not full keeps both lanes busy


def test_what_an_annotator_wraps_must_be_safe_too(tmp_path: Path, two_threads: None) -> None:
    class Careless(WrappedSegmenter):
        thread_safe = True

        def added_options(self) -> dict[str, Any]:
            return {"careless": True}

        def segment(self, images: Tensor) -> Tensor:
            return self.segmenter.segment(images)

        def score(self, images: Tensor, label: int) -> Tensor:
            return self.segmenter.score(images, label)

        def statistics(self, images: Tensor) -> Tensor:
            return self.segmenter.statistics(images)

    for safe, most in ((True, 2), (False, 1)):
        watched = Watched(safe, meet=safe)
        tally(Asked(), Careless(watched), store=tmp_path / str(safe), batch_size=BATCH)
        assert watched.most == most


def test_labels_are_of_the_precision_of_their_identity_whatever_surrounds_a_training(
    tmp_path: Path, two_threads: None
) -> None:
    class Precise(Watched):
        kinds: set[torch.dtype]

        def statistics(self, images: Tensor) -> Tensor:
            self.kinds.add((images.flatten(1) @ images.flatten(1).T).dtype)
            return super().statistics(images)

    for safe in (True, False):
        watched = Precise(safe)
        watched.kinds = set()
        with torch.autocast("cpu", torch.bfloat16):
            counted(Asked(), watched, tmp_path / str(safe))
            assert torch.is_autocast_enabled("cpu")
        assert watched.kinds == {torch.float32}


def test_the_range_of_a_generator_is_that_of_its_first_images(
    tmp_path: Path, two_threads: None
) -> None:
    first, _ = generated(True)
    first.examine()
    source, _ = generated(True)
    counted(source, Watched(), tmp_path)
    assert source.range.images == first.range.images
    assert (source.range.low, source.range.high) == (first.range.low, first.range.high)


def test_faults_of_source_and_annotator_are_those_of_one_thread(
    tmp_path: Path, two_threads: None
) -> None:
    with pytest.raises(SourceError, match=r"values from -1 to 7"):
        counted(Asked(wrong=9), Watched(), tmp_path / "source")

    class Broken(Watched):
        def statistics(self, images: Tensor) -> Tensor:
            return super().statistics(images)[:, :-1]

    with pytest.raises(ModelError, match="statistics have shape"):
        counted(Asked(), Broken(), tmp_path / "model")


def test_an_image_that_cannot_be_read_is_named_or_ends_the_run(
    tmp_path: Path, two_threads: None
) -> None:
    scenes = seeingkit.open_images("minichurches", n=6, preset="native")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(6):
        picture = scenes.read([k])[0]
        levels = ((picture + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        from PIL import Image

        Image.fromarray(levels).save(folder / f"{k}.png")
    (folder / "3.png").write_bytes(b"no picture")
    source = seeingkit.open_images(str(folder), preset="native")
    found = counted(source, Watched(), tmp_path / "skip")
    assert [item.item for item in found.skipped] == ["3.png"] and len(found) == 5
    with pytest.raises(ImageError, match=r"3\.png"):
        tally(source, Watched(), store=tmp_path / "fail", batch_size=4, on_bad="fail")


def test_a_fault_of_the_source_does_not_hide_one_that_came_before(
    tmp_path: Path, two_threads: None
) -> None:
    class Breaks(Watched):
        def statistics(self, images: Tensor) -> Tensor:
            if float(images.min()) <= -1:
                threading.Event().wait(0.1)
                raise ModelError("broken on purpose")
            return super().statistics(images)

    with pytest.raises(ModelError, match="on purpose"):
        counted(Asked(wrong=9), Breaks(), tmp_path)


def test_label_maps_that_two_threads_keep_are_all_there(tmp_path: Path, two_threads: None) -> None:
    segmenter = RememberedSegmenter(seeingkit.load_segmenter("upernet:minichurches"))
    scenes = seeingkit.open_images("minichurches", n=24, preset="native")
    assert segmenter.thread_safe
    found = tally(scenes, segmenter, store=tmp_path / "kept")
    assert segmenter.segmented == len(segmenter.maps) == 24
    torch.set_num_threads(1)
    alone = tally(scenes, segmenter.segmenter, store=tmp_path / "alone")
    assert equal(found, alone)
