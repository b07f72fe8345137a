"""A two-sample test of whole compositions, for what the tests of single classes miss.

Guarantees: the null is "real and generated compositions have one distribution"; the p-value is by
permutation, exact at every size and for every distribution, with ties too, and at least 1/(B + 1);
it depends on ids, areas and seed, not on the order of images or classes.

An image with area fractions a is the point x = √a; distances are Hellinger's. Four statistics look
at the same points, each a quadratic form zᵀ A z in the weights z of the images (1/n for real ones,
−1/m for generated ones), so that a permutation costs one product:

- *energy* (Székely & Rizzo 2004): A holds the negative distances; sees any difference of large
  scale, best where much of the image changes;
- *means*: squared difference of the mean points, each class divided by its deviation; sees rare
  classes, which distances drown;
- *neighbours* at two sizes (Schilling 1986): A tells the nearest 1 % and 2 % of all images of each
  image; sees a kind of scene that is drawn too seldom, though each of its classes is in others.
  Of equally near images some are taken by a rule that does not know the sides.

Each is standardised by its own mean and deviation over all permutations, the observed one among
them, and the largest is compared with the largest of each permutation; so one p-value counts all
four (as Schrab et al. 2023 aggregate kernels). The four were chosen by a simulation
(``benchmarks/compositions.py``, docs/generators.md): alone, Gaussian kernels, their aggregate and
the kernel of degree 2 find a dropped kind of scene far less often than the neighbours, and none of
them a rare class.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from scipy import sparse

from seeingkit.results import CompositionTest

from .arrays import Floats, Integers
from .frechet import Rows

MOST = 2000
"""Images per side; of more, the first ones are used."""
PERMUTATIONS = 499
NAMES = ("energy", "means", "neighbours 1 %", "neighbours 2 %")
SHARES = (0.01, 0.02)
"""Of all images: the neighbours of one image."""
ENOUGH = 10
"""Images per side below which nothing is tested."""
_BLOCK = 512
"""Rows of the matrix of distances at a time."""
_DIGITS = 12
"""Of squared distances: those that agree so far are equal, above float64's rounding."""


class _Pairs(NamedTuple):
    """The matrices of the quadratic forms over N images.

    Attributes:
        distances: (N, N); points: (N, L) standardised; near: (N, N) of 0 and 1, one for
            each of ``SHARES``.
    """

    distances: Floats
    points: Floats
    near: list[sparse.csr_array]


def roots(percent: Rows | sparse.csr_array) -> sparse.csr_array:
    """(N, L) areas in percent → square roots of the area fractions, sparse float64."""
    points = sparse.csr_array(percent, dtype=np.float64, copy=True)
    points.data = np.sqrt(points.data / 100)
    return points


def composition_test(
    real: Rows | sparse.csr_array,
    generated: Rows | sparse.csr_array,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> CompositionTest | None:
    """Test that two sets of compositions have one distribution.

    Args:
        real, generated: (N, L), (M, L) areas in percent, in an order that does not depend on the
            areas; the first ``MOST`` of each side are used.
        permutations: B, at least 1.
        seed: of the permutations.

    Returns:
        None with fewer than ``ENOUGH`` images on a side.

    >>> rows = np.random.default_rng(0).dirichlet([4, 2, 1], 200) * 100
    >>> found = composition_test(rows[:100], rows[100:, ::-1], permutations=99)
    >>> found.p_value
    0.01
    """
    n, m = (min(MOST, side.shape[0]) for side in (real, generated))
    if min(n, m) < ENOUGH:
        return None
    rng = np.random.default_rng([seed, 9])
    order = rng.permutation(n + m)  # so that of equal distances neither side's come first
    points = sparse.vstack([roots(real[:n]), roots(generated[:m])], format="csr")[order]
    live = np.unique(points.indices)
    weights = np.empty((n + m, 1 + permutations))
    weights[:, 0] = np.where(order < n, 1 / n, -1 / m)
    for b in range(1, 1 + permutations):
        weights[:, b] = weights[rng.permutation(n + m), 0]
    found = _statistics(_pairs(points[:, live].toarray()), weights)
    deviation = found.std(axis=1, keepdims=True)
    centred = found - found.mean(axis=1, keepdims=True)
    scaled = np.divide(centred, deviation, out=np.zeros_like(found), where=deviation > 0)
    largest = scaled.max(axis=0)
    reached = int((largest[1:] >= largest[0] - 1e-6).sum())
    return CompositionTest(
        p_value=(1 + reached) / (1 + permutations),
        permutations=permutations,
        images_real=n,
        images_generated=m,
        strongest=NAMES[int(scaled[:, 0].argmax())],
    )


def _pairs(points: Floats) -> _Pairs:
    """Distances, standardised points and neighbours of (N, L) points."""
    size = len(points)
    spread = points.std(axis=0)
    still = spread <= 1e-9  # rounding is no deviation
    scaled = np.where(still, 0.0, points - points.mean(axis=0)) / np.where(still, 1.0, spread)
    counts = [min(size - 1, max(1, round(share * size))) for share in SHARES]
    distances = np.empty((size, size))
    nearest = np.empty((size, counts[-1]), dtype=np.intp)
    lengths = (points * points).sum(axis=1)
    for start in range(0, size, _BLOCK):
        part = slice(start, min(size, start + _BLOCK))
        squares = lengths[part, None] + lengths - 2 * (points[part] @ points.T)
        np.round(squares, _DIGITS, out=squares)
        np.maximum(squares, 0, out=squares)
        distances[part] = np.sqrt(squares)
        squares[np.arange(len(squares)), np.arange(part.start, part.stop)] = np.inf
        places = np.argpartition(squares, counts[-1] - 1, axis=1)[:, : counts[-1]]
        by_distance = np.take_along_axis(squares, places, axis=1).argsort(axis=1, kind="stable")
        nearest[part] = np.take_along_axis(places, by_distance, axis=1)
    return _Pairs(distances, scaled, [_neighbours(nearest[:, :count]) for count in counts])


def _neighbours(nearest: Integers) -> sparse.csr_array:
    """(N, N) with a 1 where the column is among the ``nearest`` (N, k) of the row."""
    size, count = nearest.shape
    ones = np.ones(nearest.size)
    ends = np.arange(0, nearest.size + 1, count)
    return sparse.csr_array((ones, nearest.ravel(), ends), shape=(size, size))


def _statistics(pairs: _Pairs, weights: Floats) -> Floats:
    """(4, B) quadratic forms in the columns of weights (N, B), in the order of ``NAMES``."""

    def form(products: Floats) -> Floats:
        return np.asarray(np.einsum("ib,ib->b", weights, products))

    means = (weights.T @ pairs.points) ** 2
    found = [-form(pairs.distances @ weights), means.sum(axis=1)]
    found += [form(cast("Floats", near @ weights)) for near in pairs.near]
    return np.stack(found)
