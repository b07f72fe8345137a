"""The two ways to invert: as the paper did, and for a fraction of the cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .optimiser import Schedule
from .training import FAST, PAPER, Recipe


@dataclass(frozen=True)
class InversionPreset:
    """Losses and schedules.

    Attributes:
        latent: schedule of z; its rate is in units of z.
        residual: schedule of the residuals; the rate is in units of the standard deviation of x at
            each boundary, or of x itself where ``scaled`` is false.
        residuals: at which boundaries: those before the cut (the code), or also at it (the text).
        residual_weight: of the sum over i of mean δ_i² (δ in the units of ``scaled``).
        scaled: whether δ is measured in standard deviations of x at its boundary.
        recipe: how encoders are trained.
    """

    latent: Schedule
    residual: Schedule
    residuals: Literal["before", "all"]
    residual_weight: float
    scaled: bool
    recipe: Recipe
    free_latent: bool = False
    latent_rate: float = 1.0


# optimize_residuals.py: Adam, 3,000 steps from 0.01, halved at 800, 1,200 and 1,800; mean δ² of the
# layers before the cut with weight 1. The paper has no schedule for z, so it gets the same.
_PUBLISHED = Schedule(steps=3000, rate=0.01, milestones=(800, 1200, 1800))

PRESETS = {
    "paper": InversionPreset(_PUBLISHED, _PUBLISHED, "before", 1.0, False, PAPER),
    "fast": InversionPreset(
        Schedule(steps=300, rate=0.1, cosine=True),
        Schedule(steps=300, rate=0.1, cosine=True),
        "all",
        0.01,
        True,
        FAST,
    ),
}
