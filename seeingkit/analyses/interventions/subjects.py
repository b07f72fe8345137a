"""What is intervened on: a generator cut at a layer, and a segmenter that counts its pictures.

Guarantees: the part of the generator before the layer runs once for each image, whatever is done
there; pictures that are counted are those that a PNG would hold (8 bits, then the preset, as
``SamplerSource``), and gradients go through the images as the generator gives them; no result
depends on the batch size, but for rounding in the networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from seeingkit.contracts import Boundary, Generator, Segmenter, State
from seeingkit.contracts.generators import check_images
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import ModelError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.images.preprocess import apply, quantise, to_tensor
from seeingkit.models.edits import Edit, run
from seeingkit.specs import PRESETS, Preset

Integers = NDArray[np.int64]


def search_seeds(seed: int) -> tuple[int, int]:
    """The seeds of both series.

    >>> search_seeds(7)
    (2000007, 3000007)
    """
    return further_seed(seed, Series.PRESENT), further_seed(seed, Series.OTHER)


@dataclass(frozen=True)
class Sample:
    """Some images of a generator, by their numbers.

    Rows of the same number are the same image, such as with edits at several places: statistics
    take them as one.

    Attributes:
        indices: numbers of the images, one a row.
        seed: of the latents.
        labels: for a conditional generator: image i is of class labels[i % len(labels)].

    >>> Sample(range(3), seed=1).overlaps(Sample((2, 9), seed=1))
    True
    """

    indices: Sequence[int]
    seed: int = 0
    labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.indices):
            raise UsageError("a sample has at least one image")
        if min(self.indices) < 0:
            raise UsageError(f"image {min(self.indices)}: numbers of images begin at 0")

    def __len__(self) -> int:
        return len(self.indices)

    def overlaps(self, other: Sample, *, sequence: bool = False) -> bool:
        """Whether an image is in both.

        Args:
            other: images of the same generator.
            sequence: latents come from one stream a seed; else image i of seed s has the latent of
                s + i, so that neighbouring seeds share nearly all images (``contracts.latents``).
        """
        if sequence:
            return self.seed == other.seed and not set(self.indices).isdisjoint(other.indices)
        own, others = ({one.seed + i for i in one.indices} for one in (self, other))
        return not own.isdisjoint(others)

    def named(self, row: int) -> str:
        """The name of the image of a row, as ``SamplerSource`` has it."""
        return f"seed{self.seed}-{self.indices[row]:06d}"


@dataclass(frozen=True)
class Subject:
    """A generator that can be cut, its layer, and how its pictures are counted.

    Args:
        generator: of tier 2.
        segmenter: names the classes; on the same device.
        layer: name or alias of the boundary where units are changed.
        preset: what happens to a picture before it is segmented.
        batch: images at once in searches; counts are made in groups of their own (``parts``).
        eight_bits: whether pictures are rounded to 8 bits before they are counted; the code of GAN
            Dissection counts unrounded images.

    Raises:
        UsageError: a layer without units, or a batch below 1.
        UnknownNameError: no such layer.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> Subject(generator, segmenter, "r8.conv1").units
    128
    """

    generator: Generator
    segmenter: Segmenter
    layer: str
    preset: Preset = field(default_factory=lambda: PRESETS["native"])
    batch: int = 16
    eight_bits: bool = True

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"batch = {self.batch}: take at least one image at a time")
        found = self.boundary
        if found.kind not in ("feature", "style"):
            raise UsageError(f"{found.name!r} is the {found.kind}; name a layer between")

    @property
    def boundary(self) -> Boundary:
        """The layer as a boundary."""
        return self.generator.boundary(self.layer)

    @property
    def units(self) -> int:
        """Units (channels) of the layer, or channels of the style."""
        return self.boundary.shape[0]

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the layer's map.

        Raises:
            UsageError: it has none.
        """
        found = self.boundary.extent
        if found is None:
            raise UsageError(f"{self.layer!r} has no map; edits at places need one")
        return found

    @property
    def labels(self) -> int:
        """Labels of the segmenter's vocabulary."""
        return len(self.segmenter.vocabulary)

    def label(self, name: str) -> int:
        """The number of a class.

        Raises:
            UnknownNameError: no such class.
        """
        return self.segmenter.vocabulary.index(name)

    def checked(self, units: Sequence[int]) -> tuple[int, ...]:
        """Unit numbers, each once.

        Raises:
            UsageError: a number that the layer does not have, or one given twice.
        """
        numbers = tuple(int(unit) for unit in units)
        wrong = next((unit for unit in numbers if not 0 <= unit < self.units), None)
        if wrong is not None:
            last = self.units - 1
            raise UsageError(f"no unit {wrong} at {self.layer!r}; its units are 0 to {last}")
        if len(set(numbers)) != len(numbers):
            twice = next(unit for unit in numbers if numbers.count(unit) > 1)
            raise UsageError(f"unit {twice} is given twice")
        return numbers

    # ------------------------------------------------------------------------------------ states

    def source(self, sample: Sample) -> SamplerSource:
        """The images of a sample without edits, as a source of pictures.

        Raises:
            UsageError: labels, and the generator is not conditional; or labels that it lacks.
        """
        most = max(sample.indices) + 1
        labels = sample.labels or None
        return SamplerSource(self.generator, most, sample.seed, labels, preset=self.preset)

    def check_classes(self, labels: Sequence[int], **numbers: int) -> None:
        """Refuse samples that would leave out classes of a conditional generator.

        Args:
            labels: of the samples; empty: all.
            numbers: of images, from the first on, by the name of the option.

        Raises:
            UsageError: names the option, and what to do.
        """
        source = self.source(Sample(range(1), labels=tuple(labels)))
        for name, images in numbers.items():
            if images < source.every_class:
                raise UsageError(
                    f"--{name} {images}: so many images have {len(set(source.labels[:images])):,} "
                    f"of {len(set(source.labels)):,} classes; take {source.every_class:,} or more, "
                    "or fewer classes with --labels"
                )

    def start(self, sample: Sample, rows: Sequence[int]) -> State:
        """Some rows of a sample at the layer, without history."""
        latent = self.source(sample).latent([int(sample.indices[row]) for row in rows])
        with torch.no_grad():
            return self.generator.advance(self.generator.begin(latent), self.layer).detach()

    def states(self, sample: Sample) -> Iterator[tuple[range, State]]:
        """All rows at the layer, a batch at a time: (rows of the sample, their state)."""
        for first in range(0, len(sample), self.batch):
            rows = range(first, min(first + self.batch, len(sample)))
            yield rows, self.start(sample, rows)

    def images(self, state: State, edits: Sequence[Edit] = ()) -> Tensor:
        """The images (N, 3, R, R) of a state at the layer after some edits; differentiable."""
        return run(self.generator, state, edits=edits)[0].x

    # ---------------------------------------------------------------------------------- pictures

    def label_maps(self, images: Tensor, names: Sequence[str] = ()) -> Tensor:
        """Labels of generated images as they are counted: (N, planes, H', W') int64.

        Args:
            images: (N, 3, R, R) as the generator gives them.
            names: of the images, for messages.

        Raises:
            ModelError: images or labels that are none.
        """
        self.check(images, names)
        with torch.no_grad():
            return self.segmenter.label_maps(self.pictures(images))

    def check(self, images: Tensor, names: Sequence[str] = ()) -> None:
        """Refuse what is no image; arguments as of ``label_maps``.

        Raises:
            ModelError: another shape, NaN or Inf.
        """
        check_images(images, self.generator.info, len(images))
        broken = ~torch.isfinite(images).flatten(1).all(1)
        if bool(broken.any()):
            row = int(broken.nonzero()[0])
            name = names[row] if len(names) else f"image {row}"
            raise ModelError(
                f"{self.generator.info.family}: {name} has NaN or Inf after the edit at "
                f"{self.layer!r}; insert smaller values"
            )

    def pictures(self, images: Tensor) -> Tensor:
        """Generated images as they are segmented: 8 bits, then the preset; (N, 3, H, W)."""
        if not self.eight_bits:
            return self.resized(images)
        levels = quantise(images)
        if self.preset.size is None:
            return to_tensor(levels)
        made = [apply(Image.fromarray(each), self.preset) for each in levels.cpu().numpy()]
        return to_tensor(np.stack(made)).to(images.device)

    def resized(self, images: Tensor) -> Tensor:
        """Images (N, 3, R, R) in [-1, 1] of the preset's size, unrounded: the gradient's way."""
        clamped = images.clamp(-1, 1)
        size = self.preset.size
        if size is None or size == images.shape[-1]:
            return clamped
        return interpolate(clamped, (size, size), mode="bilinear", antialias=True)

    def scores(self, images: Tensor, label: int) -> Tensor:
        """How sure the segmenter is of a class, (N, H', W') in [0, 1], differentiable."""
        return self.segmenter.score(self.resized(images), label)


