"""Levels of units: from which value on a unit counts as active.

Guarantees: candidates are quantiles of a unit's values over a sample of its own (never the one that
is reported); which of them is taken follows a ``LevelRule`` and joint counts alone.

Rules (Bau et al., ICLR 2019, section 3.1, and the published code):

* ``iqr``: for each unit and class the level of the greatest information quality ratio;
* ``iou``: of the greatest IoU, which is biased upward on the sample where it is chosen;
* ``fixed``: one share of all pixels, the same for every class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.errors import UsageError

from .agreement import Floats, accuracy, information_quality, iou


@dataclass(frozen=True)
class LevelRule:
    """How the level of a unit is chosen.

    Attributes:
        choose: see the module.
        fractions: shares of pixels above the candidate levels, descending; one for ``fixed``.
        even: so many levels of equal distance between those of the first and the last fraction, in
            place of one a fraction: cheaper to count, for a rank is then a division; 0: no.
        per_class: a level for each class; else one for each unit, that of its best class.
        least_accuracy: candidates of a lower pixel accuracy are left out (published code: 0.8,
            which shuts out every class that covers a third of the image).
        positive: candidates at or below 0 are left out (published code).
        least_area: classes that cover a smaller share have information quality 0.

    >>> LevelRule("fixed", (0.01,)).fractions
    (0.01,)
    """

    choose: Literal["iqr", "iou", "fixed"] = "iqr"
    fractions: tuple[float, ...] = ()
    even: int = 0
    per_class: bool = True
    least_accuracy: float = 0.0
    positive: bool = False
    least_area: float = 0.0

    def __post_init__(self) -> None:
        given = self.fractions
        if not given or not all(0 < f <= 1 for f in given) or list(given) != sorted(given)[::-1]:
            raise UsageError("fractions of levels are shares of pixels above 0, in falling order")
        if self.choose == "fixed" and len(given) != 1:
            raise UsageError("a fixed level is one fraction")

    def levels_of(self, values: Tensor) -> Tensor:
        """The candidate levels (U, T), ascending, of units with these values (U, M).

        >>> LevelRule("iqr", (0.9, 0.1), even=3).levels_of(torch.arange(10.0)[None])
        tensor([[0.5000, 4.5000, 8.5000]])
        """
        found = quantile_levels(values, self.fractions)
        if not self.even:
            return found
        share = torch.linspace(0, 1, self.even, device=values.device, dtype=values.dtype)
        return torch.lerp(found[:, :1], found[:, -1:], share)


def quantile_levels(values: Tensor, fractions: Sequence[float]) -> Tensor:
    """Levels above which a share of the values lies.

    Linear between the middles of the order statistics, (i + 0.5) / n (numpy's "hazen").

    Args:
        values: (U, M) of each unit.
        fractions: shares above the level, descending.

    Returns:
        (U, T) of the same dtype, ascending.

    >>> quantile_levels(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), [0.5, 0.25])
    tensor([[2.5000, 3.5000]])
    """
    ordered = values.sort(dim=1).values
    count = values.shape[1]
    place = (1 - torch.tensor(list(fractions), dtype=torch.float64)) * count - 0.5
    place = place.clamp(0, count - 1)
    low = place.floor().long()
    weight = (place - low).to(values)
    high = (low + 1).clamp(max=count - 1)
    found = torch.lerp(
        ordered[:, low.to(values.device)],
        ordered[:, high.to(values.device)],
        weight.to(values.device),
    )
    return found.cummax(dim=1).values  # equal values stay equal whatever lerp rounds


def chosen_levels(
    both: NDArray[np.int64],
    active: NDArray[np.int64],
    area: NDArray[np.int64],
    total: int,
    levels: NDArray[np.float64],
    rule: LevelRule,
) -> tuple[NDArray[np.int64], Floats]:
    """The level of each unit and class, as its place among the candidates.

    Args:
        both: (U, T, C) pixels above each level that are of each class.
        active: (U, T) pixels above each level.
        area: (C,) pixels of each class.
        total: pixels in all.
        levels: (U, T) the candidates.
        rule: how to choose.

    Returns:
        (U, C) places in T, and the score there (IQR or IoU on this sample); -1 and 0 where no
        candidate may be chosen.

    >>> both = np.array([[[2], [1]]]); active = np.array([[2, 1]])
    >>> rule = LevelRule("iqr", (0.4, 0.1))
    >>> chosen_levels(both, active, np.array([2]), 10, np.array([[0.0, 1.0]]), rule)[0]
    array([[0]])
    """
    if rule.choose == "fixed":
        score = iou(both[:, 0], active[:, :1], area)
        return np.zeros(score.shape, np.int64), score
    wide = active[:, :, None]
    if rule.choose == "iou":
        score = iou(both, wide, area)
    else:
        score = information_quality(both, wide, area, total)
        score[:, :, area < rule.least_area * total] = 0.0
        if not rule.even:
            score[:, np.array(rule.fractions) >= 1] = 0.0
    allowed = accuracy(both, wide, area, total) > rule.least_accuracy
    if rule.least_accuracy == 0:
        allowed[:] = True
    if rule.positive:
        allowed &= (levels > 0)[:, :, None]
    score = np.where(allowed, score, 0.0)
    # Of equal scores the rarest: a unit that never varies has the same counts at every level.
    last = score.shape[1] - 1
    place = last - np.argmax(score[:, ::-1], axis=1)
    best = np.take_along_axis(score, place[:, None], 1)[:, 0]
    place = np.where(np.take_along_axis(allowed, place[:, None], 1)[:, 0], place, -1)
    if not rule.per_class:
        place = np.take_along_axis(place, best.argmax(1)[:, None], 1).repeat(place.shape[1], 1)
    return place, best
