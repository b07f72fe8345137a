"""An interval for a distance that cannot be negative.

Guarantees: 0 lies inside if and only if the permutation test does not reject at that level; never
below 0; never empty. Where the two distributions are equal it covers exactly as often as stated
(the test is exact), and far from there it is the usual two-sided interval. In between it is the
unified interval of Feldman & Cousins (1998) for a normal estimate of a mean that is not negative.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from .arrays import Floats

_FARTHEST = 8.0
"""Standard errors from 0 beyond which the interval is the usual one to float precision."""

_LEAST = float(np.finfo(np.float64).tiny)
"""A lower end that is not 0."""


class DistanceInterval(NamedTuple):
    """Interval, and the standard error of the estimate."""

    low: float
    high: float
    error: float


@functools.lru_cache(maxsize=8)
def _acceptance(confidence: float) -> tuple[Floats, ...]:
    """Of means 0 to ``_FARTHEST``: the estimates that Feldman & Cousins accept, lower and upper.

    Estimates x of a mean μ ≥ 0 are ranked by the likelihood ratio against the best mean,
    max(0, x) (Feldman & Cousins 1998, section IV.B).
    """
    means = np.linspace(0.0, _FARTHEST, 801)
    z = float(special.ndtri((1 + confidence) / 2))
    lower, upper = means - z, means + z
    lower[0], upper[0] = -np.inf, float(special.ndtri(confidence))
    for k, mean in enumerate(means):
        if k == 0 or mean >= z:
            continue

        def partner(x: float, mean: float = mean) -> float:
            # The estimate below with the same ratio: below 0 the ratio is exp(xμ − μ²/2).
            below = mean / 2 - (x - mean) ** 2 / (2 * mean)
            return below if below < 0 else 2 * mean - x

        def missing(x: float, mean: float = mean) -> float:
            return float(special.ndtr(x - mean) - special.ndtr(partner(x) - mean)) - confidence

        found = optimize.brentq(missing, mean + z - 1, mean + z + 1e-9)
        lower[k], upper[k] = partner(found), found
    return means, lower, upper


def distance_interval(
    estimate: float,
    null: Floats,
    linear_variance: float,
    extra_variance: float,
    p_value: float,
    plug_in: float,
    *,
    quadratic: float | None = None,
    confidence: float = 0.95,
) -> DistanceInterval:
    """Interval of the distance between two distributions.

    The estimate has two sources of noise. One is that of a quadratic form, which is there also when
    the distributions are equal; ``null`` shows it. The other grows with the distance itself; the
    influence function gives it (``linear_variance``), but evaluated at the samples that variance
    holds the first source of the plug-in distance twice: E = linear + 2 var(null). Both ends take
    the noise to grow with the distance.

    Args:
        estimate: bias-reduced distance, may be negative.
        null: (B,) distances under permutation.
        linear_variance: var(influence) / n of both sides, added.
        extra_variance: of the estimate, from random halves.
        p_value: of the permutation test on ``plug_in``, the distance before bias reduction.
        quadratic: variance of the estimate where the distributions are equal; default: that of
            ``null``.
        confidence: of the interval.
    """
    means, lower, upper = _acceptance(confidence)
    plain = float(np.var(null, ddof=1))
    quadratic = plain if quadratic is None else quadratic
    linear = max(0.0, linear_variance - 2 * plain)
    variance = quadratic + linear + extra_variance
    error = float(np.sqrt(variance))
    if error == 0:
        low = 0.0 if p_value > 1 - confidence else max(estimate, _LEAST)
        return DistanceInterval(low, max(low, estimate), 0.0)
    # Of a quadratic form Σ λ (z + δ)² the second source has a variance of 4 λ per unit of distance.
    # At the null λ is var / (2 mean), so 4 λ is 2 var / mean; half of that is the least taken here,
    # because an estimate near 0 says little of its own noise.
    own = linear / max(estimate, error)
    middle = float(np.mean(null))
    slope = max(own, plain / middle if middle > 0 else 0.0)
    high = _upper_end(estimate, quadratic + extra_variance, slope, means, lower)
    if p_value > 1 - confidence:
        return DistanceInterval(0.0, high, error)
    # At a distance of 0 the noise is that of the null, whose upper quantile is known; towards the
    # estimate its own noise is added in proportion, as its variance is.
    beyond = float(np.quantile(null, confidence)) - middle
    beyond *= float(np.sqrt(quadratic / plain)) if plain > 0 else 1.0
    at_null = max(beyond / upper[0], 1e-9 * error)
    for seen in (estimate, plug_in - middle):
        low = _lower_end(seen, at_null**2, variance, means, upper)
        if low > 0:
            return DistanceInterval(low, max(high, low), error)
    return DistanceInterval(_LEAST, high, error)


def _upper_end(estimate: float, base: float, slope: float, means: Floats, lower: Floats) -> float:
    """The largest distance under which an estimate as small as this is not surprising.

    The variance of the estimate is base + slope · distance: its own noise grows with the distance,
    so a distance that is underestimated has its noise underestimated, too.
    """

    def surprise(distance: float) -> float:
        error = float(np.sqrt(base + slope * distance))
        place = min(distance / error, _FARTHEST)
        reach = place - float(np.interp(place, means[1:], lower[1:]))
        return distance - reach * error - estimate

    unit = float(np.sqrt(base)) or slope
    # Far below 0 the interval would shrink without end; no estimate is that precise.
    nearest = max(estimate, 0.0) + float(means[1]) * unit
    farthest = nearest + unit
    while surprise(farthest) < 0:
        farthest *= 2
    if surprise(nearest) >= 0:
        return nearest
    return float(optimize.brentq(surprise, nearest, farthest))


def _lower_end(
    estimate: float, null_variance: float, variance: float, means: Floats, upper: Floats
) -> float:
    """The smallest distance under which an estimate as large as this is not surprising."""
    if estimate <= 0:
        return 0.0

    def surprise(distance: float) -> float:
        share = min(1.0, distance / estimate)
        error = np.sqrt(null_variance + max(0.0, variance - null_variance) * share)
        place = min(distance / error, means[-1])
        reach = float(np.interp(place, means, upper - means))
        return float(estimate - distance - reach * error)

    if surprise(0.0) <= 0:
        return 0.0
    return float(optimize.brentq(surprise, 0.0, estimate))
