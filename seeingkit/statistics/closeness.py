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
from .welch import Welch, area_statistics, p_values


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
    p_area = p_values(area_statistics(a, b), area_statistics(*divided))
    p_images = presence_p_values(a.seen, a.n, b.seen, b.n)
    found = []
    for p_more, change in ((p_area, _areas), (p_images, _images)):
        middle = p_values(_middle(*map(change, (real, a, b))), _middle(*map(change, threes)))
        truth, first_mean, second_mean = (change(side).areas / side.n for side in (real, a, b))
        sign = (first_mean - second_mean) * ((first_mean + second_mean) / 2 - truth)
        p_closer = np.maximum(p_more, middle)
        found.append(Closeness(truth, first_mean, second_mean, p_more, p_closer, sign < 0))
    return found[0], found[1]


def _areas(side: Side) -> Side:
    return side


def _images(side: Side) -> Side:
    """The sums of a 1 for each image that shows the label above the area threshold."""
    return side._replace(areas=side.seen, squares=side.seen)


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
    return [
        Side(
            sides[0].n,
            *(np.concatenate(sums) for sums in zip(*(s[1:] for s in sides), strict=True)),
        )
        for sides in parts
    ]


def _middle(real: Side, a: Side, b: Side) -> Welch:
    """Welch's t of (ā + b̄) / 2 − r̄; the degrees of freedom are Satterthwaite's (1946)."""
    weights = (-1.0, 0.5, 0.5)
    difference = size = variance = spread = least = np.zeros(real.areas.shape)
    for weight, side in zip(weights, (real, a, b), strict=True):
        mean = side.areas / side.n
        squares = np.maximum(side.squares - side.n * mean * mean, 0.0)
        part = weight**2 * squares / (side.n - 1) / side.n
        difference, size = difference + weight * mean, size + np.abs(weight) * mean
        variance, spread = variance + part, spread + part**2 / (side.n - 1)
        least = least + 1e-13 * weight**2 * mean * mean / side.n  # rounding of sums of squares
    still = variance <= least
    equal = np.abs(difference) <= np.where(still, 1e-6, 1e-12) * size
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(still, np.sign(difference) * np.inf, difference / np.sqrt(variance))
        freedom = variance**2 / spread
    n, m = (np.full(t.shape, float(k)) for k in (real.n, a.n + b.n))
    return Welch(n, m, np.where(equal, 0.0, t), np.where(still, n + m - 3, freedom))
