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
from seeingkit.errors import SourceError
from seeingkit.system.progress import progress_bar

from ..interventions.subjects import pixels_of
from .objects import AGREED, Mask, ObjectFinder, Part, parts_of, real_sizes

BATCH = 16

Truth = Callable[[Sequence[int]], list[Mask]]
"""True places of the class in some images of a source, at the size of their label maps."""


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
        finder: with the sizes of the class's objects.
        images: how many were looked at.
        shown: share of them that show an object.
        precise: share of the objects of which at least half is truly of the class; None: no true
            labels, or no object.
        largest: rows of the images with the largest objects, and those objects.
    """

    finder: ObjectFinder
    images: int
    shown: float
    precise: float | None
    largest: list[tuple[int, Part]]


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
    known = [one.first if one.true is None else one.true for one in seen]
    sized = replace(finder, sizes=real_sizes(known))
    found = [parts_of(one.first, one.second, sized.sizes) for one in seen]
    largest = [(one.row, parts[0]) for one, parts in zip(seen, found, strict=True) if parts]
    return RealObjects(
        sized,
        len(seen),
        sum(map(bool, found)) / len(seen),
        _precise(seen, found),
        sorted(largest, key=lambda each: (-each[1].pixels, each[0])),
    )


def _seen(
    finder: ObjectFinder, pictures: Tensor, rows: Sequence[int], truth: Truth | None
) -> list[Seen]:
    first = pixels_of(finder.segmenter.label_maps(pictures), finder.label).cpu().numpy()
    second = pixels_of(finder.view.segmenter.label_maps(pictures), finder.second).cpu().numpy()
    true: Sequence[Mask | None] = [None] * len(rows)
    if truth is not None:
        true = [resized(mask, first.shape[1:]) for mask in truth(rows)]
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
