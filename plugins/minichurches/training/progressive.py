"""One training run of progressive growing: its plan, its networks and its update step.

Guarantees that the schedule is a function of the images seen, so that a resumed run continues where
it stopped, and that every process of a run holds the same networks after every step.

Progressive growing as in Karras et al., ICLR 2018 (equalised learning rate, pixel norm, minibatch
standard deviation, fading in); the loss is the non-saturating one with the R1 penalty (Mescheder et
al., ICML 2018) taken every few steps only (Karras et al., CVPR 2020, appendix B).
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from . import TRAIN_SEED
from .growing import GrowingDiscriminator, GrowingGenerator
from .pictures import at_resolution


@dataclass(frozen=True)
class Plan:
    """What a run is trained with.

    Attributes:
        sizes: channels of z, then of 4x4, 8x8, ….
        phases: thousands of images at each resolution but the last; half of them fade it in.
        fade: thousands of images over which the last resolution fades in.
        pictures: training scenes, indices 0 … pictures - 1 of ``TRAIN_SEED``.
        r1: weight of the penalty at the last resolution; it falls with the number of pixels.
        decay: last share of the time over which the learning rate falls to ``floor`` of itself.
        ema_half_life: images after which an old weight counts half in the average.
    """

    sizes: tuple[int, ...] = (128, 128, 128, 96, 48, 24)
    phases: tuple[float, ...] = (20, 30, 40, 60)
    fade: float = 60
    pictures: int = 40_000
    batch: int = 32
    rate: float = 2e-3
    r1: float = 0.5
    r1_every: int = 16
    decay: float = 0.3
    floor: float = 0.1
    ema_half_life: float = 10_000
    seed: int = 0

    def stage(self, images: int) -> tuple[int, float]:
        """(resolution, alpha) after so many images."""
        resolution, start = 4, 0.0
        for thousands in self.phases:
            length = thousands * 1000
            if images < start + length:
                fade = length / 2
                break
            start += length
            resolution *= 2
        else:
            fade = self.fade * 1000
        if resolution == 4:
            return resolution, 1.0
        return resolution, min(1.0, (images - start) / fade)


class Run:
    """Networks, optimisers and counters of one training run.

    Args:
        plan: what to train.
        rank: number of this process.
        workers: processes that share each batch. One process per core loses no time between the
            threads of small operations, and little when other programs take a core.
    """

    def __init__(self, plan: Plan, rank: int = 0, workers: int = 1) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.rank = rank
        self.workers = workers
        self.generator = GrowingGenerator(plan.sizes)
        self.discriminator = GrowingDiscriminator(plan.sizes)
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.optimisers = [
            torch.optim.Adam(net.parameters(), plan.rate, betas=(0.0, 0.99), foreach=True)
            for net in (self.generator, self.discriminator)
        ]
        self.images = 0
        self.steps = 0
        self.seconds = 0.0

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        return {
            "plan": asdict(self.plan),
            "counters": (self.images, self.steps, self.seconds),
            "networks": [n.state_dict() for n in self._networks],
            "optimisers": [o.state_dict() for o in self.optimisers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state()``."""
        self.images, self.steps, self.seconds = state["counters"]
        for network, tensors in zip(self._networks, state["networks"], strict=True):
            network.load_state_dict(tensors)
        for optimiser, tensors in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(tensors)

    @property
    def _networks(self) -> tuple[torch.nn.Module, ...]:
        return self.generator, self.discriminator, self.average

    def step(self, pictures: Tensor, rate: float) -> dict[str, float]:
        """One update of each network from this process's pictures; returns its own losses."""
        plan = self.plan
        resolution, alpha = plan.stage(self.images)
        real = at_resolution(pictures, resolution, alpha)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        g_optimiser, d_optimiser = self.optimisers
        losses: dict[str, float] = {}

        with torch.autocast("cpu", torch.bfloat16):
            fake = self.generator(self._z(), resolution, alpha)  # both networks learn from it
            real_score = self.discriminator(real, alpha)
            fake_score = self.discriminator(fake.detach(), alpha)
            d_loss = F.softplus(-real_score).mean() + F.softplus(fake_score).mean()
        total = d_loss
        if self.steps % plan.r1_every == 0:
            seen = real[: len(real) // 2].detach().requires_grad_(True)
            score = self.discriminator(seen, alpha)
            (slope,) = torch.autograd.grad(score.sum(), seen, create_graph=True)
            penalty = slope.square().sum(dim=(1, 2, 3)).mean()
            weight = plan.r1 * (resolution / (4 * 2 ** len(plan.phases))) ** 2
            total = total + 0.5 * weight * plan.r1_every * penalty
            losses["r1"] = float(penalty.detach())
        d_optimiser.zero_grad(set_to_none=True)
        total.backward()
        self._share(self.discriminator)
        d_optimiser.step()

        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            fooled = self.discriminator(fake, alpha)
            g_loss = F.softplus(-fooled).mean()
        g_optimiser.zero_grad(set_to_none=True)
        g_loss.backward()
        self._share(self.generator)
        g_optimiser.step()
        self.discriminator.requires_grad_(True)

        self.images += plan.batch
        self.steps += 1
        self._average()
        losses |= {
            "d": float(d_loss.detach()),
            "g": float(g_loss.detach()),
            "real": float(real_score.detach().mean()),
            "fake": float(fake_score.detach().mean()),
        }
        return losses

    def _z(self) -> Tensor:
        return torch.randn(self.plan.batch // self.workers, self.plan.sizes[0])

    def _share(self, network: nn.Module) -> None:
        """Average the gradients of all processes."""
        if self.workers == 1:
            return
        slopes = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([slope.flatten() for slope in slopes])
        dist.all_reduce(flat)
        flat /= self.workers
        for slope, mean in zip(slopes, flat.split([s.numel() for s in slopes]), strict=True):
            slope.copy_(mean.view_as(slope))

    def agree(self, seconds: float) -> float:
        """The clock of the first process, for all of them."""
        if self.workers == 1:
            return seconds
        clock = torch.tensor([seconds], dtype=torch.float64)
        dist.broadcast(clock, 0)
        return float(clock)

    @torch.no_grad()
    def _average(self) -> None:
        half_life = min(self.plan.ema_half_life, 0.05 * self.images)
        keep = 0.5 ** (self.plan.batch / half_life)
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.generator.parameters()), 1.0 - keep
        )

    @torch.no_grad()
    def samples(self, count: int = 64) -> Tensor:
        """Images of the averaged generator, (count, 3, R, R), always of the same latents."""
        z = torch.from_numpy(
            np.random.RandomState(0).standard_normal((count, self.plan.sizes[0])).astype(np.float32)
        )
        resolution, alpha = self.plan.stage(self.images)
        images: Tensor = self.average(z, resolution, alpha)
        return F.interpolate(images, scale_factor=self.average.resolutions[-1] // resolution)

    def export(self, path: Path) -> None:
        """Write the averaged generator under its published names, with how it was made."""
        plan = self.plan
        metadata = {
            "family": "progan",
            "resolution": str(self.average.resolutions[-1]),
            "latent": str(plan.sizes[0]),
            "training_seed": str(plan.seed),
            "trained_on": f"minichurches scenes, seed {TRAIN_SEED}, indices 0-{plan.pictures - 1}",
            "images_seen": str(self.images),
            "minutes": f"{self.seconds / 60:.1f}",
            "machine": f"CPU, {torch.get_num_threads() * self.workers} threads",
            "licence": "MIT",
        }
        temporary = path.with_suffix(".tmp")
        save_file(self.average.published(), temporary, metadata)
        temporary.replace(path)

    def rate(self, progress: float) -> float:
        """Learning rate at a share of the run's time."""
        plan = self.plan
        left = min(1.0, max(0.0, (1.0 - progress) / plan.decay))
        return plan.rate * (plan.floor + (1.0 - plan.floor) * left)
