"""Sign-flip tests of paired numbers, and the intervals that come from inverting them.

Guarantees: p is exact where all sign flips are enumerated, else at least 1/(N + 1) for N random
ones, and is never extrapolated; an interval leaves out 0 exactly where p is at most 1 − confidence;
ends and p do not depend on the order of the pairs where flips are enumerated; swapping the sides
turns every interval round.

A pair k has x_k on the first side and y_k on the second, and d_k = y_k − x_k. If swapping the two
changes nothing, or d is symmetric about 0, all sign patterns s of d are equally likely, and

    p = share of patterns with |Σ s_k d_k| ≥ |Σ d_k|                              (Fisher 1935, 21)

A pattern divides the pairs into a set I (s = −1) and its complement C. For a shift μ below the mean
of d the pattern is at least as extreme if and only if the mean of d over I or over C is at most μ
(Hartigan 1969). So p rises with μ one set at a time, and the ends of the interval are order
statistics of the means of sets: nothing is searched or approximated. The same holds for a ratio r,
d_k = y_k − r x_k, with the ratios Σ_I y / Σ_I x instead of the means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .arrays import Floats

MOST_ENUMERATED = 20
"""Pairs that differ, up to which all sign flips are enumerated (2^19 divisions in two)."""

FLIPS = 9_999
"""Random sign flips, at least, where there are too many to enumerate."""

MOST_FLIPS = 99_999
"""Random sign flips, at most."""

_ROUNDING = 1e-12
"""Sums this small beside the sum of all absolute values are 0."""

_BLOCK = 256


class FlipTest(NamedTuple):
    """One question about the pairs of one class.

    Attributes:
        p: two-sided.
        exact: all flips were enumerated.
        flips: flips behind p, without the pairs as they are.
        divisions: N, the divisions in two behind the intervals.
        below, above: mean of d at which each division of the pairs becomes as extreme as the pairs
            are, going down and going up from their mean; infinite: it always is. Of all N, the
            lowest (highest) that an interval can need.
        ratio_below, ratio_above: the same for Σy / Σx.
        mean: of d; ratio: Σy / Σx, NaN where x is 0 throughout.
    """

    p: float
    exact: bool
    flips: int
    divisions: int
    below: Floats
    above: Floats
    ratio_below: Floats
    ratio_above: Floats
    mean: float
    ratio: float

    def mean_interval(self, cut: float) -> tuple[float, float]:
        """Ends of the mean of d at confidence 1 − cut; infinite where the flips are too few.

        The cut is at most the one that the test was made for (``sign_flip_tests``).
        """
        return self._agreeing(self._ends(self.below, self.above, cut), 0.0, cut)

    def ratio_interval(self, cut: float) -> tuple[float, float]:
        """Ends of Σy / Σx at confidence 1 − cut, (NaN, NaN) where x is 0 throughout.

        Where y is 0 throughout, no ratio above 0 is ever in doubt: then the upper end is that of
        the mean of d beside the mean of x, so that "all of it is gone" keeps a width.
        """
        if np.isnan(self.ratio):
            return np.nan, np.nan
        low, high = self._ends(self.ratio_below, self.ratio_above, cut)
        if self.ratio == 0:
            high = max(0.0, 1 - self.mean_interval(cut)[1] / self.mean)
            low = 0.0
        return self._agreeing((max(0.0, low), high), 1.0, cut)

    def _ends(self, below: Floats, above: Floats, cut: float) -> tuple[float, float]:
        """Smallest and largest value whose p, (1 + as extreme) / (1 + N), is above the cut."""
        rank = min(int(np.floor(cut * (self.divisions + 1) * (1 + _ROUNDING))), len(below))
        if rank == 0:
            return -np.inf, np.inf
        low = np.partition(below, rank - 1)[rank - 1]
        high = np.partition(above, len(above) - rank)[len(above) - rank]
        return float(low), float(high)

    def _agreeing(self, ends: tuple[float, float], null: float, cut: float) -> tuple[float, float]:
        """Ends that leave out the null if and only if p is at most the cut.

        They do by construction where test and interval have the same flips. Where the test
        enumerates the few pairs that differ, and the interval draws flips of all, they can differ
        by the error of drawing.
        """
        low, high = ends
        if self.p > cut * (1 + _ROUNDING):
            return min(low, null), max(high, null)
        centre, below, above = self.mean, self.below, self.above
        if null == 1:
            centre, below, above = self.ratio, self.ratio_below, self.ratio_above
        if self.mean > 0 and low <= null:
            low = float(np.min(below, where=below > null, initial=centre))
        if self.mean < 0 and high >= null:
            high = float(np.max(above, where=above < null, initial=centre))
        return low, high


def flips_needed(classes: int, level: float, questions: int) -> int:
    """Random flips with which the smallest p passes four times over, if one class alone differs.

    >>> flips_needed(18, 0.05, 2), flips_needed(200, 0.05, 2)
    (9999, 31999)
    """
    wanted = int(np.ceil(4 * questions * max(1, classes) / level))
    return min(MOST_FLIPS, max(FLIPS, wanted - 1))


def sign_flip_tests(
    first: Floats, second: Floats, *, seed: int = 0, flips: int = FLIPS, most_cut: float = 1.0
) -> Iterator[FlipTest]:
    """The test of each column: is the mean of second − first 0?

    Args:
        first, second: (n, L) numbers that are not negative, row k of one belonging to row k of the
            other.
        seed: of random flips, which all columns share.
        flips: how many of them.
        most_cut: largest 1 − confidence of an interval that will be asked for; it saves memory.

    >>> test, = sign_flip_tests(np.array([[3.0], [2.0], [1.0]]), np.zeros((3, 1)))
    >>> test.p, test.exact, test.mean_interval(0.25)
    (0.25, True, (-3.0, -1.0))
    """
    n, columns = first.shape
    if n <= MOST_ENUMERATED:
        inside = subset_sums(np.ones(n))[1:]
        for k in range(columns):
            x, y = first[:, k], second[:, k]
            parts = subset_sums(x)[1:], subset_sums(y)[1:]
            yield _test(x, y, inside, *parts, most_cut=most_cut, exact=True)
        return
    inside, sums = np.empty(flips), np.empty((2, flips, columns))
    start = 0
    for block in _random_sets(n, seed, flips):
        stop = start + len(block)
        inside[start:stop] = block.sum(axis=1)
        sums[0, start:stop] = block @ first
        sums[1, start:stop] = block @ second
        start = stop
    for k in range(columns):
        x, y, parts = first[:, k], second[:, k], (sums[0, :, k], sums[1, :, k])
        yield _test(x, y, inside, *parts, most_cut=most_cut, exact=False)


def subset_sums(values: Floats) -> Floats:
    """Sums over the 2^(n-1) sets without the last of n values; the first is the empty set's.

    With their complements these are all divisions in two; the order is that of doubling.

    >>> subset_sums(np.array([1.0, 2.0, 9.0]))
    array([0., 1., 2., 3.])
    """
    sums = np.zeros(1)
    for value in values[:-1]:
        sums = np.concatenate([sums, sums + value])
    return sums


def _random_sets(n: int, seed: int, flips: int) -> Iterator[Floats]:
    """Random sets of n pairs as blocks of rows of 0 and 1."""
    rng = np.random.default_rng([seed, 13])
    for start in range(0, flips, _BLOCK):
        count = min(_BLOCK, flips - start)
        bits = rng.integers(0, 256, (count, (n + 7) // 8), dtype=np.uint8)
        yield np.unpackbits(bits, axis=1, count=n).astype(np.float64)


def _test(
    x: Floats,
    y: Floats,
    inside: Floats,
    first: Floats,
    second: Floats,
    *,
    most_cut: float,
    exact: bool,
) -> FlipTest:
    """The test of one class; ``first`` and ``second`` are the sums of x and y over each set."""
    n, whole_x, whole_y = len(x), float(x.sum()), float(y.sum())
    d = y - x
    size = float(np.abs(d).sum())
    difference = float(_snapped(d.sum(), size))
    d_in = _snapped(second - first, size)
    d_out = _snapped(difference - d_in, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = d_in / inside, d_out / (n - inside)
        x_in, y_in = _snapped(first, whole_x), _snapped(second, whole_y)
        x_out, y_out = _snapped(whole_x - x_in, whole_x), _snapped(whole_y - y_in, whole_y)
        ratios = (
            np.where((d_in == 0) & (x_in > 0), 1.0, y_in / x_in),
            np.where((d_out == 0) & (x_out > 0), 1.0, y_out / x_out),
        )
    kept = int(np.ceil(most_cut * (len(inside) + 1)))
    below, above = _outward(*means, kept)
    ratio_below, ratio_above = _outward(*ratios, kept)
    if difference == 0:
        p, flips = 1.0, len(inside)
    elif not exact and (k := int((d != 0).sum())) <= MOST_ENUMERATED:
        sums = _snapped(subset_sums(d[d != 0])[1:], size)
        p, flips = _share(sums, _snapped(difference - sums, size), difference), 2 ** (k - 1) - 1
        exact = True
    else:
        p, flips = _share(d_in, d_out, difference), len(inside)
    ratio = whole_y / whole_x if whole_x > 0 else np.nan
    thresholds = below, above, ratio_below, ratio_above
    return FlipTest(p, exact, flips, len(inside), *thresholds, difference / n, ratio)


def _share(inside: Floats, outside: Floats, whole: float) -> float:
    """(1 + divisions as extreme) / (1 + divisions): a part of the sum has the other sign, or is 0.

    |Σ s d| = |whole − 2 · inside| ≥ |whole| where inside · sign ≤ 0 or outside · sign ≤ 0.
    """
    sign = np.sign(whole)
    extreme = int(((sign * inside <= 0) | (sign * outside <= 0)).sum())
    return (1 + extreme) / (1 + len(inside))


def _outward(inside: Floats, outside: Floats, kept: int) -> tuple[Floats, Floats]:
    """Lower and upper thresholds of each division; a part without anything (0/0) is always as far.

    A class that has no x in a part, but y, has the ratio ∞ there.
    """
    empty = np.isnan(inside) | np.isnan(outside)
    below = np.where(empty, -np.inf, np.fmin(inside, outside))
    above = np.where(empty, np.inf, np.fmax(inside, outside))
    if kept >= len(below):
        return below, above
    above = np.partition(above, len(above) - kept)[len(above) - kept :].copy()
    return np.partition(below, kept)[:kept].copy(), above


def _snapped(value: Floats | float, size: float) -> Floats:
    """Rounding errors as 0."""
    return np.asarray(np.where(np.abs(value) <= _ROUNDING * size, 0.0, value), dtype=np.float64)
