"""Coverage and density of whole scenes (class compositions), by image.

Guarantees: every number depends on ids, areas and seed, not on the order of images or classes; a
generated image with exactly the areas of a real one always covers it.

With the neighbourhoods of ``neighbourhoods`` (Naeem et al. 2020, Reliable fidelity and diversity
metrics for generative models, section 3):

    coverage = share of real images with a generated image in their neighbourhood
    density  = mean over generated images of (neighbourhoods that hold it) / k

**The value for real images.** If a real image has c others within its (closed) neighbourhood, a
second sample of m real images misses all of it with probability

    Π_{j<c} (n − 1 − j) / (n + m − 1 − j):

all images are alike, so the nearest c of the n + m − 1 others are a random choice. Without ties c
is k, coverage is the closed form of Naeem et al. (lemma 2; about 1 − 2^−k for n = m) and density 1.
Taken at halves of the real images it is the exact mean over all splits into disjoint halves, so no
half has to be drawn. Copies (images of one class, say) make c larger, coverage and density too.

**How sure.** Neighbours share neighbourhoods, so the real images count for fewer than they are.
Both sides are split in halves, and the coverage of one pair of halves is compared with that of the
other: half its mean square over splits is the variance at n / 2, whatever the dependence. That
variance, over the binomial one, is the design effect; Wilson's interval (1927) then holds with n
divided by it.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from seeingkit.results import Interval, ScenesResult, UncoveredImage
from seeingkit.tallies import Tally

from .arrays import Booleans, Floats, Integers
from .compositions import MOST, composition_test
from .neighbourhoods import ROUNDING, Neighbourhoods, neighbourhoods
from .presence import wilson_interval

CLASSES_SHOWN = 5

ENOUGH = 50
"""Images per side below which coverage has no interval."""

SPLITS = 100


def scenes(
    real: Tally,
    generated: Tally,
    *,
    k: int = 5,
    most: int = 10_000,
    seed: int = 0,
    show: int = 24,
    confidence: float = 0.95,
    around: Neighbourhoods | None = None,
) -> ScenesResult | None:
    """Coverage, density, a test of whole compositions, and the least covered real images.

    Args:
        k, most, seed: as for ``neighbourhoods``; the test uses the first ``compositions.MOST`` of
            the same images.
        show: how many uncovered images are listed.
        confidence: of the intervals.
        around: ``neighbourhoods`` of these tallies, if they are at hand.

    Returns:
        None where there are too few images for neighbourhoods.

    Raises:
        UsageError: k or most is not positive.
    """
    if around is None:
        around = neighbourhoods(real, generated, k=k, most=most, seed=seed)
    if around is None:
        return None
    n, m = len(around.rows_real), len(around.rows_generated)
    coverage = float(around.covered.mean())
    return ScenesResult(
        test=composition_test(
            real.sparse_percent(0, around.rows_real[:MOST]),
            generated.sparse_percent(0, around.rows_generated[:MOST]),
            seed=seed,
        ),
        k=around.k,
        images_real=n,
        images_generated=m,
        coverage=coverage,
        coverage_ci=coverage_interval(around, seed=seed, confidence=confidence),
        coverage_expected=float(expected_coverage(around.within, n, m).mean()),
        density=float(around.held.mean() * n / (around.k * m)),
        density_expected=float(around.within.mean() / around.k),
        least_covered=_least_covered(real, generated, around, show),
    )


def coverage_interval(
    around: Neighbourhoods, *, seed: int = 0, confidence: float = 0.95
) -> Interval | None:
    """Interval of the coverage that other images of both sides, as many, would give on average.

    Args:
        seed: of the splits.
        confidence: in (0, 1).

    Returns:
        (low, high) in [0, 1]; None with fewer than ``ENOUGH`` images on a side, or 2 k + 2 real.
    """
    n, m = len(around.rows_real), len(around.rows_generated)
    if min(n, m) < ENOUGH or n // 2 <= around.k:
        return None
    rng = np.random.default_rng(seed)
    variance = binomial = 0.0
    for _ in range(SPLITS):
        halves = _covered_in_half(around, _half(n, rng), _half(m, rng))
        both = [float(covered.mean()) for covered in halves]
        variance += (both[0] - both[1]) ** 2 / 2
        binomial += sum(share * (1 - share) for share in both) / n
    effect = max(1.0, variance / binomial) if binomial > 0 else 1.0
    low, high = wilson_interval(around.covered.mean(), n / effect, confidence)
    return max(0.0, float(low)), min(1.0, float(high))


def _half(n: int, rng: np.random.Generator) -> Booleans:
    chosen = np.zeros(n, dtype=np.bool_)
    chosen[rng.permutation(n)[: n // 2]] = True
    return chosen


def _covered_in_half(
    around: Neighbourhoods, real: Booleans, generated: Booleans
) -> tuple[Booleans, Booleans]:
    """Which real images are covered if each half of both sides knows only itself."""
    ours = real[around.real.places] == real[:, None]
    kth = (np.cumsum(ours, axis=1) >= around.k).argmax(axis=1)
    theirs = generated[around.generated.places] == real[:, None]
    first = theirs.argmax(axis=1)
    row = np.arange(len(real))
    near = around.generated.squares[row, first]
    covered = theirs[row, first] & (near <= around.real.squares[row, kth] + ROUNDING)
    return covered[real], covered[~real]


def expected_coverage(within: Integers, n: int, m: int) -> Floats:
    """For real images with ``within`` others in reach: P(covered by m more real images), in [0, 1].

    1 − Π_{j<c} (n − 1 − j) / (n + m − 1 − j), with n real images in all.
    """
    c = np.asarray(within, dtype=np.float64)
    log_missed = gammaln(n) - gammaln(n - c) - gammaln(n + m) + gammaln(n + m - c)
    return np.asarray(-np.expm1(np.minimum(log_missed, 0.0)))


def _least_covered(
    real: Tally, generated: Tally, around: Neighbourhoods, show: int
) -> list[UncoveredImage]:
    open_ = np.flatnonzero(~around.covered)
    ranked = sorted(
        open_, key=lambda i: (-round(float(around.ratio[i]), 9), real.ids[around.rows_real[i]])
    )[:show]
    nothing = 0 if real.vocabulary.has_background else None
    areas = real.sparse_percent(0, around.rows_real[ranked]).toarray()
    found = []
    for i, row in zip(ranked, areas, strict=True):
        named = sorted(
            (-round(float(row[c]), 9), real.vocabulary.labels[c].name)
            for c in np.flatnonzero(row)
            if c != nothing
        )
        found.append(
            UncoveredImage(
                image=real.ids[around.rows_real[i]],
                nearest=generated.ids[around.nearest[i]],
                ratio=float(around.ratio[i]),
                classes={name: -area for area, name in named[:CLASSES_SHOWN]},
            )
        )
    return found
