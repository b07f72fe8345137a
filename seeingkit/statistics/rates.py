"""Is something more frequent here than there, at equal difficulty? An exact stratified comparison.

Guarantees: exact for any numbers, however small: given the total of each stratum, the hits here
have a known distribution if both sides have the same rate in every stratum (Fisher 1935; over
strata: Birch 1964, whose test is most powerful against a common odds ratio). One-sided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seeingkit.errors import UsageError

from .arrays import Integers
from .presence import log_choose


class RateComparison(NamedTuple):
    """Rates on two sides, and whether the first is the higher one.

    Attributes:
        hits, trials: of the first side, over strata that the other side has too.
        reference_hits, reference_trials: of the other side, over strata that the first has too.
        reference_rate: rate of the other side, were its trials spread over the strata as those of
            the first (direct standardisation); None where no stratum has both sides.
        p_value: probability of so many hits or more on the first side, given the total of each
            stratum, if both have the same rate in each; 1 where no stratum has both sides.
        least_p: the least p-value that these totals allow (Tarone 1990): a comparison in which it
            is above the level could not have found anything. It depends only on what the test is
            conditional on, so leaving such comparisons out does not bias the others.
    """

    hits: int
    trials: int
    reference_hits: int
    reference_trials: int
    reference_rate: float | None
    p_value: float
    least_p: float


def compare_rates(
    hits: Sequence[int] | Integers,
    trials: Sequence[int] | Integers,
    reference_hits: Sequence[int] | Integers,
    reference_trials: Sequence[int] | Integers,
) -> RateComparison:
    """Whether hits are more frequent than in a reference, stratum by stratum.

    With T hits among the n + m trials of a stratum, n of them on the first side, those among the n
    are hypergeometric under the null; their sum over strata is the convolution.

    ``compare_rates([3], [3], [1], [7]).p_value`` is C(4, 3) / C(10, 3) = 1/30.

    Args:
        hits, trials: of the first side, by stratum.
        reference_hits, reference_trials: of the other side, by stratum.

    Raises:
        UsageError: different numbers of strata, or more hits than trials.
    """
    sides = [np.asarray(side, dtype=np.intp) for side in (hits, trials)]
    sides += [np.asarray(side, dtype=np.intp) for side in (reference_hits, reference_trials)]
    if len({side.shape for side in sides}) > 1 or sides[0].ndim != 1:
        raise UsageError(f"rates of different strata: {[list(side.shape) for side in sides]}")
    if any((h < 0).any() or (h > n).any() for h, n in (sides[:2], sides[2:])):
        raise UsageError("rates need 0 to n hits of n trials in each stratum")
    both = (sides[1] > 0) & (sides[3] > 0)
    k, n, other, m = (side[both] for side in sides)
    if not both.any():
        return RateComparison(0, 0, 0, 0, None, 1.0, 1.0)
    return RateComparison(
        hits=int(k.sum()),
        trials=int(n.sum()),
        reference_hits=int(other.sum()),
        reference_trials=int(m.sum()),
        reference_rate=float((n * other / m).sum() / n.sum()),
        p_value=_tail(k, other, n, m),
        least_p=_tail(np.minimum(n, k + other), np.maximum(k + other - n, 0), n, m),
    )


def _tail(k: Integers, other: Integers, n: Integers, m: Integers) -> float:
    """P(as many hits on the first side or more), given the total k + other of each stratum."""
    distribution = np.ones(1)
    for ours, theirs, size, rest in zip(k, other, n, m, strict=True):
        total, first = ours + theirs, np.arange(max(0, ours + theirs - rest), size + 1)
        first = first[first <= total]
        log_mass = log_choose(size, first) + log_choose(rest, total - first)
        mass = np.zeros(size + 1)
        mass[first] = np.exp(log_mass - log_choose(size + rest, total))
        distribution = np.convolve(distribution, mass)
    return float(min(1.0, distribution[int(k.sum()) :].sum()))
