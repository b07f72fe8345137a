"""Sums over chosen images of areas, of their powers, and of products of two areas of an image.

Guarantees: the sums do not depend on how many choices are summed at once; memory stays the same for
any number of images, beside the rows themselves: what does not fit is formed anew, part by part,
for each call; a label that only the chosen images show has the same sum in them as in all.

Each image shows few labels, so its outer product has few entries; they are formed as a sparse
matrix with one row for each pair of labels. The sums of any block of choices are then one product
of that matrix with the 0/1 columns of the choices, instead of a matrix product for each choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .arrays import Floats, Integers
from .frechet import Rows

MOST_AREAS = 1 << 22
"""Areas of all images up to which their powers are kept (52 bytes each)."""

MOST_PRODUCTS = 1 << 23
"""Entries of the matrix of pairs up to which it is kept (12 bytes each)."""

PART = 1 << 20
"""Entries, of areas or of pairs, that are formed at a time where they are not kept."""

BELOW_THRESHOLD = 0.02
"""Share of a label's pooled area that its areas up to the area threshold may hold together."""


class AreaTables(NamedTuple):
    """Areas of some images by label (d, images), their powers, and where there are any.

    Attributes:
        images: places of the images.
        shown, seen: 1 for any area, and for one above the area threshold.
    """

    images: slice
    areas: sparse.csr_array
    squares: sparse.csr_array
    cubes: sparse.csr_array
    shown: sparse.csr_array
    seen: sparse.csr_array


class PairTable(NamedTuple):
    """Products of each two areas of some images.

    Attributes:
        images: places of the images.
        first, second: (P,) labels of each pair, first ≤ second.
        table: (P, images) sparse.
    """

    images: slice
    first: Integers
    second: Integers
    table: sparse.csr_array | sparse.csc_array


class LabelSums:
    """Sums over choices among the images of a pool.

    Args:
        rows: (N, d) areas in percent, sorted, without zeros.
        thresholds: (d,) area threshold of each label.

    >>> rows = sparse.csr_array(np.array([[60.0, 40.0], [100.0, 0.0]]))
    >>> LabelSums(rows, np.zeros(2)).products(np.ones((2, 1)))[0]
    array([[13600.,  2400.],
           [ 2400.,  1600.]])
    """

    def __init__(self, rows: sparse.csr_array, thresholds: Floats) -> None:
        self._rows, self._thresholds = rows, thresholds
        lengths = np.diff(rows.indptr).astype(np.int64)
        products = lengths * (lengths + 1) // 2
        self.kept = bool(products.sum() <= MOST_PRODUCTS)
        self._pair_parts = _parts(products, self.kept)
        self._area_parts = _parts(lengths, rows.nnz <= MOST_AREAS)
        self._kept_pairs: list[PairTable] | None = None
        self._kept_areas: list[AreaTables] | None = None
        if self.kept:
            self._kept_pairs = [pair_table(rows, part, turned=True) for part in self._pair_parts]
        if rows.nnz <= MOST_AREAS:
            self._kept_areas = list(self._formed_areas())

    def areas(self, masks: Floats) -> Floats:
        """(d, b) sums of the areas; masks (N, b) of 0 and 1, or other weights."""
        found: Floats = self._summed(masks, ("areas",))[0]
        return found

    def powers(self, masks: Floats) -> list[Floats]:
        """(b, d) sums of areas, squares, cubes, and numbers of images that show and that see."""
        found = self._summed(masks, AreaTables._fields[1:])
        return [np.ascontiguousarray(each.T) for each in found]

    def products(self, masks: Floats) -> list[Floats]:
        """(d, d) sums of the products of each two areas of an image, for each of b masks (N, b)."""
        d, b = self._rows.shape[1], masks.shape[1]
        sums = np.zeros((d * d, b))
        for part in self._pairs():
            sums[part.first * d + part.second] += part.table @ masks[part.images]
        squares = np.ascontiguousarray(sums.T).reshape(b, d, d)
        i, j = np.triu_indices(d, 1)
        squares[:, j, i] = squares[:, i, j]
        return list(squares)

    def _summed(self, masks: Floats, names: tuple[str, ...]) -> Floats:
        sums = np.zeros((len(names), self._rows.shape[1], masks.shape[1]))
        for part in self._areas():
            weights = masks[part.images]
            for total, name in zip(sums, names, strict=True):
                total += getattr(part, name) @ weights
        return sums

    def _pairs(self) -> Iterator[PairTable]:
        if self._kept_pairs is not None:
            yield from self._kept_pairs
            return
        for part in self._pair_parts:
            yield pair_table(self._rows, part)

    def _areas(self) -> Iterator[AreaTables]:
        yield from self._formed_areas() if self._kept_areas is None else self._kept_areas

    def _formed_areas(self) -> Iterator[AreaTables]:
        for part in self._area_parts:
            areas = sparse.csr_array(self._rows[part].T)
            labels = np.repeat(np.arange(areas.shape[0]), np.diff(areas.indptr))
            seen = (areas.data > self._thresholds[labels]).astype(np.float64)
            others = (areas.data**2, areas.data**3, np.ones_like(areas.data), seen)
            yield AreaTables(part, areas, *(_like(areas, data) for data in others))


