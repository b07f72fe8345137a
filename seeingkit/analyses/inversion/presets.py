"""Presets of inversion: the paper's losses and schedule, and ours for a fraction of the cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from .catalog import InverterOptions
from .encoders.recipes import FAST, PAPER, Recipe
from .rows import Schedule

PAPER_LAYER = "relu4_2"
"""The layer of VGG-16 whose features the published code compares."""
STAND_IN_WEIGHT = 0.2
"""Weight of other features in preset ``paper``: then their term is about as large as L1 of pixels.

Measured with the small features that come as an extra, on 16 photos and 16 generator samples of
each embedded generator: L1 of pixels over the relative difference is 0.22 and 0.24 (one) and
0.34 and 0.35 (the other) at the initial guess, and 0.13 after 60 steps; the geometric mean is 0.19.
Features as they are, with weight 1, would be 18 to 50 times L1. The ratio in the published code is
not stated, and was not measured: that takes the weights of VGG-16.
"""


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
        free_latent: z0 is optimised along with the residuals, at ``latent_rate`` times the rate.
        settle: share of the steps for z0 alone, before the residuals are let go. So z explains all
            it can, and r stays where the generator's own r lie.
        perceptual_weight: of the perceptual loss.
        relative_features: the perceptual loss is the mean |difference| over the mean |feature| of
            the photo. So one weight fits networks whose features differ in size (EfficientNet's
            are some 20 times those of pixels).
    """

    latent: Schedule
    residual: Schedule
    residuals: Literal["before", "all"]
    residual_weight: float
    scaled: bool
    recipe: Recipe
    free_latent: bool = False
    latent_rate: float = 1.0
    settle: float = 0.0
    perceptual_weight: float = 1.0
    relative_features: bool = False

    def with_features(self, layer: str | None, options: InverterOptions) -> InversionPreset:
        """The preset for the perceptual features that there are (their layer; None: none).

        Features that stand in for the paper's are compared relative to the photo's, with
        ``STAND_IN_WEIGHT``, unless a weight was given.
        """
        if options.preset != "paper" or layer in (None, PAPER_LAYER):
            return self
        if options.perceptual_weight is not None:
            return self
        return replace(self, relative_features=True, perceptual_weight=STAND_IN_WEIGHT)

    def adapted(self, options: InverterOptions) -> InversionPreset:
        """The preset with the options that are given in place of its own numbers."""
        recipe = self.recipe
        if options.encoder_steps is not None:
            recipe = recipe.shortened(options.encoder_steps)
        if options.encoder_loss is not None:
            recipe = replace(recipe, loss=options.encoder_loss)
        names = ("residuals", "residual_weight", "perceptual_weight", "free_latent")
        given = {name: getattr(options, name) for name in names}
        return replace(
            self,
            latent=self.latent.adapted(options.steps, options.rate),
            residual=self.residual.adapted(options.steps, options.rate),
            recipe=recipe,
            **{name: value for name, value in given.items() if value is not None},
        )


# optimize_residuals.py: Adam, 3,000 steps from 0.01, halved at 800, 1,200 and 1,800; mean δ² of the
# layers before the cut with weight 1. The paper has no schedule for z, so it gets the same.
_PUBLISHED = Schedule(steps=3000, rate=0.01, milestones=(800, 1200, 1800))

_OURS = Schedule(steps=250, rate=0.1, cosine=True, patience=15, tolerance=1e-3, quiet=0.75)

PRESETS = {
    "paper": InversionPreset(_PUBLISHED, _PUBLISHED, "before", 1.0, False, PAPER),
    "fast": InversionPreset(
        latent=replace(_OURS, steps=200),
        residual=_OURS,
        residuals="all",
        residual_weight=0.1,
        scaled=True,
        recipe=FAST,
        free_latent=True,
        settle=0.25,
        perceptual_weight=0.1,
        relative_features=True,
    ),
}
