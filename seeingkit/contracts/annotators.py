"""Contract of annotators, such as segmenters: an image becomes a row of numbers.

A tally holds those rows. A segmenter counts pixels; a classifier names the class of the image, a
detector counts things: ``Vocabulary.unit`` says which.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from seeingkit.errors import ModelError, UnknownNameError, UsageError, one_line
from seeingkit.results import ConfusionTable
from seeingkit.system.devices import fetched

from .base import ModelInfo, OnDevice

Unit = Literal["pixels", "probability", "count", "class"]
"""Unit of an annotator's numbers."""


class Label(NamedTuple):
    """One label: its name and the kind of thing it is (``object``, ``part``, ``material``).

    >>> Label("door", "part")
    Label(name='door', category='part')
    """

    name: str
    category: str = "object"


@dataclass(frozen=True)
class Vocabulary:
    """The labels an annotator knows; the number of a label is its place in ``labels``.

    Attributes:
        labels: number 0 means "nothing" where ``has_background`` is true; a name becomes one
            line of printable characters.
        planes: names of the planes of a segmentation, the objects first.
        has_background: whether number 0 is "no object" and is left out of figures and verdicts.
        unit: of the numbers of an image: ``pixels`` of each label (they sum to the pixels of
            the label map), ``probability`` of each label (0 to 1, such as a classifier's), or
            ``count`` of things (not negative, such as a detector's), or ``class``: 1 for the one
            class of the image and 0 for all others (``Classifier``).

    >>> Vocabulary((Label("-"), Label("tree"), Label("sky"))).index("sky")
    2
    """

    labels: tuple[Label, ...]
    planes: tuple[str, ...] = ("object",)
    has_background: bool = True
    unit: Unit = "pixels"

    def __post_init__(self) -> None:
        odd = next((label for label in self.labels if not isinstance(label, Label)), None)
        if odd is not None:
            raise UsageError(f"a vocabulary is made of Label(name), not of {odd!r}")
        # Names come from files and go to terminals, figures and pages: they are cleaned once.
        labels = tuple(Label(*map(one_line, label)) for label in self.labels)
        if labels != self.labels:
            object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of their numbers."""
        return tuple(label.name for label in self.labels)

    def index(self, name: str) -> int:
        """The number of a label."""
        try:
            return self.names.index(name)
        except ValueError:
            raise UnknownNameError("label", name, self.names) from None


class AnnotatorInfo(ModelInfo):
    """Description of a loaded annotator; its identity is part of every tally.

    >>> AnnotatorInfo(family="digits", options={"layer": 3}).identity()["options"]
    {'layer': 3}
    """


class ClassifierInfo(AnnotatorInfo):
    """Description of a loaded classifier.

    Attributes:
        confusion: how it reads labelled images that it never saw; it changes no reading, and is no
            part of the identity.

    >>> ClassifierInfo(family="mine", confusion=ConfusionTable(counts=((9, 1), (0, 9)))).family
    'mine'
    """

    confusion: ConfusionTable | None = None

    def identity(self) -> dict[str, Any]:
        """As of any model, without the table of confusion."""
        return {name: value for name, value in super().identity().items() if name != "confusion"}


class SegmenterInfo(AnnotatorInfo):
    """Description of a loaded segmenter.

    >>> SegmenterInfo(family="mysegmenter", licence="MIT").family
    'mysegmenter'
    """


class Annotator(OnDevice, ABC):
    """Turns each image into a row of numbers, one for each label of each plane.

    Attributes:
        vocabulary: the labels, and the unit of the numbers.
        info: family, weights and options.
        thread_safe: whether two threads may ask for ``statistics`` at once: nothing that a pass
            leaves behind (a hook's feature map, a buffer) is read by another. On a CPU batches are
            then counted two at once, which is faster; the conformance kit tries it.
    """

    vocabulary: Vocabulary
    info: AnnotatorInfo
    thread_safe: bool = False

    @abstractmethod
    def statistics(self, images: Tensor) -> Tensor:
        """The numbers of some images.

        Args:
            images: (N, 3, H, W) float32 in [-1, 1].

        Returns:
            (N, planes x labels), plane-major: int64 where the unit is ``pixels``, else floating
            point or whole numbers, finite and not negative; row k depends on image k only. They lie
            on the device of the images, or on the CPU.
        """


class Classifier(Annotator):
    """Gives every image one class. Its vocabulary has the unit ``class``."""

    info: ClassifierInfo

    @abstractmethod
    def classify(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to (N,) int64, the number of each image's class, there."""

    def statistics(self, images: Tensor) -> Tensor:
        """(N, labels) int64, on the CPU: 1 for the class of each image, else 0.

        Raises:
            ModelError: other axes, kind or device than promised, or a class that is not in the
                vocabulary.
        """
        found, labels = self.classify(images), len(self.vocabulary)
        fault = _form_of_classes(found, images)
        if fault is None:
            found = fetched(found)
            fault = _wrong_class(found, labels)
        if fault is not None:
            raise ModelError(f"{self.info.family}: {fault}")
        return torch.nn.functional.one_hot(found, labels)


class Segmenter(Annotator):
    """Gives every pixel a label."""

    info: SegmenterInfo

    @abstractmethod
    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to (N, planes, H', W') int64 on their device; 0 = nothing."""

    @abstractmethod
    def score(self, images: Tensor, label: int) -> Tensor:
        """How sure the segmenter is of one label: (N, H', W') in [0, 1], differentiable."""

    def scores(self, images: Tensor, labels: Sequence[int]) -> Tensor:
        """``score`` of several labels: (N, len(labels), H', W'), differentiable.

        Families that compute all labels at once give them in one pass.

        >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
        >>> segmenter.scores(torch.zeros(1, 3, 64, 64), [1, 2]).shape
        torch.Size([1, 2, 64, 64])
        """
        if not len(labels):
            raise UsageError(f"{self.info.family}: no labels to score")
        return torch.stack([self.score(images, label) for label in labels], 1)

    def label_maps(self, images: Tensor) -> Tensor:
        """The labels that ``segment`` gives, checked: a wrong one never reaches a number.

        Raises:
            ModelError: other axes, kind or device than promised, or a label that is not in the
                vocabulary.
        """
        maps = self.segment(images)
        self._check(_form_of_maps(maps, images, self.vocabulary))
        self._check(_wrong_label(maps, self.vocabulary))
        return maps

    def statistics(self, images: Tensor) -> Tensor:
        """Pixels of each label in each plane: (N, planes x labels) int64, plane-major, on the CPU.

        Labels are looked at where they are counted, so the counts are all that is read of a device.

        Raises:
            ModelError: as ``label_maps``.
        """
        if self.device.type == "cpu":
            return label_counts(self.label_maps(images), len(self.vocabulary))
        maps, labels = self.segment(images), len(self.vocabulary)
        self._check(_form_of_maps(maps, images, self.vocabulary))
        known = (maps >= 0) & (maps < labels)
        counts = fetched(label_counts(torch.where(known, maps, labels), labels + 1))
        counts = counts.reshape(len(images), -1, labels + 1)
        if bool(counts[..., labels].any()):
            self._check(_wrong_label(maps, self.vocabulary))
        return counts[..., :labels].flatten(1)

    def _check(self, fault: str | None) -> None:
        if fault is not None:
            raise ModelError(f"{self.info.family}: {fault}")


def label_counts(maps: Tensor, labels: int) -> Tensor:
    """Pixels of each label of each plane, plane-major.

    Args:
        maps: (N, planes, H, W) int64 label maps.
        labels: how many labels the vocabulary has.

    Returns:
        (N, planes x labels) int64, on the device of the maps.

    >>> label_counts(torch.tensor([[[[1, 1]], [[0, 2]]]]), 3).tolist()
    [[0, 2, 0, 1, 0, 1]]
    """
    n, planes = maps.shape[:2]
    offsets = torch.arange(n * planes, device=maps.device).reshape(n, planes, 1, 1) * labels
    places, size = (maps + offsets).flatten(), n * planes * labels
    if maps.device.type == "cpu":
        return torch.bincount(places, minlength=size).reshape(n, planes * labels)
    # Elsewhere the host would wait: ``bincount`` asks the device for the greatest value.
    flat = torch.zeros(size, dtype=torch.int64, device=maps.device)
    return flat.scatter_add_(0, places, torch.ones_like(places)).reshape(n, planes * labels)


def _form_of_classes(found: object, images: Tensor) -> str | None:
    """What is wrong with kind, axes or device of the classes of these images, or None."""
    if not isinstance(found, Tensor):
        return f"classify gave a {type(found).__name__}, not a tensor"
    if found.dtype != torch.int64 or tuple(found.shape) != (len(images),):
        return (
            f"classes of {len(images)} images are {found.dtype} of shape {tuple(found.shape)}, "
            f"expected torch.int64 of shape ({len(images)},)"
        )
    if found.device != images.device:
        return f"classes are on {found.device}, the images on {images.device}"
    return None


def _wrong_class(found: Tensor, labels: int) -> str | None:
    """A class that is not in the vocabulary, or None."""
    wrong = found[(found < 0) | (found >= labels)]
    if len(wrong):
        return (
            f"class {int(wrong[0])} is not in its vocabulary, whose {labels} are 0 to {labels - 1}"
        )
    return None


def _form_of_maps(maps: object, images: Tensor, vocabulary: Vocabulary) -> str | None:
    """What is wrong with kind, axes or device of label maps of these images, or None."""
    if not isinstance(maps, Tensor):
        return f"segment gave a {type(maps).__name__}, not a tensor"
    if maps.dtype != torch.int64:
        return f"labels are {maps.dtype}; the numbers of labels are torch.int64"
    shape, rows, planes = tuple(maps.shape), len(images), len(vocabulary.planes)
    if maps.ndim != 4 or shape[:2] != (rows, planes) or not maps.numel():
        return f"labels of {rows} images are {shape}, expected ({rows}, {planes}, H, W)"
    if maps.device != images.device:
        return f"labels are on {maps.device}, the images on {images.device}"
    return None


def _wrong_label(maps: Tensor, vocabulary: Vocabulary) -> str | None:
    """A label that is not in the vocabulary, or None."""
    low, high = (int(end) for end in torch.aminmax(maps))
    size = len(vocabulary)
    if low < 0 or high >= size:
        wrong = low if low < 0 else high
        return (
            f"label {wrong} is not in its vocabulary, whose {size} labels are 0 to {size - 1}"
            f"{'; a pixel of no known class is 0' if vocabulary.has_background else ''}"
        )
    return None
