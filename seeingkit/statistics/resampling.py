"""The share of sampling in an FSD: floor, permutations, halves and the bias that they leave.

A bare FSD of n images per side is biased upwards by roughly c (1/n + 1/m) (shared evidence: two
samples of one distribution give 27 at n = 5,000 and 13.6 at n = 10,000). All functions take a seed;
the same seed gives the same numbers, whatever the order in which other functions were called. What
changes sides is an image, or a random block of very many (``blocks``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .arrays import Booleans, Floats, Integers
from .blocks import Units
from .frechet import FSD, Rows, distance_value, moments
from .products import Side, Sums

Progress = Callable[[int], None]
ENOUGH = 50
"""Images per side below which no bias-reduced value is given."""

SPLITS = 8
"""Halvings of both sides whose distances are averaged."""

DIVISIONS = 999
"""Divisions, at least, from which the tests of labels are calibrated: sums alone are cheap."""

MOST_HALVED = 100
"""Permutations of which the halves are measured, too (if any permutation is measured at all)."""


class Floor(NamedTuple):
    """The distance of two disjoint sets of real images.

    Attributes:
        value: expected at the sample sizes of the comparison, percent².
        error: standard deviation over the splits, each carried to these sizes by itself. Of fresh
            real images it is 1 to 2 times the standard deviation of the value, but a half or less
            where one class fills nearly every image.
        at_half: measured mean over the splits, at ``half`` images per side.
        half: images in each half.
    """

    value: float
    error: float
    at_half: float
    half: int


def disjoint_half_floor(
    real: Rows | sparse.csr_array,
    n_real: int,
    n_generated: int,
    *,
    seed: int = 0,
    group: Integers | None = None,
) -> Floor | None:
    """The floor of FSD for this real set, matched to the sizes of the comparison.

    Each split compares two disjoint halves of h = n // 2 real images, and two pairs of disjoint
    quarters. The mean of the halves is carried from (h, h) to (n_real, n_generated) by the power
    law n^-γ through both (½ ≤ γ ≤ 1; rare classes enter late, so that γ < 1 for few images).
    None with fewer than 4 real images; γ = 1 with fewer than ``ENOUGH``. With ``group`` (n,), the
    number of the group of each image, halves and quarters are of whole groups.

    >>> real = np.random.RandomState(0).uniform(0, 50, (40, 2))
    >>> disjoint_half_floor(real, 40, 40).half
    20
    """
    n = real.shape[0]
    group = np.arange(n) if group is None else np.unique(group, return_inverse=True)[1]
    size = int(group.max(initial=-1)) + 1
    half, quarter = size // 2, size // 4
    if half < 2:
        return None
    enough = size >= ENOUGH
    rng = np.random.default_rng([seed, 1])
    halves, quarters = [], []
    for _ in range(SPLITS):
        order = rng.permutation(size)
        place = np.argsort(order)[group]  # of each image's group in that order
        halves.append(_distance(real, place < half, (place >= half) & (place < 2 * half)))
        part = place // max(1, quarter)
        of_quarters = (
            [_distance(real, part == k, part == k + 1) for k in (0, 2)] if enough else [0.0]
        )
        quarters.append(float(np.mean(of_quarters)))
    return _floor(halves, quarters, n * half // size, n_real, n_generated)


def floor_of_units(units: Units, *, seed: int = 0) -> Floor | None:
    """``disjoint_half_floor`` of the real side of a pool, whose halves are of whole units.

    Args:
        units: at least four of the real images in one stratum, else None.
        seed: of the splits.
    """
    real = [stratum.real for stratum in units.strata]
    if max(len(members) for members in real) < 4:
        return None
    rng = np.random.default_rng([seed, 1])
    halves, quarters, images = [], [], 0
    for _ in range(SPLITS):
        chosen = np.zeros((units.count, 6))
        for members in real:
            order = rng.permutation(members)
            for first, parts in ((0, 2), (2, 4)):
                size = len(order) // parts
                for k in range(parts):
                    chosen[order[k * size : (k + 1) * size], first + k] = 1
        a, b, *of_quarters = units.sums(chosen)
        halves.append(_value(a, b))
        pairs = (of_quarters[:2], of_quarters[2:])
        quarters.append(float(np.mean([_value(*pair) for pair in pairs])))
        images = min(a.n, b.n)
    return _floor(halves, quarters, images, units.pool.n, units.pool.m)


def _floor(
    halves: Sequence[float], quarters: Sequence[float], images: int, n_real: int, n_generated: int
) -> Floor:
    """From the distances of halves of so many images, and of quarters, of each split."""
    shares = images / n_real, images / n_generated
    at_half = float(np.mean(halves))
    value = at_half * _carried(at_half, float(np.mean(quarters)), shares)
    each = [h * _carried(h, q, shares) for h, q in zip(halves, quarters, strict=True)]
    return Floor(value, float(np.std(each, ddof=1)), at_half, images)


def _carried(at_half: float, at_quarter: float, shares: tuple[float, float]) -> float:
    """Factor from the distance of halves to that of the whole numbers of images."""
    power = 1.0
    if at_half > 0 and at_quarter > 0:
        power = float(np.clip(np.log2(at_quarter / at_half), 0.5, 1.0))
    return float(sum(share**power for share in shares)) / 2


def _distance(rows: Rows | sparse.csr_array, first: Booleans, second: Booleans) -> float:
    return distance_value(moments(rows[first]), moments(rows[second]))


def half_sample_mean(units: Units, *, seed: int, splits: int) -> tuple[float, float]:
    """Mean FSD of halves of both sides, and the standard error that the choice of halves leaves.

    Args:
        units: of all images.
        splits: random halvings; both pairs of halves of each are used.
    """
    rng = np.random.default_rng([seed, 2])
    values = []
    for _ in range(splits):
        chosen = np.zeros((units.count, 4))
        for side in (0, 1):
            for stratum in units.strata:
                first, second = _halves(rng.permutation(stratum[side]))
                chosen[first, side] = 1
                chosen[second, side + 2] = 1
        a, b, c, d = units.sums(chosen)
        values.append((_value(a, b) + _value(c, d)) / 2)
    error = float(np.std(values, ddof=1)) / np.sqrt(splits) if splits > 1 else 0.0
    return float(np.mean(values)), float(error)


def _halves(order: Integers) -> tuple[Integers, Integers]:
    """The first half, and as many after it."""
    half = len(order) // 2
    return order[:half], order[half : 2 * half]


class Residual(NamedTuple):
    """The bias that 2 FSD(n) − FSD(n/2) leaves where there is no difference at all.

    Attributes:
        mean, variance: over so many ``divisions``, percent² and its square.
        by_label: (d,) mean of the same formula for each label alone, at least 0.
        overlap: (d,) mean overlap of the two sides (``overlap``).
    """

    mean: float
    variance: float
    divisions: int
    by_label: Floats
    overlap: Floats

    def share(self, found: Floats) -> float:
        """How much of it is to be expected of sides with the overlaps ``found`` (d,).

        Labels leave bias because both sides estimate them; those that only one side has leave none.
        About 1 where the sides have one distribution. One ratio for all labels, since a label of a
        single image never overlaps. Labels in few images make the residual; where λ₁ and λ₂ are
        expected on the sides it goes with √(λ₁λ₂), and the overlap seen with λ₁λ₂: hence the root.
        """
        usual = float((self.by_label * self.overlap).sum())
        ratio = float((self.by_label * found).sum()) / usual if usual > 0 else 1.0
        return float(np.sqrt(ratio))


class Permuted(NamedTuple):
    """Random divisions of all images into two sides of the same sizes: permutations of the sides.

    Attributes:
        distances: (B,) FSD of each division, percent².
        residual: bias that half-sample extrapolation leaves; None where halves are too few.
        first: sums (B', d) of the first side of each division, over the labels of ``Pool.live``:
            of those B and of as many more as make ``DIVISIONS``.
        total: sums (d,) of all images.
    """

    distances: Floats
    residual: Residual | None
    first: Side
    total: Side

    def p_value(self, observed: FSD) -> float | None:
        """Share of divisions whose FSD is at least the observed one, which is counted in.

        p = (1 + #{FSD_b ≥ FSD}) / (1 + B) (Phipson & Smyth 2010), so never 0; None for B = 0.
        """
        if not len(self.distances):
            return None
        # Divisions of few images tie, but for rounding. With no more images than labels on a side
        # the covariance is singular, and the distance carries square roots of rounding.
        fewest = np.min([self.first.n, self.total.n - self.first.n])
        rounding = 1e-6 if fewest <= len(self.total.areas) else 1e-7
        at_least = int((self.distances >= observed.value * (1 - rounding)).sum())
        return (1 + at_least) / (1 + len(self.distances))


def permute(
    units: Units, *, permutations: int, seed: int = 0, progress: Progress | None = None
) -> Permuted:
    """Divide all images at random: the basis of p-values and intervals.

    Args:
        units: what changes sides as a whole.
        permutations: divisions whose distance is measured; sums of labels are of ``DIVISIONS``.

    Whole groups change sides, as many as each side has; so its number of images may vary.
    """
    rng = np.random.default_rng([seed, 3])
    pool = units.pool
    fewest = min(pool.n, pool.m, pool.real_groups, pool.groups - pool.real_groups)
    halved = MOST_HALVED if fewest >= ENOUGH and permutations else 0
    measured = max(permutations, halved)
    everything = np.ones((units.count, 1))
    total = units.sums(everything)[0]
    distances: list[float] = []
    residuals = _Residuals(total)
    parts: list[Side] = []

    def add(value: float) -> None:
        distances.append(value)
        if progress and len(distances) <= permutations:
            progress(len(distances))

    for count in _batches(0, halved, max(1, units.at_once // 4)):
        masks = _halved_divisions(units, rng, count)
        parts.append(units.sides(masks[:, ::4]))
        found = units.sums(masks)
        for k in range(0, len(found), 4):
            add(residuals.add(*found[k : k + 4]))
    for count in _batches(halved, measured, units.at_once):
        masks = _divisions(units, rng, count)
        parts.append(units.sides(masks))
        for first in units.sums(masks):
            add(_value(first, total.without(first)))
    for count in _batches(measured, DIVISIONS, units.at_once):
        parts.append(units.sides(_divisions(units, rng, count)))
    return Permuted(
        np.array(distances[:permutations]),
        residuals.found(),
        Side.stacked(parts),
        units.side(everything),
    )


def _batches(start: int, stop: int, most: int) -> Iterator[int]:
    """Numbers of divisions that are made at once, in all from ``start`` to ``stop``."""
    return (min(most, stop - k) for k in range(start, stop, most))


def _divisions(units: Units, rng: np.random.Generator, count: int) -> Floats:
    """(units, count) 1 for the units of the real side of each random division."""
    masks = np.zeros((units.count, count))
    for column in masks.T:
        for part in units.divided(rng)[0]:
            column[part] = 1
    return masks


def _halved_divisions(units: Units, rng: np.random.Generator, count: int) -> Floats:
    """(units, 4 count) of each division the real side, its half, and both halves of the other."""
    masks = np.zeros((units.count, 4 * count))
    for k in range(0, 4 * count, 4):
        for a, b in zip(*units.divided(rng), strict=True):
            chosen = a, _halves(a)[0], *_halves(b)
            for column, members in enumerate(chosen, k):
                masks[members, column] = 1
    return masks


class _Residuals:
    """What 2 FSD(n) − FSD(n/2) is of random divisions."""

    def __init__(self, total: Sums) -> None:
        self.total = total
        self.values: list[float] = []
        self.by_label: list[Floats] = []
        self.overlaps: list[Floats] = []

    def add(self, first: Sums, half: Sums, second_half: Sums, second_rest: Sums) -> float:
        """One division, its real side first; returns its distance."""
        second = self.total.without(first)
        value = _value(first, second)
        rest = first.without(half)  # one image more than the half where n is odd
        pairs = ((half, second_half), (rest, second_rest))
        self.values.append(2 * value - sum(_value(*pair) for pair in pairs) / 2)
        apart = np.mean([_apart(*pair) for pair in pairs], axis=0)
        self.by_label.append(2 * _apart(first, second) - apart)
        self.overlaps.append(overlap(first, second))
        return value

    def found(self) -> Residual | None:
        """Over all divisions; None of none."""
        if not self.values:
            return None
        return Residual(
            float(np.mean(self.values)),
            float(np.var(self.values, ddof=1)),
            len(self.values),
            np.clip(np.mean(self.by_label, axis=0), 0.0, None),
            np.mean(self.overlaps, axis=0),
        )


def _value(a: Sums, b: Sums) -> float:
    return distance_value(a.moments(), b.moments())


def _spread(sums: Sums) -> Floats:
    """(d,) variances of the labels."""
    squares = np.diag(sums.products) - sums.areas**2 / sums.n
    return np.asarray(np.maximum(squares, 0.0) / (sums.n - 1))


def _apart(a: Sums, b: Sums) -> Floats:
    """(d,) distance of each label alone."""
    return np.asarray(
        (a.areas / a.n - b.areas / b.n) ** 2 + (np.sqrt(_spread(a)) - np.sqrt(_spread(b))) ** 2
    )


def overlap(a: Sums, b: Sums) -> Floats:
    """(d,) 2 s₁ s₂ / (s₁² + s₂²) of each label's deviations: 1 if equal, 0 on one side only."""
    first, second = _spread(a), _spread(b)
    both = first + second
    return np.asarray(
        np.where(both > 0, 2 * np.sqrt(first * second) / np.where(both > 0, both, 1), 0)
    )
