"""Trains a small BigBiGAN on minichurches: a generator and its encoder, without classes.

    python -m seeingkit_plugins.minichurches.training.bigbigan --out RUN --steps 5000
    seeingkit invert minichurches --weights RUN/checkpoint.pth --method encoder,layered+r

The losses are those of Donahue and Simonyan 2019, section 2 (and of their published Colab): with
s = (s_x, s_z, s_xz) and the hinge h(t) = max(0, 1 - t), the critic minimises
mean h(s(x, E(x))) + mean h(-s(G(z), z)), the encoder mean s(x, E(x)), and the generator
mean -s(G(z), z), all over scores and samples. Switches for the ablations of their table 1:
``--no-x``, ``--no-z`` and both (BiGAN: s_xz alone), ``--deterministic`` (z = E's mean).

A run writes ``log.jsonl``, ``plan.json``, ``samples.png`` (scenes above their reconstructions, then
samples), ``state.pt`` and ``checkpoint.pth``, which the family ``bigbigan`` reads: averages of
generator and encoder over the last steps. Step k draws its scenes and latents from seed and k, so
that a run that is stopped goes on from ``state.pt`` to the same file.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.system.writing import atomic_write, write_text
from seeingkit_adapters.truncation import cut_off

from ...shipped import halved
from . import HELDOUT_SEED, TRAIN_SEED
from .bigbigan_networks import JointCritic, Scores, TrainedEncoder, TrainedGenerator
from .logs import thinned
from .pictures import at_resolution, picture_cache, save_sheet

STATE = "state.pt"


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
        batch: scenes, and samples, of an update.
        rate, critic_rate: of generator and encoder, and of the critic (Adam, betas 0 and 0.99);
            over the last fifth of the steps they fall to 0.
        keep: share of the published averages that stays at each step.
        steps: updates of generator and encoder.
        seed: of the initial weights and of all that is drawn.
    """

    pre: tuple[int, ...] = (64, 48)
    post: tuple[int, ...] = (24,)
    piece: int = 8
    width: int = 16
    stages: int = 4
    hidden: int = 128
    critic: tuple[int, ...] = (32, 64, 128)
    x: bool = True
    z: bool = True
    deterministic: bool = False
    critic_steps: int = 2
    pictures: int = 10_000
    batch: int = 32
    rate: float = 3e-4
    critic_rate: float = 6e-4
    keep: float = 0.998
    steps: int = 5_000
    seed: int = 0

    @property
    def resolution(self) -> int:
        """Height and width of the images."""
        return 4 << (len(self.pre) + len(self.post))

    def decay(self, step: int) -> float:
        """The factor of the learning rates at a step.

        >>> [Plan(steps=100).decay(step) for step in (0, 80, 90)]
        [1.0, 1.0, 0.5]
        """
        return min(1.0, (self.steps - step) / (self.steps / 5))


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
        self.critic = JointCritic(plan.critic, plan.hidden, z_dim, plan.resolution)
        pair = [*self.generator.parameters(), *self.encoder.parameters()]
        self.optimisers = [
            torch.optim.Adam(values, rate, betas=(0.0, 0.99))
            for values, rate in (
                (pair, plan.rate),
                (list(self.critic.parameters()), plan.critic_rate),
            )
        ]
        self.average = nn.ModuleDict(
            {"generator": copy.deepcopy(self.generator), "encoder": copy.deepcopy(self.encoder)}
        ).requires_grad_(requires_grad=False)
        self.step, self.seconds = 0, 0.0

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

    def train_step(self, pictures: np.ndarray) -> dict[str, float]:
        """Some updates of the critic and one of generator and encoder.

        Args:
            pictures: uint8 (N, H, W, 3), of which batches are drawn.
        """
        plan = self.plan
        for optimiser, rate in zip(self.optimisers, (plan.rate, plan.critic_rate), strict=True):
            optimiser.param_groups[0]["lr"] = rate * plan.decay(self.step)
        with torch.random.fork_rng([]):
            torch.manual_seed(plan.seed * 2**32 + self.step)
            for last in [False] * (plan.critic_steps - 1) + [True]:
                chosen = torch.randint(len(pictures), (plan.batch,)).sort().values.numpy()
                real = at_resolution(torch.from_numpy(pictures[chosen]), plan.resolution)
                z = self.latents(len(real))
                with torch.set_grad_enabled(last):  # the last ones serve generator and encoder too
                    fake, found = self.generator(z), self.encode(real)
                loss = critic_loss(self.scores(real, found.detach()), self.scores(fake.detach(), z))
                _update(self.optimisers[1], loss)
        self.critic.requires_grad_(False)
        pair = pair_loss(self.scores(real, found), self.scores(fake, z))
        _update(self.optimisers[0], pair)
        self.critic.requires_grad_(True)
        self._follow()
        self.step += 1
        return {"critic": float(loss.detach()), "pair": float(pair.detach())}

    @torch.no_grad()
    def _follow(self) -> None:
        """The averages take a step towards the networks."""
        now = {"generator": self.generator, "encoder": self.encoder}
        for name, network in now.items():
            for key, value in self.average[name].state_dict().items():
                new = network.state_dict()[key]
                if key.endswith((".weight_u", ".weight_v")) or not value.is_floating_point():
                    value.copy_(new)  # singular vectors are no sums
                else:
                    value.lerp_(new, 1 - self.plan.keep)

    def _parts(self) -> dict[str, Any]:
        parts = ("generator", "encoder", "critic", "average")
        pair, critic = self.optimisers
        return {k: getattr(self, k) for k in parts} | {"adam_pair": pair, "adam_critic": critic}

    def save(self, path: Path) -> None:
        """Write what ``resume`` reads, whole or not at all."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._parts().items()}
        with atomic_write(path) as file:
            torch.save(state | {"step": self.step, "seconds": self.seconds}, file)

    def resume(self, path: Path) -> None:
        """Go on from a file of ``save``."""
        state = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.seconds = state["step"], state["seconds"]

    def published(self) -> dict[str, Tensor]:
        """The averages of generator and encoder in the layout that is published."""
        return self.average.state_dict()

    @torch.no_grad()
    def measure(self, pictures: np.ndarray) -> tuple[dict[str, float], Tensor]:
        """PSNR of scenes, G(E(x)) by the mean; correlation of z with E(G(z)); and a sheet.

        Args:
            pictures: uint8 (N, H, W, 3), scenes that training does not use.
        """
        generator, encoder = self.average.eval().values()
        scenes = at_resolution(torch.from_numpy(pictures), self.plan.resolution)
        rebuilt = generator(encoder(scenes)[0])
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            z = self.latents(len(scenes))
        samples = generator(z)
        found = encoder(samples)[0]
        errors = (rebuilt - scenes).square().flatten(1).mean(1)
        pairs = [(z, found), (scenes, rebuilt)]
        z_like, pixels = (
            float(torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1]) for a, b in pairs
        )
        psnr = float((10 * torch.log10(4 / errors)).mean())
        sheet = torch.cat((scenes[:8], rebuilt[:8], samples[:16]))
        return {"psnr": psnr, "pixel_correlation": pixels, "z_correlation": z_like}, sheet


def _update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    if not bool(torch.isfinite(loss)):
        raise SystemExit(f"the loss is {float(loss)}: diverged")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def train(run: Run, out: Path, pictures: np.ndarray, held: np.ndarray, *, every: int) -> None:
    """Do the remaining steps, with a line in the log and all files after each ``every`` of them."""
    began = time.monotonic() - run.seconds
    losses: dict[str, list[float]] = {}
    while run.step < run.plan.steps:
        for name, value in run.train_step(pictures).items():
            losses.setdefault(name, []).append(value)
        if run.step % every and run.step < run.plan.steps:
            continue
        run.seconds = time.monotonic() - began
        numbers, sheet = run.measure(held)
        line: dict[str, float] = {name: float(np.mean(values)) for name, values in losses.items()}
        line |= numbers | {"seconds": run.seconds}
        images = run.step * run.plan.critic_steps * run.plan.batch
        shown = json.dumps(
            {"step": run.step, "images": images} | {k: round(v, 4) for k, v in line.items()}
        )
        with (out / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(shown + "\n")
        print(shown, flush=True)
        save_sheet(sheet, out / "samples.png")
        with atomic_write(out / "checkpoint.pth") as file:
            torch.save(run.published(), file)
        run.save(out / STATE)
        losses = {}


def publish(run: Run, out: Path, folder: Path) -> None:
    """Copy a run's result, matrices as float16, and its log, thinned, to a folder."""
    tensors = halved(run.published())
    about = json.dumps(asdict(run.plan) | {"steps_done": run.step})
    name = f"bigbigan-minichurches-{run.plan.resolution}"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / f"{name}.safetensors") as file:
        file.write(safetensors.torch.save(tensors, {"licence": "MIT", "training": about}))
    write_text(folder / f"{name}.log.jsonl", thinned(out / "log.jsonl"))


