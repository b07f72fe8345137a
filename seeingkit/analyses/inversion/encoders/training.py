"""Training of encoders on the generator's own samples (Bau et al. 2019, section 3.2).

Guarantees: no real image is ever used; samples are functions of (seed, step), from a series of
latents that no other part of the library draws from; a finished stage survives a kill (the partial
encoder is saved after each); the file records how the encoder was trained and how well it does on
samples that training did not use.

Stages, as ``run_invert.sh`` of the paper's code: e_1 … e_n one by one by the left inversion loss
ℓ(x, e(g(x))) + 0.01 ℓ(g(x), g(e(g(x)))), e_f by ℓ₂(r, e_f(G_f(r))), then E = e_1 ∘ … ∘ e_n ∘ e_f
as a whole by ℓ(r, e_f(x)) + ℓ(z, E(x)) + ℓ(r, r of G(E(x))) + image loss. (The code forgot to clear
gradients between steps; here they are cleared.)
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seeingkit.contracts import Generator
from seeingkit.errors import ModelError
from seeingkit.system.progress import Bar, progress_bar

from ..objectives import correlation, psnr
from ..samples import TRAIN_SEED, draw, states_at
from .files import Kind, TrainedEncoder, build_network, encoder_path, generator_key, read_encoder
from .losses import TrainingLosses
from .networks import LayeredEncoder
from .recipes import FAST, Recipe

CHECKED = 256
"""Samples from which scales are measured, and as many that check the result."""


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
        kind: ``layered`` or ``direct``.
        cut: boundary that e_f reaches (ignored for a direct encoder).
        recipe: losses, steps and rates.
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
        _Trainer(generator, kind, cut, recipe, path, report or (lambda _: None)).run()
    return read_encoder(path, generator).to(generator.device)


class _Trainer:
    def __init__(
        self,
        generator: Generator,
        kind: Kind,
        cut: str,
        recipe: Recipe,
        path: Path,
        report: Callable[[str], None],
    ) -> None:
        self.generator, self.kind, self.cut, self.recipe = generator, kind, cut, recipe
        self.path, self.report = path, report
        self.partial = path.with_name(f"{path.stem}.partial.safetensors")
        self.network = build_network(kind, generator, cut, recipe.architecture())
        self.losses = TrainingLosses(generator, cut, recipe)
        self.record: dict[str, Any] = {
            "family": generator.info.family,
            "recipe": recipe.record(),
            "torch": torch.__version__,
            "stages": {},
        }

    def run(self) -> None:
        stages = self._stages()
        self._resume()
        self.network.to(self.generator.device)
        if not self.record["stages"]:
            self._fit_scales()
        title = f"train {self.kind} encoder of {self.generator.info.family} at {self.cut}"
        with progress_bar(title, sum(stages.values()), "steps") as bar:
            for place, (name, steps) in enumerate(stages.items()):
                if name in self.record["stages"]:
                    bar.advance(steps, resumed=True)
                    continue
                # Each stage has its own series, so that a resumed one draws what it would have.
                self.losses.restart(self.recipe.seed * 64 + place)
                torch.manual_seed(self.recipe.seed * 64 + place)
                started = time.perf_counter()
                loss = self._stage(name, steps, bar)
                seconds = round(time.perf_counter() - started, 1)
                self.record["stages"][name] = {"steps": steps, "loss": loss, "seconds": seconds}
                self.report(f"{name}: {steps} steps, loss {loss:.4f}, {seconds:.0f} s")
                self._encoder().save(self.partial)
        self.network.eval()
        self.record["check"] = self._check()
        self.report(", ".join(f"{k} {v}" for k, v in self.record["check"].items()))
        self._encoder().save(self.path)
        self.partial.unlink(missing_ok=True)

    def _stages(self) -> dict[str, int]:
        """Steps of each stage, in their order."""
        recipe = self.recipe
        if not isinstance(self.network, LayeredEncoder):
            return {"E": recipe.image_steps + recipe.tune_steps}
        stages = {f"e{i}": recipe.layer_steps for i in range(1, len(self.network.layers) + 1)}
        return {**stages, "ef": recipe.image_steps, "E": recipe.tune_steps}

    def _resume(self) -> None:
        """Take over the finished stages of an interrupted training by the same recipe."""
        if not self.partial.is_file():
            return
        found = read_encoder(self.partial, self.generator)
        mine = (self.kind, self.cut, self.record["recipe"])
        if (found.kind, found.cut, found.record.get("recipe")) == mine:
            self.network = found.network.requires_grad_(True)
            self.record = json.loads(json.dumps(found.record))

    def _stage(self, name: str, steps: int, bar: Bar) -> float:
        network, recipe, losses = self.network, self.recipe, self.losses
        if not isinstance(network, LayeredEncoder):
            return self._fit(network, lambda: losses.direct(network), recipe.image_rate, steps, bar)
        if name == "E":
            return self._fit(network, lambda: losses.whole(network), recipe.tune_rate, steps, bar)
        if name == "ef":
            image = network.image
            return self._fit(image, lambda: losses.image(image), recipe.image_rate, steps, bar)
        i = int(name[1:])
        inverse = network.inverse(i)
        return self._fit(inverse, lambda: losses.layer(network, i), recipe.layer_rate, steps, bar)

    def _fit(
        self,
        module: nn.Module,
        loss_of: Callable[[], Tensor],
        rate: float,
        steps: int,
        bar: Bar,
    ) -> float:
        """Adam on one module; returns the mean loss of the last tenth."""
        module.train()
        optimiser = torch.optim.Adam(module.parameters(), lr=rate)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda k: self.recipe.rate_factor(k, steps)
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
        if not isinstance(self.network, LayeredEncoder):
            return
        latent = draw(self.generator, CHECKED, TRAIN_SEED - CHECKED)
        states = states_at(self.generator, latent, self.losses.names)
        for i in range(1, len(states)):
            self.network.inverse(i).fit(states[i].x, states[i - 1].x)
        self.network.image.fit(states[-1].x)

    def _check(self) -> dict[str, float]:
        """Correlations and PSNR on samples that training did not use."""
        latent = draw(self.generator, CHECKED, TRAIN_SEED - 2 * CHECKED)
        encoder = self._encoder()
        stops = (self.losses.names[0], self.cut, "image")
        truth: dict[str, list[Tensor]] = {"z": [], "r": [], "image": []}
        found: dict[str, list[Tensor]] = {"z": [], "r": [], "image": []}
        with torch.no_grad():
            for k in range(0, CHECKED, self.recipe.batch):
                part = {name: value[k : k + self.recipe.batch] for name, value in latent.items()}
                start, r, x = states_at(self.generator, part, stops)
                z_again, _ = encoder.estimate(x.x)
                state = self.generator.advance(start.with_x(z_again), self.cut)
                for name, a, b in (
                    ("z", start.x, z_again),
                    ("r", r.x, state.x),
                    ("image", x.x, self.generator.advance(state).x),
                ):
                    truth[name].append(a)
                    found[name].append(b)
        pairs = {name: (torch.cat(truth[name]), torch.cat(found[name])) for name in truth}
        return {
            "n": CHECKED,
            **{f"{name}_correlation": round(correlation(*pair), 4) for name, pair in pairs.items()},
            "psnr": round(float(psnr(*pairs["image"]).mean()), 2),
        }

    def _encoder(self) -> TrainedEncoder:
        return TrainedEncoder(
            self.kind,
            self.cut,
            self.network,
            generator_key(self.generator.info),
            self.recipe.architecture(),
            self.record,
        )
