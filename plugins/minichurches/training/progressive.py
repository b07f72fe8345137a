"""One training run of progressive growing: its plan, its networks and its update step.

Guarantees that the schedule is a function of the images seen, so that a resumed run continues where
it stopped, and that every process of a run holds the same networks after every step.

Progressive growing as in Karras et al., ICLR 2018 (equalised learning rate, pixel norm, minibatch
standard deviation, fading in); the loss is the non-saturating one with the R1 penalty (Mescheder et
al., ICML 2018) taken every few steps only (Karras et al., CVPR 2020, appendix B).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn

from seeingkit.system.writing import atomic_write

from . import TRAIN_SEED
from .adversarial import AdversarialRun, GrowingPlan
from .growing import GrowingDiscriminator, GrowingGenerator
from .pictures import at_resolution


@dataclass(frozen=True, kw_only=True)
class Plan(GrowingPlan):
    """The settings of a ProGAN run: ``sizes`` begins with the channels of z.

    Half of each phase but the first fades its resolution in; ``fade`` is that of the last.
    ``half``: convolutions are computed in bfloat16, which is slow on processors without it.
    """

    sizes: tuple[int, ...] = (128, 128, 128, 96, 48, 24)
    phases: tuple[float, ...] = (20, 30, 40, 60)
    fade: float = 60
    batch: int = 32
    r1: float = 0.5
    half: bool = True

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


class Run(AdversarialRun[GrowingGenerator]):
    """One process of a training run.

    Args:
        plan: of the run.
        rank: number of this process.
        workers: processes that share each batch. One process per core loses no time between the
            threads of small operations, and little when other programs take a core.
    """

    plan: Plan

    def __init__(self, plan: Plan, rank: int = 0, workers: int = 1) -> None:
        torch.manual_seed(plan.seed)
        generator, discriminator = GrowingGenerator(plan.sizes), GrowingDiscriminator(plan.sizes)
        super().__init__(generator, discriminator, plan, latent=plan.sizes[0])
        self.rank, self.workers = rank, workers
        self.steps = 0

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        counters = (self.images, self.steps, self.seconds)
        return {"plan": asdict(self.plan), "counters": counters, **self._tensors()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state()``."""
        self.images, self.steps, self.seconds = state["counters"]
        self._restore_tensors(state["networks"], state["optimisers"])

    def step(self, pictures: Tensor, rate: float) -> dict[str, float]:
        """One update of each network from this process's pictures; returns its own losses."""
        plan = self.plan
        resolution, alpha = plan.stage(self.images)
        z = torch.randn(plan.batch // self.workers, plan.sizes[0])
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.half):
            fake = self.generator(z, resolution, alpha)
        losses = self._update(
            at_resolution(pictures, resolution, alpha),
            fake,
            alpha,
            rate,
            penalised=self.steps % plan.r1_every == 0,
            half=plan.half,
        )
        self.images += plan.batch
        self.steps += 1
        self._follow()
        return losses

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

    def _drawn(self, z: Tensor, resolution: int, alpha: float) -> Tensor:
        images: Tensor = self.average(z, resolution, alpha)
        return images

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
        with atomic_write(path) as stream:
            stream.write(safetensors.torch.save(self.average.published(), metadata))

    def rate(self, progress: float) -> float:
        """Learning rate at a share of the run's time."""
        return self.plan.decayed_rate(progress)
