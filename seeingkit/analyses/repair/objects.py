"""Objects of a class: connected parts of real size and shape that two views of an image agree on.

The area of a class by one segmenter is no proof that it is drawn: specks are called persons, and
smears along the ground cars. So an image *shows* a class here only where a connected part of it

* is as large as those that hold most of its area in real images (``real_sizes``), and no larger
  than the largest;
* is called the same, at least half of it, by a second view (another segmenter, or the same at
  another scale);
* is as high, as wide, as full (of its box) and as surely of the class (the segmenter's mean score)
  as the parts that pass the first two in real images are, but for ``EDGE`` of them at each end.

Guarantees: a function of label maps; parts touch at edges, not at corners.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from seeingkit.contracts import Segmenter
from seeingkit.errors import UsageError

from ..comparison.checks.views import View, matched
from ..interventions.subjects import pixels_of

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the last two are the first row and column outside."""

HOLDING = 0.9
"""Share of a class's real area that parts of real size hold."""
AGREED = 0.5
"""Share of a part that the second view calls the same."""
EDGE = 0.05
"""Share of the real parts beyond each end of a shape."""


class Sizes(NamedTuple):
    """Pixels of parts of real size: at least, and at most."""

    least: int = 1
    most: int | None = None


def real_sizes(masks: Iterable[Mask]) -> Sizes:
    """Sizes of a class's parts in real images: from the one from which on they hold ``HOLDING`` of
    its area, to the largest.

    >>> mask = np.zeros((8, 8), bool)
    >>> mask[:3, :3], mask[5, 5] = True, True
    >>> real_sizes([mask])
    Sizes(least=9, most=9)
    """
    sizes = [part.pixels for mask in masks for part in parts_of(mask)]
    if not sizes:
        return Sizes()
    ordered = np.sort(np.array(sizes))[::-1]
    reached = int(np.searchsorted(ordered.cumsum(), HOLDING * ordered.sum()))
    return Sizes(int(ordered[min(reached, len(ordered) - 1)]), int(ordered[0]))


@dataclass(frozen=True)
class Part:
    """A connected part of a class in an image.

    Attributes:
        pixels: how many.
        box: around them.
        sure: mean score of the class over them, in [0, 1].
    """

    pixels: int
    box: Box
    sure: float = 1.0

    @property
    def height(self) -> int:
        """Rows of the box."""
        return self.box[2] - self.box[0]

    @property
    def width(self) -> int:
        """Columns of the box."""
        return self.box[3] - self.box[1]

    @property
    def full(self) -> float:
        """Share of the box that the part fills."""
        return self.pixels / (self.height * self.width)


class Shape(NamedTuple):
    """Heights, widths (least, most) of real parts; how full and how sure they are at least."""

    height: tuple[float, float]
    width: tuple[float, float]
    full: float
    sure: float

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Shape | None:
        """The shape of parts, without ``EDGE`` of them at each end; None of no parts.

        >>> Shape.of([Part(6, (0, 0, 2, 3), 0.9)])
        Shape(height=(2.0, 2.0), width=(3.0, 3.0), full=1.0, sure=0.9)
        """
        if not parts:
            return None
        ends = np.array([[p.height, p.width, p.full, p.sure] for p in parts], np.float64)
        low, high = np.quantile(ends, [EDGE, 1 - EDGE], axis=0, method="nearest").tolist()
        return cls((low[0], high[0]), (low[1], high[1]), low[2], low[3])

    def has(self, part: Part) -> bool:
        """Whether a part has this shape."""
        return (
            self.height[0] <= part.height <= self.height[1]
            and self.width[0] <= part.width <= self.width[1]
            and part.full >= self.full
            and part.sure >= self.sure
        )


