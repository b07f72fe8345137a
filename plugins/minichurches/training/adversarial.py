"""The parts that both GAN recipes share: the plan's common fields and the update of one step.

The loss is the non-saturating one with the R1 penalty (Mescheder et al., ICML 2018), taken every
few steps only (Karras et al., CVPR 2020, appendix B). The generator that is published is a running
average of the trained weights.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .growing import GrowingDiscriminator

G = TypeVar("G", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class GrowingPlan(ABC):
    """The settings that both recipes have.

    Attributes:
        sizes: channels of each resolution from 4x4 on (of z first, for the ProGAN).
        phases: thousands of images at each resolution but the last.
        fade: thousands of images over which a new resolution fades in.
        pictures: training scenes, indices 0 … pictures - 1 of ``TRAIN_SEED``.
        batch: images of one step.
        rate: learning rate (Adam).
        r1: weight (gamma) of the penalty at the last resolution; it falls with the pixels.
        r1_every: steps from one penalty to the next.
        decay: last share of the run over which the learning rate falls to ``floor`` of itself.
        floor: see ``decay``.
        ema_half_life: images after which an old weight counts half in the average.
        seed: of the initial weights and of all that is drawn.
    """

    sizes: tuple[int, ...]
    phases: tuple[float, ...]
    fade: float
    pictures: int = 40_000
    batch: int
    rate: float = 2e-3
    r1: float
    r1_every: int = 16
    decay: float = 0.3
    floor: float = 0.1
    ema_half_life: float = 10_000
    seed: int = 0

    @abstractmethod
    def stage(self, images: int) -> tuple[int, float]:
        """(resolution, weight of its newest output in [0, 1]) after so many images."""

    def decayed_rate(self, progress: float) -> float:
        """Learning rate at a share of the run, 0 at its start and 1 at its end."""
        left = min(1.0, max(0.0, (1.0 - progress) / self.decay))
        return self.rate * (self.floor + (1.0 - self.floor) * left)


class AdversarialRun(ABC, Generic[G]):
    """Generator, discriminator, averaged generator, optimisers and counters of a run.

    Args:
        generator: drawn from the plan's seed, as is the discriminator.
        discriminator: of the same resolutions.
        plan: its learning rate, penalty and averaging.
        latent: length of z.

    Attributes:
        plan: as given.
        average: the averaged generator, the one to publish.
        images: training images seen so far.
        seconds: time spent in training so far.
    """

    def __init__(
        self, generator: G, discriminator: GrowingDiscriminator, plan: GrowingPlan, latent: int
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.plan, self._latent = plan, latent
        for network in (generator, discriminator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: G = copy.deepcopy(generator).requires_grad_(False)
        self.optimisers = [
            torch.optim.Adam(network.parameters(), plan.rate, betas=(0.0, 0.99), foreach=True)
            for network in (generator, discriminator)
        ]
        self.images = 0
        self.seconds = 0.0

    @property
    def _networks(self) -> tuple[nn.Module, ...]:
        return self.generator, self.discriminator, self.average

    @abstractmethod
    def state(self) -> dict[str, object]:
        """All that a resumed run needs, for ``torch.save``."""

    def _tensors(self) -> dict[str, object]:
        """The state of networks and optimisers."""
        return {
            "networks": [network.state_dict() for network in self._networks],
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def _restore_tensors(
        self, networks: Sequence[dict[str, Tensor]], optimisers: Sequence[dict[str, object]]
    ) -> None:
        for network, tensors in zip(self._networks, networks, strict=True):
            network.load_state_dict(tensors)
        for optimiser, saved in zip(self.optimisers, optimisers, strict=True):
            optimiser.load_state_dict(saved)

    def _update(
        self,
        real: Tensor,
        fake: Tensor,
        alpha: float,
        rate: float,
        *,
        penalised: bool,
        half: bool = True,
    ) -> dict[str, float]:
        """One update of the discriminator, then one of the generator.

        Args:
            real: (N, 3, R, R) in [-1, 1].
            fake: generated images of that shape, with their gradient; both networks learn from
                them.
            alpha: weight of the newest resolution while it fades in, in [0, 1].
            rate: learning rate.
            penalised: whether this step takes the R1 penalty.
            half: whether the discriminator's convolutions are computed in bfloat16.

        Returns:
            The losses, the mean scores of real and generated images, and the penalty if taken.
        """
        g_optimiser, d_optimiser = self._at_rate(rate)
        losses: dict[str, float] = {}

        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            real_score = self.discriminator(real, alpha)
            fake_score = self.discriminator(fake.detach(), alpha)
        d_loss = F.softplus(-real_score).mean() + F.softplus(fake_score).mean()
        total = d_loss
        if penalised:
            penalty = self._penalty(real[: max(1, len(real) // 2)], alpha)
            weight = self.plan.r1 * (real.shape[-1] / self.discriminator.resolutions[-1]) ** 2
            total = total + 0.5 * weight * self.plan.r1_every * penalty
            losses["r1"] = float(penalty.detach())
        d_optimiser.zero_grad(set_to_none=True)
        total.backward()
        self._share(self.discriminator)
        d_optimiser.step()

        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            fooled = self.discriminator(fake, alpha)
        g_loss = F.softplus(-fooled).mean()
        g_optimiser.zero_grad(set_to_none=True)
        g_loss.backward()
        self._share(self.generator)
        g_optimiser.step()
        self.discriminator.requires_grad_(True)
        return losses | {
            "d": float(d_loss.detach()),
            "g": float(g_loss.detach()),
            "real": float(real_score.detach().mean()),
            "fake": float(fake_score.detach().mean()),
        }

    def _at_rate(self, rate: float) -> list[torch.optim.Adam]:
        """The optimisers of generator and discriminator, set to a learning rate."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        return self.optimisers

    def _penalty(self, real: Tensor, alpha: float) -> Tensor:
        """R1: the mean squared norm of the score's gradient at real images, float32."""
        seen = real.detach().requires_grad_(True)
        score = self.discriminator(seen, alpha)
        (slope,) = torch.autograd.grad(score.sum(), seen, create_graph=True)
        return slope.square().sum(dim=(1, 2, 3)).mean()

    def _share(self, network: nn.Module) -> None:
        """Average the gradients of all processes; here there is one."""

    @torch.no_grad()
    def _follow(self) -> float:
        """Move the averaged generator towards the trained one; returns the share that it keeps."""
        half_life = min(self.plan.ema_half_life, 0.05 * self.images)
        keep: float = 0.5 ** (self.plan.batch / half_life)
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.generator.parameters()), 1.0 - keep
        )
        return keep

    @torch.no_grad()
    def samples(self, count: int = 64) -> Tensor:
        """Images of the averaged generator, (count, 3, R, R), always of the same latents."""
        shape = (count, self._latent)
        z = np.random.RandomState(0).standard_normal(shape).astype(np.float32)
        images = self._drawn(torch.from_numpy(z), *self.plan.stage(self.images))
        last = self.discriminator.resolutions[-1]
        return F.interpolate(images, scale_factor=last // images.shape[-1])

    @abstractmethod
    def _drawn(self, z: Tensor, resolution: int, alpha: float) -> Tensor:
        """Images of the averaged generator, (N, 3, resolution, resolution)."""