def pixels_of(maps: Tensor, label: int) -> Tensor:
    """Where a class is, in any plane: (N, planes, H, W) int64 to (N, H, W) bool.

    >>> pixels_of(torch.tensor([[[[3, 1]], [[0, 3]]]]), 3).tolist()
    [[[True, True]]]
    """
    return (maps == label).any(1)


MOST_KEPT = 1 << 28
"""Bytes of states that are kept at the layer; beyond it they are computed anew when needed."""


class Starts:
    """The rows of a sample at the layer, kept where they fit into ``MOST_KEPT`` bytes.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> len(Starts(Subject(generator, segmenter, "r8.conv1"), Sample(range(4)))[[3, 0]])
    2
    """

    def __init__(self, subject: Subject, sample: Sample, most: int = MOST_KEPT) -> None:
        self.subject, self.sample = subject, sample
        one = subject.start(sample, [0])
        size = sum(each.nbytes for each in (one.x, *one.carry.values())) * len(sample)
        self._kept: State | None = None
        if size <= most:
            self._kept = State.cat([state for _, state in subject.states(sample)])

    def __getitem__(self, rows: Sequence[int]) -> State:
        """Some rows."""
        chosen = [int(row) for row in rows]
        return self.subject.start(self.sample, chosen) if self._kept is None else self._kept[chosen]
