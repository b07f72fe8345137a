"""Trains a small BigBiGAN on minichurches: a generator and its encoder, without classes.

    python -m seeingkit_plugins.minichurches.training.bigbigan --out RUN --minutes 60
    seeingkit invert minichurches --weights RUN/checkpoint.pth --method encoder,layered+r

The losses are those of Donahue and Simonyan 2019, section 2 (and of their published Colab): with
s = (s_x, s_z, s_xz) and the hinge h(t) = max(0, 1 - t), the critic minimises
mean h(s(x, E(x))) + mean h(-s(G(z), z)), the encoder mean s(x, E(x)), and the generator
mean -s(G(z), z), all over scores and samples. Switches for the ablations of their table 1:
``--no-x``, ``--no-z`` and both (BiGAN: s_xz alone), ``--deterministic`` (z = E's mean).

A run writes ``log.jsonl``, ``plan.json``, ``samples.png`` (scenes above their reconstructions, then
samples) and ``checkpoint.pth``, which the family ``bigbigan`` reads. The clock sets its end.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.system.writing import atomic_write, write_text
from seeingkit_adapters.truncation import cut_off

from . import HELDOUT_SEED, TRAIN_SEED
from .bigbigan_networks import JointCritic, Scores, TrainedEncoder, TrainedGenerator
from .pictures import at_resolution, batches, picture_cache, save_sheet


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of a run.

    Attributes:
        pre, post: channels of the generator's blocks, before and after attention.
        piece: numbers of z for each block and the first layer.
        width, stages, hidden: of the encoder.
        critic: channels of the critic after each halving.
        x, z: whether the critic has the unary scores s_x and s_z; s_xz it always has.
        deterministic: z of an image is the encoder's mean, not a draw.
        critic_steps: updates of the critic for each one of generator and encoder.
        pictures: training scenes, indices 0 … pictures - 1 of ``TRAIN_SEED``.
        batch, rate: of every step (Adam with betas 0 and 0.999).
        seed: of the initial weights and of all that is drawn.
    """

    pre: tuple[int, ...] = (96, 64)
    post: tuple[int, ...] = (48,)
    piece: int = 16
    width: int = 16
    stages: int = 4
    hidden: int = 128
    critic: tuple[int, ...] = (48, 64, 96)
    x: bool = True
    z: bool = True
    deterministic: bool = False
    critic_steps: int = 2
    pictures: int = 10_000
    batch: int = 32
    rate: float = 2e-4
    seed: int = 0

    @property
    def resolution(self) -> int:
        """Height and width of the images."""
        return 4 << (len(self.pre) + len(self.post))


def used(scores: Scores, plan: Plan) -> Tensor:
    """The scores that a plan has, (N * scores,).

    >>> one = torch.ones(2)
    >>> used(Scores(one, 2 * one, 3 * one), Plan(x=False)).tolist()
    [2.0, 2.0, 3.0, 3.0]
    """
    parts = [part for part, on in ((scores.x, plan.x), (scores.z, plan.z)) if on]
    return torch.cat([*parts, scores.xz])


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Mean hinge of scores of (x, E(x)) above 1, and of (G(z), z) below -1."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def pair_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What generator and encoder minimise: mean s(x, E(x)) - mean s(G(z), z)."""
    return real.mean() - fake.mean()


