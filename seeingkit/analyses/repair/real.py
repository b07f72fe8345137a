"""Objects of a class in real images: how large they are, how often they are shown, and how many of
those found lie on true labels.

Guarantee: which images are looked at depends on the seed and the source alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seeingkit.contracts import ImageSource
from seeingkit.errors import SourceError, UsageError
from seeingkit.system.progress import progress_bar

from .objects import AGREED, Mask, ObjectFinder, Part, Shape, parts_of, real_sizes

BATCH = 16

LEAST_PARTS = 20
"""Real parts from which on a shape is asked for: that of fewer would refuse most others."""

Truth = Callable[[Sequence[int]], Sequence[Mask | None]]
"""True places of the class in some images of a source, at the size of their label maps; None of an
image without true labels."""


class Seen(NamedTuple):
    """A real image: where each view sees the class, and where it truly is."""

    row: int
    first: Mask
    second: Mask
    true: Mask | None


@dataclass(frozen=True, eq=False)
class RealObjects:
    """Objects of a class in real images.

    Attributes:
        finder: with sizes and shape of the class's objects, from every other image; without a
            shape where these show fewer than ``LEAST_PARTS`` parts.
        images: the other images, in which objects are counted.
        shown: share of them that show an object.
        precise: share of their objects of which at least half is truly of the class; None: no true
            labels, or no object.
        largest: rows of the images with the largest objects, and those objects.
        pixels: of a label map.
    """

    finder: ObjectFinder
    images: int
    shown: float
    precise: float | None
    largest: list[tuple[int, Part]]
    pixels: int


def real_objects(
    source: ImageSource, finder: ObjectFinder, n: int, seed: int, truth: Truth | None = None
) -> RealObjects:
    """Look for a class in real images.

    Args:
        source: prepared as it was counted.
        finder: of parts of any size.
        n: images, at most.
        seed: of their choice.
        truth: true places of the class, where they are known.

    Raises:
        SourceError: no image can be read.
        UsageError: none shows an object, so that nothing can be said of generated ones.

    ``real_objects(source, finder, 500, 0).shown``
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(source))[:n]).tolist()
    seen: list[Seen] = []
    label = finder.segmenter.vocabulary.names[finder.label]
    with progress_bar(f"real images with {label}", len(rows), "images") as bar, torch.no_grad():
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            pictures, good, _ = source.load(some)
            bar.advance(len(some))
            if pictures is not None:
                seen += _seen(finder, pictures, list(good), truth)
    if not seen:
        raise SourceError(f"{source.name}: none of {len(rows)} images can be read")
    known = [one.first if one.true is None else one.true for one in seen[::2]]
    sized = replace(finder, sizes=real_sizes(known))
    parts = [parts_of(one.first, one.second, sized.sizes) for one in seen]
    found = _scored(source, sized, seen, parts)
    fitted = [part for each in found[::2] for part in each]
    shape = Shape.of(fitted) if len(fitted) >= LEAST_PARTS else None
    if shape is not None:
        found = [[part for part in each if shape.has(part)] for each in found]
        sized = replace(sized, shape=shape)
    if not any(found[1::2]):
        raise UsageError(
            f"none of {len(found[1::2]):,} real images shows an object of {label} that both views "
            "agree on, so it cannot be told whether generated ones do: take more real images"
        )
    largest = [(one.row, parts[0]) for one, parts in zip(seen, found, strict=True) if parts]
    return RealObjects(
        sized,
        len(seen[1::2]),
        sum(map(bool, found[1::2])) / len(seen[1::2]),
        _precise(seen[1::2], found[1::2]),
        sorted(largest, key=lambda each: (-each[1].pixels, each[0])),
        seen[0].first.size,
    )


def _scored(
    source: ImageSource, finder: ObjectFinder, seen: Sequence[Seen], parts: Sequence[list[Part]]
) -> list[list[Part]]:
    """The parts with how surely they are of the class."""
    found = list(parts)
    shown = [k for k, each in enumerate(parts) if each]
    with torch.no_grad():
        for start in range(0, len(shown), BATCH):
            some = shown[start : start + BATCH]
            pictures, good, _ = source.load([seen[k].row for k in some])
            if pictures is None:
                continue
            places = {seen[k].row: k for k in some}
            scores = finder.scores(pictures, seen[some[0]].first.shape)
            for row, own in zip(good, scores, strict=True):
                one = seen[places[row]]
                found[places[row]] = parts_of(one.first, one.second, finder.sizes, own)
    return found


def _seen(
    finder: ObjectFinder, pictures: Tensor, rows: Sequence[int], truth: Truth | None
) -> list[Seen]:
    _, first, second = finder.views(pictures)
    true: Sequence[Mask | None] = [None] * len(rows)
    if truth is not None:
        size = first.shape[1:]
        true = [None if mask is None else resized(mask, size) for mask in truth(rows)]
    return [Seen(*each) for each in zip(rows, first, second, true, strict=True)]


def resized(mask: Mask, size: Sequence[int]) -> Mask:
    """A mask (H, W) at another size, each pixel the nearest one.

    >>> resized(np.array([[True, False]]), (2, 2)).tolist()
    [[True, False], [True, False]]
    """
    if tuple(mask.shape) == tuple(size):
        return mask
    rows, columns = (
        ((np.arange(side) + 0.5) * whole / side).astype(np.int64)
        for side, whole in zip(size, mask.shape, strict=True)
    )
    return np.asarray(mask[np.ix_(rows, columns)], np.bool_)


def _precise(seen: Sequence[Seen], found: Sequence[list[Part]]) -> float | None:
    right = many = 0
    for one, parts in zip(seen, found, strict=True):
        if one.true is None:
            continue
        for part in parts:
            top, left, bottom, right_end = part.box
            box = (slice(top, bottom), slice(left, right_end))
            own, true = one.first[box], one.true[box]
            right += bool((own & true).sum() >= AGREED * own.sum())
            many += 1
    return right / many if many else None
