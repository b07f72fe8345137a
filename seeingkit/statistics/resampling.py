"""How much of an FSD is sampling: the real-against-real floor, a permutation test, less bias.

A bare FSD of n images per side is biased upwards by roughly c (1/n + 1/m) (shared evidence: two
samples of one distribution give 27 at n = 5,000 and 13.6 at n = 10,000). All functions take rows
(N, L) in percent, sparse or dense, and a seed; the same seed gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .frechet import FSD, Moments, Rows, frechet, fsd_of_rows, moments

Progress = Callable[[int], None]

ENOUGH = 50
"""Images per side below which no bias-reduced value is given."""


class Floor(NamedTuple):
    """What two disjoint sets of real images give.

    Attributes:
        value: expected at the sample sizes of the comparison, percent².
        at_half: measured mean over the splits, at ``half`` images per side.
        half: images in each half.
    """

    value: float
    at_half: float
    half: int


def _splits(n: int, seed: int, splits: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(splits):
        order = rng.permutation(n)
        pairs.append((np.sort(order[: n // 2]), np.sort(order[n // 2 : 2 * (n // 2)])))
    return pairs


def disjoint_half_floor(
    real: Rows | sparse.csr_array, n_real: int, n_generated: int, *, seed: int = 0, splits: int = 8
) -> Floor | None:
    """The floor of FSD for this real set, matched to the sizes of the comparison.

    Each split compares two disjoint halves of h = n // 2 real images; the mean is carried from
    (h, h) to (n_real, n_generated) by the 1/n law of the bias:
    floor = at_half * (1/n_real + 1/n_generated) / (2/h). None with fewer than 4 real images.
    """
    half = real.shape[0] // 2
    if half < 2:
        return None
    values = [fsd_of_rows(real[a], real[b]).value for a, b in _splits(real.shape[0], seed, splits)]
    at_half = float(np.mean(values))
    scale = (1 / n_real + 1 / n_generated) * half / 2
    return Floor(at_half * scale, at_half, half)


def bias_reduced(
    real: Rows | sparse.csr_array,
    generated: Rows | sparse.csr_array,
    full: FSD,
    *,
    seed: int = 0,
    splits: int = 4,
) -> float | None:
    """Half-sample Richardson: 2 FSD(n) − mean FSD(n/2). Can fall slightly below zero.

    Both halves of each split are used. None with fewer than ``ENOUGH`` images on a side, where the
    difference of two large biases says nothing.
    """
    if min(real.shape[0], generated.shape[0]) < ENOUGH:
        return None
    values = []
    for (a, b), (c, d) in zip(
        _splits(real.shape[0], seed, splits),
        _splits(generated.shape[0], seed + 1, splits),
        strict=True,
    ):
        values += [
            fsd_of_rows(real[a], generated[c]).value,
            fsd_of_rows(real[b], generated[d]).value,
        ]
    return 2 * full.value - float(np.mean(values))


def permutation_p_value(
    real: Rows | sparse.csr_array,
    generated: Rows | sparse.csr_array,
    observed: FSD,
    *,
    permutations: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> float | None:
    """Share of relabellings of the pooled images whose FSD is at least the observed one.

    p = (1 + #{FSD_perm ≥ FSD}) / (1 + permutations) (Phipson & Smyth 2010), so never 0.
    """
    if permutations < 1 or min(real.shape[0], generated.shape[0]) < 2:
        return None
    stack = sparse.vstack if sparse.issparse(real) else np.vstack
    pooled = stack([real, generated])
    live = np.flatnonzero(np.asarray(abs(pooled).sum(axis=0)).ravel() > 0)
    pooled = pooled[:, live]
    if sparse.issparse(pooled):
        pooled = sparse.csr_array(pooled)
    n, m = real.shape[0], generated.shape[0]
    everything = moments(pooled)
    total = everything.mean * (n + m)
    cross = everything.cov * (n + m - 1) + np.outer(total, total) / (n + m)
    rng = np.random.default_rng(seed)
    threshold = observed.value * (1 - 1e-9)
    at_least = 0
    for done in range(permutations):
        first = moments(pooled[np.sort(rng.permutation(n + m)[:n])])
        # The other side follows from the totals: half the work.
        rest_sum = total - first.mean * n
        first_cross = first.cov * (n - 1) + n * np.outer(first.mean, first.mean)
        rest_cov = (cross - first_cross - np.outer(rest_sum, rest_sum) / m) / (m - 1)
        at_least += frechet(first, Moments(m, rest_sum / m, rest_cov)).value >= threshold
        if progress:
            progress(done + 1)
    return (1 + at_least) / (1 + permutations)