class Run:
    """Networks, optimisers and counters of a run."""

    def __init__(self, plan: Plan) -> None:
        torch.manual_seed(plan.seed)  # before any weight is drawn
        self.plan = plan
        self.generator = TrainedGenerator(plan.pre, plan.post, plan.piece)
        z_dim = self.generator.z_dim
        self.encoder = TrainedEncoder(plan.width, plan.stages, plan.hidden, z_dim)
        self.critic = JointCritic(plan.critic, plan.hidden, z_dim)
        pair = [*self.generator.parameters(), *self.encoder.parameters()]
        self.optimisers = [
            torch.optim.Adam(values, plan.rate, betas=(0.0, 0.999))
            for values in (pair, list(self.critic.parameters()))
        ]
        self.images = 0

    def latents(self, rows: int) -> Tensor:
        """z as the family ``bigbigan`` draws it: normal, cut off at 1."""
        return cut_off(torch.randn(rows, self.generator.z_dim), 1.0)

    def encode(self, images: Tensor) -> Tensor:
        """z of images (N, 3, R, R): a draw, or the mean where the plan is deterministic."""
        mean, std = self.encoder(images)
        drawn: Tensor = mean if self.plan.deterministic else mean + std * torch.randn_like(std)
        return drawn

    def scores(self, images: Tensor, z: Tensor) -> Tensor:
        """The critic's scores that the plan has, of pairs."""
        return used(self.critic(images, z), self.plan)

    def step(self, pictures: list[Tensor]) -> dict[str, float]:
        """One update of generator and encoder after some of the critic.

        Args:
            pictures: for each of these, uint8 (N, H, W, 3); the last serves the pair.
        """
        losses: dict[str, float] = {}
        for k, batch in enumerate(pictures):
            real = at_resolution(batch, self.plan.resolution)
            z = self.latents(len(real))
            if k < len(pictures) - 1:
                with torch.no_grad():
                    fake, found = self.generator(z), self.encode(real)
                loss = critic_loss(self.scores(real, found), self.scores(fake, z))
                _update(self.optimisers[1], loss)
                losses["critic"] = float(loss.detach())
            self.images += len(real)
        self.critic.requires_grad_(False)
        pair = pair_loss(self.scores(real, self.encode(real)), self.scores(self.generator(z), z))
        _update(self.optimisers[0], pair)
        self.critic.requires_grad_(True)
        return losses | {"pair": float(pair.detach())}

    def state(self) -> dict[str, Tensor]:
        """Generator and encoder in the layout that is published."""
        parts: dict[str, nn.Module] = {"generator": self.generator, "encoder": self.encoder}
        return {f"{p}.{k}": v for p, part in parts.items() for k, v in part.state_dict().items()}

    @torch.no_grad()
    def measure(self, pictures: np.ndarray) -> tuple[dict[str, float], Tensor]:
        """PSNR of scenes, G(E(x)) by the mean; correlation of z with E(G(z)); and a sheet.

        Args:
            pictures: uint8 (N, H, W, 3), scenes that training does not use.
        """
        for network in (self.generator, self.encoder):
            network.eval()
        scenes = at_resolution(torch.from_numpy(pictures), self.plan.resolution)
        rebuilt = self.generator(self.encoder(scenes)[0])
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            z = self.latents(len(scenes))
        samples = self.generator(z)
        found = self.encoder(samples)[0]
        errors = (rebuilt - scenes).square().flatten(1).mean(1)
        pair = torch.stack((z.flatten(), found.flatten()))
        for network in (self.generator, self.encoder):
            network.train()
        numbers = {
            "psnr": float((10 * torch.log10(4 / errors)).mean()),
            "z_correlation": float(torch.corrcoef(pair)[0, 1]),
        }
        return numbers, torch.cat((scenes[:8], rebuilt[:8], samples[:16]))


def _update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    if not bool(torch.isfinite(loss)):
        raise SystemExit(f"the loss is {float(loss)}: diverged")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def train(run: Run, out: Path, pictures: np.ndarray, held: np.ndarray, *, minutes: float) -> None:
    """Train until ``minutes`` have passed, with a line in the log each half minute."""
    stream = batches(pictures, run.plan.batch, np.random.default_rng(run.plan.seed))
    began = logged = time.monotonic()
    losses: dict[str, list[float]] = {}
    while True:
        found = run.step([next(stream) for _ in range(1 + run.plan.critic_steps)])
        for name, value in found.items():
            losses.setdefault(name, []).append(value)
        now = time.monotonic()
        done = now - began >= minutes * 60
        if not done and now - logged < 30:
            continue
        numbers, sheet = run.measure(held)
        means = {name: float(np.mean(values)) for name, values in losses.items()}
        line = {"images": run.images, **means, **numbers, "seconds": now - began}
        shown = json.dumps({k: v if k == "images" else round(v, 4) for k, v in line.items()})
        with (out / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(shown + "\n")
        print(shown, flush=True)
        save_sheet(sheet, out / "samples.png")
        with atomic_write(out / "checkpoint.pth") as file:
            torch.save(run.state(), file)
        if done:
            return
        losses, logged = {}, time.monotonic()


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description="Train a small BigBiGAN on minichurches.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--no-x", dest="x", action="store_false", help="without the score s_x")
    parser.add_argument("--no-z", dest="z", action="store_false", help="without the score s_z")
    parser.add_argument("--deterministic", action="store_true", help="z of an image is E's mean")
    for name in ("pictures", "batch", "critic_steps", "seed", "piece", "width", "hidden"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=getattr(Plan(), name))
    parser.add_argument("--rate", type=float, default=Plan.rate)
    for name in ("pre", "post", "critic"):
        parser.add_argument(f"--{name}", type=int, nargs="+", default=getattr(Plan(), name))
    given: dict[str, Any] = vars(parser.parse_args(argv))
    out, minutes = given.pop("out"), given.pop("minutes")
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    plan = Plan(**fields)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "plan.json", json.dumps(asdict(plan) | {"minutes": minutes}, indent=1))
    size = plan.resolution
    pictures = picture_cache(out / "scenes.npy", plan.pictures, seed=TRAIN_SEED, size=size)
    held = picture_cache(out / "held.npy", 64, seed=HELDOUT_SEED, size=size)
    train(Run(plan), out, pictures, np.array(held), minutes=minutes)


if __name__ == "__main__":
    main()
