"""The six ways to invert (Bau et al. 2019, section 4.2), as one inverter with two choices.

Where to start: at random, from a direct encoder, or from a layered one. What to optimise: nothing,
z, or r through residuals, r = δ_n + g_n(… δ_1 + g_1(z0)), r* = argmin ℓ(x, G_f(r)) + λ Σ |δ_i|²,
with ℓ = L1 of pixels + L1 of perceptual features. Guarantees: the generator stays as it is; the
carry (class embeddings, noise) comes from the initial guess, and is optimised only where the option
``carry`` or the generator (``inverted_with``) names it; the
result for an image does not depend on its neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from seeingkit.contracts import Features, Generator, Inversion, Inverter, Latent, State
from seeingkit.errors import ModelError, UsageError
from seeingkit.models.loading import load_features
from seeingkit.system.processes import rank, wait_for

from .catalog import InverterOptions
from .encoders.files import Encoder, Kind, encoder_path, find_encoder, read_encoder
from .encoders.training import TRAIN_SEED, Recipe, draw, shortened, train_encoder
from .job import Job, checked_images, join
from .optimiser import Schedule
from .presets import PRESETS, InversionPreset

log = logging.getLogger(__name__)
Guess = Literal["random", "direct", "layered"]
Target = Literal["none", "z", "r"]
_PROBES = 64
_TRAINED: set[Path] = set()  # encoders that this process trained anew


class LayerInverter(Inverter):
    """One of the six methods.

    Args:
        name: as registered.
        guess: where it starts.
        target: what it optimises.
        options: see ``InverterOptions``.
    """

    def __init__(self, name: str, guess: Guess, target: Target, options: InverterOptions) -> None:
        self.name, self.guess, self.target, self.options = name, guess, target, options
        self.preset: InversionPreset = PRESETS[options.preset]
        self.features: Features | None = None
        self.encoder: Encoder | None = None
        self.cut = ""
        self._for: Generator | None = None
        self._average: dict[int | None, State] = {}
        self.scales: dict[str, float] = {}

    # ---------------------------------------------------------------------------------- preparing

    def prepare(self, generator: Generator) -> dict[str, Any]:
        """See ``Inverter.prepare``; trains an encoder if there is none and the options say so.

        Raises:
            UnknownNameError: the cut does not exist; lists those that do.
            UsageError: a cut at the input or the image.
            StateMismatchError: the encoder given is for another generator.
        """
        cut = generator.boundary(self.options.cut or generator.default_cut)
        if cut.kind == "image" or cut.index == 0:
            inner = ", ".join(b.name for b in generator.boundaries[1:-1])
            raise UsageError(f"{cut.name!r} leaves nothing to invert; cut at one of: {inner}")
        if self._for is not generator:
            self._for, self.cut = None, cut.name
            self.features = load_features(
                self.options.perceptual,
                weights=self.options.perceptual_weights,
                device=str(generator.device),
            )
            self.encoder = self._find_encoder(generator)
            self._measure(generator)
            self._for = generator  # only now: what failed is tried again, and fails again
        named = self.options.model_dump(
            mode="json",
            exclude={"encoder", "encoder_steps", "encoder_loss", "perceptual_weights", "frames"},
        )
        return {
            "method": self.name,
            **named,
            "schedule": asdict(self.schedule()),
            "settle": self.preset.settle,
            "latent_rate": self.preset.latent_rate,
            "scaled": self.preset.scaled,
            "relative_features": self.preset.relative_features,
            "residual_weight": self.residual_weight(),
            "perceptual_weight": self.perceptual_weight(),
            "cut": self.cut,
            "residuals": self.residuals_at(),
            "free_latent": self.frees_latent(),
            "carry": list(self.carried(generator)),
            "perceptual": self.features.info.identity() if self.features else None,
            "encoder": self.encoder.sha256 if self.encoder else None,
        }

    def carried(self, generator: Generator) -> tuple[str, ...]:
        """Carried tensors optimised along with r: those named, else the generator's own."""
        named = self.options.carry
        return generator.inverted_with if named is None else named

    def recipe(self) -> Recipe:
        """How its encoder is trained."""
        recipe = self.preset.recipe
        if self.options.encoder_steps is not None:
            recipe = shortened(recipe, self.options.encoder_steps)
        if self.options.encoder_loss is not None:
            recipe = replace(recipe, loss=self.options.encoder_loss)
        return recipe

    def _find_encoder(self, generator: Generator) -> Encoder | None:
        wanted = self.options.encoder
        if self.guess == "random" or (wanted == "none" and self.target == "r"):
            return None
        if wanted == "none":
            raise UsageError(f"method {self.name} is an encoder; --encoder none leaves nothing")
        kind: Kind = "direct" if self.guess == "direct" else "layered"
        if wanted not in ("auto", "found", "train"):
            encoder = read_encoder(Path(wanted), generator)
            if encoder.kind != kind:
                raise UsageError(
                    f"{wanted}: a {encoder.kind} encoder, method {self.name} needs a {kind} one"
                )
            return encoder.to(generator.device)
        recipe = self.recipe()
        home = self._encoder_cut(generator)
        # A shipped encoder serves both presets, but not somebody who asks for another training.
        shipped = self.options.encoder_steps is None and self.options.encoder_loss is None
        kept = encoder_path(generator, kind, home, recipe.key())
        if wanted == "train":  # anew means once, not once for each method and cut
            path = kept if kept in _TRAINED else None
        else:
            path = find_encoder(generator, kind, home, recipe.key(), shipped=shipped)
        if path is not None:
            return read_encoder(path, generator).to(generator.device)
        if wanted == "found":
            if self.target == "r":
                log.warning(
                    "no %s encoder of %s at %s is at hand: starting from the average image "
                    "(--encoder train makes one)", kind, generator.info.family, home,
                )  # fmt: skip
                return None
            raise UsageError(
                f"there is no {kind} encoder of {generator.info.family} at {home} here; "
                "make one with --encoder train"
            )
        if rank():  # one process trains, the others wait for its file
            wait_for([kept], "the encoder")
            return read_encoder(kept, generator).to(generator.device)
        log.warning(
            "training a %s encoder of %s at %s (%s recipe); it is kept for the next time",
            kind, generator.info.family, home, recipe.name,
        )  # fmt: skip
        encoder = train_encoder(generator, kind, home, recipe, path=kept, said=log.info)
        if wanted == "train":
            _TRAINED.add(kept)
        return encoder

    def _encoder_cut(self, generator: Generator) -> str:
        """z0 serves any cut, so a sweep of cuts needs only the encoder of the default one."""
        return self.cut if self.target == "none" else generator.boundary(generator.default_cut).name

    def _measure(self, generator: Generator) -> None:
        """The spread of x at every boundary up to the cut."""
        self._average = {}
        stop = generator.boundary(self.cut).index
        with torch.no_grad():
            state = self._probes(generator, None)
            for boundary in generator.boundaries[: stop + 1]:
                if boundary.index:
                    state = generator.advance(state, boundary.name)
                self.scales[boundary.name] = max(float(state.x.std()), 1e-8)

    def _probes(self, generator: Generator, label: int | None) -> State:
        """Samples at the input, of one class if it is given, without those that give NaN."""
        latent = draw(generator, _PROBES, TRAIN_SEED - 3 * _PROBES)
        if label is not None:
            latent["label"] = torch.full_like(latent["label"], label)
        state = generator.begin(latent)
        usable = torch.isfinite(generator.advance(state, self.cut).x.flatten(1)).all(1)
        if int(usable.sum()) < 2:
            raise ModelError(
                f"{generator.info.family}: {_PROBES - int(usable.sum())} of {_PROBES} samples "
                "are NaN or Inf; the weights may be damaged"
            )
        return state[usable]

    def average(self, generator: Generator, label: int | None) -> State:
        """Mean state at the cut of samples, of one class if it is given, (1, …)."""
        if label not in self._average:
            with torch.no_grad():
                state = generator.advance(self._probes(generator, label), self.cut)
            mean = {
                k: v.mean(0, keepdim=True) if v.is_floating_point() else v[:1]
                for k, v in state.carry.items()
            }
            self._average[label] = State(self.cut, state.x.mean(0, keepdim=True), mean)
        return self._average[label]

    def residual_weight(self) -> float:
        """Weight of the sum over i of mean δ_i²."""
        chosen = self.options.residual_weight
        return self.preset.residual_weight if chosen is None else chosen

    def perceptual_weight(self) -> float:
        """Weight of the perceptual loss."""
        chosen = self.options.perceptual_weight
        return self.preset.perceptual_weight if chosen is None else chosen

    def frees_latent(self) -> bool:
        """Whether z0 is optimised along with the residuals."""
        chosen = self.options.free_latent
        return self.preset.free_latent if chosen is None else chosen

    def residuals_at(self) -> str:
        """``before`` the cut, or ``all``."""
        return self.options.residuals or self.preset.residuals

    # ---------------------------------------------------------------------------------- inverting

    def invert(
        self,
        generator: Generator,
        images: Tensor,
        *,
        labels: Sequence[int] | None = None,
        init: Latent | State | None = None,
        seed: int = 0,
        batch_size: int = 8,
        done: Callable[[int, Inversion], None] | None = None,
    ) -> Inversion:
        """See ``Inverter.invert``.

        Raises:
            UsageError: images of another size than the generator's, or not finite; labels missing.
        """
        if batch_size < 1:
            raise UsageError(f"a batch of {batch_size} images; give a batch size of at least 1")
        self.prepare(generator)
        images = checked_images(generator, images).to(generator.device)
        job = Job(self, generator, images, labels, init, seed)
        found: dict[int, Inversion] = {}

        def finished(row: int, inversion: Inversion) -> None:
            found[row] = inversion
            if done is not None:
                done(row, inversion)

        job.run(batch_size, finished)
        return join([found[row] for row in range(len(images))])

    def schedule(self) -> Schedule:
        """Rates and stopping of what this method optimises."""
        chosen = self.preset.residual if self.target == "r" else self.preset.latent
        steps = chosen.steps if self.options.steps is None else self.options.steps
        if chosen.milestones and chosen.steps:
            marks = tuple(round(m * steps / chosen.steps) for m in chosen.milestones)
            chosen = replace(chosen, milestones=marks)
        return replace(chosen, steps=steps, rate=self.options.rate or chosen.rate)


def _maker(name: str, guess: Guess, target: Target) -> Callable[[InverterOptions], LayerInverter]:
    return lambda options: LayerInverter(name, guess, target, options)


optimise_z = _maker("z", "random", "z")
direct = _maker("encoder", "direct", "none")
direct_then_z = _maker("encoder+z", "direct", "z")
layered = _maker("layered", "layered", "none")
layered_then_z = _maker("layered+z", "layered", "z")
layered_then_r = _maker("layered+r", "layered", "r")
