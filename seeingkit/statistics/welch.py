"""Studentised differences of mean areas (Welch 1947), for all labels at once, from sums alone.

Guarantees: a difference smaller than the rounding of sums of squares is none, and a label that too
few images show has t = 0 and p = 1. Arrays are (d,), or (B, d) for B divisions of the images into
two sides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from .arrays import Floats, Integers
from .presence import log_choose
from .products import Side


class Welch(NamedTuple):
    """Of each label: t, and Welch's degrees of freedom.

    t is (second mean − first mean) / standard error; 0 where the means are equal or nothing can be
    said, and infinite where they differ though nothing varies.

    Attributes:
        n, m: groups on each side (images, where each is its own), (d,) or (B, d).
    """

    n: Floats
    m: Floats
    t: Floats
    freedom: Floats


class Mean(NamedTuple):
    """Mean of a side, the second and third cumulants of that mean, and the groups it rests on.

    ``third`` is 0 where it is not measured: between groups of several images.
    """

    value: Floats
    variance: Floats
    groups: Floats
    third: Floats


def mean_area(side: Side) -> Mean:
    """Of the area over all images."""
    found = _mean(side, side.areas, side.squares, side.cross)
    if np.any(np.not_equal(side.groups, side.n)):
        return found
    n, mean = np.maximum(side.n, 1), found.value
    central = side.cubes / n - 3 * mean * side.squares / n + 2 * mean**3
    return found._replace(third=np.asarray(central / n**2))


def share_seen(side: Side) -> Mean:
    """Of the share of images that show the label above the threshold; each image is its own."""
    return _mean(side, side.seen, side.seen, side.seen)


def area_given(side: Side) -> Mean:
    """Of the area over the images that show the label; images are taken as independent."""
    shown = np.maximum(side.shown, 1)
    mean = side.areas / shown
    squares = np.maximum(side.squares - side.shown * mean * mean, 0.0)
    variance = squares / np.maximum(side.shown - 1, 1) / shown
    return Mean(mean, variance, side.shown, np.zeros_like(mean))


def _mean(side: Side, sums: Floats, squares: Floats, cross: Floats) -> Mean:
    """Ratio of sums over groups to their sizes, and its variance (Cochran 1977, section 11.5).

    With sums Xᵤ, sizes Nᵤ and k groups: k / (k − 1) Σ (Xᵤ − mean Nᵤ)² / n². Where each image is its
    own group that is the usual variance of a mean, ddof 1.
    """
    n = np.maximum(side.n, 1)
    mean = sums / n
    spread = np.maximum(squares - 2 * mean * cross + mean * mean * side.sizes, 0.0)
    groups = np.broadcast_to(np.asarray(side.groups, dtype=np.float64), mean.shape)
    variance = groups / np.maximum(groups - 1, 1) * spread / n**2
    return Mean(mean, variance, groups, np.zeros_like(mean))


def studentised(first: Mean, second: Mean) -> Welch:
    """The difference of two means."""
    (x, vx, n, _), (y, vy, m, _) = first, second
    error = vx + vy
    difference = y - x
    # Sums of squares lose their last digits: what is below them is no variance at all, and a
    # difference that is smaller than the least variance they can hold is none.
    still = error <= 1e-13 * (x * x / np.maximum(n, 1) + y * y / np.maximum(m, 1))
    size = np.abs(x) + np.abs(y)
    equal = np.abs(difference) <= np.where(still, 1e-6, 1e-12) * size
    few = (n < 2) | (m < 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(still, np.sign(difference) * np.inf, difference / np.sqrt(error))
        t = np.where(equal | few, 0.0, t)
        freedom = error**2 / (vx**2 / np.maximum(n - 1, 1) + vy**2 / np.maximum(m - 1, 1))
    freedom = np.where(still | few, np.maximum(n + m - 2, 1), freedom)
    return Welch(n, m, t, freedom)


def unskewed(first: Mean, second: Mean) -> Welch:
    """The same with Hall's (1992, section 3) cubic transformation, which takes out skewness.

    g(t) = t + a (t² / 3 + 1 / 6) + a² t³ / 27 with a the skewness of the difference of the means,
    (κ₃ of the second − κ₃ of the first) / error³. Where one side is skew and the other is not, t is
    skew though the means are equal, and permuted images, which mix both, do not show it.
    """
    found = studentised(first, second)
    error = np.sqrt(first.variance + second.variance)
    usable = (error > 0) & np.isfinite(found.t)
    a = np.where(usable, (second.third - first.third) / np.where(usable, error, 1.0) ** 3, 0.0)
    t = np.where(usable, found.t, 0.0)
    moved = t + a * (t**2 / 3 + 1 / 6) + a**2 * t**3 / 27
    return found._replace(t=np.where(usable & (found.t != 0), moved, found.t))


LEAST = 1e-6
"""No smaller p is given: a tail that is carried on from a thousand permutations bears no more."""


def p_values(found: Welch, drawn: Welch | None, least: float = LEAST) -> Floats:
    """(d,) two-sided p that the means are equal.

    Twice the share of permutations ``drawn`` (B, d) whose t is at least as far on the same
    side, the observed one counted in (Janssen 1997; Chung & Romano 2013): exact where the two sides
    have one distribution, right for large n where they have not. Areas are far from normal, most
    images do not show a rare class, and with sides of different size t is skew. Beyond the farthest
    ``EDGE`` of B, Student's tail follows, scaled to meet that edge, down to ``least``. Without
    ``drawn``: Student's.
    """
    if drawn is None:
        p = _with_infinite(found, 2 * stats.t.sf(_finite(found.t), found.freedom))
        return np.maximum(p, _least(found, least))
    up = found.t > 0
    far = np.abs(found.t) * (1 - 1e-9)
    reached = np.where(up, (drawn.t >= far).sum(axis=0), (drawn.t <= -far).sum(axis=0))
    p = _ranked(found, reached, _edges(drawn), len(drawn.t))
    return np.where(found.t == 0, 1.0, np.maximum(p, _least(found, least)))


EDGE = 0.01
"""Share of the permutations on a side beyond which the tail is Student's."""