def parts_of(
    mask: Mask,
    agreed: Mask | None = None,
    sizes: Sizes | None = None,
    scores: NDArray[np.float32] | None = None,
) -> list[Part]:
    """The connected parts of a mask, largest first.

    Args:
        mask: (H, W).
        agreed: (H, W) of a second view; parts of which it has less than ``AGREED`` are left out.
        sizes: pixels of parts that count; None: all.
        scores: (H, W) of the class; None: all 1.

    >>> mask = np.zeros((8, 8), bool)
    >>> mask[:3, :3], mask[5, 5] = True, True
    >>> [part.pixels for part in parts_of(mask)], parts_of(mask, ~mask)
    ([9, 1], [])
    """
    numbers, many = ndimage.label(mask)
    if not many:
        return []
    pixels = np.bincount(numbers.ravel(), minlength=many + 1)[1:]
    shared, (least, most) = pixels, sizes or Sizes()
    if agreed is not None:
        shared = np.bincount(numbers[agreed].ravel(), minlength=many + 1)[1:]
    boxes = ndimage.find_objects(numbers)
    sums = pixels.astype(np.float64)
    if scores is not None:
        sums = np.bincount(numbers.ravel(), scores.ravel(), many + 1)[1:].astype(np.float64)
    found = [
        Part(
            int(pixels[k]),
            (rows.start, columns.start, rows.stop, columns.stop),
            float(sums[k] / pixels[k]),
        )
        for k, (rows, columns) in enumerate(boxes)
        if least <= pixels[k] <= (most or pixels[k]) and shared[k] >= AGREED * pixels[k]
    ]
    return sorted(found, key=lambda part: -part.pixels)


@dataclass(frozen=True, eq=False)
class ObjectFinder:
    """Finds objects of a class in pictures.

    Attributes:
        segmenter: the first view.
        view: the second one.
        label: of the class, in the first view; second: in the second.
        sizes, shape: of parts that count; None: all.
    """

    segmenter: Segmenter
    view: View
    label: int
    second: int
    sizes: Sizes | None = None
    shape: Shape | None = None

    @classmethod
    def of(cls, segmenter: Segmenter, view: View, label: int) -> ObjectFinder:
        """A finder of parts of any size.

        Raises:
            UsageError: the second segmenter has no such class.
        """
        numbers = matched(segmenter.vocabulary, view.segmenter.vocabulary)
        if label not in numbers:
            name = segmenter.vocabulary.names[label]
            raise UsageError(f"the second view ({view.words}) has no class {name!r}; name another")
        return cls(segmenter, view, label, numbers[label])

    def seen(self, pictures: Tensor) -> tuple[Tensor, list[list[Part]]]:
        """Labels of pictures (N, 3, H, W) by the first view, (N, planes, H, W), and the objects of
        each picture, largest first.

        Raises:
            UsageError: the views give maps of unlike size.
        """
        maps, first, second = self.views(pictures)
        found = [parts_of(own, other, self.sizes) for own, other in zip(first, second, strict=True)]
        shown = [k for k, parts in enumerate(found) if parts]
        if self.shape is not None and shown:
            for k, scores in zip(shown, self.scores(pictures[shown], first.shape[1:]), strict=True):
                parts = parts_of(first[k], second[k], self.sizes, scores)
                found[k] = [part for part in parts if self.shape.has(part)]
        return maps, found

    def scores(self, pictures: Tensor, size: Sequence[int]) -> NDArray[np.float32]:
        """Scores of the class in pictures (N, 3, H, W), at the size of label maps."""
        found = self.segmenter.score(pictures, self.label)[:, None]
        if tuple(found.shape[2:]) != tuple(size):
            found = torch.nn.functional.interpolate(found, tuple(size), mode="bilinear")
        return np.asarray(found[:, 0].cpu().numpy(), np.float32)

    def views(self, pictures: Tensor) -> tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]:
        """Labels by the first view, and where each view sees the class, (N, H, W).

        Raises:
            UsageError: the views give maps of unlike size.
        """
        maps = self.segmenter.label_maps(pictures)
        first = pixels_of(maps, self.label)
        second = pixels_of(self.view.segmenter.label_maps(pictures), self.second)
        if first.shape != second.shape:
            raise UsageError(
                f"the second view ({self.view.words}) gives maps of {tuple(second.shape[1:])} "
                f"pixels, the first of {tuple(first.shape[1:])}; name another"
            )
        return maps, first.cpu().numpy(), second.cpu().numpy()
