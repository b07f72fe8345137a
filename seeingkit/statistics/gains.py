"""Does an edit of a generator bring its images nearer to the real ones? Distances within pairs.

Guarantees: the images with an edit and without it are of the same latents, row by row, and are
measured against the same real images and the same halves of both; every number is a function of
rows and seed; an edit that changes nothing has a gain of exactly 0.

- *gain*: distance without the edit − with it, above 0 where the edit brings the images nearer;
  bias-reduced as in ``contrasts``, so that an edit gains nothing by making images more alike.
- *interval*: gain ± z · error. The gain is a function of the real images and of pairs, so its
  variance is that of its influence functions: over the real images of the difference of both
  pulls, over the pairs of the difference of the pulls of image and edited image. The null of "0 is
  outside" is: *both distances are equal*. The distributions may differ in any other way.
- *swap test*: image and edited image change places at random within pairs; exact at every n where
  *the edit only exchanges images of one distribution*. Where it does not reject at the level of the
  interval, the interval is extended to 0 (``contrasts`` does the same between generators).
- *against others*: the gain of one edit − the mean gain of several, such as of random units. Which
  others were drawn is noise too: its variance is theirs divided by their number, with Welch's
  (1947) degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse, special, stats

from seeingkit.errors import TallyError

from .arrays import Booleans, Floats
from .contrasts import SharedPool
from .frechet import Moments, Rows, distance_value, moments

SWAPS = 499
"""Exchanges within pairs behind a swap test, at least."""


def enough_swaps(confidence: float) -> int:
    """Exchanges behind a swap test whose p is held against 1 - confidence.

    The least p of k exchanges is 1 / (1 + k): there are so many that it is at most a fifth of the
    level, and never fewer than ``SWAPS``.

    >>> enough_swaps(0.95), enough_swaps(1 - 0.05 / 50)
    (499, 5000)
    """
    return max(SWAPS, math.ceil(round(5 / (1 - confidence), 6)))


class Estimate(NamedTuple):
    """A bias-reduced distance or a difference of distances, and its standard error."""

    value: float
    error: float


class Gain(NamedTuple):
    """How much nearer an edit brings images to the real ones.

    Attributes:
        value: distance without the edit − with it (``PairedDistances.against``: − the others').
        low, high: its interval, extended to 0 where the swap test does not reject.
        error: standard error.
        confidence: of the interval.
        p_swap: of "image and edited image can change places"; None where it was not needed, because
            the interval has 0 inside.
    """

    value: float
    low: float
    high: float
    error: float
    confidence: float
    p_swap: float | None = None

    @property
    def sure(self) -> bool:
        """Whether the edit surely brings the images nearer."""
        return self.low > 0

    @property
    def harm(self) -> bool:
        """Whether the edit surely takes the images farther away."""
        return self.high < 0


class PairedDistances:
    """The distances of a generator's images, without and with edits, from the same real images.

    Args:
        real: (N, L) rows of real images, such as areas in percent.
        original: (n, L) rows of generated images.
        edited: for each edit (n, L) rows of the images of the same latents.
        seed: of halves and exchanges.

    Raises:
        TallyError: no edit, rows that do not fit, or fewer than two images on a side.

    >>> real, own = np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]])
    >>> float(PairedDistances(real, own, [own - 3]).gain(0).value)
    9.0
    """

    def __init__(
        self,
        real: Rows | sparse.csr_array,
        original: Floats,
        edited: Sequence[Floats],
        *,
        seed: int = 0,
    ) -> None:
        if not edited or any(rows.shape != original.shape for rows in edited):
            raise TallyError("give for each edit as many rows as there are images without it")
        pool = SharedPool(real, [original, *edited], seed=seed)
        self.edits, self.seed = len(edited), seed
        self._measured, self._real = pool.measured, pool.real
        self._rows = pool.pool

    def distance(self, edit: int | None = None) -> Estimate:
        """The distance from the real images with an edit; None: without any."""
        return self._combined(self._weights({} if edit is None else {edit: 1.0}, edit is None))

    def gain(self, edit: int, *, confidence: float = 0.95, swaps: int | None = None) -> Gain:
        """The gain of an edit, with interval and swap test.

        Args:
            edit: its place among the edits.
            confidence: of the interval, in (0, 1).
            swaps: exchanges of the swap test; default: ``enough_swaps``.
        """
        found = self._combined(self._weights({edit: -1.0}))
        reach = float(special.ndtri((1 + confidence) / 2)) * found.error
        low, high, p = found.value - reach, found.value + reach, None
        if low > 0 or high < 0:
            p = self.swap_test(edit, enough_swaps(confidence) if swaps is None else swaps)
            if p > 1 - confidence:
                low, high = min(low, 0.0), max(high, 0.0)
        return Gain(found.value, low, high, found.error, confidence, p)

    def against(self, edit: int, others: Sequence[int], *, confidence: float = 0.95) -> Gain:
        """The gain of an edit less the mean gain of others.

        Args:
            edit: its place among the edits.
            others: places of at least two others, each drawn like any of them.
            confidence: of the interval.

        Raises:
            TallyError: fewer than two others.
        """
        k = len(others)
        if k < 2:
            raise TallyError("one other edit does not show how much others differ; give two")
        found = self._combined(
            self._weights({edit: -1.0, **dict.fromkeys(others, 1 / k)}, original=False)
        )
        gains = [self._combined(self._weights({other: -1.0})).value for other in others]
        drawn = float(np.var(gains, ddof=1)) / k
        variance = found.error**2 + drawn
        if variance == 0:
            return Gain(found.value, found.value, found.value, 0.0, confidence)
        freedom = (k - 1) * (variance / drawn) ** 2 if drawn > 0 else np.inf
        error = float(np.sqrt(variance))
        reach = float(stats.t.isf((1 - confidence) / 2, freedom)) * error
        return Gain(found.value, found.value - reach, found.value + reach, error, confidence)

    def swap_test(self, edit: int, swaps: int = SWAPS) -> float:
        """p of "image and edited image of a latent can change places", two-sided.

        (1 + exchanges whose |gain| is as large) / (1 + exchanges), of plug-in gains.
        """
        own, other = (self._measured[k].members for k in (0, 1 + edit))
        first, second = (self._rows.rows[members].toarray() for members in (own, other))
        observed = self._measured[0].value - self._measured[1 + edit].value
        edge = abs(observed) - 1e-7 * (self._measured[0].value + self._measured[1 + edit].value)
        rng = np.random.default_rng([self.seed, 11, edit])
        as_large = 0
        for _ in range(swaps):
            near, far = swapped(first, second, rng.random(len(first)) < 0.5)
            gain = distance_value(self._real, near) - distance_value(self._real, far)
            as_large += abs(gain) >= edge
        return (1 + as_large) / (1 + swaps)

    def _weights(self, edits: dict[int, float], original: bool = True) -> Floats:
        """One weight for each distance: that without an edit first."""
        found = np.zeros(1 + self.edits)
        found[0] = float(original)
        for edit, weight in edits.items():
            found[1 + edit] += weight
        return found

    def _combined(self, weights: Floats) -> Estimate:
        """A weighted sum of the distances and its standard error, pairs taken as pairs."""
        used = [(w, one) for w, one in zip(weights, self._measured, strict=True) if w]
        value = sum(w * one.value for w, one in used)
        extra = 0.0
        if all(len(one.halves) for _, one in used):
            halves = np.sum([w * one.halves for w, one in used], axis=0)
            value = 2 * value - float(halves.mean())
            extra = float(halves.var(ddof=1)) / len(halves)
        on_real = np.sum([w * one.on_real for w, one in used], axis=0)
        on_own = np.sum([w * one.on_own for w, one in used], axis=0)
        variance = on_real.var() / len(on_real) + on_own.var() / len(on_own) + extra
        return Estimate(float(value), float(np.sqrt(variance)))


def swapped(first: Floats, second: Floats, swap: Booleans) -> tuple[Moments, Moments]:
    """Moments of two sets (n, L) of paired rows, of which some have changed places.

    >>> ones, twos = np.array([[0.0], [0.0]]), np.array([[2.0], [2.0]])
    >>> swapped(ones, twos, np.array([True, False]))[0].mean
    array([1.])
    """
    there = swap[:, None]
    return moments(np.where(there, second, first)), moments(np.where(there, first, second))