def main(argv: list[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description="Train a small BigBiGAN on minichurches.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--publish", type=Path, help="train nothing; copy OUT's result to a folder")
    parser.add_argument("--every", type=int, default=50, help="steps between lines of the log")
    parser.add_argument("--no-x", dest="x", action="store_false", help="without the score s_x")
    parser.add_argument("--no-z", dest="z", action="store_false", help="without the score s_z")
    parser.add_argument("--deterministic", action="store_true", help="z of an image is E's mean")
    for field in fields(Plan):
        option, default = f"--{field.name.replace('_', '-')}", getattr(Plan(), field.name)
        if isinstance(default, tuple):
            parser.add_argument(option, type=int, nargs="+", default=default)
        elif not isinstance(default, bool):
            parser.add_argument(option, type=type(default), default=default)
    given: dict[str, Any] = vars(parser.parse_args(argv))
    out, every, folder = (given.pop(name) for name in ("out", "every", "publish"))
    torch.set_num_threads(1)
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    plan = Plan(**settings)
    out.mkdir(parents=True, exist_ok=True)
    told = json.dumps(asdict(plan), indent=1)
    run = Run(plan)
    if (out / STATE).exists():
        if (out / "plan.json").read_text(encoding="utf-8") != told:
            raise SystemExit(f"{out} holds a run of another plan: give another --out")
        run.resume(out / STATE)
    if folder is not None:
        publish(run, out, folder)
        return
    write_text(out / "plan.json", told)
    pictures = picture_cache(out / "scenes.npy", plan.pictures, seed=TRAIN_SEED, size=64)
    held = picture_cache(out / "held.npy", 64, seed=HELDOUT_SEED, size=64)
    train(run, out, pictures, np.array(held), every=every)


if __name__ == "__main__":
    main()
