"""Training of encoders on the generator's own samples (Bau et al. 2019, section 3.2).

Guarantees: no real image is ever used; samples are functions of (seed, step), from a series of
latents that no other part of the library draws from; a finished stage survives a kill (the partial
encoder is saved after each); the file records how the encoder was trained and how well it does on
samples that training did not use. Several processes train an encoder once; one that is asked for
anew is trained once in a process, however many methods and cuts use it.

Stages, as ``run_invert.sh`` of the paper's code: e_1 … e_n one by one by the left inversion loss
ℓ(x, e(g(x))) + 0.01 ℓ(g(x), g(e(g(x)))), e_f by ℓ₂(r, e_f(G_f(r))), then E = e_1 ∘ … ∘ e_n ∘ e_f
as a whole by ℓ(r, e_f(x)) + ℓ(z, E(x)) + ℓ(r, r of G(E(x))) + image loss. (The code forgot to clear
gradients between steps; here they are cleared.)
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seeingkit.contracts import Generator
from seeingkit.errors import ModelError, UsageError
from seeingkit.system.claims import FOLDER, PATIENCE, Claims
from seeingkit.system.processes import world
from seeingkit.system.progress import Bar, progress_bar
from seeingkit.system.sharing import Piece, shared

from ..objectives import correlation, psnr
from ..samples import TRAIN_SEED, draw, states_at
from .files import (
    Kind,
    TrainedEncoder,
    build_network,
    encoder_path,
    find_encoder,
    generator_key,
    is_whole,
    read_encoder,
)
from .networks import LayeredEncoder
from .recipes import FAST, Recipe, Stage, TrainingLosses

log = logging.getLogger(__name__)
_TRAINED: set[Path] = set()  # encoders that this process trained anew

CHECKED = 256
"""Samples from which scales are measured, and as many that check the result."""


def available_encoder(
    generator: Generator, kind: Kind, cut: str, recipe: Recipe, wanted: str, *, shipped: bool
) -> TrainedEncoder | None:
    """An encoder of this machine, or one trained now and kept in the cache, or None.

    Of several processes that need one, the first trains it, and the others wait for it.

    Args:
        cut: boundary that e_f reaches.
        wanted: ``found``: one that exists; ``auto``: else trained now; ``train``: trained anew, by
            this process.
        shipped: whether a shipped encoder, of any recipe, will do.

    Raises:
        UsageError: several processes are to train anew, for they cannot tell the new one apart.
    """
    if wanted == "train" and world() > 1:
        raise UsageError(
            "--encoder train is for one process: train the encoder first by a run in one process, "
            "then start several with --encoder auto"
        )
    kept = encoder_path(generator, kind, cut, recipe.key())
    path = kept if kept in _TRAINED else None
    if wanted != "train":
        path = find_encoder(generator, kind, cut, recipe.key(), shipped=shipped)
    if path is None and wanted != "found":
        path = kept
        whose = f"{kind} encoder of {generator.info.family} at {cut} ({recipe.name} recipe)"

        def train() -> None:
            log.warning("training a %s; it is kept for later runs", whose)
            train_encoder(generator, kind, cut, recipe, path=kept, report=log.info)

        if wanted == "train":
            train()
            _TRAINED.add(kept)
        else:
            piece, claims = Piece(kept.name, f"training a {whose}"), Claims(kept.parent / FOLDER)
            # Rank 0 shows the progress, so the others let it begin.
            for _ in shared([piece], claims, lambda _: is_whole(kept), head_start=PATIENCE):
                train()
    return None if path is None else read_encoder(path, generator).to(generator.device)


def train_encoder(
    generator: Generator,
    kind: Kind,
    cut: str,
    recipe: Recipe = FAST,
    *,
    path: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> TrainedEncoder:
    """Train an encoder, save it, and return it as read from its file.

    ``train_encoder(generator, "layered", generator.default_cut)``.

    Args:
        generator: the generator to invert; kept frozen.
        cut: boundary that e_f reaches (ignored for a direct encoder).
        path: where it is saved; default: the cache, by identity and recipe.
        report: receives one line after each stage.

    Raises:
        ModelError: the generator gave NaN or Inf, or training diverged.
    """
    cut = generator.boundary(cut).name if kind == "layered" else "input"
    path = path or encoder_path(generator, kind, cut, recipe.key())
    devices = [generator.device] if generator.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        torch.manual_seed(recipe.seed)  # before the first weights are drawn
        record = {
            "family": generator.info.family,
            "recipe": recipe.record(),
            "torch": torch.__version__,
            "stages": {},
        }
        architecture = recipe.architecture()
        network = build_network(kind, generator, cut, architecture)
        key = generator_key(generator.info)
        encoder = TrainedEncoder(kind, cut, network, key, architecture, record)
        _Trainer(generator, encoder, recipe, path, report or (lambda _: None)).run()
    return read_encoder(path, generator).to(generator.device)


class _Stage(NamedTuple):
    """Some steps of Adam on one module."""

    module: nn.Module
    loss: Callable[[], Tensor]
    rate: float
    steps: int
    kind: Stage


@dataclass(eq=False)
class _Trainer:
    generator: Generator
    encoder: TrainedEncoder
    recipe: Recipe
    path: Path
    report: Callable[[str], None]

    def __post_init__(self) -> None:
        self.partial = self.path.with_name(f"{self.path.stem}.partial.safetensors")
        self.losses = TrainingLosses(self.generator, self.encoder.cut, self.recipe)

    def run(self) -> None:
        self._resume()
        encoder, record = self.encoder.to(self.generator.device), self.encoder.record
        if not record["stages"]:
            self._fit_scales()
        stages = self._stages()
        title = f"train {encoder.kind} encoder of {self.generator.info.family} at {encoder.cut}"
        with progress_bar(title, sum(stage.steps for stage in stages.values()), "steps") as bar:
            for place, (name, stage) in enumerate(stages.items()):
                if name in record["stages"]:
                    bar.advance(stage.steps, resumed=True)
                    continue
                # Each stage has its own series, so that a resumed one draws what it would have.
                self.losses.restart(self.recipe.seed * 64 + place)
                torch.manual_seed(self.recipe.seed * 64 + place)
                started = time.perf_counter()
                steps, loss = stage.steps, self._fit(stage, bar)
                seconds = round(time.perf_counter() - started, 1)
                record["stages"][name] = {"steps": steps, "loss": loss, "seconds": seconds}
                self.report(f"{name}: {steps} steps, loss {loss:.4f}, {seconds:.0f} s")
                encoder.save(self.partial)
        encoder.network.eval()
        check = self._check()
        self.report(", ".join(f"{k} {v}" for k, v in check.items()))
        replace(encoder, record={**record, "check": check}).save(self.path)
        self.partial.unlink(missing_ok=True)

    def _stages(self) -> dict[str, _Stage]:
        """In their order, by name."""
        network, recipe, losses = self.encoder.network, self.recipe, self.losses
        if not isinstance(network, LayeredEncoder):
            steps = recipe.image_steps + recipe.tune_steps
            loss = partial(losses.direct, network)
            return {"E": _Stage(network, loss, recipe.image_rate, steps, "tune")}
        stages = {}
        for i in range(1, len(network.layers) + 1):
            loss, inverse = partial(losses.layer, network, i), network.inverse(i)
            stages[f"e{i}"] = _Stage(inverse, loss, recipe.layer_rate, recipe.layer_steps, "layer")
        image, whole = partial(losses.image, network.image), partial(losses.whole, network)
        stages["ef"] = _Stage(network.image, image, recipe.image_rate, recipe.image_steps, "image")
        stages["E"] = _Stage(network, whole, recipe.tune_rate, recipe.tune_steps, "tune")
        return stages

    def _resume(self) -> None:
        """Take over the finished stages of an interrupted training by the same recipe."""
        if not is_whole(self.partial):
            return
        found, mine = read_encoder(self.partial, self.generator), self.encoder
        known = (found.kind, found.cut, found.record.get("recipe"))
        if known == (mine.kind, mine.cut, mine.record["recipe"]):
            network = found.network.requires_grad_(True)
            self.encoder = replace(mine, network=network, record=found.record)

    def _fit(self, stage: _Stage, bar: Bar) -> float:
        """Adam on the module of a stage; returns the mean loss of the last tenth."""
        module, loss_of, rate, steps, kind = stage
        module.train()
        optimiser = torch.optim.Adam(module.parameters(), lr=rate)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda k: self.recipe.rate_factor(k, steps, kind)
        )
        last: list[float] = []
        for step in range(steps):
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(self.generator.device.type, torch.bfloat16, self.recipe.bfloat16):
                loss = loss_of()
            if not bool(torch.isfinite(loss)):
                raise ModelError(
                    f"{self.generator.info.family}: training an encoder gave a loss of "
                    f"{loss.item()} at step {step}; the generator may give NaN or Inf"
                )
            loss.backward()
            optimiser.step()
            scheduler.step()
            bar.advance(1)
            if step >= steps - max(1, steps // 10):
                last.append(loss.item())
        module.eval()
        return round(sum(last) / len(last), 6) if last else math.nan

    def _fit_scales(self) -> None:
        """Give the networks the mean and spread of x at each boundary."""
        network = self.encoder.network
        if not isinstance(network, LayeredEncoder):
            return
        latent = draw(self.generator, CHECKED, TRAIN_SEED - CHECKED)
        states = states_at(self.generator, latent, self.losses.names)
        for i in range(1, len(states)):
            network.inverse(i).fit(states[i].x, states[i - 1].x)
        network.image.fit(states[-1].x)

    def _check(self) -> dict[str, float]:
        """Correlations and PSNR on samples that training did not use."""
        latent = draw(self.generator, CHECKED, TRAIN_SEED - 2 * CHECKED)
        encoder = self.encoder
        stops = (self.losses.names[0], encoder.cut, "image")
        parts = []
        with torch.no_grad():
            for k in range(0, CHECKED, self.recipe.batch):
                part = {name: value[k : k + self.recipe.batch] for name, value in latent.items()}
                start, r, x = states_at(self.generator, part, stops)
                z_again, _ = encoder.estimate(x.x)
                state = self.generator.advance(start.with_x(z_again), encoder.cut)
                image = self.generator.advance(state).x
                parts.append((start.x, z_again, r.x, state.x, x.x, image))
        z, z_again, r_x, r_again, image, image_again = map(torch.cat, zip(*parts, strict=True))
        return {
            "n": CHECKED,
            "z_correlation": round(correlation(z, z_again), 4),
            "r_correlation": round(correlation(r_x, r_again), 4),
            "image_correlation": round(correlation(image, image_again), 4),
            "psnr": round(float(psnr(image, image_again).mean()), 2),
        }
