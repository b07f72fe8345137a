"""One training run of the embedded StyleGAN2: its plan, its networks and its update step.

Guarantees that a run is a function of its plan: pictures, latents, noise, resolution and learning
rate of a step depend on the seed and on the images seen before it, never on the clock, so that a
resumed run takes the steps, to the bit, that an uninterrupted one would have taken.

The loss is the non-saturating one with the R1 penalty every few steps (Karras et al., CVPR 2020,
section 2.1 and appendix B). Path length regularisation and style mixing are left out: the budget
is an hour or so on one core, and the first would take a good part of it.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit_adapters.stylegan2.config import StyleGAN2Config

from .pictures import at_resolution
from .stylegan2_networks import GrowingStyleGAN2, ResidualDiscriminator


@dataclass(frozen=True)
class Plan:
    """What a run is trained with.

    Attributes:
        latent: length of z and of w.
        mapping: layers of the mapping network.
        sizes: channels of 4x4, 8x8, … in both networks.
        start: resolution of the first phase.
        phases: thousands of images at each resolution from ``start`` on but the last.
        fade: thousands of images over which a new resolution fades in.
        images: thousands of images in all.
        pictures: training scenes, indices 0 … pictures - 1 of ``TRAIN_SEED``.
        r1: weight (gamma) of the penalty at the last resolution; it falls with the pixels.
        decay: last share of the images over which the learning rate falls to ``floor`` of itself.
        ema_half_life: images after which an old weight counts half in the average.
        half: whether convolutions are computed in bfloat16.
    """

    latent: int = 128
    mapping: int = 4
    sizes: tuple[int, ...] = (128, 128, 96, 48, 24)
    start: int = 16
    phases: tuple[float, ...] = (50, 60)
    fade: float = 25
    images: float = 330
    pictures: int = 40_000
    batch: int = 16
    rate: float = 2e-3
    r1: float = 0.2
    r1_every: int = 16
    decay: float = 0.3
    floor: float = 0.1
    ema_half_life: float = 10_000
    seed: int = 0
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
        left = min(1.0, max(0.0, (1.0 - images / self.total) / self.decay))
        return self.rate * (self.floor + (1.0 - self.floor) * left)

    def same_until(self, other: Plan, images: int) -> bool:
        """Whether both plans prescribe the same first ``images`` images.

        They may differ in the number of images in all, as long as no rate has begun to fall.
        """
        if replace(self, images=other.images) != other:
            return False
        first = min(plan.total * (1.0 - plan.decay) for plan in (self, other))
        return self.total == other.total or images <= first


class Run:
    """Networks, optimisers and counters of one training run."""

    def __init__(self, plan: Plan) -> None:
        torch.manual_seed(plan.seed)  # before any weight is drawn
        self.plan = plan
        self.generator = GrowingStyleGAN2(plan.config(), half=plan.half)
        self.discriminator = ResidualDiscriminator((plan.latent, *plan.sizes))
        for net in (self.generator, self.discriminator):
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.average.dtype = torch.float32
        self.optimisers = [
            torch.optim.Adam(net.parameters(), plan.rate, betas=(0.0, 0.99), foreach=True)
            for net in (self.generator, self.discriminator)
        ]
        self.images = 0
        self.seconds = 0.0
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        return {
            "plan": asdict(self.plan),
            "counters": (self.images, self.seconds),
            "networks": [n.state_dict() for n in self._networks],
            "optimisers": [o.state_dict() for o in self.optimisers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state()``.

        Raises:
            ValueError: the state was made by a plan that would have come to another state.
        """
        images, seconds = state["counters"]
        if not self.plan.same_until(Plan(**state["plan"]), images):
            raise ValueError("this run was begun with another plan; repeat its options")
        self.images, self.seconds = images, seconds
        for net, tensors in zip(self._networks, state["networks"], strict=True):
            net.load_state_dict(tensors)
        for optimiser, tensors in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(tensors)

    @property
    def _networks(self) -> tuple[torch.nn.Module, ...]:
        return self.generator, self.discriminator, self.average

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
        real = at_resolution(pictures, resolution, alpha)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = plan.rate_at(self.images)
        g_optimiser, d_optimiser = self.optimisers
        losses: dict[str, float] = {}

        w = self.generator.map(torch.randn(plan.batch, plan.latent, generator=random))
        fake = self.generator(w, resolution, alpha, random)  # both networks learn from it
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.half):
            real_score = self.discriminator(real, alpha)
            fake_score = self.discriminator(fake.detach(), alpha)
        d_loss = F.softplus(-real_score).mean() + F.softplus(fake_score).mean()
        total = d_loss
        if self.images // plan.batch % plan.r1_every == 0:
            seen = real[: max(1, len(real) // 2)].detach().requires_grad_(True)
            score = self.discriminator(seen, alpha)
            (slope,) = torch.autograd.grad(score.sum(), seen, create_graph=True)
            penalty = slope.square().sum(dim=(1, 2, 3)).mean()
            weight = plan.r1 * (resolution / plan.resolutions[-1]) ** 2
            total = total + 0.5 * weight * plan.r1_every * penalty
            losses["r1"] = float(penalty.detach())
        d_optimiser.zero_grad(set_to_none=True)
        total.backward()
        d_optimiser.step()

        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.half):
            fooled = self.discriminator(fake, alpha)
        g_loss = F.softplus(-fooled).mean()
        g_optimiser.zero_grad(set_to_none=True)
        g_loss.backward()
        g_optimiser.step()
        self.discriminator.requires_grad_(True)

        self.images += plan.batch
        self._average(w)
        return losses | {
            "d": float(d_loss.detach()),
            "g": float(g_loss.detach()),
            "real": float(real_score.detach().mean()),
            "fake": float(fake_score.detach().mean()),
        }

    @torch.no_grad()
    def _average(self, w: Tensor) -> None:
        """Follow the trained weights, and the mean w that truncation needs."""
        half_life = min(self.plan.ema_half_life, 0.05 * self.images)
        keep = 0.5 ** (self.plan.batch / half_life)
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.generator.parameters()), 1.0 - keep
        )
        self.average.network.mapping.track(w, keep)

    @torch.no_grad()
    def samples(self, count: int = 64) -> Tensor:
        """Images of the averaged generator, (count, 3, R, R), always of the same latents."""
        shape = (count, self.plan.latent)
        z = np.random.RandomState(0).standard_normal(shape).astype(np.float32)
        resolution, alpha = self.plan.stage(self.images)
        images: Tensor = self.average(self.average.map(torch.from_numpy(z)), resolution, alpha)
        return F.interpolate(images, scale_factor=self.plan.resolutions[-1] // resolution)

    def published(self) -> dict[str, Tensor]:
        """Tensors of the averaged generator under the adapter's names."""
        return {k: v.detach().contiguous() for k, v in self.average.network.state_dict().items()}
