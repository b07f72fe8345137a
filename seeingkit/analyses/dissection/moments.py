"""Sums over groups of images from which every number of a dissection follows.

Guarantees: whole numbers, so that adding is exact and in any order: parts made by several
processes, or before and after a kill, give the same bits. The memory does not grow with the images.

For unit u and class c, at the level of the pair, a group of images g gives

* I_g: pixels above the level and of the class;
* V_g: pixels above the level or of the class (the union);
* J_g: as I_g, but with the label maps of other images of the group, summed over ``shifts``
  exchanges: what place and area alone would give.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .counting import PairCounts, Ranks
from .observation import Layer, Observation

SHIFTS = (5, 8)
"""Each map of a group meets the label map of the image so many places further on, too."""
STRONGEST = 12
"""Images of a unit that are kept, by its greatest value."""

VALUES = 1 << 22
"""Values of units at pixels that are counted at once (16 MiB)."""

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Moments:
    """The sums of a layer; (U, C) int64 unless said otherwise.

    Attributes:
        groups: of images, of at least two each.
        images: in them.
        pixels: of a plane, in all.
        area: (C,) pixels of each class.
        both, union, exchanged: sums of I, V and J.
        both2, both_union, union2: sums of I², IV and V².
        excess, excess2: sums of S I - J, for S exchanges, and of its square: over chance.
        strongest: (U, K) numbers of the images with the greatest values of each unit, -1: none.
        peaks: (U, K) float32, those values.
    """

    groups: int
    images: int
    pixels: int
    area: Whole
    both: Whole
    union: Whole
    exchanged: Whole
    both2: Whole
    both_union: Whole
    union2: Whole
    excess: Whole
    excess2: Whole
    strongest: Whole
    peaks: NDArray[np.float32]

    @property
    def active(self) -> Whole:
        """(U, C) pixels above the level of the pair."""
        return self.union + self.both - self.area

    def __add__(self, other: Moments) -> Moments:
        summed = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields(self)
            if field.name not in ("strongest", "peaks")
        }
        strongest, peaks = _strongest(
            np.concatenate([self.strongest, other.strongest], 1),
            np.concatenate([self.peaks, other.peaks], 1),
        )
        return Moments(**summed, strongest=strongest, peaks=peaks)


def _strongest(images: Whole, peaks: NDArray[np.float32]) -> tuple[Whole, NDArray[np.float32]]:
    """The ``STRONGEST`` of each row, greatest first; of equal values the lower number first."""
    order = np.lexsort((images, -peaks), axis=1)[:, :STRONGEST]
    return np.take_along_axis(images, order, 1), np.take_along_axis(peaks, order, 1)


def nothing(units: int, columns: int) -> Moments:
    """The sums of no images.

    >>> nothing(3, 2).both.shape
    (3, 2)
    """
    zeros = {
        field.name: np.zeros((units, columns), np.int64)
        for field in fields(Moments)
        if field.name not in ("groups", "images", "pixels", "area", "strongest", "peaks")
    }
    return Moments(
        groups=0,
        images=0,
        pixels=0,
        area=np.zeros(columns, np.int64),
        strongest=np.full((units, STRONGEST), -1, np.int64),
        peaks=np.full((units, STRONGEST), -np.inf, np.float32),
        **zeros,
    )


class Levels(NamedTuple):
    """Levels of the units of a layer.

    Attributes:
        values: (U, T) float32, ascending.
        places: (U, C) int64: the level of each unit and class among them; -1: none, which counts
            as the lowest.
        even: the levels of a unit have equal distances.
    """

    values: Tensor
    places: Tensor
    even: bool = False


def group_moments(
    seen: Observation, layer: Layer, levels: Levels, columns: Tensor, classes: int
) -> Moments:
    """The sums of one group of images.

    Args:
        seen: the group.
        layer: one of its layers.
        levels: of its units.
        columns: (planes, labels) the column of each label, as of ``counting.Ranks.pairs``.
        classes: C, how many columns there are.
    """
    count, units = len(seen.indices), layer.units
    if seen.labels is None or count < 2:
        return nothing(units, classes)
    shifts = _shifts(count)
    counted, tops = list[PairCounts](), list[Tensor]()
    for start in range(0, units, step := units_at_once(seen.labels)):
        some = slice(start, start + step)
        values = seen.values(layer.name, start, start + step)
        above = Ranks.of(values, levels.values[some], even=levels.even)
        places = levels.places[some].to(values.device).clamp(min=0)
        counted.append(above.pairs(seen.labels, columns, places, shifts))
        tops.append(values.flatten(2).amax(2).T.float().cpu())  # (U, M)
    both, active, exchanged = (
        np.asarray(torch.cat(parts).cpu().numpy(), np.int64) for parts in zip(*counted, strict=True)
    )
    area = _areas(seen.labels, columns, classes)
    union = active + area - both
    excess = len(shifts) * both - exchanged
    peaks = torch.cat(tops).numpy()
    images = np.broadcast_to(np.array(seen.indices, np.int64), peaks.shape)
    missing = max(0, STRONGEST - count)
    strongest, best = _strongest(
        np.pad(images, ((0, 0), (0, missing)), constant_values=-1),
        np.pad(peaks, ((0, 0), (0, missing)), constant_values=-np.inf),
    )
    return Moments(
        groups=1,
        images=count,
        pixels=seen.labels[:, 0].numel(),
        area=area,
        both=both,
        union=union,
        exchanged=exchanged,
        both2=both**2,
        both_union=both * union,
        union2=union**2,
        excess=excess,
        excess2=excess**2,
        strongest=strongest,
        peaks=best,
    )


def units_at_once(labels: Tensor) -> int:
    """Units whose values are laid over these label maps (M, planes, H, W) at once, by ``VALUES``.

    >>> units_at_once(torch.zeros(16, 1, 32, 32))
    256
    """
    return max(1, VALUES // labels[:, 0].numel())


def _shifts(count: int) -> list[int]:
    """Exchanges of a group of so many: always as many, so that their sums add up."""
    if count > max(SHIFTS):
        return list(SHIFTS)
    return [1 + k * (count - 1) // len(SHIFTS) for k in range(len(SHIFTS))]


def _areas(labels: Tensor, columns: Tensor, classes: int) -> Whole:
    found = torch.zeros(classes + 1, dtype=torch.int64, device=labels.device)
    for plane, numbers in enumerate(columns.to(labels.device)):
        column = numbers[labels[:, plane]].flatten()
        found += torch.bincount(column + 1, minlength=classes + 1)
    return np.asarray(found[1:].cpu().numpy(), np.int64)


def summed(parts: Iterable[Moments], units: int, columns: int) -> Moments:
    """The sums of all parts.

    >>> summed([], 3, 2).images
    0
    """
    total = nothing(units, columns)
    for part in parts:
        total = total + part
    return total
