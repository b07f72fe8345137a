"""Which units agree with which class beyond place and area, at a stated false discovery rate.

A published threshold on IoU says little: a unit that is bright in the upper half agrees with "sky"
in any picture, also in another one's label map. So the null of every claim is:

    the map of the unit and the label map of the class belong together no more than the map of one
    image and the label map of another

(of a conditional generator: of another image of the same class, for groups are of one class). Under
it, swapping the label maps within a group of images changes nothing in distribution, and the
excess of a group, S I - J over S exchanges, has mean 0. Its one-sided t-test over groups gives the
p-value; groups share no image, so they are independent. P-values of all candidates of a layer are
corrected by Benjamini and Hochberg (1995). Candidates are the pairs whose IoU on the sample of the
levels, which shares no image with this one, reaches ``LEAST_IOU``.

Measured with label maps of other images as if they were their own (``benchmarks/dissection.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from .agreement import Floats, iou
from .moments import SHIFTS, Moments

LEAST_IOU = 0.04
"""The bound of the published reports (Bau et al., PNAS 2020), asked of the excess over chance."""
FDR = 0.05
LEAST_GROUPS = 10
"""Fewer groups of images are no basis for a test."""


@dataclass(frozen=True, eq=False)
class Agreements:
    """Agreement of each unit with each class; (U, C) float64.

    Attributes:
        iou: intersection over union, over all images.
        chance: the same with label maps of other images: what place and area give.
        low, high: 95 % interval of ``iou``.
        p: of the null above; 1 where there is too little to test.
        q: false discovery rate at which a candidate is claimed; 1 of the others.
        claimed: bool.
    """

    iou: Floats
    chance: Floats
    low: Floats
    high: Floats
    p: Floats
    q: Floats
    claimed: NDArray[np.bool_]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(U,) the class of each unit: the claimed one of the greatest excess over chance, or -1.

        Excess, not IoU: a class that fills the picture has a great IoU with anything.
        """
        excess = np.where(self.claimed, self.iou - self.chance, -np.inf)
        found = excess.argmax(1) if excess.size else np.zeros(len(excess), np.int64)
        return np.where(self.claimed.any(1), found, -1).astype(np.int64)


def agreements(
    sums: Moments,
    candidates: NDArray[np.bool_],
    *,
    fdr: float = FDR,
    least_iou: float = LEAST_IOU,
) -> Agreements:
    """Agreements with their intervals and claims.

    Args:
        sums: of the evaluated images.
        candidates: (U, C) chosen on other images.
        fdr: expected share of wrong claims among the claims of a layer, at most.
        least_iou: a claimed pair must exceed chance by as much.

    >>> from seeingkit.analyses.dissection.moments import nothing
    >>> sums = nothing(2, 3)
    >>> agreements(sums, np.ones((2, 3), bool)).labels.tolist()
    [-1, -1]
    """
    groups, shifts = sums.groups, len(SHIFTS)
    found = iou(sums.both, sums.active, sums.area)
    chance = iou(sums.exchanged / shifts, sums.active, sums.area)
    p = np.ones(found.shape)
    low, high = np.zeros(found.shape), np.ones(found.shape)
    if groups >= LEAST_GROUPS:
        p = np.asarray(stats.t.sf(studentised(sums.excess, sums.excess2, groups), groups - 1))
        low, high = _interval(sums, found)
    q = np.ones(found.shape)
    if candidates.any():
        q[candidates] = stats.false_discovery_control(p[candidates], method="bh")
    claimed = candidates & (q <= fdr) & (found - chance >= least_iou)
    return Agreements(found, chance, low, high, p, q, claimed)


def studentised(total: ArrayLike, squares: ArrayLike, groups: ArrayLike) -> Floats:
    """Means over groups by their standard errors; -inf where nothing varies.

    Args:
        total, squares: sums over groups of the numbers and of their squares, of any shape.
        groups: how many, at least 2; of a shape that goes with the sums.

    >>> float(studentised(0, 8, 2)), float(studentised(8, 40, 2))
    (0.0, 2.0)
    """
    total, squares = np.asarray(total, np.float64), np.asarray(squares, np.float64)
    groups = np.asarray(groups, np.float64)
    mean = total / groups
    variance = np.maximum(squares / groups - mean**2, 0) * groups / (groups - 1)
    error = np.sqrt(variance / groups)
    found = np.divide(mean, error, out=np.full(mean.shape, -np.inf), where=error > 0)
    return np.asarray(found, np.float64)


def _interval(sums: Moments, ratio: Floats) -> tuple[Floats, Floats]:
    """95 % interval of a ratio of sums over independent groups, on the scale of its logit.

    The variance is that of the linearised ratio, sum (I_g - R V_g)² / (sum V_g)², as of a survey's
    ratio estimator (Cochran 1977, section 6.3); the logit keeps the ends in 0 to 1.
    """
    groups = sums.groups
    residual = sums.both2 - 2 * ratio * sums.both_union + ratio**2 * sums.union2
    union = np.maximum(sums.union, 1)
    error = np.sqrt(np.maximum(residual, 0) * groups / (groups - 1)) / union
    inside = (ratio > 0) & (ratio < 1)
    safe = np.where(inside, ratio, 0.5)
    half = stats.t.ppf(0.975, groups - 1) * error / (safe * (1 - safe))
    middle = np.log(safe / (1 - safe))
    low = np.where(inside, 1 / (1 + np.exp(-(middle - half))), ratio)
    high = np.where(inside, 1 / (1 + np.exp(-(middle + half))), ratio)
    # No pixel of both: at most three in the whole sample at 95 % (rule of three) says little.
    return np.asarray(low), np.asarray(np.where(ratio > 0, high, np.minimum(1, 3 / union)))
