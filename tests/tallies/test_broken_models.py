"""Models and sources that break their contract are refused at once, in a line that names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seeingkit.analyses.comparison.checks.views import SoftenedSegmenter
from seeingkit.analyses.inversion.vanishing import label_maps
from seeingkit.contracts import Annotator, AnnotatorInfo, ImageSource, Label, Vocabulary
from seeingkit.errors import ModelError, SourceError, UsageError
from seeingkit.models.registry import find_preset
from seeingkit.tallies import tally
from seeingkit.tallies.vocabularies.classmap import ClassMap
from seeingkit.tallies.vocabularies.merging import MappedSegmenter
from tests.helpers.toys import LevelSegmenter, Noise

Fault = Callable[[Tensor], Tensor]


class Wrong(LevelSegmenter):
    """A segmenter whose label maps are changed from the second image of a batch on, or all."""

    def __init__(self, fault: Fault) -> None:
        super().__init__("wrong")
        self.fault = fault

    def segment(self, images: Tensor) -> Tensor:
        return self.fault(super().segment(images))


def one_pixel(label: int) -> Fault:
    def fault(maps: Tensor) -> Tensor:
        maps[-1, 0, 0, 0] = label
        return maps

    return fault


FAULTS: dict[str, tuple[Fault, str]] = {
    "over": (one_pixel(4), "label 4 is not in its vocabulary, whose 4 labels are 0 to 3"),
    "void": (one_pixel(255), "label 255 is not in its vocabulary"),
    "negative": (one_pixel(-1), "label -1 is not in its vocabulary"),
    "float": (lambda maps: maps.float(), "labels are torch.float32"),
    "bytes": (lambda maps: maps.to(torch.uint8), "labels are torch.uint8"),
    "no plane": (lambda maps: maps[:, 0], "expected (2, 1, H, W)"),
    "two planes": (lambda maps: maps.expand(-1, 2, -1, -1), "expected (2, 1, H, W)"),
    "last axis": (lambda maps: maps.movedim(1, -1), "expected (2, 1, H, W)"),
    "one image": (lambda maps: maps[:1], "expected (2, 1, H, W)"),
    "nothing": (lambda maps: maps[..., :0], "expected (2, 1, H, W)"),
    "device": (lambda maps: maps.to("meta"), "labels are on meta, the images on cpu"),
    "list": (lambda maps: maps.tolist(), "segment gave a list"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_label_maps_are_refused_before_they_are_counted(fault: str, tmp_path: Path) -> None:
    change, said = FAULTS[fault]
    with pytest.raises(ModelError) as refused:
        tally(Noise(4), Wrong(change), store=tmp_path, batch_size=2)
    assert said in str(refused.value) and str(refused.value).startswith("wrong: ")
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_a_label_outside_the_vocabulary_never_depends_on_the_batch(
    batch_size: int, tmp_path: Path
) -> None:
    # It used to be counted as the first label of the image behind it.
    with pytest.raises(ModelError, match="label 4 is not in its vocabulary"):
        tally(Noise(7), Wrong(one_pixel(4)), store=tmp_path, batch_size=batch_size)


def test_every_way_to_label_maps_checks_them() -> None:
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    wrong = Wrong(one_pixel(4))
    classes = ClassMap(name="two", classes={"-": ("-",), "light": ("bright",)}, missing="allow")
    ways: list[Callable[[], object]] = [
        lambda: wrong.label_maps(images),
        lambda: wrong.statistics(images),
        lambda: MappedSegmenter(wrong, classes).statistics(images),
        lambda: SoftenedSegmenter(wrong).segment(images),
        lambda: label_maps(images, wrong, find_preset("native")),
    ]
    for way in ways:
        with pytest.raises(ModelError, match="label 4 is not in its vocabulary"):
            way()


class Numbers(Annotator):
    """An annotator of two labels whose numbers are given."""

    def __init__(self, unit: str, numbers: Callable[[Tensor], object]) -> None:
        self.vocabulary = Vocabulary((Label("a"), Label("b")), unit=unit)  # type: ignore[arg-type]
        self.info = AnnotatorInfo(family="numbers")
        self.numbers = numbers

    def statistics(self, images: Tensor) -> Tensor:
        return self.numbers(images)  # type: ignore[return-value]


def same(*row: float, kind: torch.dtype = torch.float32) -> Callable[[Tensor], Tensor]:
    return lambda images: torch.tensor([row] * len(images), dtype=kind)


@pytest.mark.parametrize(
    ("unit", "numbers", "said"),
    [
        ("pixels", same(20.0, 10.0), "pixels are whole numbers"),
        ("pixels", same(31, -1, kind=torch.int64), "pixels are whole numbers"),
        ("pixels", same(1, 0, kind=torch.bool), "pixels are whole numbers"),
        (
            "pixels",
            lambda images: torch.tensor([[20, 10], [20, 9]]),
            "images of one size have 30 and 29 pixels in a plane",
        ),
        ("pixels", same(1, 2, 3, kind=torch.int64), "expected (2, 2)"),
        ("pixels", lambda images: [[1, 2], [1, 2]], "statistics are a list"),
        ("probability", same(0.5, 1.01), "gave 1.01 as a probability"),
        ("probability", same(0.5, float("nan")), "gave nan as a probability"),
        ("count", same(1.0, float("inf")), "gave inf as a count"),
        ("count", same(1.0, -1.0), "gave -1 as a count"),
        ("count", lambda images: torch.ones(1, 2), "expected (2, 2)"),
    ],
)
def test_wrong_numbers_of_an_annotator_are_refused(
    unit: str, numbers: Callable[[Tensor], object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as refused:
        tally(Noise(2), Numbers(unit, numbers), store=tmp_path)
    assert said in str(refused.value) and str(refused.value).startswith("numbers: ")


class Given(ImageSource):
    """A source that gives what it is told to give."""

    def __init__(self, images: object) -> None:
        self.name, self.fingerprint, self.ids = "given", "given", ["a", "b"]
        self.images = images

    def read(self, indices: Sequence[int]) -> Tensor:
        return self.images  # type: ignore[return-value]

    def load(self, indices: Sequence[int]):  # type: ignore[no-untyped-def]
        return self.images, list(indices), []


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.rand(2, 3, 8, 8) * 255, "pictures of a source are in [-1, 1]"),
        (torch.full((2, 3, 8, 8), float("nan")), "gave images with NaN"),
        (torch.zeros(1, 3, 8, 8), "expected (2, 3, H, W)"),
        (torch.zeros(2, 8, 8, 3), "expected (2, 3, H, W)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "gave images of torch.uint8"),
        (torch.zeros(2, 3, 8, 8).numpy(), "gave a ndarray instead of images"),
    ],
)
def test_wrong_pictures_of_a_source_are_refused(images: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refused:
        tally(Given(images), LevelSegmenter(), store=tmp_path)
    assert said in str(refused.value) and str(refused.value).startswith("given ")


def test_rounding_beyond_the_ends_is_no_fault(tmp_path: Path) -> None:
    images = torch.full((2, 3, 8, 8), 1.00001)
    assert len(tally(Given(images), LevelSegmenter(), store=tmp_path)) == 2


def test_a_vocabulary_is_made_of_labels_with_printable_names() -> None:
    with pytest.raises(UsageError, match="made of Label"):
        Vocabulary(("sky", "tree"))  # type: ignore[arg-type]
    given = Vocabulary((Label("-"), Label("wall\x1b[31m\n"), Label("a\u202eb", "part")))
    assert given.names == ("-", "wall\ufffd[31m", "a\ufffdb")
    assert given.labels[2].category == "part"
