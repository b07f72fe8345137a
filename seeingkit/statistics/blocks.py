"""What changes sides as a whole in random divisions: each image, or of very many, random blocks.

Guarantees: permutation tests stay exact whatever the size of the blocks; both sides keep their
numbers of images; every number is a function of the images and the seed.

Of up to ``MOST_SINGLE`` images each changes sides by itself. Of more, the images of each side are
divided at random, before any division of the sides, into blocks of one size, about ``BLOCKS`` in
all. What is left over makes blocks of the square root of that size, and so on down to single
images. Blocks take the places of blocks of their own size only.

- *Exact.* Where both sides have one distribution, all images may be exchanged, so blocks of one
  size may be, too, in which images were put without looking at them. These exchanges form a group,
  and the observed sides are one of its elements; that is all a permutation test asks for (Hemerik &
  Goeman 2018, theorem 1).
- *Enough.* The sums of a block stand for those of its images, so a division costs the same for a
  million images as for ``BLOCKS``. Half of the blocks are a random half of the images; but how they
  vary is known from as many blocks as there are, so of K blocks a side the floor and the spread of
  the permutations have a relative error of up to √(2 / K), 2 % for 4,000.
- *Not narrower.* Where the sides differ, divisions of blocks vary more than those of single images:
  the mean term is δ² / K larger for a difference of the means of δ. So intervals far from 0 are
  hardly, and never falsely, wider.

With groups, whole groups make the blocks.
"""

from __future__ import annotations

from math import ceil, isqrt
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .arrays import Floats, Integers
from .products import WIDE, Pool, Side, Sums, one_side

MOST_SINGLE = 100_000
"""Images (or groups) of both sides up to which each changes sides by itself."""

BLOCKS = 8000
"""Blocks of both sides of more images, about; fewer where there are very many labels."""

FEWEST = 600
"""Blocks at least, whatever the number of labels."""

MOST_SUMS = 1 << 25
"""Sums of products of all blocks (12 bytes each), about, unless there are ``FEWEST`` blocks."""


class Stratum(NamedTuple):
    """Units that may take each other's places: numbers of those of the real images, and others."""

    real: Integers
    generated: Integers


class Units:
    """The images, or groups of images, of a pool: each changes sides by itself.

    Attributes:
        size: images (or groups) in the largest unit.
        count: how many units there are, those of the real images first.
        strata: units of equal size.
        at_once: how many subsets of the units are worth one pass.

    >>> units = Units(Pool(np.array([[60.0], [40.0]]), np.array([[100.0]])))
    >>> units.count, units.strata[0].generated
    (3, array([2]))
    """

    def __init__(self, pool: Pool) -> None:
        self.pool, self.size, self.count = pool, 1, pool.groups
        real, others = np.arange(pool.real_groups), np.arange(pool.real_groups, pool.groups)
        self.strata = [Stratum(real, others)]
        self.at_once = pool.at_once

    def divided(self, rng: np.random.Generator) -> tuple[list[Integers], list[Integers]]:
        """One random division: the units of each stratum on the real and on the other side."""
        sides: tuple[list[Integers], list[Integers]] = ([], [])
        for stratum in self.strata:
            every = np.concatenate(stratum)
            order = every[rng.permutation(len(every))]
            sides[0].append(order[: len(stratum.real)])
            sides[1].append(order[len(stratum.real) :])
        return sides

    def of_sides(self) -> Floats:
        """(units, 2) 1 for the units of the real, and of the generated images."""
        chosen = np.zeros((self.count, 2))
        for stratum in self.strata:
            for side, members in enumerate(stratum):
                chosen[members, side] = 1
        return chosen

    def sums(self, chosen: Floats) -> list[Sums]:
        """Sums over the images of chosen units; chosen (units, b) of 0 and 1."""
        return self.pool.sums(self.pool.images_of(chosen))

    def sides(self, chosen: Floats) -> Side:
        """Sums (b, d) of each label over the images of chosen units, without products."""
        return self.pool.sides(self.pool.images_of(chosen))

    def side(self, chosen: Floats) -> Side:
        """Sums (d,) of each label over the images of one choice of units, (units, 1)."""
        return one_side(self.sides(chosen))