def _like(table: sparse.csr_array, data: Floats) -> sparse.csr_array:
    """Other numbers at the same places, which are shared and not copied."""
    return sparse.csr_array((data, table.indices, table.indptr), shape=table.shape, copy=False)


def _parts(sizes: NDArray[np.int64], whole: bool) -> list[slice]:
    """Images in parts of about ``PART`` entries, or as one part."""
    if whole or not len(sizes):
        return [slice(0, len(sizes))]
    number = np.cumsum(sizes) // PART
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    ends = np.append(starts[1:], len(sizes))
    return [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def pair_table(rows: sparse.csr_array, part: slice, *, turned: bool = False) -> PairTable:
    """Products of each two areas of the images of a part.

    Args:
        rows: (N, d) areas, sorted.
        turned: by pair, which is faster to multiply and takes twice the memory to form; else by
            image. The sums are the same.

    >>> rows = sparse.csr_array(np.array([[60.0, 40.0], [100.0, 0.0]]))
    >>> pair_table(rows, slice(0, 2)).table.toarray()
    array([[ 3600., 10000.],
           [ 2400.,     0.],
           [ 1600.,     0.]])
    """
    start, stop, d = part.start, part.stop, rows.shape[1]
    lengths = np.diff(rows.indptr[start : stop + 1]).astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(lengths * (lengths + 1) // 2)])
    values, codes = np.empty(ends[-1]), np.empty(ends[-1], np.int64 if d > 46_000 else np.int32)
    for length in np.unique(lengths[lengths > 0]):
        i, j = np.triu_indices(length)
        chosen = np.flatnonzero(lengths == length)
        for some in np.array_split(chosen, len(chosen) * len(i) // PART + 1):
            places = rows.indptr[start + some][:, None] + np.arange(length)
            labels, areas = rows.indices[places].astype(codes.dtype), rows.data[places]
            at = ends[some][:, None] + np.arange(len(i))
            codes[at] = labels[:, i] * d + labels[:, j]
            values[at] = areas[:, i] * areas[:, j]
    seen = np.zeros(d * d, dtype=bool)
    seen[codes] = True
    used = np.flatnonzero(seen)
    numbers = (np.cumsum(seen) - 1).astype(codes.dtype)
    by_image = sparse.csr_array((values, numbers[codes], ends), shape=(len(lengths), len(used)))
    table = sparse.csr_array(by_image.T) if turned else by_image.T
    return PairTable(part, *np.divmod(used, d), table)


def pooled_rows(*sides: Rows | sparse.csr_array) -> tuple[sparse.csr_array, Integers]:
    """The rows of all sides, in order, over the labels that occur; and these labels.

    Returns:
        (N, d) areas, each label of an image once, sorted, without zeros; (d,) columns of the sides.
    """
    parts = [sparse.csr_array(side) for side in sides]
    width = parts[0].shape[1]
    starts = np.cumsum([0, *(part.nnz for part in parts)])
    kind = np.int32 if starts[-1] < 2**31 else np.int64
    ends = [part.indptr[1:].astype(kind) + kind(s) for part, s in zip(parts, starts, strict=False)]
    data = np.concatenate([part.data for part in parts]).astype(np.float64, copy=False)
    indices = np.concatenate([part.indices for part in parts]).astype(kind, copy=False)
    indptr = np.concatenate([np.zeros(1, kind), *ends])
    del parts
    rows = sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, width), copy=False)
    rows.sum_duplicates()  # else an image would show a label twice
    rows.eliminate_zeros()
    live = np.flatnonzero(np.bincount(rows.indices, minlength=width))
    if len(live) == width:
        return rows, live
    numbers = np.zeros(width, kind)
    numbers[live] = np.arange(len(live))
    taken = (rows.data, numbers[rows.indices], rows.indptr)
    return sparse.csr_array(taken, shape=(len(indptr) - 1, len(live)), copy=False), live


def area_thresholds(rows: sparse.csr_array) -> Floats:
    """(d,) ``area_threshold`` of each label; rows (N, d)."""
    counts = np.bincount(rows.indices, minlength=rows.shape[1])
    found = np.zeros(len(counts))
    start = 0
    while start < len(counts):
        held = np.cumsum(counts[start:])
        stop = start + max(1, int(np.searchsorted(held, MOST_AREAS, side="right")))
        inside = np.flatnonzero((rows.indices >= start) & (rows.indices < stop))
        labels, areas = rows.indices[inside], rows.data[inside]
        order = np.argsort(labels, kind="stable")
        by_label = np.split(areas[order], np.cumsum(counts[start:stop])[:-1])
        found[start:stop] = [area_threshold(part) for part in by_label]
        start = stop
    return found


def area_threshold(areas: Floats) -> float:
    """The largest area such that all up to it hold at most ``BELOW_THRESHOLD`` of the sum, or 0."""
    ordered = np.sort(areas)
    held = np.cumsum(ordered)
    count = int(np.searchsorted(held, BELOW_THRESHOLD * held[-1], side="right")) if len(held) else 0
    if count == 0 or count == len(ordered):
        return 0.0
    below = ordered[:count][ordered[:count] < ordered[count]]  # equal areas lie on one side of it
    return float(below[-1]) if len(below) else 0.0