def edge_rank(size: int) -> int:
    """How many of ``size`` permutations lie beyond the edge, at least 1."""
    return max(1, int(EDGE * size))


def _edges(drawn: Welch) -> tuple[Floats, Floats]:
    """(d,) |t| that the farthest share ``EDGE`` reach, on the upper and on the lower side."""
    ordered = np.sort(drawn.t, axis=0)
    rank = edge_rank(len(ordered))
    return ordered[-rank], -ordered[rank - 1]


def _ranked(found: Welch, reached: Integers, edges: tuple[Floats, Floats], size: int) -> Floats:
    rank = edge_rank(size)
    share = (1 + reached) / (1 + size)
    edge = np.where(found.t > 0, *edges)
    usable = np.isfinite(edge) & (edge > 0)
    student = stats.t.isf(rank / (1 + size), found.freedom)
    scale = np.where(usable, student / np.where(usable, edge, 1.0), 1.0)
    tail = stats.t.sf(_finite(found.t) * scale, found.freedom)
    p = np.where(reached >= rank, share, np.minimum(tail, (1 + rank) / (1 + size)))
    return _with_infinite(found, np.minimum(2 * p, 1.0))


def _finite(t: Floats) -> Floats:
    return np.where(np.isinf(t), 0.0, np.abs(t))


def _with_infinite(found: Welch, p: Floats) -> Floats:
    """Where t is infinite, p is the share of divisions that separate two values so."""
    return np.where(np.isinf(found.t), _one_division(found), p)


def _least(found: Welch, least: float) -> Floats:
    """The smallest p to be given: no permutation test gives less, and never below ``least``."""
    return np.maximum(_one_division(found), least)


def _one_division(found: Welch) -> Floats:
    """1 of C(n + m, n) divisions, or 2 where n = m."""
    one = np.exp(-log_choose(found.n + found.m, found.n))
    return np.asarray(np.where(found.n == found.m, 2.0, 1.0) * one)
