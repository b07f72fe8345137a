"""Studentised differences of mean areas (Welch 1947), for all labels at once, from sums alone.

Arrays are (d,), or (B, d) for B divisions of the images into two sides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .presence import log_choose
from .products import Side

Values = NDArray[np.float64]


FEWEST_RELABELLED = 99
"""Relabellings from which critical values are taken; with fewer, Student's are."""


class Welch(NamedTuple):
    """Of each label: means, squared standard errors, t, and Welch's degrees of freedom.

    t is (second mean − first mean) / standard error; 0 where the means are equal or nothing can be
    said, and infinite where they differ though nothing varies. ``n`` and ``m`` are images.
    """

    n: Values
    m: Values
    first: Values
    second: Values
    first_variance: Values
    second_variance: Values
    t: Values
    freedom: Values


def area_statistics(first: Side, second: Side) -> Welch:
    """Of the mean area over all images."""
    return _welch(
        np.full(first.areas.shape, float(first.n)),
        np.full(first.areas.shape, float(second.n)),
        first,
        second,
    )


def given_statistics(first: Side, second: Side) -> Welch:
    """Of the mean area over the images that show the label."""
    return _welch(first.shown, second.shown, first, second)


def _welch(n: Values, m: Values, first: Side, second: Side) -> Welch:
    x, vx = _mean_and_variance(n, first)
    y, vy = _mean_and_variance(m, second)
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
    return Welch(n, m, x, y, vx, vy, t, freedom)


def _mean_and_variance(n: Values, sums: Side) -> tuple[Values, Values]:
    """Mean, and variance of the mean (ddof 1)."""
    mean = sums.areas / np.maximum(n, 1)
    squares = np.maximum(sums.squares - n * mean * mean, 0.0)
    return mean, squares / np.maximum(n - 1, 1) / np.maximum(n, 1)


def calibration(found: Welch, relabelled: Welch | None, confidence: float) -> Values:
    """(d,) critical |t| at this confidence.

    Just above the largest |t| that more than a share 1 − confidence of the relabelled images reach,
    the observed division counted in (Janssen 1997; Chung & Romano 2013): exact where the two sides
    have one distribution, right for large n where they have not; areas are far from normal, and
    most images do not show a rare class. Equal values count as reached: a label that two images
    show has very few different t. Without relabelling: Student's.
    """
    student: Values = stats.t.ppf((1 + confidence) / 2, found.freedom)
    if relabelled is None:
        return student
    ordered = np.sort(np.abs(relabelled.t), axis=0)[::-1]
    allowed = int((1 - confidence) * (len(ordered) + 1) + 1e-9) - 1
    if allowed < 0:
        return student
    critical = ordered[allowed] * (1 + 1e-9)
    # Where nothing ever varies there is nothing to calibrate.
    return np.where(np.isfinite(critical) & (critical > 0), critical, student)


def p_values(found: Welch, critical: Values, confidence: float) -> Values:
    """Two-sided p from Student's tail, with |t| scaled so that p = 1 − confidence at ``critical``.

    So p ≤ 1 − confidence exactly where the interval excludes "no difference", and the far tail,
    which no number of relabellings reaches, keeps Student's shape. Where t is infinite, p is the
    share of divisions that separate the two values so: 1 of C(n + m, n), or 2 where n = m.
    """
    student = stats.t.ppf((1 + confidence) / 2, found.freedom)
    apart = np.isinf(found.t)
    scaled = np.abs(np.where(apart, 0.0, found.t)) * student / critical
    one = np.exp(-np.where(apart, log_choose(found.n + found.m, found.n), 0.0))
    separated = np.where(found.n == found.m, 2.0, 1.0) * one
    return np.where(apart, separated, 2 * stats.t.sf(scaled, found.freedom))
