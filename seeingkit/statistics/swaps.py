"""The swap test of FSD: are the images of the pairs exchangeable, as far as FSD can see?

Guarantees: p is exact where all swaps are enumerated, else (1 + as large) / (1 + N) for N random
ones; it does not depend on the order of the sides.

Under exchangeability within pairs every choice of which image of each pair stands on which side is
equally likely. FSD of all choices, or of random ones, is what no difference looks like here; their
mean takes the place of the floor. Pairs of images that are nearly alike have a small FSD however
many they are, and a test that permutes all images would find nothing in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Booleans, Floats
from .frechet import FSD, distance_value
from .products import Pool
from .resampling import Progress


class Swaps(NamedTuple):
    """The test.

    Attributes:
        p_value: share of swaps, the pairs as they are among them, with an FSD at least as large.
        mean: FSD over the swaps, without the pairs as they are; percent².
        swaps: how many these are; exact: they are all there are.
    """

    p_value: float
    mean: float
    swaps: int
    exact: bool


def swap_test(
    pool: Pool,
    observed: FSD,
    *,
    permutations: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> Swaps | None:
    """Compare the FSD of a pool with that of pairs swapped; None without permutations.

    Args:
        pool: n images a side, row k of one belonging to row k of the other.
        observed: its FSD.
        permutations: random swaps; all 2^(n-1) are taken where these are no more.
        seed: of random swaps.

    >>> pool = Pool(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
    >>> swap_test(pool, FSD(9.0, 9.0, 0.0), permutations=999)
    Swaps(p_value=0.5, mean=8.0, swaps=1, exact=True)
    """
    if not permutations:
        return None
    n = pool.n
    exact = n <= 30 and 2 ** (n - 1) <= permutations + 1
    swaps = all_swaps(n) if exact else _random_swaps(n, permutations, seed)
    total = pool.sums(np.ones((2 * n, 1)))[0]
    values = np.empty(len(swaps))
    for start in range(0, len(swaps), pool.at_once):
        part = swaps[start : start + pool.at_once]
        masks = np.concatenate([~part, part], axis=1).T.astype(np.float64)
        for k, first in enumerate(pool.sums(masks), start):
            values[k] = distance_value(first.moments(), total.without(first).moments())
            if progress:
                progress(k + 1)
    return Swaps(_p_value(values, observed, n, len(total.areas)), _mean(values), len(swaps), exact)


def all_swaps(n: int) -> Booleans:
    """(2^(n-1) − 1, n) all ways to swap some of n pairs, but for exchanging the sides as a whole.

    >>> all_swaps(3).astype(int).tolist()
    [[1, 0, 0], [0, 1, 0], [1, 1, 0]]
    """
    numbers = np.arange(1, 2 ** (n - 1))
    return np.asarray((numbers[:, None] >> np.arange(n)) & 1, dtype=np.bool_)


def _random_swaps(n: int, count: int, seed: int) -> Booleans:
    return np.asarray(np.random.default_rng([seed, 14]).random((count, n)) < 0.5)


def _p_value(values: Floats, observed: FSD, n: int, labels: int) -> float:
    """With as many ties as rounding makes, as ``Permuted.p_value`` has it."""
    rounding = 1e-6 if n <= labels else 1e-7
    at_least = int((values >= observed.value * (1 - rounding)).sum())
    return (1 + at_least) / (1 + len(values))


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0
