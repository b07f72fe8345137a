"""How encoders are trained: the paper's recipe, a shorter one of our own, and the losses.

The losses are those of Bau et al. 2019, section 3.2, and of its code (``train_onelayer_inv.py``,
``train_hybrid_inv.py``), each on fresh samples of the generator.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn

from seeingkit.contracts import Generator, State

from ..objectives import mean_absolute, mean_square, one_minus_cosine
from ..samples import TRAIN_SEED, draw, states_at
from .networks import LayeredEncoder

RIGHT_WEIGHT = 0.01  # λ_R of the paper and of train_onelayer_inv.py
FeatureLoss = Literal["l1", "cosine", "both"]
Stage = Literal["layer", "image", "tune"]
"""e_1 … e_n, then e_f, then all together (and a direct encoder's only one)."""


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
        image_milestones, tune_milestones, tune_decay: the same for e_f and for all together, where
            they differ; None: as ``milestones`` and ``decay``.
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
    image_milestones: tuple[float, ...] | None = None
    tune_milestones: tuple[float, ...] | None = None
    tune_decay: float | None = None

    def key(self) -> str:
        """Hash of all fields, 8 hexadecimal digits; part of the names of encoder files."""
        text = json.dumps(self.record(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def record(self) -> dict[str, Any]:
        """All fields that are not None, JSON-able."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}

    def architecture(self) -> dict[str, Any]:
        """Arguments of the networks."""
        names = ("pixelnorm", "width", "most", "blocks")
        return {name: getattr(self, name) for name in names}

    def rate_factor(self, step: int, steps: int, stage: Stage = "layer") -> float:
        """Learning rate at a step of a stage of ``steps`` steps, as a share of the first rate."""
        own = {"layer": None, "image": self.image_milestones, "tune": self.tune_milestones}[stage]
        milestones = self.milestones if own is None else own
        if milestones or own is not None:
            decay = self.decay
            if stage == "tune" and self.tune_decay is not None:
                decay = self.tune_decay
            return float(decay ** sum(step >= m * steps for m in milestones))
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
    image_milestones=(),
    tune_milestones=(0.05, 0.15, 0.35),
    tune_decay=0.5,
)
"""Steps, rates, milestones and widths of ``run_invert.sh``; the losses are the paper's L1."""

RECIPES = {recipe.name: recipe for recipe in (FAST, PAPER)}


class TrainingLosses:
    """Scalar losses of one step; each call draws its own batch of samples.

    ``cut`` is the boundary of r, ``input`` for a direct encoder.
    """

    def __init__(self, generator: Generator, cut: str, recipe: Recipe) -> None:
        self.generator, self.cut, self.recipe = generator, cut, recipe
        depth = generator.boundary(cut).index
        self.names = [b.name for b in generator.boundaries[: depth + 1]]
        self.drawn = 0

    def restart(self, series: int) -> None:
        """Begin another series of samples, of at most 10⁷."""
        self.drawn = series * 10**7

    def layer(self, network: LayeredEncoder, i: int) -> Tensor:
        """e_i: ℓ(x, e(g(x))) + 0.01 ℓ(g(x), g(e(g(x))))."""
        below, above = self._samples(self.names[i - 1], self.names[i])
        estimate = network.inverse(i)(above.x)
        again = self.generator.advance(below.with_x(estimate), self.names[i]).x
        left = self.features(below.x, estimate, latent=i == 1)
        return left + RIGHT_WEIGHT * self.features(above.x, again)

    def image(self, network: nn.Module) -> Tensor:
        """e_f: ℓ₂(r, e_f(G_f(r))), over the variance of r."""
        r, x = self._samples(self.cut, "image")
        scale = r.x.detach().var()
        return mean_square(r.x - network(x.x)).mean() / scale

    def whole(self, network: nn.Module) -> Tensor:
        """E of layers: ℓ(r, e_f(x)) + ℓ(z, E(x)) + ℓ(r, r of G(E(x))) + image loss."""
        start, r, x = self._samples(self.names[0], self.cut, "image")
        z_again, r_again = network(x.x)
        state = self.generator.advance(start.with_x(z_again), self.cut)
        image = self.generator.advance(state).x
        return (
            self.features(r.x, r_again)
            + self.features(start.x, z_again, latent=True)
            + self.features(r.x, state.x)
            + self.pixels(x.x, image)
        )

    def direct(self, network: nn.Module) -> Tensor:
        """A direct E: ℓ(z, E(x)) + image loss."""
        start, x = self._samples(self.names[0], "image")
        z_again = network(x.x)
        image = self.generator.advance(start.with_x(z_again)).x
        return self.features(start.x, z_again, latent=True) + self.pixels(x.x, image)

    def features(self, truth: Tensor, estimate: Tensor, *, latent: bool = False) -> Tensor:
        """ℓ of features in units of their standard deviation, or of latents as they are."""
        scale = 1.0 if latent else truth.detach().std().clamp_min(1e-8)
        absolute = (mean_absolute(truth, estimate) / scale).mean()
        if self.recipe.loss == "l1":
            return absolute
        cosine = one_minus_cosine(truth, estimate).mean()
        return cosine if self.recipe.loss == "cosine" else cosine + absolute

    def pixels(self, truth: Tensor, estimate: Tensor) -> Tensor:
        """The image loss: L1, or mean square with the code's ``cosine``."""
        if self.recipe.loss == "cosine":  # train_hybrid_inv.py
            return mean_square(truth - estimate).mean()
        return mean_absolute(truth, estimate).mean()

    def _samples(self, *stops: str) -> list[State]:
        """Fresh samples, as states at the given boundaries (in order)."""
        latent = draw(self.generator, self.recipe.batch, TRAIN_SEED + self.drawn)
        self.drawn += self.recipe.batch
        return states_at(self.generator, latent, stops)
