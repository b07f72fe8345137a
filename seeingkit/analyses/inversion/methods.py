"""The six methods of inversion (Bau et al. 2019, section 4.2), as one inverter with two choices.

The start: random, by a direct encoder, or by a layered one. The optimised variable: none, z, or r
through residuals, r = δ_n + g_n(… δ_1 + g_1(z0)), r* = argmin ℓ(x, G_f(r)) + λ Σ |δ_i|²,
with ℓ = L1 of pixels + L1 of perceptual features. Guarantees: the generator stays as it is; the
carry (class embeddings, noise) comes from the initial guess, and is optimised only where the option
``carry`` or the generator (``inverted_with``) names it; the result for an image does not depend on
its neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal
from weakref import WeakValueDictionary

from torch import Tensor

from seeingkit.contracts import (
    Encoder,
    Features,
    Generator,
    Inversion,
    Inverter,
    Latent,
    ModelEncoder,
    Prepared,
    State,
)
from seeingkit.errors import UsageError
from seeingkit.models.loading import load_features

from .catalog import InverterOptions
from .encoders.files import Kind, read_encoder
from .encoders.given import cautions_of, encoder_in
from .encoders.training import available_encoder
from .job import Job
from .prepared import Inputs, LayerPrepared
from .presets import PRESETS, InversionPreset
from .samples import average_states, check_samples, measured_scales

log = logging.getLogger(__name__)
_SHARED: WeakValueDictionary[tuple[str, str | None, str], Features] = WeakValueDictionary()
"""Features in use, by name, file and device."""
_ENCODER_OPTIONS = ("encoder", "encoder_steps", "encoder_loss", "encoder_options")
"""What they bring about is the identity of the encoder."""
Guess = Literal["random", "direct", "layered"]
Target = Literal["none", "z", "r"]


class LayerInverter(Inverter):
    """One of the six methods.

    Args:
        guess: a random latent, or the kind of encoder that gives the initial guess.
        target: the optimised variable.
        preset: losses and schedules, in place of those that ``options.preset`` names.
    """

    def __init__(
        self,
        name: str,
        guess: Guess,
        target: Target,
        options: InverterOptions,
        preset: InversionPreset | None = None,
    ) -> None:
        self.name, self.guess, self.target, self.options = name, guess, target, options
        self.preset = (preset or PRESETS[options.preset]).adapted(options)

    def prepare(self, generator: Generator) -> LayerPrepared:
        """See ``Inverter.prepare``; trains an encoder if there is none and the options say so.

        Raises:
            UsageError: a cut at the input or the image; no encoder for a method that needs one.
            ModelError: the generator's images break its contract.
            StateMismatchError: the encoder given is for another generator.
        """
        options = self.options
        cut = generator.boundary(options.cut or generator.default_cut)
        if cut.kind == "image" or cut.index == 0:
            inner = ", ".join(b.name for b in generator.boundaries[1:-1])
            raise UsageError(f"{cut.name!r} leaves nothing to invert; cut at one of: {inner}")
        check_samples(generator)  # before an encoder is trained on such images
        features = _features(options.perceptual, options.perceptual_weights, str(generator.device))
        preset = self.preset.with_features(features.info.layer if features else None, options)
        encoder = self._encoder(generator, cut.name)
        start: Literal["encoder", "random", "average"] = "encoder"
        if encoder is None:
            start = "random" if self.guess == "random" else "average"
        return LayerPrepared(
            cut=cut.name,
            settings=self._settings(generator, cut.name, preset, features, encoder),
            features=features,
            encoder=encoder,
            start=start,
            generator=generator,
            method=self.name,
            target=self.target,
            preset=preset,
            options=self.options,
            scales=measured_scales(generator, cut.name),
            averages=average_states(generator, cut.name),
            warnings=cautions_of(encoder, generator) if isinstance(encoder, ModelEncoder) else (),
        )

    def _settings(
        self,
        generator: Generator,
        cut: str,
        preset: InversionPreset,
        features: Features | None,
        encoder: Encoder | None,
    ) -> dict[str, Any]:
        """The identity of an inversion, beside generator, image, label and seed."""
        named = self.options.model_dump(
            mode="json",
            exclude={*_ENCODER_OPTIONS, "perceptual_weights", "frames"},
        )
        fields, carry = asdict(preset), self.options.carry
        schedules = {name: fields.pop(name) for name in ("latent", "residual", "recipe")}
        return {
            "method": self.name,
            "code": self.code,
            **named,
            **fields,
            "schedule": schedules["residual" if self.target == "r" else "latent"],
            "cut": cut,
            "carry": list(generator.inverted_with if carry is None else carry),
            "perceptual": features.info.identity() if features else None,
            "encoder": encoder.identity() if encoder else None,
        }

    def _encoder(self, generator: Generator, cut: str) -> Encoder | None:
        """The encoder that the options ask for; None: a random start, or the average state."""
        if self.guess == "random":
            return None
        wanted, kind = self.options.encoder, self.guess
        if generator.translates:
            return self._of_translator(generator)
        if wanted == "none":
            if self.target == "r":
                return None
            raise UsageError(f"method {self.name} is an encoder; --encoder none leaves nothing")
        if wanted not in ("auto", "found", "train"):
            return self._of_file(generator, wanted, kind)
        # z0 serves any cut, so a sweep of cuts needs only the encoder of the default one.
        home = cut if self.target == "none" else generator.boundary(generator.default_cut).name
        # A shipped encoder serves both presets, but not somebody who asks for another training.
        shipped = self.options.encoder_steps is None and self.options.encoder_loss is None
        recipe = self.preset.recipe
        found = None
        if self.options.preset == "paper" and wanted != "train":  # its own recipe before any other
            found = available_encoder(generator, kind, home, recipe, "found", shipped=False)
        if found is None and shipped and wanted != "train" and self._takes_direct:
            came = encoder_in("found", generator, self.options.encoder_options)
            if came is not None:
                return came
        if generator.own_encoder is None:
            self._refuse_encoder_options()
        if found is None:
            found = available_encoder(generator, kind, home, recipe, wanted, shipped=shipped)
        if found is not None:
            return found
        whose = f"{kind} encoder of {generator.info.family} at {home}"
        if self.target != "r":
            raise UsageError(f"there is no {whose} here; make one with --encoder train")
        log.warning(
            "no %s is available: starting from the average image (--encoder train makes one)",
            whose,
        )
        return None

    @property
    def _takes_direct(self) -> bool:
        """Whether an encoder that gives z alone serves: r is optimised from z0 = E(x)."""
        return self.guess == "direct" or self.target == "r"

    def _of_file(self, generator: Generator, wanted: str, kind: Kind) -> Encoder:
        """The encoder of a file: one that came with a generator, or one that was trained here."""
        came = encoder_in(wanted, generator, self.options.encoder_options)
        given: Encoder | None = came
        if given is None:
            self._refuse_encoder_options()
            given = read_encoder(wanted, generator)
        if given.kind != kind and not (came is not None and self._takes_direct):
            raise UsageError(
                f"{wanted}: a {given.kind} encoder, method {self.name} needs a {kind} one"
            )
        return given.to(generator.device)

    def _refuse_encoder_options(self) -> None:
        """Refuse options of an encoder that came with the generator where there is none."""
        if self.options.encoder_options:
            given = ", ".join(self.options.encoder_options)
            raise UsageError(
                f"method {self.name}: encoder_options ({given}) are for an encoder that came with "
                "the generator, and there is none"
            )

    def _of_translator(self, generator: Generator) -> Encoder | None:
        """The encoder of a generator whose latent is an image: one that came with it, or none.

        Those that are trained here give latents that are N(0, 1), from samples without end.
        """
        wanted, kind = self.options.encoder, self.guess
        assert kind != "random"
        if wanted not in ("auto", "found", "train", "none"):
            return self._of_file(generator, wanted, kind)
        if wanted in ("auto", "found") and self._takes_direct:
            came = encoder_in("found", generator, self.options.encoder_options)
            if came is not None:
                return came
        self._refuse_encoder_options()
        if self.target == "r" and wanted != "train":
            return None
        raise UsageError(
            f"{generator.info.family} translates images, and no encoder here estimates an image "
            "that was translated; give one that came with it with --encoder FILE, or take method "
            "z, or layered+r with --encoder none"
        )

    def invert(
        self,
        generator: Generator,
        images: Tensor,
        *,
        prepared: Prepared | None = None,
        labels: Sequence[int] | None = None,
        init: Latent | State | None = None,
        seed: int = 0,
        batch_size: int = 8,
        done: Callable[[int, Inversion], None] | None = None,
    ) -> Inversion:
        """See ``Inverter.invert``.

        Raises:
            UsageError: as ``Inputs``, or ``prepared`` of another generator or method.
        """
        if batch_size < 1:
            raise UsageError(f"a batch of {batch_size} images; give a batch size of at least 1")
        if prepared is None:
            prepared = self.prepare(generator)
        if not isinstance(prepared, LayerPrepared) or prepared.method != self.name:
            raise UsageError(f"prepared by another method than {self.name}")
        if prepared.generator is not generator:
            raise UsageError(f"prepared for another generator than this {generator.info.family}")
        job = Job(Inputs(prepared, images, labels, init, seed))
        found = job.run(batch_size, done or (lambda row, inversion: None))
        return Inversion.join([found[row] for row in range(len(images))])


def _features(name: str, weights: str | None, device: str) -> Features | None:
    """Perceptual features; those of another cut of the same run serve this one too."""
    key = name, weights, device
    features = _SHARED.get(key)
    if features is None:
        features = load_features(name, weights=weights, device=device)
        if features is not None:
            _SHARED[key] = features
    return features


optimise_z = partial(LayerInverter, "z", "random", "z")
direct = partial(LayerInverter, "encoder", "direct", "none")
direct_then_z = partial(LayerInverter, "encoder+z", "direct", "z")
layered = partial(LayerInverter, "layered", "layered", "none")
layered_then_z = partial(LayerInverter, "layered+z", "layered", "z")
layered_then_r = partial(LayerInverter, "layered+r", "layered", "r")
