"""Trains encoders on the generator's own samples (Bau et al. 2019, section 3.2).

Guarantees: no real image is ever seen; samples are functions of (seed, step), from a series of
latents that no other part of the library draws from; a finished stage survives a kill (the partial
encoder is saved after each); the file records how it was trained and how well it does on samples
that training did not see.

Stages, as ``run_invert.sh`` of the paper's code: e_1 … e_n one by one by the left inversion loss
ℓ(x, e(g(x))) + 0.01 ℓ(g(x), g(e(g(x)))), e_f by ℓ₂(r, e_f(G_f(r))), then E = e_1 ∘ … ∘ e_n ∘ e_f
as a whole by ℓ(r, e_f(x)) + ℓ(z, E(x)) + ℓ(r, r of G(E(x))) + image loss. (The code forgot to clear
gradients between steps; here they are cleared.)
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seeingkit.contracts import Generator, State
from seeingkit.errors import ModelError
from seeingkit.system.progress import Bar, progress_bar

from ..objectives import correlation, mean_absolute, mean_square, one_minus_cosine, psnr
from .files import (
    Encoder,
    Kind,
    build_network,
    encoder_path,
    generator_key,
    read_encoder,
)
from .networks import ImageEncoder, LayeredEncoder

TRAIN_SEED = 2**31
"""Latents for training start here, far from the small seeds that people use."""
CHECKED = 256
RIGHT_WEIGHT = 0.01  # λ_R of the paper and of train_onelayer_inv.py


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained.

    Attributes:
        loss: ``l1`` (the paper's text), ``cosine`` (its code, which forgets the length of feature
            vectors) or ``both`` summed, for features and latents.
        layer_steps, image_steps, tune_steps: steps for each e_i, for e_f, and for all together; a
            direct encoder gets the last two together.
        batch: samples per step.
        layer_rate, image_rate, tune_rate: learning rates of Adam.
        milestones: shares of a stage at which the rate is multiplied by ``decay``; empty: it falls
            to zero along half a cosine.
        pixelnorm, width, most, blocks: of the networks.
        bfloat16: passes under autocast (faster where the processor has it; never for samples).
    """

    name: str
    loss: Literal["l1", "cosine", "both"] = "both"
    layer_steps: int = 1500
    image_steps: int = 3000
    tune_steps: int = 3000
    batch: int = 32
    layer_rate: float = 2e-3
    image_rate: float = 2e-3
    tune_rate: float = 1e-3
    milestones: tuple[float, ...] = ()
    decay: float = 0.1
    pixelnorm: bool = False
    width: int = 32
    most: int = 256
    blocks: int = 1
    seed: int = 0
    bfloat16: bool = False

    def key(self) -> str:
        """Short hash of everything in it."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def architecture(self) -> dict[str, Any]:
        """Arguments of the networks."""
        names = ("pixelnorm", "width", "most", "blocks")
        return {name: getattr(self, name) for name in names}


FAST = Recipe("fast")
PAPER = Recipe(
    "paper",
    loss="l1",
    layer_steps=10_000,
    image_steps=10_000,
    tune_steps=100_000,
    layer_rate=1e-4,
    image_rate=1e-2,
    tune_rate=1e-5,
    milestones=(0.2, 0.6),
    pixelnorm=True,
    width=64,
    most=512,
    blocks=2,
)
"""Steps, rates and widths of ``run_invert.sh``; e_f had a constant rate there, E halved its own."""

RECIPES = {recipe.name: recipe for recipe in (FAST, PAPER)}


def train_encoder(
    generator: Generator,
    kind: Kind,
    cut: str,
    recipe: Recipe = FAST,
    *,
    path: Path | None = None,
    said: Callable[[str], None] | None = None,
) -> Encoder:
    """Train an encoder, save it, and return it as read from its file.

    Args:
        generator: what it inverts; kept frozen.
        kind: ``layered`` or ``direct``.
        cut: boundary that e_f reaches (ignored for a direct encoder).
        recipe: how.
        path: where it is saved; default: the cache, by identity and recipe.
        said: told in one line when a stage is done.

    Raises:
        ModelError: the generator gave NaN or Inf, or training diverged.
    """
    cut = generator.boundary(cut).name if kind == "layered" else "input"
    path = path or encoder_path(generator, kind, cut, recipe.key())
    devices = [generator.device] if generator.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        torch.manual_seed(recipe.seed)  # before the first weights are drawn
        _Trainer(generator, kind, cut, recipe, path, said or (lambda _: None)).run()
    return read_encoder(path, generator).to(generator.device)


class _Trainer:
    def __init__(
        self,
        generator: Generator,
        kind: Kind,
        cut: str,
        recipe: Recipe,
        path: Path,
        said: Callable[[str], None],
    ) -> None:
        self.generator, self.kind, self.cut, self.recipe = generator, kind, cut, recipe
        self.path, self.said = path, said
        self.partial = path.with_name(f"{path.stem}.partial.safetensors")
        self.network = build_network(kind, generator, cut, recipe.architecture())
        self.depth = generator.boundary(cut).index
        self.names = [b.name for b in generator.boundaries[: self.depth + 1]]
        self.drawn = 0
        self.record: dict[str, Any] = {
            "family": generator.info.family,
            "recipe": {**asdict(recipe), "milestones": list(recipe.milestones)},
            "torch": torch.__version__,
            "stages": {},
        }

    # ----------------------------------------------------------------------------------- stages

    def run(self) -> None:
        recipe = self.recipe
        if isinstance(self.network, LayeredEncoder):
            stages = {f"e{i}": recipe.layer_steps for i in range(1, self.depth + 1)}
            stages |= {"ef": recipe.image_steps, "E": recipe.tune_steps}
        else:
            stages = {"E": recipe.image_steps + recipe.tune_steps}
        if self.partial.is_file():
            found = read_encoder(self.partial, self.generator)
            mine = (self.kind, self.cut, self.record["recipe"])
            if (found.kind, found.cut, found.record.get("recipe")) == mine:
                self.network = found.network.requires_grad_(True)
                self.record = json.loads(json.dumps(found.record))
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
                self.drawn = (self.recipe.seed * 64 + place) * 10**7
                torch.manual_seed(self.recipe.seed * 64 + place)
                started = time.perf_counter()
                loss = self._stage(name, steps, bar)
                seconds = round(time.perf_counter() - started, 1)
                self.record["stages"][name] = {"steps": steps, "loss": loss, "seconds": seconds}
                self.said(f"{name}: {steps} steps, loss {loss:.4f}, {seconds:.0f} s")
                self._encoder().save(self.partial)
        self.network.eval()
        self.record["check"] = self._check()
        self.said(", ".join(f"{k} {v}" for k, v in self.record["check"].items()))
        self._encoder().save(self.path)
        self.partial.unlink(missing_ok=True)

    def _stage(self, name: str, steps: int, bar: Bar) -> float:
        network, recipe = self.network, self.recipe
        if name == "ef":
            assert isinstance(network, LayeredEncoder)
            image = network.image
            return self._fit(image, lambda: self._image_loss(image), recipe.image_rate, steps, bar)
        if name == "E":
            direct = isinstance(network, ImageEncoder)
            rate = recipe.image_rate if direct else recipe.tune_rate
            loss = self._direct_loss if direct else self._whole_loss
            return self._fit(network, loss, rate, steps, bar)
        assert isinstance(network, LayeredEncoder)
        i = int(name[1:])
        inverse = network.inverse(i)
        return self._fit(inverse, lambda: self._layer_loss(i), recipe.layer_rate, steps, bar)

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
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda k: self._decay(k, steps))
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

    def _decay(self, step: int, steps: int) -> float:
        if self.recipe.milestones:
            return self.recipe.decay ** sum(step >= m * steps for m in self.recipe.milestones)
        return 0.5 * (1 + math.cos(math.pi * min(step / max(steps, 1), 1.0)))

    # ----------------------------------------------------------------------------------- losses

    def _layer_loss(self, i: int) -> Tensor:
        assert isinstance(self.network, LayeredEncoder)
        below, above = self._samples(self.names[i - 1], self.names[i])
        estimate = self.network.inverse(i)(above.x)
        again = self.generator.advance(below.with_x(estimate), self.names[i]).x
        left = self._feature_loss(below.x, estimate, latent=i == 1)
        return left + RIGHT_WEIGHT * self._feature_loss(above.x, again)

    def _image_loss(self, image: nn.Module) -> Tensor:
        r, x = self._samples(self.cut, "image")
        scale = r.x.detach().var()
        return mean_square(r.x - image(x.x)).mean() / scale

    def _whole_loss(self) -> Tensor:
        start, r, x = self._samples(self.names[0], self.cut, "image")
        z_again, r_again = self.network(x.x)
        state = self.generator.advance(start.with_x(z_again), self.cut)
        image = self.generator.advance(state).x
        return (
            self._feature_loss(r.x, r_again)
            + self._feature_loss(start.x, z_again, latent=True)
            + self._feature_loss(r.x, state.x)
            + self._pixel_loss(x.x, image)
        )

    def _direct_loss(self) -> Tensor:
        start, x = self._samples(self.names[0], "image")
        z_again = self.network(x.x)
        image = self.generator.advance(start.with_x(z_again)).x
        latent_loss = self._feature_loss(start.x, z_again, latent=True)
        return latent_loss + self._pixel_loss(x.x, image)

    def _feature_loss(self, truth: Tensor, estimate: Tensor, *, latent: bool = False) -> Tensor:
        scale = 1.0 if latent else truth.detach().std().clamp_min(1e-8)
        absolute = (mean_absolute(truth, estimate) / scale).mean()
        if self.recipe.loss == "l1":
            return absolute
        cosine = one_minus_cosine(truth, estimate).mean()
        return cosine if self.recipe.loss == "cosine" else cosine + absolute

    def _pixel_loss(self, truth: Tensor, estimate: Tensor) -> Tensor:
        if self.recipe.loss == "cosine":  # train_hybrid_inv.py
            return mean_square(truth - estimate).mean()
        return mean_absolute(truth, estimate).mean()

    # ---------------------------------------------------------------------------------- samples

    def _samples(self, *stops: str) -> list[State]:
        """Fresh samples, as states at the given boundaries (in order)."""
        latent = draw(self.generator, self.recipe.batch, TRAIN_SEED + self.drawn)
        self.drawn += self.recipe.batch
        return list(_states(self.generator, latent, stops))

    def _fit_scales(self) -> None:
        latent = draw(self.generator, CHECKED, TRAIN_SEED - CHECKED)
        states = list(_states(self.generator, latent, self.names))
        if isinstance(self.network, LayeredEncoder):
            for i in range(1, self.depth + 1):
                self.network.inverse(i).fit(states[i].x, states[i - 1].x)
            self.network.image.fit(states[-1].x)

    def _check(self) -> dict[str, float]:
        """How well it does on samples that training did not see."""
        latent = draw(self.generator, CHECKED, TRAIN_SEED - 2 * CHECKED)
        encoder = self._encoder()
        truth: dict[str, list[Tensor]] = {"z": [], "r": [], "image": []}
        found: dict[str, list[Tensor]] = {"z": [], "r": [], "image": []}
        with torch.no_grad():
            for k in range(0, CHECKED, self.recipe.batch):
                part = {name: value[k : k + self.recipe.batch] for name, value in latent.items()}
                start, r, x = _states(self.generator, part, [self.names[0], self.cut, "image"])
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

    def _encoder(self) -> Encoder:
        return Encoder(
            self.kind,
            self.cut,
            self.network,
            generator_key(self.generator.info),
            self.recipe.architecture(),
            self.record,
        )


def draw(generator: Generator, n: int, seed: int) -> dict[str, Tensor]:
    """n latents from one seed, on the generator's device; labels are drawn evenly."""
    classes = len(generator.info.class_names)
    labels = None
    if classes:
        labels = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))
    latent = generator.latents(range(n), seed=seed % 2**32, labels=labels)
    return {name: value.to(generator.device) for name, value in latent.items()}


def _states(generator: Generator, latent: dict[str, Tensor], stops: Iterable[str]) -> list[State]:
    """The states of latents at several boundaries, in order, without history."""
    found = []
    with torch.no_grad(), torch.autocast(generator.device.type, enabled=False):
        state = generator.begin(latent)
        for stop in stops:
            if generator.boundary(state.at).name != generator.boundary(stop).name:
                state = generator.advance(state, stop)
            found.append(state)
    return found


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """A recipe with ``steps`` steps for e_f and for the whole, and half of it for each layer."""
    return replace(
        recipe,
        name=f"{recipe.name}-{steps}",
        layer_steps=max(1, steps // 2),
        image_steps=steps,
        tune_steps=steps,
    )
