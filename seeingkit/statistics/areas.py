"""Intervals of class areas: of each side, of their ratio, and of the area where a class is shown.

Guarantees: lower ends are never negative, so relative changes are never below −1; and an interval
of a change holds 0 if and only if the p-value that goes with it is above 1 − confidence.

The area of a class is its presence times its area in the images that show it. Both are estimated
with an interval of their own (Wilson's, and Student's on the logarithm), which are combined on
logarithms by the method of variance estimates recovery (Zou & Donner 2008; Donner & Zou 2012 for
ratios): with l, u of each part, the log end lies √(Σ (log estimate − log l)²) below the estimate,
and likewise above it.
A plain mean ± t · error is far too low for rare classes, whose areas are mostly zeros.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from .arrays import Ends, Floats
from .presence import beside_zero, presence_interval
from .products import Side
from .welch import Mean

WHOLE = 100.0
"""Area of the whole image, percent."""


class Estimate(NamedTuple):
    """Estimates and the ends of their intervals, (d,) each."""

    value: Floats
    low: Floats
    high: Floats


class SideAreas(NamedTuple):
    """One side's labels: images that show them, as number (d,) and as share, and areas, percent.

    Ends of areas are NaN where fewer than two images show the label.
    """

    shown: Floats
    presence: Estimate
    area: Estimate
    given: Estimate


def side_areas(sums: Side, confidence: float) -> SideAreas:
    """Areas of one side from its sums.

    The upper end of the area where a class is shown is at least that of Hall's (1992)
    skewness-corrected t: areas have long tails, and a few images are likely to hold none of the
    largest.
    """
    shown, n = sums.shown, sums.n
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        given = sums.areas / shown
        spread = np.maximum(sums.squares - shown * given**2, 0.0)
        error = np.sqrt(spread / (shown - 1) / shown)
        reach = stats.t.ppf((1 + confidence) / 2, np.maximum(shown - 1, 1)) * error / given
        given_low, given_high = given * np.exp(-reach), given * np.exp(reach)
        given_high = np.fmax(given_high, _hall_end(sums, given, error, confidence))
        low, high = presence_interval(shown, int(n), confidence)
        area = sums.areas / n
        # Where every image shows it, only the area varies.
        least = np.where(shown == n, 1.0, low)
        parts = (Estimate(shown / n, least, high), Estimate(given, given_low, given_high))
        area_low, area_high = _product(area, *parts)
    given_high, area_high = np.minimum(given_high, WHOLE), np.minimum(area_high, WHOLE)
    few = shown < 2
    for ends in (given_low, given_high, area_low, area_high):
        ends[few] = np.nan
    return SideAreas(
        shown=shown,
        presence=Estimate(shown / n, low, high),
        area=Estimate(area, area_low, area_high),
        given=Estimate(given, given_low, given_high),
    )


def _hall_end(sums: Side, mean: Floats, error: Floats, confidence: float) -> Floats:
    """Upper end by the inverse of Hall's cubic transformation of t (Hall 1992, equation 3.2).

    With γ the skewness and k images, g(T) = T + γ T² / 3√k + γ² T³ / 27k + γ / 6√k is nearly
    symmetric, so the end lies g⁻¹(−t) errors below the mean, t being Student's quantile.
    """
    k = np.maximum(sums.shown, 2)
    spread = np.maximum(sums.squares / k - mean**2, 0.0)
    third = sums.cubes / k - 3 * mean * sums.squares / k + 2 * mean**3
    skew = np.where(spread > 0, third / spread**1.5, 0.0) / np.sqrt(k)
    quantile = -stats.t.ppf((1 + confidence) / 2, k - 1) - skew / 6
    usable = np.abs(skew) > 1e-6
    inner = np.cbrt(1 + skew * quantile) - 1
    moved = np.where(usable, 3 * inner / np.where(usable, skew, 1.0), quantile)
    return np.asarray(mean - moved * error)


def _product(estimate: Floats, *parts: Estimate) -> Ends:
    """Interval of a product of independent estimates with intervals."""
    below = np.sqrt(sum(np.log(value / low) ** 2 for value, low, _ in parts))
    above = np.sqrt(sum(np.log(high / value) ** 2 for value, _, high in parts))
    return estimate * np.exp(-below), estimate * np.exp(above)


def area_change(
    real: SideAreas, generated: SideAreas, p: Floats, presence: Ends, alpha: float
) -> Ends:
    """Interval of generated area / real area − 1.

    Where the generated images do not show the label at all, only its presence bounds its area
    there: the interval is that of the presence, ``presence``.
    """
    low, high = _ratio(real.area, generated.area)
    absent = generated.shown == 0
    low, high = np.where(absent, presence[0], low), np.where(absent, presence[1], high)
    return beside_zero(low, high, generated.area.value < real.area.value, p <= alpha)


def grouped_change(first: Mean, second: Mean, p: Floats, alpha: float) -> Ends:
    """Interval of second mean / first mean − 1, both over groups of images.

    Student's on the logarithm, with the variances of the means between groups (delta method). Where
    one side shows nothing the ratio is bounded on one side only, by 0.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        parts = [mean.variance / mean.value**2 for mean in (first, second)]
        error = parts[0] + parts[1]
        k, j = first.groups, second.groups
        freedom = error**2 / (parts[0] ** 2 / (k - 1) + parts[1] ** 2 / (j - 1))
        reach = stats.t.isf(alpha / 2, freedom) * np.sqrt(error)
        log = np.log(second.value / first.value)
        low, high = np.expm1(log - reach), np.expm1(log + reach)
    absent = (second.value == 0) & (first.value > 0)
    low, high = np.where(absent, -1.0, low), np.where(absent, 0.0, high)
    return beside_zero(low, high, second.value < first.value, p <= alpha)


def given_change(real: SideAreas, generated: SideAreas, p: Floats, alpha: float) -> Ends:
    """Interval of the relative change of the area in the images that show the label."""
    low, high = _ratio(real.given, generated.given)
    return beside_zero(low, high, generated.given.value < real.given.value, p <= alpha)


def _ratio(below: Estimate, above: Estimate) -> Ends:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = Estimate(1 / below.value, 1 / below.high, 1 / below.low)
        low, high = _product(above.value / below.value, above, inverse)
    return low - 1, high - 1
