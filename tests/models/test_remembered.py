"""Label maps kept in memory are those of the segmenter, and no picture is segmented twice."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import seeingkit
from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.contracts import Label, Segmenter, SegmenterInfo, Vocabulary
from seeingkit.errors import ModelError
from seeingkit.models.code import identity_of
from seeingkit.models.remembered import RememberedSegmenter, remembered
from seeingkit.testing import check_segmenter


class Bright(Segmenter):
    """Two planes of 300 labels by the first and the last channel; counts what it is given."""

    vocabulary = Vocabulary(tuple(Label(f"label {k}") for k in range(300)), planes=("one", "two"))
    info = SegmenterInfo(family="bright")
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.seen: list[int] = []

    def to(self, device: str | torch.device) -> Bright:
        return self

    def segment(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return ((images[:, [0, 2]] + 1) * 149).round().long()

    def score(self, images: Tensor, label: int) -> Tensor:
        return images[:, 0]


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(6, 3, 5, 7, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_pictures_are_segmented_once_and_labels_are_the_same(pictures: Tensor) -> None:
    base, expected = Bright(), Bright().label_maps(pictures)
    segmenter = RememberedSegmenter(base)
    assert torch.equal(segmenter.label_maps(pictures[:4]), expected[:4])
    assert torch.equal(segmenter.label_maps(pictures[2:]), expected[2:])
    mixed = pictures[[5, 0, 3, 3]]
    assert torch.equal(segmenter.label_maps(mixed), expected[[5, 0, 3, 3]])
    turned = mixed.contiguous(memory_format=torch.channels_last)
    assert torch.equal(segmenter.statistics(turned), Bright().statistics(mixed))
    assert base.seen == [4, 2] and segmenter.segmented == 6


def test_other_pixels_and_other_shapes_are_other_pictures(pictures: Tensor) -> None:
    segmenter = RememberedSegmenter(Bright())
    segmenter.label_maps(pictures)
    other = pictures.clone()
    other[0, 0, 0, 0] = other[0, 0, 0, 0].nextafter(torch.tensor(2.0))
    turned = pictures.reshape(6, 3, 7, 5)  # the same bytes
    assert torch.equal(segmenter.label_maps(turned), Bright().label_maps(turned))
    segmenter.label_maps(other)
    assert segmenter.segmented == 6 + 6 + 1


def test_nothing_is_kept_beyond_the_room(pictures: Tensor) -> None:
    one = RememberedSegmenter(Bright())
    one.label_maps(pictures[:1])
    size = next(iter(one.maps.values())).size
    segmenter = RememberedSegmenter(Bright(), most_bytes=size)
    for _ in range(2):
        segmenter.label_maps(pictures[:1])
        assert torch.equal(segmenter.label_maps(pictures), Bright().label_maps(pictures))
    assert segmenter.segmented == 1 + 5 + 5


def test_memory_stays_below_the_room_also_where_maps_are_tiny() -> None:
    """Then keys and entries take many times what labels take."""
    segmenter, draw = RememberedSegmenter(Bright(), most_bytes=2**20), torch.Generator()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(400):
            segmenter.segment(torch.rand(16, 3, 2, 2, generator=draw) * 2 - 1)
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert segmenter.segmented == 6400 > len(segmenter.maps) > 1000
    assert used < 2**20


@pytest.mark.slow
def test_its_identity_is_the_segmenters() -> None:
    base = seeingkit.load_segmenter("upernet:minichurches")
    assert identity_of(RememberedSegmenter(base)) == identity_of(base)
    assert identity_of(RememberedSegmenter(Bright())) == identity_of(Bright())
    check_segmenter(RememberedSegmenter(base))


def test_wrong_labels_are_refused_and_not_kept(pictures: Tensor) -> None:
    class Wrong(Bright):
        def segment(self, images: Tensor) -> Tensor:
            return super().segment(images) + 300

    segmenter = RememberedSegmenter(Wrong())
    for _ in range(2):
        with pytest.raises(ModelError, match="bright"):
            segmenter.label_maps(pictures)
    assert segmenter.segmented == 0


def test_annotators_without_masks_stay_as_they_are() -> None:
    classifier = seeingkit.load_annotator("digit-reader:digits")
    assert remembered(classifier) is classifier


@pytest.mark.slow
def test_a_run_segments_each_picture_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, held against true labels, and shown; of a second generator only its own images."""
    seen: list[RememberedSegmenter] = []
    built = RememberedSegmenter.__init__

    def watched(self: RememberedSegmenter, segmenter: Segmenter, *given: Any) -> None:
        built(self, segmenter, *given)
        if not isinstance(segmenter, RememberedSegmenter):  # that one is for the page's pictures
            seen.append(self)

    monkeypatch.setattr(RememberedSegmenter, "__init__", watched)
    words = {"n": 12, "permutations": 0, "store": str(tmp_path / "store")}
    method = InversionConfig()
    for gan in ("progan", "stylegan2"):
        seeingkit.analyze(gan, "minichurches", inversion=method, out=tmp_path / gan, **words)
    first, second = (one.segmented for one in seen)
    assert first == 24 and 12 <= second <= 15  # the second page shows a real picture or two more
