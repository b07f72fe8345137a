"""Moments of many subsets of the same images, fast.

Guarantees the moments that ``frechet.moments`` gives of each subset, to float64 rounding.

Each image shows few labels, so its outer product has few entries; they are formed once, as a sparse
matrix with one row for each pair of labels. The sums of any block of subsets are then one product
of that matrix with the subsets' 0/1 columns, instead of a matrix product for each subset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .arrays import Booleans, Floats, Integers
from .frechet import Moments, Rows

MOST_PRODUCTS = 60_000_000
"""Entries of the pair matrix (12 bytes each) above which subsets are multiplied one by one."""

_AT_ONCE = 1 << 20  # entries of the pair matrix that are formed at a time

Count = int | Floats
"""A number of images or groups: of one division or of all alike, or one for each of many."""

BLOCK = 16
"""Subsets at a time: wide enough for the processor's vectors, small beside the pair matrix."""


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


BELOW_THRESHOLD = 0.02
"""Share of a label's pooled area that its areas up to the area threshold may hold together."""


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
        pooled = sparse.vstack([sparse.csr_array(real), sparse.csr_array(generated)], format="csr")
        pooled.sum_duplicates()  # else an image would show a label twice
        pooled.eliminate_zeros()
        self.live = np.flatnonzero(np.bincount(pooled.indices, minlength=pooled.shape[1]))
        self.rows = sparse.csr_array(pooled[:, self.live])
        self.rows.sort_indices()
        self.n, self.m = real.shape[0], generated.shape[0]
        self.grouped = groups is not None
        of_real, of_generated = groups if groups is not None else (range(self.n), range(self.m))
        first, second = _codes(of_real), _codes(of_generated)
        self.real_groups = int(first.max(initial=-1)) + 1
        self.groups = self.real_groups + int(second.max(initial=-1)) + 1
        self.group = np.concatenate([first, self.real_groups + second])
        per_image = np.diff(self.rows.indptr).astype(np.int64)
        self._pairs: sparse.csr_array | None = None
        if (per_image * (per_image + 1) // 2).sum() <= MOST_PRODUCTS:
            self._codes, self._pairs = _pair_products(self.rows)
        self._areas = sparse.csr_array(self.rows.T)
        self._squares, self._cubes = self._areas.power(2), self._areas.power(3)
        self._shown = self._areas.copy()
        self._shown.data = np.ones_like(self._shown.data)
        by_label = np.split(self._areas.data, self._areas.indptr[1:-1])
        self.area_threshold = np.array([area_threshold(part) for part in by_label])
        self._seen = self._shown.copy()
        rows = np.repeat(np.arange(len(self.live)), np.diff(self._areas.indptr))
        self._seen.data = (self._areas.data > self.area_threshold[rows]).astype(np.float64)
        if self.grouped:
            images = np.arange(len(self))
            shape = (len(self), self.groups)
            within = sparse.csr_array((np.ones(len(self)), (images, self.group)), shape=shape)
            self._sizes = np.bincount(self.group, minlength=self.groups).astype(np.float64)
            self._first = np.unique(self.group, return_index=True)[1]
            self._grouped = sparse.csr_array(self._areas @ within)

    def __len__(self) -> int:
        return int(self.n + self.m)

    def real_mask(self) -> Floats:
        """(n + m,) 1 for the real images."""
        return np.asarray(np.arange(len(self)) < self.n, dtype=np.float64)

    def sums(self, masks: Floats) -> list[Sums]:
        """Sums over each subset; masks (n + m, b) of 0 and 1."""
        found: list[Sums] = []
        for start in range(0, masks.shape[1], BLOCK):
            part = np.ascontiguousarray(masks[:, start : start + BLOCK])
            sizes = part.sum(axis=0)
            areas, products = self._areas @ part, self._products(part)
            found += [Sums(int(sizes[k]), areas[:, k], products[k]) for k in range(part.shape[1])]
        return found

    def images_of(self, chosen: Floats) -> Floats:
        """(n + m, b) 1 for the images of the chosen groups; chosen (groups, b) of 0 and 1."""
        return chosen[self.group] if self.grouped else chosen

    def sides(self, masks: Floats) -> Side:
        """Sums (b, d) of each label over subsets of whole groups, without products; (n + m, b)."""
        part = np.ascontiguousarray(masks)

        def summed(table: sparse.csr_array, weights: Floats) -> Floats:
            return np.ascontiguousarray((table @ weights).T)

        areas, shown = summed(self._areas, part), summed(self._shown, part)
        seen = summed(self._seen, part)
        if not self.grouped:
            n = int(part[:, 0].sum())
            squares, cubes = (summed(table, part) for table in (self._squares, self._cubes))
            return Side(n, n, n, areas, shown, squares, areas, cubes, seen)
        groups = part[self._first]
        sized = groups * self._sizes[:, None]
        return Side(
            n=sized.sum(axis=0)[:, None],
            groups=groups.sum(axis=0)[:, None],
            sizes=(sized * self._sizes[:, None]).sum(axis=0)[:, None],
            areas=areas,
            shown=shown,
            squares=summed(self._grouped.power(2), groups),
            cross=summed(self._grouped, sized),
            cubes=summed(self._cubes, part),
            seen=seen,
        )

    def side(self, mask: Floats) -> Side:
        """Sums (d,) of each label over one subset, (n + m,)."""
        found = self.sides(mask[:, None])
        counts, sums = found[:3], found[3:]
        return Side._make([*(int(np.ravel(count)[0]) for count in counts), *(s[0] for s in sums)])

    def group_sums(self, values: Floats) -> tuple[sparse.csr_array, Floats]:
        """Sums over each group: (d, groups) of the areas, (groups,) of ``values`` (n + m,)."""
        if not self.grouped:
            return self._areas, values
        sums = np.bincount(self.group, values, minlength=self.groups)
        return self._grouped, np.asarray(sums, dtype=np.float64)

    def _products(self, masks: Floats) -> list[Floats]:
        d = self.rows.shape[1]
        if self._pairs is None:
            parts = (self.rows[np.flatnonzero(mask)].toarray() for mask in masks.T)
            return [part.T @ part for part in parts]
        found = []
        first, second = np.divmod(self._codes, d)
        for sums in (self._pairs @ masks).T:
            square = np.zeros((d, d))
            square[first, second] = sums
            square[second, first] = sums
            found.append(square)
        return found


def _codes(groups: Sequence[object]) -> Integers:
    """Numbers from 0 on, one for each group, in the order in which they come."""
    known: dict[object, int] = {}
    return np.array([known.setdefault(each, len(known)) for each in groups], dtype=np.intp)


def area_threshold(areas: Floats) -> float:
    """The largest area such that all up to it hold at most ``BELOW_THRESHOLD`` of the sum, or 0."""
    ordered = np.sort(areas)
    held = np.cumsum(ordered)
    count = int(np.searchsorted(held, BELOW_THRESHOLD * held[-1], side="right")) if len(held) else 0
    if count == 0 or count == len(ordered):
        return 0.0
    below = ordered[:count][ordered[:count] < ordered[count]]  # equal areas lie on one side of it
    return float(below[-1]) if len(below) else 0.0


def _pair_products(rows: sparse.csr_array) -> tuple[NDArray[np.int64], sparse.csr_array]:
    """Products of each two areas of an image: codes i·d + j with i ≤ j, and (codes, images).

    It is filled in place, image by image, and turned over once: 24 bytes an entry at the most.
    """
    n, d = rows.shape
    lengths = np.diff(rows.indptr).astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(lengths * (lengths + 1) // 2)])
    values, codes = np.empty(ends[-1]), np.empty(ends[-1], np.int64 if d > 46_000 else np.int32)
    for length in np.unique(lengths[lengths > 0]):
        i, j = np.triu_indices(length)
        chosen = np.flatnonzero(lengths == length)
        for part in np.array_split(chosen, len(chosen) * len(i) // _AT_ONCE + 1):
            places = rows.indptr[part][:, None] + np.arange(length)
            labels, areas = rows.indices[places].astype(codes.dtype), rows.data[places]
            at = ends[part][:, None] + np.arange(len(i))
            codes[at] = labels[:, i] * d + labels[:, j]
            values[at] = areas[:, i] * areas[:, j]
    seen = np.zeros(d * d, dtype=bool)
    seen[codes] = True
    used = np.flatnonzero(seen)
    numbers = (np.cumsum(seen) - 1).astype(codes.dtype)
    table = sparse.csr_array((values, numbers[codes], ends), shape=(n, len(used)))
    return used, sparse.csr_array(table.T)
