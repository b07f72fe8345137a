"""Moments of many subsets of the same images, fast.

Guarantees the moments that ``frechet.moments`` gives of each subset, to float64 rounding; the sums
come from ``labelsums``, whose memory does not grow with the number of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .arrays import Booleans, Floats, Integers
from .frechet import Moments, Rows
from .labelsums import LabelSums, area_thresholds, pooled_rows

Count = int | Floats
"""A number of images or groups: of one division or of all alike, or one for each of many."""

BLOCK = 16
"""Subsets at a time: wide enough for the processor's vectors, small beside the pair matrix."""

WIDE = 128
"""Subsets at a time, at most, where products are formed anew for each call."""

MOST_CHOICES = 1 << 24
"""Images times subsets at a time (8 bytes each), about."""


class Side(NamedTuple):
    """Sums of each label over one side: of one division (d,), or of many (B, d).

    A *group* is a set of images that belong together, such as the frames of one film; without
    groups each image is its own. Variances are of sums over groups, so they need the products of
    these sums with each other and with the sizes of the groups.

    Attributes:
        n: images; groups: how many groups; sizes: sum of the squares of their sizes. One number,
            or (B, 1) where divisions differ.
        areas: sums of areas, percent; squares: of the squares of each group's sum of areas; cross:
            of the products of that sum with the size of the group.
        shown: images that show the label.
        cubes: sums of the third powers of the areas of single images.
        seen: images that show it above the area threshold (``Pool.area_threshold``).
    """

    n: Count
    groups: Count
    sizes: Count
    areas: Floats
    shown: Floats
    squares: Floats
    cross: Floats
    cubes: Floats
    seen: Floats

    def without(self, other: Side) -> Side:
        """The sums of the other side: self holds both."""
        pairs = zip(self, other, strict=True)
        rest = Side._make(mine - theirs for mine, theirs in pairs)
        return rest._replace(squares=np.maximum(rest.squares, 0.0))

    def of(self, labels: Booleans | Integers) -> Side:
        """The sums of some of the labels."""
        return Side(self.n, self.groups, self.sizes, *(sums[..., labels] for sums in self[3:]))

    @classmethod
    def stacked(cls, parts: Sequence[Side]) -> Side:
        """One record of the divisions of all parts."""
        columns = []
        for name, column in zip(cls._fields, zip(*parts, strict=True), strict=True):
            if name in ("n", "groups", "sizes") and all(np.ndim(each) == 0 for each in column):
                columns.append(column[0])
            else:
                columns.append(np.concatenate(column))
        return cls(*columns)


class Sums(NamedTuple):
    """Sums over a subset of images: how many, areas (d,), products of pairs of labels (d, d).

    Differences of sums are the sums of the images that one subset has and the other has not.
    """

    n: int
    areas: Floats
    products: Floats

    def without(self, other: Sums) -> Sums:
        """The sums of the other images: self holds both."""
        return Sums(self.n - other.n, self.areas - other.areas, self.products - other.products)

    def moments(self) -> Moments:
        """Mean and covariance (ddof 1)."""
        mean = self.areas / self.n
        cov = (self.products - np.outer(self.areas, mean)) / (self.n - 1)
        return Moments(self.n, mean, cov)


