"""Power of a comparison: the smallest presence of a class whose loss would be found.

Guarantees: probabilities are exact binomial sums for the presence test of this package, no
simulation and no normal approximation; the same input gives the same result; ``images_needed``
holds for every larger number of images too.

The threshold is level / classes tested / ``tests``, the tests that share a class's level
(``compare`` passes ``claims.QUESTIONS``). There the weakest claim of Benjamini & Hochberg (1995)
stands if it is the only one: the worst case. With more losses to be found, each is found sooner.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import special

from seeingkit.errors import UsageError
from seeingkit.results import PowerResult

from .arrays import Floats
from .presence import last_holding, log_choose, presence_p_values

PRESENCES = (0.10, 0.05, 0.027, 0.01, 0.005, 0.001)
"""Shares of real images for which ``images_needed`` is given."""

_LIKELY = 8.0
"""Standard deviations above the mean up to which a binomial count is summed."""


def power(
    n: int,
    m: int,
    *,
    classes_tested: int,
    level: float = 0.05,
    power: float = 0.95,
    tests: float = 1.0,
) -> PowerResult:
    """The smallest losses that n real and m generated images show with this probability.

    Args:
        n, m: images on each side, at least 1.
        classes_tested: how many classes the level is shared by, at least 1.
        level: false discovery rate of the verdicts, in (0, 1).
        power: probability with which a loss is to be found, in (0, 1).
        tests: how many tests of a class the level is shared by at most (``claims.QUESTIONS``).

    Returns:
        ``all_removed``: no generated image shows the class; ``half_removed``: each image that would
        show it does so with probability one half. ``images_needed``: images per side to find
        ``all_removed``, by presence, such as ``"2.7 %"``.

    Raises:
        UsageError: a number outside its range.
    """
    if min(n, m) < 1 or classes_tested < 1:
        raise UsageError(
            f"power needs at least 1 image a side and 1 class, not {n}, {m} and {classes_tested}"
        )
    if not (0 < level < 1 and 0 < power < 1):
        raise UsageError(f"level and power lie between 0 and 1, not at {level} and {power}")
    threshold = level / classes_tested / tests
    return PowerResult(
        power=power,
        level=level,
        classes_tested=classes_tested,
        threshold=threshold,
        all_removed=smallest_presence(n, m, threshold, kept=0.0, power=power),
        half_removed=smallest_presence(n, m, threshold, kept=0.5, power=power),
        images_needed={
            f"{100 * share:g} %": images_needed(share, threshold, power) for share in PRESENCES
        },
    )


def detection_probability(n: int, m: int, presence: float, kept: float, threshold: float) -> float:
    """Probability that a loss is found: p at most ``threshold``, and fewer generated images.

    Args:
        n, m: images on each side.
        presence: share of real images that show the class, in [0, 1].
        kept: share of these that still show it when generated, in [0, 1]: y ~ Bin(m, kept p).
        threshold: largest p-value that counts as found.
    """
    x = np.arange(_highest_likely(n, presence) + 1.0)
    return _found(x, critical_counts(x, n, m, threshold), n, m, presence, kept)


def critical_counts(x: Floats, n: int, m: int, threshold: float) -> Floats:
    """The most generated images that may show a class for it to be found as lost.

    Args:
        x: (C,) real images that show it.

    Returns:
        (C,) whole numbers; −1 where not even none at all would do.
    """
    return last_holding(
        lambda y: presence_p_values(x, n, y, m) <= threshold,
        np.full(len(x), -1.0),
        np.ceil(m * x / n),
    )


def smallest_presence(
    n: int, m: int, threshold: float, *, kept: float, power: float
) -> float | None:
    """The smallest presence whose loss is found with probability ``power``, to 1e-6 relative.

    None if not even a class in every real image could lose so much visibly.

    Args:
        kept: share of the images that would show the class and still do, in [0, 1).
    """
    high = 1 / n
    while detection_probability(n, m, high, kept, threshold) < power:
        if high == 1:
            return None
        high = min(1.0, 2 * high)
    x = np.arange(_highest_likely(n, high) + 1.0)
    critical = critical_counts(x, n, m, threshold)
    low = 0.0
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        if _found(x, critical, n, m, middle, kept) < power:
            low = middle
        else:
            high = middle
    return high


def images_needed(presence: float, threshold: float, power: float) -> int:
    """Images per side from which on the total loss of a class is always found.

    With n = m and y = 0 the p-value of x is 2 C(n, x) / C(2n, x), which rises with n towards
    2^(1-x).
    So the fewest real images x that must show the class rises with n in steps up to a last one, and
    the probability to see that many falls at each step: the last n at which it is too low counts.

    Args:
        presence: share of real images that show the class, in (0, 1).
        threshold: largest p-value that counts as found, in (0, 1).
        power: probability with which it is to be found, in (0, 1).
    """
    next_step = None
    for fewest in range(math.ceil(1 - math.log2(threshold)), 0, -1):
        step = _first(partial(_too_few, fewest - 1, threshold))
        enough = _first(partial(_seen_often, fewest, presence, power))
        if enough > step:
            return enough if next_step is None else min(enough, next_step)
        next_step = step
    return 1


def _too_few(x: int, threshold: float, n: int) -> bool:
    """Whether x real images with the class and no generated one are not enough at n a side."""
    drawn = np.arange(min(x, n + 1))
    return bool(2 * np.prod((n - drawn) / (2 * n - drawn)) > threshold)


def _seen_often(x: int, presence: float, power: float, n: int) -> bool:
    """Whether at least x of n images show the class with probability ``power``."""
    return n >= x and bool(special.betainc(x, n - x + 1, presence) >= power)


def _first(holds: Callable[[int], bool]) -> int:
    """The smallest number from 1 on that ``holds``, which is true from there on."""
    high = 1
    while not holds(high):
        high *= 2
    return bisect_left(range(high), True, lo=high // 2, key=holds)


def _found(x: Floats, critical: Floats, n: int, m: int, presence: float, kept: float) -> float:
    """Probability that y ~ Bin(m, kept p) is at most critical(x), over x ~ Bin(n, p)."""
    weight = np.exp(
        log_choose(n, x) + special.xlogy(x, presence) + special.xlog1py(n - x, -presence)
    )
    below = special.betainc(m - critical, critical + 1, 1 - presence * kept)
    return float(weight @ np.where(critical < 0, 0.0, np.where(critical >= m, 1.0, below)))


def _highest_likely(n: int, presence: float) -> int:
    """A count that a binomial exceeds with a probability below 1e-12."""
    mean = n * presence
    return min(n, math.ceil(mean + _LIKELY * math.sqrt(mean) + _LIKELY**2 / 2))