class Blocks(Units):
    """Random blocks of the images, or groups of images, of a pool, and their sums.

    Args:
        seed: of the blocks.
        size: images (or groups) in each of the largest blocks.

    >>> blocks = Blocks(Pool(np.ones((6, 1)), np.ones((4, 1))), seed=0, size=2)
    >>> [tuple(map(len, stratum)) for stratum in blocks.strata]
    [(2, 2), (2, 0)]
    """

    def __init__(self, pool: Pool, *, seed: int, size: int) -> None:
        super().__init__(pool)
        rng = np.random.default_rng([seed, 51])
        left = [rng.permutation(each) for each in self.strata[0]]
        members: list[list[Integers]] = [[], []]
        sizes: list[list[int]] = [[], []]
        while True:
            for side in (0, 1):
                # Halves of a side are of whole blocks, so there are as many blocks in each.
                count = len(left[side]) if size == 1 else 2 * (len(left[side]) // (2 * size))
                taken, left[side] = np.split(left[side], [count * size])
                members[side] += list(taken.reshape(count, size))
                sizes[side] += [size] * count
            if size == 1:
                break
            size = isqrt(size)
        self.size, self.at_once = max(sizes[0] + sizes[1]), WIDE
        self.count = len(sizes[0]) + len(sizes[1])
        self.strata = []
        for each in sorted({*sizes[0], *sizes[1]}, reverse=True):
            real, others = (np.flatnonzero(np.array(side, np.intp) == each) for side in sizes)
            self.strata.append(Stratum(real, len(sizes[0]) + others))
        found = _BlockSums(pool, members[0] + members[1])
        self._counts, self._powers, self._products = found.counts, found.powers, found.products
        self._areas = self._powers[: len(pool.live)]

    def sums(self, chosen: Floats) -> list[Sums]:
        """See ``Units.sums``."""
        masks = np.ascontiguousarray(chosen)
        images, areas, products = (
            np.ascontiguousarray(table.T)
            for table in (self._counts[0] @ masks, self._areas @ masks, self._products @ masks)
        )
        d = areas.shape[1]
        squares = np.empty((len(areas), d, d))
        i, j = np.triu_indices(d)
        squares[:, i, j] = squares[:, j, i] = products
        return [Sums(int(n), *of) for n, *of in zip(images, areas, squares, strict=True)]

    def sides(self, chosen: Floats) -> Side:
        """See ``Units.sides``."""
        masks = np.ascontiguousarray(chosen)
        found = np.ascontiguousarray((self._powers @ masks).T)
        areas, shown, squares, cross, cubes, seen = found.reshape(len(found), 6, -1).swapaxes(0, 1)
        counts = (self._counts @ masks)[:, :, None]
        if self.pool.grouped:
            n, groups, sizes = counts
            return Side(n, groups, sizes, areas, shown, squares, cross, cubes, seen)
        images = int(counts[0, 0, 0])
        return Side(images, images, images, areas, shown, squares, cross, cubes, seen)


class _BlockSums:
    """Sums over each of U blocks.

    Attributes:
        counts: (3, U) images, groups, and the squares of the groups' numbers of images.
        powers: (6 d, U) the sums of a ``Side``; products: (d (d + 1) / 2, U) of pairs of labels.
    """

    def __init__(self, pool: Pool, members: list[Integers]) -> None:
        self._pool, d = pool, len(pool.live)
        self._order = np.argsort(pool.group, kind="stable")
        self._starts = np.searchsorted(pool.group[self._order], np.arange(pool.groups + 1))
        upper = np.triu_indices(d)
        self.counts = np.empty((3, len(members)))
        powers, products = np.empty((len(members), 6 * d)), np.empty((len(members), len(upper[0])))
        for k, groups in enumerate(members):
            images = self._images(groups)
            sizes = pool.group_sizes[groups] if pool.grouped else np.ones(len(groups))
            self.counts[:, k] = len(images), len(groups), sizes @ sizes
            rows = sparse.csr_array(pool.rows[images])
            powers[k] = self._of_labels(rows, groups, sizes).ravel()
            products[k] = (rows.T @ rows).toarray()[upper]
        self.powers, self.products = _filled(powers), _filled(products)

    def _images(self, groups: Integers) -> Integers:
        if not self._pool.grouped:
            return groups
        parts = [self._order[self._starts[g] : self._starts[g + 1]] for g in groups]
        return np.concatenate(parts)

    def _of_labels(self, rows: sparse.csr_array, groups: Integers, sizes: Floats) -> Floats:
        """(6, d) areas, shown, squares, cross, cubes, seen of the images of one block."""
        pool, labels, areas = self._pool, rows.indices, rows.data

        def summed(table: sparse.csr_array, values: Floats | None) -> Floats:
            return np.bincount(table.indices, values, minlength=len(pool.live)).astype(np.float64)

        whole, weights = rows, np.ones(len(areas))
        if pool.grouped:
            whole = sparse.csr_array(pool.group_rows[groups])
            weights = np.repeat(sizes, np.diff(whole.indptr))
        return np.stack(
            [
                summed(rows, areas),
                summed(rows, None),
                summed(whole, whole.data**2),
                summed(whole, whole.data * weights),
                summed(rows, areas**3),
                summed(rows, (areas > pool.area_threshold[labels]).astype(np.float64)),
            ]
        )


def _filled(table: Floats) -> sparse.csr_array:
    """The transpose as a sparse matrix, whose products sum in one order for any number of columns.

    So a label that is in chosen blocks alone has exactly the same sum in them as in all.
    """
    size, width = table.shape
    places = np.tile(np.arange(size, dtype=np.int32), width)
    ends = np.arange(0, table.size + 1, size)
    data = np.ascontiguousarray(table.T).ravel()
    return sparse.csr_array((data, places, ends), shape=(width, size))


def units_of(pool: Pool, seed: int) -> Units:
    """The units of a pool: images or groups, or blocks of them where there are very many.

    >>> units_of(Pool(np.ones((3, 1)), np.ones((2, 1))), 0).size
    1
    """
    if pool.groups <= MOST_SINGLE:
        return Units(pool)
    labels = len(pool.live)
    most = max(FEWEST, min(BLOCKS, 2 * MOST_SUMS // max(1, labels * (labels + 1))))
    smaller = min(pool.real_groups, pool.groups - pool.real_groups)
    # Of sides of very different size the smaller one has blocks enough, within what memory holds.
    size = min(ceil(pool.groups / most), max(4 * smaller // FEWEST, 1))
    return Blocks(pool, seed=seed, size=max(size, ceil(pool.groups / (4 * most))))
