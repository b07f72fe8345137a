"""Training recipes of encoders: the paper's, and a shorter one of our own."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

FeatureLoss = Literal["l1", "cosine", "both"]


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained.

    Attributes:
        loss: ``l1`` (the paper's text), ``cosine`` (its code, which forgets the length of feature
            vectors) or ``both`` summed, for features and latents.
        layer_steps, image_steps, tune_steps: steps for each e_i, for e_f, and for all together; a
            direct encoder gets the last two together.
        batch: samples per step.
        layer_rate, image_rate, tune_rate: learning rates of Adam.
        milestones: shares of a stage at which the rate is multiplied by ``decay``; empty: it falls
            to zero along half a cosine.
        pixelnorm, width, most, blocks: of the networks.
        bfloat16: passes under autocast (faster where the processor has it; never for samples).
    """

    name: str
    loss: FeatureLoss = "both"
    layer_steps: int = 1500
    image_steps: int = 3000
    tune_steps: int = 3000
    batch: int = 32
    layer_rate: float = 2e-3
    image_rate: float = 2e-3
    tune_rate: float = 1e-3
    milestones: tuple[float, ...] = ()
    decay: float = 0.1
    pixelnorm: bool = False
    width: int = 32
    most: int = 256
    blocks: int = 1
    seed: int = 0
    bfloat16: bool = False

    def key(self) -> str:
        """Hash of all fields, 8 hexadecimal digits; part of the names of encoder files."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def record(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        return {**asdict(self), "milestones": list(self.milestones)}

    def architecture(self) -> dict[str, Any]:
        """Arguments of the networks."""
        names = ("pixelnorm", "width", "most", "blocks")
        return {name: getattr(self, name) for name in names}

    def rate_factor(self, step: int, steps: int) -> float:
        """Learning rate at a step of a stage of ``steps`` steps, as a share of the first rate."""
        if self.milestones:
            return self.decay ** sum(step >= m * steps for m in self.milestones)
        return 0.5 * (1 + math.cos(math.pi * min(step / max(steps, 1), 1.0)))

    def shortened(self, steps: int) -> Recipe:
        """The recipe with ``steps`` steps for e_f and for the whole, half of it for each layer."""
        return replace(
            self,
            name=f"{self.name}-{steps}",
            layer_steps=max(1, steps // 2),
            image_steps=steps,
            tune_steps=steps,
        )


FAST = Recipe("fast")
PAPER = Recipe(
    "paper",
    loss="l1",
    layer_steps=10_000,
    image_steps=10_000,
    tune_steps=100_000,
    layer_rate=1e-4,
    image_rate=1e-2,
    tune_rate=1e-5,
    milestones=(0.2, 0.6),
    pixelnorm=True,
    width=64,
    most=512,
    blocks=2,
)
"""Steps, rates and widths of ``run_invert.sh``; e_f had a constant rate there, E halved its own."""

RECIPES = {recipe.name: recipe for recipe in (FAST, PAPER)}
