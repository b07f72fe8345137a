"""Tests of the amount of a class: of area, of presence, of area given presence, and combined.

Guarantees: where the two sides have one distribution, the combined p-value is at most α in a share
α of cases (by permutation; in the far tail by extrapolation); it is at most α = 1 − confidence only
where the test of the mean area is, so that no verdict stands beside an interval that holds 0.

The amount is the mean area over all images. It is how often a class is seen times how large it is
then, and a test of one factor can be far more powerful than that of the product: that a rare class
has vanished is plainer from the number of images than from an area that is mostly zero. But factors
can also cancel: a segmenter strews areas of a few pixels over soft images, so that presence rises,
area given presence falls, and the amount is as it was. Against that,

- *seen* means above the area threshold: more than the smallest areas of the pooled images, which
  hold at most 2 % of the label's area (``Pool.area_threshold``);
- a factor counts where the amount *follows* it: it has changed in the same direction, by at least
  half as much on a logarithmic scale, and the test of the mean area has p ≤ α.

The combined p is the share of permutations whose smallest counting p is at most the observed one,
s. In the farthest hundredth it is 1 − (1 − s)³: Tippett's (1931) rule for three tests that do
not depend on each other, which is cautious for three that do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Booleans, Floats
from .presence import presence_p_values
from .products import Side
from .resampling import Permuted
from .welch import (
    Welch,
    area_statistics,
    edge_rank,
    given_statistics,
    p_values,
    p_values_among,
    seen_statistics,
)

FEW = 5
"""Images that must show a label on each side before its area given presence is tested."""

FOLLOWS = 0.5
"""Share of a factor's change (logarithms) that the amount must show for the factor to count."""

MOST_TESTS = 3.0
"""Tests that the combined p is shared by, at most."""


class Tests(NamedTuple):
    """P-values of each label (d,), NaN where there is nothing to test.

    Attributes:
        presence, given, area: of presence (any pixel), area given presence, and mean area.
        seen: of the share of images that show the label above the area threshold.
        combined: of the amount.
        by_presence: the smallest p that counts is that of the images that show it.
        seen_counts: the amount follows them.
    """

    presence: Floats
    given: Floats
    area: Floats
    seen: Floats
    combined: Floats
    by_presence: Booleans
    seen_counts: Booleans


class _Least(NamedTuple):
    p: Floats
    seen: Floats
    by_seen: Booleans
    seen_counts: Booleans


def amount_tests(first: Side, second: Side, permuted: Permuted | None, confidence: float) -> Tests:
    """Tests of all labels: real images first.

    Args:
        first, second: sums (d,) of the sides.
        permuted: calibrates the tests of areas and the combination; without it Student's
            distribution and Tippett's rule are taken, which do not depend on a seed.
        confidence: a factor counts where the mean area's p is at most 1 − confidence.
    """
    alpha = 1 - confidence
    drawn: tuple[Welch | None, ...] = (None, None, None)
    among = None
    if permuted is not None:
        sides = (permuted.first, permuted.total.without(permuted.first))
        drawn = area, _, seen = _statistics(*sides)
        among = _smallest(*sides, p_values_among(area), p_values_among(seen), alpha).p
    p_area, p_given, p_size = map(p_values, _statistics(first, second), drawn)
    p_given[np.minimum(first.shown, second.shown) < FEW] = np.nan
    least = _smallest(first, second, p_area, p_size, alpha)
    combined = _tippett(least.p) if among is None else _among(least.p, among)
    return Tests(
        _presence(first.shown, first.n, second.shown, second.n),
        p_given,
        p_area,
        least.seen,
        np.clip(combined, 0.0, 1.0),
        least.by_seen,
        least.seen_counts,
    )


def _statistics(*sides: Side) -> tuple[Welch, Welch, Welch]:
    return area_statistics(*sides), given_statistics(*sides), seen_statistics(*sides)


def _presence(x: Floats, n: int, y: Floats, m: int) -> Floats:
    """P-values of equal shares; NaN where every image shows it."""
    p = presence_p_values(x.ravel(), n, y.ravel(), m).reshape(x.shape)
    return np.where(x + y == n + m, np.nan, p)


def _smallest(first: Side, second: Side, p_area: Floats, p_size: Floats, alpha: float) -> _Least:
    """The smallest p that counts, of one division (d,) or of many (B, d)."""
    p_seen = _presence(first.seen, first.n, second.seen, second.n)
    enough = np.minimum(first.seen, second.seen) >= FEW
    with np.errstate(divide="ignore", invalid="ignore"):
        amount = np.log(second.areas / second.n) - np.log(first.areas / first.n)
        seen = np.log(second.seen / second.n) - np.log(first.seen / first.n)
        size = amount - seen
        differs = p_area <= alpha
        seen_counts = differs & _follows(amount, seen) & np.isfinite(p_seen)
        size_counts = differs & _follows(amount, size) & enough
    by_seen = np.where(seen_counts, p_seen, 1.0)
    least = np.minimum(p_area, np.where(size_counts, p_size, 1.0))
    return _Least(np.minimum(least, by_seen), p_seen, by_seen < least, seen_counts)


def _follows(amount: Floats, factor: Floats) -> Booleans:
    same = np.sign(amount) == np.sign(factor)
    return np.asarray(same & (np.abs(amount) >= FOLLOWS * np.abs(factor)), dtype=np.bool_)


def _tippett(least: Floats) -> Floats:
    """1 − (1 − s)³, exact for tiny s."""
    return np.asarray(-np.expm1(MOST_TESTS * np.log1p(-np.minimum(least, 1 - 1e-16))))


def _among(least: Floats, permuted: Floats) -> Floats:
    """(d,) p of the smallest p-values ``least`` among those of B permutations (B, d)."""
    size = len(permuted)
    rank = edge_rank(size)
    as_small = (permuted <= least * (1 + 1e-9)).sum(axis=0)
    share = (1 + as_small) / (1 + size)
    return np.where(as_small >= rank, share, np.minimum(_tippett(least), (1 + rank) / (1 + size)))
