"""One training run of the embedded StyleGAN2: its plan, its networks and its update step.

Guarantees that a run is a function of its plan: pictures, latents, noise, resolution and learning
rate of a step depend on the seed and on the images seen before it, never on the clock, so that a
resumed run takes the steps, to the bit, that an uninterrupted one would have taken.

The loss is the non-saturating one with the R1 penalty every few steps (Karras et al., CVPR 2020,
section 2.1 and appendix B). Path length regularisation and style mixing are left out: the budget
is an hour or so on one core, and the first would take a good part of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seeingkit_adapters.stylegan2.config import StyleGAN2Config

from .adversarial import AdversarialRun, GrowingPlan
from .pictures import at_resolution
from .stylegan2_networks import GrowingStyleGAN2, ResidualDiscriminator


@dataclass(frozen=True, kw_only=True)
class Plan(GrowingPlan):
    """The settings of a StyleGAN2 run, besides those of ``GrowingPlan``.

    Attributes:
        latent: length of z and of w.
        mapping: layers of the mapping network.
        start: resolution of the first phase.
        images: thousands of images in all.
        half: whether convolutions are computed in bfloat16.
    """

    latent: int = 128
    mapping: int = 4
    sizes: tuple[int, ...] = (128, 128, 96, 48, 24)
    start: int = 16
    phases: tuple[float, ...] = (50, 60)
    fade: float = 25
    images: float = 330
    batch: int = 16
    r1: float = 0.2
    half: bool = True

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8, … up to the finished network's."""
        return tuple(4 << i for i in range(len(self.sizes)))

    @property
    def total(self) -> int:
        """Images in all: the thousands asked for, in whole batches."""
        return round(self.images * 1000) // self.batch * self.batch

    def config(self) -> StyleGAN2Config:
        """The finished network."""
        return StyleGAN2Config(
            z_dim=self.latent,
            w_dim=self.latent,
            mapping_widths=(self.latent,) * self.mapping,
            resolution=self.resolutions[-1],
            channels=dict(zip(self.resolutions, self.sizes, strict=True)),
        )

    def stage(self, images: int) -> tuple[int, float]:
        """(resolution, alpha) after so many images."""
        resolution, start = self.start, 0.0
        for thousands in self.phases:
            if images < start + thousands * 1000:
                break
            start += thousands * 1000
            resolution *= 2
        if resolution == self.start:
            return resolution, 1.0
        return resolution, min(1.0, (images - start) / (self.fade * 1000))

    def rate_at(self, images: int) -> float:
        """Learning rate after so many images."""
        return self.decayed_rate(images / self.total)

    def same_until(self, other: Plan, images: int) -> bool:
        """Whether both plans prescribe the same first ``images`` images.

        They may differ in the number of images in all, as long as no rate has begun to fall.
        """
        if replace(self, images=other.images) != other:
            return False
        first = min(plan.total * (1.0 - plan.decay) for plan in (self, other))
        return self.total == other.total or images <= first


class Run(AdversarialRun[GrowingStyleGAN2]):
    """One training run."""

    plan: Plan

    def __init__(self, plan: Plan) -> None:
        torch.manual_seed(plan.seed)  # before any weight is drawn
        generator = GrowingStyleGAN2(plan.config(), half=plan.half)
        discriminator = ResidualDiscriminator((plan.latent, *plan.sizes))
        super().__init__(generator, discriminator, plan, latent=plan.latent)
        self.average.dtype = torch.float32
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        counters = (self.images, self.seconds)
        return {"plan": asdict(self.plan), "counters": counters, **self._tensors()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state()``.

        Raises:
            ValueError: the state was made by a plan that would have come to another state.
        """
        images, seconds = state["counters"]
        if not self.plan.same_until(Plan(**state["plan"]), images):
            raise ValueError("this run was begun with another plan; repeat its options")
        self.images, self.seconds = images, seconds
        self._restore_tensors(state["networks"], state["optimisers"])

    def batch_indices(self) -> np.ndarray:
        """Which pictures the next step sees: each once an epoch, in an order of the epoch's own."""
        steps = self.plan.pictures // self.plan.batch
        epoch, step = divmod(self.images // self.plan.batch, steps)
        if self._order[0] != epoch:
            generator = np.random.default_rng((self.plan.seed, epoch))
            self._order = epoch, generator.permutation(self.plan.pictures)
        start = step * self.plan.batch
        return np.sort(self._order[1][start : start + self.plan.batch])

    def step(self, pictures: Tensor) -> dict[str, float]:
        """One update of each network.

        Args:
            pictures: uint8 (batch, R, R, 3), those of ``batch_indices``.

        Returns:
            The losses, the mean scores of real and generated images, the penalty if it was due.
        """
        plan = self.plan
        resolution, alpha = plan.stage(self.images)
        random = torch.Generator().manual_seed(plan.seed * 2**32 + self.images)
        w = self.generator.map(torch.randn(plan.batch, plan.latent, generator=random))
        losses = self._update(
            at_resolution(pictures, resolution, alpha),
            self.generator(w, resolution, alpha, random),
            alpha,
            plan.rate_at(self.images),
            penalised=self.images // plan.batch % plan.r1_every == 0,
            half=plan.half,
        )
        self.images += plan.batch
        keep = self._follow()
        with torch.no_grad():
            self.average.network.mapping.track(w, keep)  # the mean w that truncation needs
        return losses

    def _drawn(self, z: Tensor, resolution: int, alpha: float) -> Tensor:
        images: Tensor = self.average(self.average.map(z), resolution, alpha)
        return images

    def published(self) -> dict[str, Tensor]:
        """Tensors of the averaged generator under the adapter's names."""
        return {k: v.detach().contiguous() for k, v in self.average.network.state_dict().items()}
