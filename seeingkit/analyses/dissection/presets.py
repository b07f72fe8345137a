"""Named rules of levels and labels: ours, and those of two publications.

``default``: for each unit and class the level of the greatest information quality ratio (the
paper's formula, without the code's conditions), and a label where the agreement is more than place
and area explain (``claims``). The published rules label units at random weights, and most of them
with label maps of other images; they are here for comparison with published numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .agreement import information_quality, iou
from .config import PresetName
from .levels import LevelRule
from .moments import Moments

_PAPER = tuple(float(f) for f in np.minimum(np.geomspace(1, 0.001, 100), 1.0))


@dataclass(frozen=True)
class Preset:
    """Rules of a dissection.

    Attributes:
        level: how levels are chosen.
        tested: labels are the claims of ``claims``; else classes that reach the two bounds.
        background: "nothing" takes part as a class.
        least_area: classes that cover a smaller share of the sample are left out.
        least_iou, least_quality: bounds that a label must exceed, on the evaluated images.
        side: pixels of a label map that are counted, a side at most; None: all.
        by_quality: the label is the class of the greatest information quality ratio on the sample
            of the levels, else that of the greatest IoU on the evaluated images.
    """

    level: LevelRule
    tested: bool
    background: bool
    least_area: float
    least_iou: float
    least_quality: float = 0.0
    by_quality: bool = False
    side: int | None = None


PRESETS: dict[PresetName, Preset] = {
    "default": Preset(LevelRule("iqr", (0.5, 0.001), even=32), True, False, 1e-4, 0.04, side=32),
    "paper": Preset(
        LevelRule(
            "iqr", _PAPER, per_class=False, least_accuracy=0.8, positive=True, least_area=1e-3
        ),
        tested=False,
        background=True,
        least_area=1e-4,
        least_iou=0.05,
        least_quality=0.01,
        by_quality=True,
    ),
    "pnas": Preset(LevelRule("fixed", (0.01,)), False, False, 0.0, 0.04),
}


def rule_of(name: str) -> Preset:
    """The rule of this name.

    >>> rule_of("pnas").least_iou
    0.04
    """
    return {str(known): rule for known, rule in PRESETS.items()}[name]


def published_labels(
    sums: Moments, quality: NDArray[np.float64], rule: Preset
) -> NDArray[np.int64]:
    """(U,) the column of each unit's label by a published rule, or -1.

    Args:
        sums: of the evaluated images.
        quality: (U, C) information quality ratios on the sample of the levels.
        rule: a preset that is not ``tested``.

    >>> from seeingkit.analyses.dissection.moments import nothing
    >>> published_labels(nothing(2, 3), np.zeros((2, 3)), PRESETS["pnas"]).tolist()
    [-1, -1]
    """
    agreement = iou(sums.both, sums.active, sums.area)
    best = (quality if rule.by_quality else agreement).argmax(1)
    rows = np.arange(len(best))
    reached = agreement[rows, best] > rule.least_iou
    if rule.least_quality and sums.pixels:
        here = information_quality(sums.both, sums.active, sums.area, sums.pixels)
        reached &= here[rows, best] > rule.least_quality
    return np.where(reached, best, -1).astype(np.int64)
