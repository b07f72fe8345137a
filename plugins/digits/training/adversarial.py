"""Trains one of the shipped generators of digits, on one CPU core.

    python -m seeingkit_plugins.digits.training.adversarial healthy --out RUN

===============  ==================================================================================
recipe           what it shows
===============  ==================================================================================
``healthy``      a DCGAN with a steady discriminator
``collapsed``    the same generator against a discriminator of a third of its width that learns
                 slower, as in the experiments of Metz et al. 2017 (unrolled GANs, section 3.3),
                 stopped where it draws three digits (it jumps on to others later)
``auxiliary``    ACGAN (Odena et al. 2017): the discriminator also names the class;
                 L_S + L_C for the discriminator, L_C - L_S for the generator
``conditional``  cGAN (Mirza and Osindero 2014): both networks are told the class
``stacked``      three digits as the colours of one picture, 1,000 modes (Metz et al. 2017,
                 section 3.3.1)
``packed``       the same generator, whose discriminator sees two pictures at once (PacGAN, Lin et
                 al. 2018, section 3)
===============  ==================================================================================

Losses are the logistic ones (Goodfellow et al. 2014) with the generator's -log D(G(z)). The file
holds an average of the generator's weights over the last steps, and batch statistics of that
average, so that an image depends on its own z alone. Step k draws its digits, classes and z from
seed and k: a run that is stopped goes on at its last checkpoint to the same file.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.system.writing import atomic_write, write_text

from ...shipped import halved
from ..network import CLASSES
from .classifier import pictures
from .networks import Auxiliary, Conditional, Judge, Plain


@dataclass(frozen=True)
class Recipe:
    """The settings of a run.

    Attributes:
        kind: ``plain``, ``auxiliary`` or ``conditional``.
        colours: 1, or 3 digits on top of each other.
        z: numbers in z.
        width: of the generator.
        judge: width of the discriminator.
        steady: whether the discriminator is spectrally normalised.
        pack: pictures that it sees at once.
        rate, judge_rate: learning rates (Adam, betas 0.5 and 0.99).
        judge_every: the discriminator learns in every so many steps.
        steps: of the generator.
        batch: images of each kind in a step.
        keep: share of the average that stays at each step.
        seed: of everything that is drawn.
    """

    kind: str = "plain"
    colours: int = 1
    z: int = 32
    width: int = 24
    judge: int = 24
    steady: bool = True
    pack: int = 1
    rate: float = 5e-4
    judge_rate: float = 5e-4
    judge_every: int = 1
    steps: int = 2_500
    batch: int = 64
    keep: float = 0.995
    seed: int = 0


RECIPES = {
    "healthy": Recipe(),
    "collapsed": Recipe(judge=8, steady=False, rate=1e-3, judge_rate=3e-4, keep=0.9, steps=600),
    "auxiliary": Recipe("auxiliary", width=12, steps=5_000),
    "conditional": Recipe("conditional", width=64, steps=4_000),
    "stacked": Recipe(colours=3, steps=3_000),
    "packed": Recipe(colours=3, pack=2, judge=32, batch=128, steps=3_000),
}


class Run:
    """Networks, optimisers and counters of one training run."""

    def __init__(self, name: str, recipe: Recipe, out: Path) -> None:
        self.name, self.recipe, self.out = name, recipe, out
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.generator, self.average = _generator(recipe), _generator(recipe)
        classes = {"plain": "none", "auxiliary": "read", "conditional": "told"}[recipe.kind]
        self.judge = Judge(
            recipe.judge, recipe.pack * recipe.colours, classes, steady=recipe.steady
        )
        self.average.load_state_dict(self.generator.state_dict())
        betas = (0.5, 0.99)
        self.optimiser = torch.optim.Adam(self.generator.parameters(), recipe.rate, betas)
        self.judge_optimiser = torch.optim.Adam(self.judge.parameters(), recipe.judge_rate, betas)
        images, self.labels = pictures("train")
        self.pixels = images[:, 0]
        self.step, self.seconds = 0, 0.0
        if self.checkpoint.exists():
            self._resume()
        else:
            numbers = sum(p.numel() for p in self.generator.parameters())
            about = {"event": "start", "recipe": name, "settings": asdict(recipe)}
            self.log(about | {"generator": numbers, "torch": torch.__version__})

    @property
    def checkpoint(self) -> Path:
        """The file from which the run is resumed."""
        return self.out / "checkpoint.pt"

    def log(self, record: dict[str, Any]) -> None:
        """Append one record to ``log.jsonl``."""
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def _parts(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "average": self.average,
            "judge": self.judge,
            "optimiser": self.optimiser,
            "judge_optimiser": self.judge_optimiser,
        }

    def _resume(self) -> None:
        saved = torch.load(self.checkpoint, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.step, self.seconds = saved["step"], saved["seconds"]
        self.log({"event": "resume", "step": self.step})

    def save(self) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        with atomic_write(self.checkpoint) as stream:
            torch.save(state | {"step": self.step, "seconds": self.seconds}, stream)

    def train(self, every: int = 250) -> None:
        """Do the remaining steps; log and save each ``every`` steps."""
        started, losses = time.monotonic() - self.seconds, []
        while self.step < self.recipe.steps:
            losses.append(self._one_step())
            self.step += 1
            if self.step % every == 0 or self.step == self.recipe.steps:
                self.seconds = time.monotonic() - started
                generator, judge = np.mean(losses, 0)
                record = {"step": self.step, "minutes": round(self.seconds / 60, 2)}
                record |= {"generator": round(generator, 4), "judge": round(judge, 4)}
                self.log(record)
                self.save()
                losses = []

    def _one_step(self) -> tuple[float, float]:
        random = torch.Generator().manual_seed(self.recipe.seed * 2**32 + self.step)
        images, labels = self._real(random)
        z = torch.randn(len(images), self.recipe.z, generator=random)
        drawn = torch.randint(CLASSES, (len(images),), generator=random)
        made = self.generator(z, drawn)
        judged = 0.0
        if self.step % self.recipe.judge_every == 0:
            loss = self._judge_loss(images, labels, made.detach(), drawn)
            judged = _step(self.judge_optimiser, loss)
        for parameter in self.judge.parameters():
            parameter.requires_grad_(False)
        score, named = self._judged(made, drawn)
        loss = F.softplus(-score).mean()
        if named is not None:
            loss = loss + F.cross_entropy(named, drawn)
        found = _step(self.optimiser, loss)
        for parameter in self.judge.parameters():
            parameter.requires_grad_(True)
        with torch.no_grad():
            for mean, new in zip(
                self.average.parameters(), self.generator.parameters(), strict=True
            ):
                mean.lerp_(new, 1 - self.recipe.keep)
        return found, judged

    def _judge_loss(self, images: Tensor, labels: Tensor, made: Tensor, drawn: Tensor) -> Tensor:
        real, read = self._judged(images, labels)
        fake, read_of_made = self._judged(made, drawn)
        loss = F.softplus(-real).mean() + F.softplus(fake).mean()
        if read is not None and read_of_made is not None:
            loss = loss + F.cross_entropy(read, labels) + F.cross_entropy(read_of_made, drawn)
        return loss

    def _judged(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the discriminator says of images (N, …), ``pack`` of them at once."""
        if self.recipe.pack == 1:
            return cast("tuple[Tensor, Tensor | None]", self.judge(images, labels))
        packed = images.unflatten(0, (-1, self.recipe.pack)).flatten(1, 2)
        return cast("tuple[Tensor, Tensor | None]", self.judge(packed))

    def _real(self, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """A batch of training digits (N, colours, 32, 32), and the class of the first colour."""
        shape = (self.recipe.batch, self.recipe.colours)
        chosen = torch.randint(len(self.pixels), shape, generator=random)
        return self.pixels[chosen], self.labels[chosen[:, 0]]

    @torch.no_grad()
    def settled(self, images: int = 8_000) -> nn.Module:
        """The average generator with the batch statistics of its own images, in eval mode."""
        norms = [
            m for m in self.average.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
        ]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
        self.average.train()
        random = torch.Generator().manual_seed(self.recipe.seed + 1)
        for _ in range(0, images, 500):
            z = torch.randn(500, self.recipe.z, generator=random)
            self.average(z, torch.randint(CLASSES, (500,), generator=random))
        return self.average.eval()

    def export(self, path: Path) -> None:
        """Write the generator's state as safetensors, weights as float16."""
        tensors = halved(self.settled().state_dict())
        about = {"recipe": self.name, **asdict(self.recipe), "steps_done": self.step}
        metadata = {"licence": "MIT", "training": json.dumps(about)}
        with atomic_write(path) as stream:
            stream.write(safetensors.torch.save(tensors, metadata))


def _generator(recipe: Recipe) -> nn.Module:
    if recipe.kind == "plain":
        return Plain(recipe.z, recipe.width, recipe.colours)
    return {"auxiliary": Auxiliary, "conditional": Conditional}[recipe.kind](recipe.z, recipe.width)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> float:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--export", type=Path, help="safetensors file; its log goes beside it")
    parser.add_argument("--steps", type=int, help="other than the recipe's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = RECIPES[arguments.recipe]
    if arguments.steps:
        recipe = replace(recipe, steps=arguments.steps)
    run = Run(arguments.recipe, recipe, arguments.out)
    run.train()
    target = arguments.export or arguments.out / f"{arguments.recipe}.safetensors"
    run.export(target)
    if arguments.export:
        log = (arguments.out / "log.jsonl").read_text(encoding="utf-8")
        write_text(target.with_suffix(".log.jsonl"), log)


if __name__ == "__main__":
    main()
