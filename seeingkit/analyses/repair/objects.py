"""Objects of a class: connected parts of real size that two views of an image agree on.

The area of a class by one segmenter is no proof that it is drawn: specks are called persons. So an
image *shows* a class here only where a connected part of it is as large as those that hold most of
its area in real images (``real_sizes``) and no larger than the largest, and a second view (another
segmenter, or the same at another scale) calls at least half of that part the same.

Guarantees: a function of label maps; parts touch at edges, not at corners.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
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
    """A connected part of a class in an image: how many pixels, and its box."""

    pixels: int
    box: Box


def parts_of(mask: Mask, agreed: Mask | None = None, sizes: Sizes | None = None) -> list[Part]:
    """The connected parts of a mask, largest first.

    Args:
        mask: (H, W).
        agreed: (H, W) of a second view; parts of which it has less than ``AGREED`` are left out.
        sizes: pixels of parts that count; None: all.

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
    found = [
        Part(int(pixels[k]), (rows.start, columns.start, rows.stop, columns.stop))
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
        sizes: of parts that count; None: all.
    """

    segmenter: Segmenter
    view: View
    label: int
    second: int
    sizes: Sizes | None = None

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
        maps = self.segmenter.label_maps(pictures)
        first = pixels_of(maps, self.label)
        second = pixels_of(self.view.segmenter.label_maps(pictures), self.second)
        if first.shape != second.shape:
            raise UsageError(
                f"the second view ({self.view.words}) gives maps of {tuple(second.shape[1:])} "
                f"pixels, the first of {tuple(first.shape[1:])}; name another"
            )
        pairs = zip(first.cpu().numpy(), second.cpu().numpy(), strict=True)
        return maps, [parts_of(own, other, self.sizes) for own, other in pairs]