class Pool:
    """The images of both sides, real ones first, over the labels that occur.

    Attributes:
        rows: (n + m, d) areas in percent.
        live: (d,) the labels that occur, as columns of the given rows.
        n, m: real and generated images.
        group: (n + m,) number of the group of each image, those of real images first.
        at_once: how many subsets are worth one pass over the images.
        group_rows, group_sizes: (groups, d) sums of areas, and (groups,) images of each group,
            where there are groups.
        real_groups, groups: how many there are of real images, and of all.
        area_threshold: (d,) percent; the smallest areas of the pooled images lie up to it and hold
            at most ``BELOW_THRESHOLD`` of the label's area. A segmenter strews such areas over soft
            images. Both sides have the same threshold, whichever image is on which side.

    >>> Pool(np.array([[60.0, 0.0, 40.0]] * 3), np.array([[100.0, 0.0, 0.0]] * 2)).live
    array([0, 2])
    """

    def __init__(
        self,
        real: Rows | sparse.csr_array,
        generated: Rows | sparse.csr_array,
        groups: tuple[Sequence[object], Sequence[object]] | None = None,
    ) -> None:
        self.rows, self.live = pooled_rows(real, generated)
        self.n, self.m = real.shape[0], generated.shape[0]
        self.grouped = groups is not None
        of_real, of_generated = groups if groups is not None else (range(self.n), range(self.m))
        first, second = _codes(of_real), _codes(of_generated)
        self.real_groups = int(first.max(initial=-1)) + 1
        self.groups = self.real_groups + int(second.max(initial=-1)) + 1
        self.group = np.concatenate([first, self.real_groups + second])
        self.area_threshold = area_thresholds(self.rows)
        self._sums = LabelSums(self.rows, self.area_threshold)
        self.at_once = BLOCK
        if not self._sums.kept:
            self.at_once = max(BLOCK, min(WIDE, MOST_CHOICES // max(1, len(self))))
        if self.grouped:
            images = np.arange(len(self))
            shape = (self.groups, len(self))
            within = sparse.csr_array((np.ones(len(self)), (self.group, images)), shape=shape)
            self.group_sizes = np.bincount(self.group, minlength=self.groups).astype(np.float64)
            self._first = np.unique(self.group, return_index=True)[1]
            self.group_rows = sparse.csr_array(within @ self.rows)
            self._grouped = sparse.csr_array(self.group_rows.T)

    def __len__(self) -> int:
        return int(self.n + self.m)

    def real_mask(self) -> Floats:
        """(n + m,) 1 for the real images."""
        return np.asarray(np.arange(len(self)) < self.n, dtype=np.float64)

    def sums(self, masks: Floats) -> list[Sums]:
        """Sums over each subset; masks (n + m, b) of 0 and 1."""
        found: list[Sums] = []
        for start in range(0, masks.shape[1], self.at_once):
            part = np.ascontiguousarray(masks[:, start : start + self.at_once])
            sizes = part.sum(axis=0)
            areas, products = self._sums.areas(part), self._sums.products(part)
            found += [Sums(int(sizes[k]), areas[:, k], products[k]) for k in range(part.shape[1])]
        return found

    def images_of(self, chosen: Floats) -> Floats:
        """(n + m, b) 1 for the images of the chosen groups; chosen (groups, b) of 0 and 1."""
        return chosen[self.group] if self.grouped else chosen

    def sides(self, masks: Floats) -> Side:
        """Sums (b, d) of each label over subsets of whole groups, without products; (n + m, b)."""
        part = np.ascontiguousarray(masks)
        areas, squares, cubes, shown, seen = self._sums.powers(part)
        if not self.grouped:
            n = int(part[:, 0].sum())
            return Side(n, n, n, areas, shown, squares, areas, cubes, seen)
        groups = part[self._first]
        sized = groups * self.group_sizes[:, None]
        squares, cross = self._grouped.power(2) @ groups, self._grouped @ sized
        return Side(
            n=sized.sum(axis=0)[:, None],
            groups=groups.sum(axis=0)[:, None],
            sizes=(sized * self.group_sizes[:, None]).sum(axis=0)[:, None],
            areas=areas,
            shown=shown,
            squares=np.ascontiguousarray(squares.T),
            cross=np.ascontiguousarray(cross.T),
            cubes=cubes,
            seen=seen,
        )

    def side(self, mask: Floats) -> Side:
        """Sums (d,) of each label over one subset, (n + m,)."""
        return one_side(self.sides(mask[:, None]))

    def group_sums(self, values: Floats) -> Floats:
        """(groups,) sums over each group of ``values`` (n + m,), one of each image."""
        if not self.grouped:
            return values
        return np.bincount(self.group, values, minlength=self.groups).astype(np.float64)

    def crossed(self, values: Floats) -> Floats:
        """(d,) sums over groups of the area of each label times ``values`` (groups,)."""
        if self.grouped:
            return np.asarray(self._grouped @ values)
        return self._sums.areas(values[:, None])[:, 0]


def one_side(found: Side) -> Side:
    """The sums (d,) of the first of several divisions (B, d)."""
    counts, sums = found[:3], found[3:]
    return Side._make([*(int(np.ravel(count)[0]) for count in counts), *(s[0] for s in sums)])


def _codes(groups: Sequence[object]) -> Integers:
    """Numbers from 0 on, one for each group, in the order in which they come."""
    known: dict[object, int] = {}
    return np.array([known.setdefault(each, len(known)) for each in groups], dtype=np.intp)
