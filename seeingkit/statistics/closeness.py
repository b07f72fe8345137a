"""Tests of each class between two generators: which draws more, and which is closer to real images?

Guarantees: two questions for each class, the mean area over all images and the share of images that
show the class above the area threshold (``Pool.area_threshold``), are tested by the same rule;
exchanging the generators exchanges the answers, the permutations drawn aside.

With the means μ_A, μ_B of two generators and μ_R of the real images:

- *more*: the null is μ_A = μ_B. Welch's t of the mean areas, calibrated by random divisions of the
  images of A and B (``welch.p_values``); Fisher's exact test of the shares of images (mid-p).
- *closer*: the null is |μ_A − μ_R| = |μ_B − μ_R|. Since

      |μ_A − μ_R|² − |μ_B − μ_R|² = 2 (μ_A − μ_B) ((μ_A + μ_B) / 2 − μ_R),

  the generators are equally far if and only if they are equal or their middle is the real mean. So
  the null is the union of two, and it is rejected where both are: p is the larger of the p of
  *more* and the p of "the middle of A and B is μ_R" (intersection-union test, Berger 1982), which
  is Welch's t of three means, calibrated by random divisions of all images into three. Where the
  null holds, the chance of p ≤ α is at most α, and close to it where one of both is far off; the
  product of the two signs says who is closer, so where the farther one is known, a claim for it has
  a chance of α / 2 at most. What is claimed of no class: that the farther one is wrong by much.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Booleans, Floats, Integers
from .contrasts import SharedPool, masks_of
from .presence import presence_p_values
from .products import BLOCK, Side
from .resampling import DIVISIONS
from .welch import Mean, Welch, mean_area, p_values, share_seen, studentised


class Closeness(NamedTuple):
    """One question about each label, asked of two generators; arrays are (d,).

    Attributes:
        real, first, second: means: areas in percent, or shares of images in [0, 1].
        p_more: of "both means are equal".
        p_closer: of "both means are equally far from the real one".
        first_closer: whether the first is the closer one, as estimated.
    """

    real: Floats
    first: Floats
    second: Floats
    p_more: Floats
    p_closer: Floats
    first_closer: Booleans


def closeness(shared: SharedPool, first: int, second: int) -> tuple[Closeness, Closeness]:
    """Areas and shares of images of two generators, over the labels of ``shared.pool.live``.

    Args:
        first, second: places of the generators in ``shared.measured``.

    >>> real = np.array([[9.0], [11.0]] * 20)
    >>> area, _ = closeness(SharedPool(real, [real + 1, real + 5]), 0, 1)
    >>> bool(area.first_closer[0]), bool(area.p_closer[0] < 0.01)
    (True, True)
    """
    groups = [np.arange(shared.pool.n), *(shared.measured[k].members for k in (first, second))]
    real, a, b = (shared.pool.side(mask) for mask in masks_of(len(shared.pool), groups).T)
    rng = np.random.default_rng([shared.seed, 7, first, second])
    divided = _divisions(shared, groups[1:], rng)
    threes = _divisions(shared, groups, rng)
    ours, drawn_ours = map(mean_area, (a, b)), map(mean_area, divided)
    p_area = p_values(studentised(*ours), studentised(*drawn_ours))
    p_images = presence_p_values(a.seen, int(a.n), b.seen, int(b.n))
    found = []
    for p_more, mean in ((p_area, mean_area), (p_images, share_seen)):
        truth, first_mean, second_mean = (mean(side) for side in (real, a, b))
        drawn = _middle(*(mean(side) for side in threes))
        middle = p_values(_middle(truth, first_mean, second_mean), drawn)
        half = (first_mean.value + second_mean.value) / 2 - truth.value
        sign = (first_mean.value - second_mean.value) * half
        values = truth.value, first_mean.value, second_mean.value
        found.append(Closeness(*values, p_more, np.maximum(p_more, middle), sign < 0))
    return found[0], found[1]


def _divisions(shared: SharedPool, groups: list[Integers], rng: np.random.Generator) -> list[Side]:
    """Sums (B, d) of random divisions of these images into groups of the same sizes."""
    members = np.concatenate(groups)
    ends = np.cumsum([len(group) for group in groups])
    parts: list[list[Side]] = [[] for _ in groups]
    for start in range(0, DIVISIONS, BLOCK):
        orders = [rng.permutation(members) for _ in range(min(BLOCK, DIVISIONS - start))]
        for k, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
            chosen = [order[begin:end] for order in orders]
            parts[k].append(shared.pool.sides(masks_of(len(shared.pool), chosen)))
    return [Side.stacked(sides) for sides in parts]


def _middle(real: Mean, a: Mean, b: Mean) -> Welch:
    """Welch's t of (ā + b̄) / 2 − r̄; the degrees of freedom are Satterthwaite's (1946)."""
    difference = size = variance = spread = least = np.zeros(real.value.shape)
    for weight, mean in zip((-1.0, 0.5, 0.5), (real, a, b), strict=True):
        part = weight**2 * mean.variance
        difference, size = difference + weight * mean.value, size + np.abs(weight) * mean.value
        variance, spread = variance + part, spread + part**2 / (mean.groups - 1)
        least = least + 1e-13 * weight**2 * mean.value**2 / mean.groups  # rounding of the sums
    still = variance <= least
    equal = np.abs(difference) <= np.where(still, 1e-6, 1e-12) * size
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(still, np.sign(difference) * np.inf, difference / np.sqrt(variance))
        freedom = variance**2 / spread
    n, m = real.groups, a.groups + b.groups
    return Welch(n, m, np.where(equal, 0.0, t), np.where(still, n + m - 3, freedom))
