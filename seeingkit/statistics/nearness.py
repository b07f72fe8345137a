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
  influence functions vanish and nothing is normal. So a claim needs a second test, made for that
  null at every n: ``exchange.exchange_p_value``, at level ÷ pairs left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from .arrays import Booleans, Floats, Integers
from .contrasts import SPLITS, Measured, SharedPool
from .frechet import Rows
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
    found = []
    for k, rows in enumerate(generated):
        found.append(SharedPool(real, [rows], seed=seed).measured[0])
        if progress:
            progress(k + 1)
    return joint(found)


def joint(measured: Sequence[Measured]) -> Distances:
    """The joint distribution of generators that were measured against the same real images.

    >>> same = np.array([[0.0], [2.0]])
    >>> joint(SharedPool(same, [same, same + 3]).measured).values
    array([0., 9.])
    """
    pulls = np.stack([one.on_real for one in measured])
    centred = pulls - pulls.mean(axis=1, keepdims=True)
    own = [one.on_own.var() / len(one.members) for one in measured]
    covariance = centred @ centred.T / pulls.shape[1] ** 2 + np.diag(own)
    values = np.array([one.value for one in measured])
    if all(len(one.halves) for one in measured):
        halves = np.stack([one.halves for one in measured])
        values = 2 * values - halves.mean(axis=1)
        covariance = covariance + np.cov(halves, ddof=1).reshape(covariance.shape) / SPLITS
    return Distances(values, covariance)


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
    alike: Callable[[int, int, float], float],
    *,
    level: float = 0.05,
    seed: int = 0,
) -> Nearness:
    """Intervals and claims for all pairs, with a family-wise error of ``level``.

    Args:
        alike: p of "these two draw from one distribution", asked only where the interval leaves
            out 0; its third argument is how small a p is needed.
        seed: of the draws.

    >>> apart = Distances(np.array([0.0, 0.1, 9.0]), np.eye(3))
    >>> nearness(apart, lambda a, b, enough: 0.0).nearer.astype(int).tolist()
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

    def differ(pair: int, needed: float) -> bool:
        a, b = int(first[pair]), int(second[pair])
        if np.isnan(p_alike[a, b]):
            p_alike[a, b] = p_alike[b, a] = alike(a, b, needed)
        return bool(p_alike[a, b] <= needed)

    critical = _quantile(drawn, np.ones(len(t), dtype=bool), level)
    left, claimed = np.ones(len(t), dtype=bool), np.zeros(len(t), dtype=bool)
    edge = critical
    while left.any():
        over = np.flatnonzero(left & (t > edge)).tolist()
        new = [pair for pair in over if differ(pair, level / left.sum())]
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
) -> NDArray[np.float32]:
    """(``DRAWS``, pairs), |studentised differences| of normal draws."""
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


def _quantile(drawn: NDArray[np.float32], left: Booleans, level: float) -> float:
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
