"""Who of many generators is surely nearer to the same real images: simultaneous, for all pairs.

Guarantees: a pair's value and standard error are those of ``contrasts``; all is a function of rows
and seed; claims are a strict order (if a is surely nearer than b, and b than c, so is a than c),
and an interval leaves out 0 exactly where its pair is claimed.

- *Joint distribution.* The bias-reduced distances of k generators are, for large n, jointly
  normal: each is a sum of its influence function over the shared real images and over its own. So
  one (k, k) covariance holds the noise of the real images, which cancels in differences, the noise
  of each generator, and that of the choice of halves. The largest of all studentised differences
  under it (drawn, ``DRAWS`` times) gives the critical value of simultaneous intervals: the
  multiplier bootstrap of Chernozhukov, Chetverikov & Kato (2013), in its Gaussian limit.
- *Steps.* Pairs that are claimed leave, and the rest has a smaller critical value (Romano & Wolf
  2005). The family-wise error stays at the level, whichever pairs truly differ. Where only a later
  step claims a pair, its interval ends just beside 0.
- *Alike.* Where two generators draw from one distribution that is that of the real images, the
  influence functions vanish and nothing is normal. So a claim needs a second test, which is exact
  there at every n: ``exchange_p_value``, at level ÷ pairs left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse, special

from .arrays import Booleans, Floats, Integers
from .contrasts import SPLITS, SharedPool
from .frechet import Moments, Rows, influence, moments, transport
from .letters import closure
from .resampling import Progress

DRAWS = 10_000
"""Of the largest studentised difference; leaves an error of 0.2 percentage points at 5 %."""

_JUST_BESIDE = 1e-9
"""Share of a standard error by which an interval ends beside 0, where a later step claims."""


class Distances(NamedTuple):
    """Several generators measured against the same real images.

    Attributes:
        values: (k,) bias-reduced distances, percent²; plug-in ones where a side has too few images.
        covariance: (k, k) of these values.
    """

    values: Floats
    covariance: Floats

    def errors(self) -> Floats:
        """(k, k) standard errors of the differences of pairs."""
        own = np.diag(self.covariance)
        return np.asarray(np.sqrt(np.maximum(own[:, None] + own - 2 * self.covariance, 0.0)))


def measure(
    real: Rows | sparse.csr_array,
    generated: Sequence[Rows | sparse.csr_array],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Distances:
    """The distances of generators from the same real images, and how they vary together.

    One generator is held beside the real images at a time.

    Args:
        real: (N, L) areas in percent; generated: (M, L) of each generator.
        seed: of the halves, which are as in ``contrasts``.

    Raises:
        TallyError: fewer than two images on a side.

    >>> same = np.array([[0.0], [2.0]])
    >>> measure(same, [same, same + 3]).values
    array([0., 9.])
    """
    values, halves, own = [], [], []
    pulls = np.empty((len(generated), real.shape[0]))
    for k, rows in enumerate(generated):
        found = SharedPool(real, [rows], seed=seed).measured[0]
        values.append(found.value)
        halves.append(found.halves)
        own.append(found.on_own.var() / len(found.members))
        pulls[k] = found.on_real
        if progress:
            progress(k + 1)
    centred = pulls - pulls.mean(axis=1, keepdims=True)
    covariance = centred @ centred.T / pulls.shape[1] ** 2 + np.diag(own)
    estimates = np.array(values)
    if all(len(each) for each in halves):
        estimates = 2 * estimates - np.mean(halves, axis=1)
        covariance = covariance + np.cov(halves, ddof=1).reshape(covariance.shape) / SPLITS
    return Distances(estimates, covariance)


class Nearness(NamedTuple):
    """All pairs of generators; arrays are (k, k), of the generator of the row less the column's.

    Attributes:
        low, high: simultaneous intervals of the differences of the distances.
        errors: standard errors.
        nearer: whether the generator of the row is surely nearer.
        p_alike: of "both draw from one distribution"; NaN where it was not asked.
        critical: standard errors on each side of a difference in its interval.
    """

    low: Floats
    high: Floats
    errors: Floats
    nearer: Booleans
    p_alike: Floats
    critical: float


def nearness(
    found: Distances,
    alike: Callable[[int, int], float],
    *,
    level: float = 0.05,
    seed: int = 0,
) -> Nearness:
    """Intervals and claims for all pairs, with a family-wise error of ``level``.

    Args:
        alike: p of "these two draw from one distribution"; asked only where the interval leaves
            out 0.
        seed: of the draws.

    >>> apart = Distances(np.array([0.0, 0.1, 9.0]), np.eye(3))
    >>> nearness(apart, lambda a, b: 0.0).nearer.astype(int).tolist()
    [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    """
    k = len(found.values)
    errors = found.errors()
    differences = found.values[:, None] - found.values
    first, second = np.triu_indices(k, 1)
    scale = errors[first, second]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(scale > 0, np.abs(differences[first, second]) / scale, np.inf)
    t = np.where(differences[first, second] == 0, 0.0, t)
    drawn = _drawn(found.covariance, scale, first, second, seed)
    p_alike = np.full((k, k), np.nan)

    def asked(pair: int) -> float:
        a, b = int(first[pair]), int(second[pair])
        if np.isnan(p_alike[a, b]):
            p_alike[a, b] = p_alike[b, a] = alike(a, b)
        return float(p_alike[a, b])

    critical = _quantile(drawn, np.ones(len(t), dtype=bool), level)
    left, claimed = np.ones(len(t), dtype=bool), np.zeros(len(t), dtype=bool)
    edge = critical
    while left.any():
        over = np.flatnonzero(left & (t > edge))
        new = [pair for pair in over if asked(pair) <= level / left.sum()]
        if not new:
            break
        claimed[new], left[new] = True, False
        edge = _quantile(drawn, left, level)
    nearer = np.zeros((k, k), dtype=bool)
    below = differences[first, second] < 0
    nearer[first[claimed & below], second[claimed & below]] = True
    nearer[second[claimed & ~below], first[claimed & ~below]] = True
    nearer = closure(nearer)
    low, high = _beside(differences, errors, critical, nearer)
    return Nearness(low, high, errors, nearer, p_alike, critical)


def _drawn(
    covariance: Floats, scale: Floats, first: Integers, second: Integers, seed: int
) -> Floats:
    """(``DRAWS``, pairs) float32, |studentised differences| of normal draws."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    rng = np.random.default_rng([seed, 9])
    normal = rng.standard_normal((DRAWS, len(covariance))) @ root.T
    safe = np.where(scale > 0, scale, np.inf)
    found = np.empty((DRAWS, len(first)), dtype=np.float32)
    for start in range(0, DRAWS, 500):
        part = normal[start : start + 500]
        found[start : start + 500] = np.abs(part[:, first] - part[:, second]) / safe
    return found


def _quantile(drawn: Floats, left: Booleans, level: float) -> float:
    """The value that the largest of these pairs exceeds at the level; of one pair exactly."""
    if left.sum() <= 1:
        return float(special.ndtri(1 - level / 2))
    return float(np.quantile(drawn[:, left].max(axis=1), 1 - level, method="higher"))


def _beside(
    differences: Floats, errors: Floats, critical: float, nearer: Booleans
) -> tuple[Floats, Floats]:
    """Simultaneous intervals that leave out 0 exactly where a claim stands."""
    low, high = differences - critical * errors, differences + critical * errors
    beside = _JUST_BESIDE * errors
    open_pair = ~(nearer | nearer.T)
    low = np.where(open_pair, np.minimum(low, 0.0), low)
    high = np.where(open_pair, np.maximum(high, 0.0), high)
    high = np.where(nearer, np.minimum(high, -beside), high)
    low = np.where(nearer.T, np.maximum(low, beside), low)
    return np.minimum(low, high), np.maximum(low, high)


def exchange_p_value(
    real: Moments, first: Rows | sparse.csr_array, second: Rows | sparse.csr_array
) -> float:
    """P-value of "both generators draw from one distribution", against a difference in distance.

    The swap test of ``contrasts`` without its permutations. Both generators' images together have
    the influence function f on the distance from the real images, and f stays as it is when images
    are exchanged. FSD(R, A) − FSD(R, B) is mean f over A − mean f over B to third order (the
    midpoint rule), also where all distributions are alike. That is a sum over a random half of the
    images, normal for large n (Hájek 1960) with an exact variance, and for equal sizes symmetric
    and lighter in its tails than normal.

    Args:
        real: moments of the real images, over the same labels.
        first, second: (N, L), (M, L) areas in percent.

    >>> rows = np.random.default_rng(0).uniform(0, 10, (200, 2))
    >>> real = moments(np.zeros((2, 2)))
    >>> exchange_p_value(real, rows[:100], rows[:100] + 3) < 1e-6
    True
    >>> exchange_p_value(real, rows[:100], rows[:100])
    1.0
    """
    a, b = moments(first), moments(second)
    both = pooled(a, b)
    stacked = sparse.vstack([sparse.csr_array(first), sparse.csr_array(second)], format="csr")
    f = influence(stacked, both, real, transport(real, both).back)
    spread = float(f.std(ddof=1))
    difference = float(f[: a.n].mean() - f[a.n :].mean())
    if spread == 0 or abs(difference) <= 1e-12 * spread:
        return 1.0
    z = difference / (spread * np.sqrt(1 / a.n + 1 / b.n))
    # Of unequal sizes the statistic is skew; Hall's (1992) cubic takes it out.
    third = float((f**3).mean()) * (1 / a.n**2 - 1 / b.n**2)
    skew = third / (spread * np.sqrt(1 / a.n + 1 / b.n)) ** 3
    z = z - skew / 6 * (z**2 - 1) + skew**2 * z**3 / 108
    return float(2 * special.ndtr(-abs(z)))


def pooled(a: Moments, b: Moments) -> Moments:
    """Moments of two sets of images together.

    >>> pooled(moments(np.array([[0.0], [2.0]])), moments(np.array([[4.0], [6.0]]))).cov
    array([[6.66666667]])
    """
    n = a.n + b.n
    mean = (a.n * a.mean + b.n * b.mean) / n
    apart = np.outer(a.mean - b.mean, a.mean - b.mean) * (a.n * b.n / n)
    return Moments(n, mean, ((a.n - 1) * a.cov + (b.n - 1) * b.cov + apart) / (n - 1))
