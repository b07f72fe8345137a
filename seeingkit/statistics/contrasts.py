"""Differences of the distances of several generators from the same real images.

Guarantees: all generators are measured against the same real images and the same halves of them;
exchanging two generators changes the sign of their difference and nothing else (the swap test
apart, whose permutations are drawn for the pair); every number is a function of rows and seed.

For two generators A and B and real images R the difference is D = FSD(R, A) − FSD(R, B).

- *estimate*: 2 D(n) − mean D(n/2), half-sample Richardson extrapolation, every half of the real
  images used for both generators. The bias of the real part is the same on both sides and cancels.
- *interval*: D ± z · error. D is a function of three samples, so its variance is that of its
  influence functions (``frechet.influence``) over the images: on the real images the difference of
  both pulls, on each generator's own images its own. What the real images do to both distances
  alike cancels there. Evaluated at the samples this holds the noise of second order twice (Efron &
  Stein 1981), so the interval is too wide, not too narrow, where A and B and R are nearly alike.
  The null of "0 is outside" is: *the two distances are equal*. The distributions may differ.
- *swap test*: the images of A and B are divided at random into two generators of the same sizes,
  the real images staying as they are; p = (1 + #{|D_b − c| ≥ |D − c|}) / (1 + N) with c = 0,
  or for unequal sizes the mean of all N + 1 values. Its null is: *both generators draw from one
  distribution*; there it is exact at every n. It says nothing of two that differ and are equally
  far.

Where the swap test does not reject at the interval's level the interval is extended to 0. So "A is
nearer" is claimed at most as often as the stricter of the two allows: exactly at the level where
the generators are alike, and at the interval's rate where they differ and are equally far.
Background: Gao, Sun & Su 2025 (arXiv 2501.18897), who contrast two generators on one set of real
data for likelihoods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse, special

from seeingkit.errors import TallyError

from .arrays import Floats, Integers
from .frechet import Moments, Rows, distance_value, influence, transport
from .products import Pool, Sums
from .resampling import ENOUGH, Progress

SPLITS = 16
"""Halvings of every side whose distances are averaged."""


class Contrast(NamedTuple):
    """How much farther the first of two generators is from the real images than the second.

    Attributes:
        value: bias-reduced difference of the distances, percent²; below 0: the first is nearer.
            Below ``ENOUGH`` images on a side the plug-in difference.
        low, high: its interval at ``confidence``, extended to 0 where the swap test does not reject
            at that level.
        error: standard error of the value.
        p_swap: of "both generators draw from one distribution"; None without permutations.
    """

    value: float
    low: float
    high: float
    error: float
    confidence: float
    p_swap: float | None

    @property
    def nearer(self) -> int | None:
        """0 or 1: the generator that is surely nearer; None: neither is."""
        return None if self.low <= 0 <= self.high else 0 if self.high < 0 else 1


class Measured(NamedTuple):
    """One generator against the real images.

    Attributes:
        members: (m,) its places among the pooled images.
        moments: of its images; value: plug-in distance, percent².
        halves: (``SPLITS``,) mean distance of both pairs of halves; empty where there are too few.
        on_real, on_own: (n,), (m,) pull of each real image and of each own one on the distance.
    """

    members: Integers
    moments: Moments
    value: float
    halves: Floats
    on_real: Floats
    on_own: Floats


class SharedPool:
    """The images of several generators and the real ones that all of them are measured against.

    Attributes:
        pool: real images first, then those of each generator in turn.
        real: moments of the real images.
        measured: one entry a generator.

    >>> pool = SharedPool(np.array([[0.0], [2.0]]), [np.array([[3.0], [5.0]])])
    >>> float(pool.measured[0].value)
    9.0
    """

    def __init__(
        self,
        real: Rows | sparse.csr_array,
        generated: Sequence[Rows | sparse.csr_array],
        *,
        seed: int = 0,
    ) -> None:
        """Measure every generator.

        Args:
            real: (N, L) areas in percent; generated: (M, L) of each generator.
            seed: of the halves.

        Raises:
            TallyError: no generator, or fewer than two images on a side.
        """
        if not generated or min(real.shape[0], *(rows.shape[0] for rows in generated)) < 2:
            raise TallyError("a difference needs generators of at least 2 images, and 2 real ones")
        stacked = sparse.vstack([sparse.csr_array(rows) for rows in generated], format="csr")
        self.pool = Pool(real, stacked)
        self.seed = seed
        sizes = [rows.shape[0] for rows in generated]
        ends = np.cumsum([self.pool.n, *sizes])
        groups = [np.arange(start, start + size) for start, size in zip(ends, sizes, strict=False)]
        sums = self.pool.sums(masks_of(len(self.pool), [np.arange(self.pool.n), *groups]))
        self.real = sums[0].moments()
        self._real_halves = self._halves(np.arange(self.pool.n))
        pairs = zip(groups, sums[1:], strict=True)
        self.measured = [self._measure(members, found.moments()) for members, found in pairs]

    def contrast(
        self,
        first: int,
        second: int,
        *,
        permutations: int = 0,
        confidence: float = 0.95,
        progress: Progress | None = None,
    ) -> Contrast:
        """The difference of two generators' distances, with interval and swap test.

        Args:
            first, second: places of the generators in ``measured``.
            permutations: of the swap test; 0: none.
            confidence: of the interval, in (0, 1).

        >>> same = np.array([[0.0], [2.0]])
        >>> SharedPool(same, [same, same + 3]).contrast(0, 1).value
        -9.0
        """
        a, b = self.measured[first], self.measured[second]
        plug_in = a.value - b.value
        value, extra = plug_in, 0.0
        if len(a.halves) and len(b.halves):
            halved = a.halves - b.halves
            value = 2 * plug_in - float(halved.mean())
            extra = float(halved.var(ddof=1)) / len(halved)
        variance = (a.on_real - b.on_real).var() / self.pool.n + extra
        variance += sum(one.on_own.var() / len(one.members) for one in (a, b))
        error = float(np.sqrt(variance))
        reach = float(special.ndtri((1 + confidence) / 2)) * error
        low, high = value - reach, value + reach
        p_swap = None
        if permutations:
            p_swap = self._swap_test(
                a, b, plug_in, [self.seed, 6, first, second], permutations, progress
            )
            if p_swap > 1 - confidence:
                low, high = min(low, 0.0), max(high, 0.0)
        return Contrast(value, low, high, error, confidence, p_swap)

    def _measure(self, members: Integers, found: Moments) -> Measured:
        ways = transport(self.real, found)
        halves = np.zeros(0)
        if self._real_halves and len(members) >= ENOUGH:
            own = self._halves(members)
            pairs = zip(self._real_halves, own, strict=True)
            values = [distance_value(r.moments(), g.moments()) for r, g in pairs]
            halves = np.mean(np.reshape(values, (SPLITS, 2)), axis=1)
        return Measured(
            members,
            found,
            distance_value(self.real, found),
            halves,
            influence(self.pool.rows[: self.pool.n], self.real, found, ways.forth),
            influence(self.pool.rows[members], found, self.real, ways.back),
        )

    def _halves(self, members: Integers) -> list[Sums]:
        """Sums of both halves of each split: the same for every generator of one size."""
        if len(members) < ENOUGH:
            return []
        rng = np.random.default_rng([self.seed, 5])
        half = len(members) // 2
        parts: list[Integers] = []
        for _ in range(SPLITS):
            order = members[rng.permutation(len(members))]
            parts += [order[:half], order[half : 2 * half]]
        return self.pool.sums(masks_of(len(self.pool), parts))

    def _swap_test(
        self,
        a: Measured,
        b: Measured,
        observed: float,
        seed: Sequence[int],
        permutations: int,
        progress: Progress | None,
    ) -> float:
        rng = np.random.default_rng(list(seed))
        members, size = np.concatenate([a.members, b.members]), len(a.members)
        total = self.pool.sums(masks_of(len(self.pool), [members]))[0]
        drawn = np.empty(permutations)
        for start in range(0, permutations, self.pool.at_once):
            count = min(self.pool.at_once, permutations - start)
            parts = [members[rng.permutation(len(members))[:size]] for _ in range(count)]
            for k, found in enumerate(self.pool.sums(masks_of(len(self.pool), parts))):
                other = total.without(found)
                near, far = (distance_value(self.real, x.moments()) for x in (found, other))
                drawn[start + k] = near - far
                if progress:
                    progress(start + k + 1)
        middle = 0.0  # of equal sizes, by symmetry
        if len(a.members) != len(b.members):
            middle = (observed + drawn.sum()) / (1 + permutations)
        # Divisions of few images tie, but for rounding.
        edge = abs(observed - middle) - 1e-7 * (a.value + b.value)
        return float((1 + (np.abs(drawn - middle) >= edge).sum()) / (1 + permutations))


def masks_of(size: int, groups: Sequence[Integers]) -> Floats:
    """(size, groups) masks of 0 and 1, of groups of places."""
    masks = np.zeros((size, len(groups)))
    for column, members in zip(masks.T, groups, strict=True):
        column[members] = 1
    return masks
