"""The six ways to invert (Bau et al. 2019, section 4.2), as one inverter with two choices.

Where to start: at random, from a direct encoder, or from a layered one. What to optimise: nothing,
z, or r through residuals, r = δ_n + g_n(… δ_1 + g_1(z0)), r* = argmin ℓ(x, G_f(r)) + λ Σ |δ_i|²,
with ℓ = L1 of pixels + L1 of perceptual features. Guarantees: the generator stays as it is; the
carry (styles, class embeddings) comes from the initial guess and is optimised only where named; the
result for an image does not depend on its neighbours.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..contracts import Features, Generator, Inversion, Inverter, Latent, State
from ..edits import AddEdit, run
from ..errors import ModelError, UsageError
from ..loading import load_features
from ..sources.preprocess import quantise
from .catalog import InverterOptions
from .encoders import Encoder, Kind, find_encoder, latent_state, read_encoder
from .objectives import features_difference, mean_absolute, mean_square, psnr
from .optimiser import Outcome, Schedule, Values, minimise
from .presets import PRESETS, InversionPreset
from .training import TRAIN_SEED, Recipe, draw, shortened, train_encoder

log = logging.getLogger(__name__)
Guess = Literal["random", "direct", "layered"]
Target = Literal["none", "z", "r"]
_PROBES = 64


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
        self._scales: dict[str, float] = {}

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
            "residuals": self._at_cut(),
            "free_latent": self.frees_latent(),
            "perceptual": self.features.info.identity() if self.features else None,
            "encoder": self.encoder.sha256 if self.encoder else None,
        }

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
        path = None
        if wanted != "train":
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
        log.warning(
            "training a %s encoder of %s at %s (%s recipe); it is kept for the next time",
            kind, generator.info.family, home, recipe.name,
        )  # fmt: skip
        return train_encoder(generator, kind, home, recipe, said=log.info)

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
                self._scales[boundary.name] = max(float(state.x.std()), 1e-8)

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

    def _at_cut(self) -> str:
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
        images = _checked(generator, images).to(generator.device)
        job = _Job(self, generator, images, labels, init, seed)
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


class _Job:
    """One call of ``invert``: the photos, their initial guesses, and the objective."""

    def __init__(
        self,
        inverter: LayerInverter,
        generator: Generator,
        images: Tensor,
        labels: Sequence[int] | None,
        init: Latent | State | None,
        seed: int,
    ) -> None:
        self.inverter, self.generator, self.images, self.seed = inverter, generator, images, seed
        self.labels = None
        if generator.info.class_names:
            if labels is None or len(labels) != len(images):
                raise UsageError(
                    f"{generator.info.family} is conditional: give one label for each image"
                )
            classes = len(generator.info.class_names)
            if not all(0 <= label < classes for label in labels):
                raise UsageError(f"{generator.info.family}: labels go from 0 to {classes - 1}")
            self.labels = torch.as_tensor(list(labels), dtype=torch.int64).to(generator.device)
        self.init = _checked_start(generator, inverter, init, len(images))
        cut = generator.boundary(inverter.cut)
        self.weight = inverter.residual_weight()
        last = cut.index if inverter._at_cut() == "all" or cut.index == 1 else cut.index - 1
        self.places = [b.name for b in generator.boundaries[1 : last + 1]]
        self.free = [generator.boundaries[0].name] if inverter.frees_latent() else []
        self.base: dict[int, State] = {}  # by row: the state where the residuals begin
        self.first: dict[int, Tensor] = {}  # by row: the latent guess, if there is one
        self.truth: dict[int, tuple[Tensor, ...]] = {}  # by row: perceptual features of the photo
        self.begun: dict[int, Tensor] = {}  # by row: image of the initial guess

    def run(self, batch_size: int, finished: Callable[[int, Inversion], None]) -> None:
        inverter = self.inverter
        schedule = inverter.schedule()
        if inverter.target == "none":
            schedule = Schedule(steps=0, rate=1.0)
        wanted = inverter.options.frames
        marks = sorted({round(schedule.steps * (k / (wanted - 1)) ** 2) for k in range(wanted)}
                       if wanted > 1 else set())  # fmt: skip
        scales = {"z": 1.0, self.generator.boundaries[0].name: inverter.preset.latent_rate}
        for name in self.places:
            scales[name] = inverter._scales[name] if inverter.preset.scaled else 1.0
        scales |= {f"carry.{name}": 1.0 for name in inverter.options.carry}
        scales[inverter.cut] = inverter._scales[inverter.cut] if inverter.preset.scaled else 1.0

        def done(row: int, outcome: Outcome) -> None:
            finished(row, self._result(row, outcome))
            for kept in (self.base, self.first, self.truth, self.begun):
                kept.pop(row, None)  # type: ignore[attr-defined]

        minimise(
            range(len(self.images)),
            self._start,
            self._objective,
            schedule,
            scales=scales,
            delays=self._delays(schedule),
            batch_size=batch_size,
            frames=marks,
            done=done,
        )

    def _delays(self, schedule: Schedule) -> dict[str, int]:
        """Residuals wait until z0 has settled, if it is free; set when the first rows start."""
        if self.inverter.target != "r" or not self.free or self._without_latent():
            return {}
        wait = round(self.inverter.preset.settle * schedule.steps)
        return dict.fromkeys(self.places, wait)

    def _without_latent(self) -> bool:
        """There is no z to start from: neither an encoder nor a given latent."""
        return isinstance(self.init, State) or (
            self.init is None and self.inverter.encoder is None and self.inverter.guess != "random"
        )

    # ------------------------------------------------------------------------------ initial guess

    def _start(self, rows: Sequence[int]) -> Values:
        """Variables of rows that enter the batch.

        One by one: matrix products (of a direct encoder, say) round otherwise in another batch, and
        a start that differs in the last bit ends somewhere else.
        """
        parts = [self._begin([row]) for row in rows]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _begin(self, rows: Sequence[int]) -> Values:
        images = self.images[list(rows)]
        with torch.no_grad():
            if self.inverter.features is not None:
                truth = self.inverter.features(images)
                for k, row in enumerate(rows):
                    self.truth[row] = tuple(part[k : k + 1] for part in truth)
            z = self._latents(rows, images)
            if z is None:
                return self._from_average(rows)
            for k, row in enumerate(rows):
                self.first[row] = z[k : k + 1]
            if self.inverter.target != "r":
                return {"z": z}
            state = self._enter(z, rows)
            if not self.free:  # g_1(z0) never changes
                state = self.generator.advance(state, self.places[0])
            return self._residuals(state, rows)

    def _latents(self, rows: Sequence[int], images: Tensor) -> Tensor | None:
        if isinstance(self.init, State):
            return None
        name = self.generator.info.latent[0].name
        if self.init is not None:
            return self.init[name][list(rows)].to(self.images.device)
        if self.inverter.encoder is not None:
            return self.inverter.encoder.estimate(images)[0]
        if self.inverter.guess != "random":
            return None
        # A start for each picture, whatever stands beside it: its number comes from its pixels.
        drawn = []
        for row in rows:
            pixels = quantise(self.images[row : row + 1]).cpu().numpy().tobytes()
            number = int.from_bytes(hashlib.sha256(pixels).digest()[:4], "big") // 2
            part = draw(self.generator, 1, number + self.seed)
            drawn.append(part[name])
        return torch.cat(drawn)

    def _enter(self, z: Tensor, rows: Sequence[int]) -> State:
        labels = None if self.labels is None else self.labels[list(rows)]
        return latent_state(self.generator, z, labels)

    def _from_average(self, rows: Sequence[int]) -> Values:
        """No latent is known: start from a given state, or the average one, at the cut."""
        if isinstance(self.init, State):
            given = self.init[list(rows)]
        else:
            chosen = [None if self.labels is None else int(self.labels[row]) for row in rows]
            given = State.cat([self.inverter.average(self.generator, one) for one in chosen])
        self.places, self.free = [self.inverter.cut], []
        return self._residuals(given.detach(), rows)

    def _residuals(self, state: State, rows: Sequence[int]) -> Values:
        for k, row in enumerate(rows):
            self.base[row] = state[k]
        values = {}
        for name in (*self.free, *self.places):
            shape = self.generator.boundary(name).shape
            values[name] = torch.zeros(len(rows), *shape, device=state.x.device)
        for name in self.inverter.options.carry:
            carried = state.carry.get(name)
            if carried is None or not carried.is_floating_point():
                known = ", ".join(k for k, v in state.carry.items() if v.is_floating_point())
                raise UsageError(
                    f"no carried tensor {name!r} at {state.at}; there are: {known or 'none'}"
                )
            values[f"carry.{name}"] = torch.zeros_like(carried)
        return values

    # ---------------------------------------------------------------------------------- objective

    def _forward(self, values: Values, rows: Sequence[int]) -> tuple[State, Tensor, Tensor]:
        """State at the cut, image, and the regulariser (B,)."""
        cut = self.inverter.cut
        if "z" in values:
            r = self.generator.advance(self._enter(values["z"], rows), cut)
            image = self.generator.advance(r).x
            return r, image, torch.zeros(len(rows), device=image.device)
        state = State.cat([self.base[row] for row in rows])
        names = self.inverter.options.carry
        if names:
            state = state.with_carry(**{n: state.carry[n] + values[f"carry.{n}"] for n in names})
        edits = [AddEdit(name, values[name]) for name in (*self.free, *self.places)]
        r, _ = run(self.generator, state, cut, edits=edits)
        image = self.generator.advance(r).x
        size = self.inverter._scales if self.inverter.preset.scaled else {}
        penalty = torch.stack([mean_square(values[n] / size.get(n, 1.0)) for n in self.places]).sum(
            0
        )
        return r, image, penalty

    def _objective(self, values: Values, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        _, image, penalty = self._forward(values, rows)
        loss = mean_absolute(image, self.images[list(rows)]) + self.weight * penalty
        weight = self.inverter.perceptual_weight()
        if self.inverter.features is not None and weight:
            found, truth = self.inverter.features(image), self._photo_features(rows)
            relative = self.inverter.preset.relative_features
            loss = loss + weight * features_difference(found, truth, relative=relative)
        if not self.begun.keys() >= set(rows):
            for k, row in enumerate(rows):
                self.begun.setdefault(row, image.detach()[k : k + 1].clone())
        return loss, image

    def _photo_features(self, rows: Sequence[int]) -> tuple[Tensor, ...]:
        parts = [self.truth[row] for row in rows]
        return tuple(torch.cat([p[k] for p in parts]) for k in range(len(parts[0])))

    # ------------------------------------------------------------------------------------- result

    def _result(self, row: int, outcome: Outcome) -> Inversion:
        with torch.no_grad():
            r, _, _ = self._forward(outcome.values, [row])
            photo = self.images[row : row + 1]
            image = torch.full_like(photo, torch.nan) if outcome.failed else outcome.image
            perceptual = None
            if self.inverter.features is not None:
                found = self.inverter.features(image)
                perceptual = features_difference(found, self._photo_features([row])).cpu()
        z = outcome.values.get("z", self.first.get(row))
        steps = tuple(step for step, _ in outcome.frames)
        pictures = [image.cpu() for _, image in outcome.frames]
        wanted = self.inverter.options.frames
        if wanted and outcome.failed is None and (not steps or steps[-1] != outcome.steps):
            steps, pictures = (*steps, outcome.steps), [*pictures, outcome.image.cpu()]
        return Inversion(
            self.inverter.name,
            self.inverter.cut,
            photo.cpu(),
            image.cpu(),
            State(r.at, r.x.cpu(), {k: v.cpu() for k, v in r.carry.items()}),
            None if z is None else z.cpu(),
            self.begun[row].cpu(),
            torch.tensor([outcome.loss], dtype=torch.float64),
            psnr(image, photo).cpu(),
            perceptual,
            torch.tensor([outcome.steps]),
            torch.tensor([outcome.converged]),
            {0: outcome.failed} if outcome.failed else {},
            ((steps, torch.cat(pictures) if pictures else photo.cpu()[:0]),),
            (torch.tensor(outcome.history),),
        )


def _checked(generator: Generator, images: Tensor) -> Tensor:
    size = generator.info.resolution
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size) or not len(images):
        raise UsageError(
            f"images have shape {tuple(images.shape)}; {generator.info.family} needs "
            f"(N, 3, {size}, {size}) (open_images(..., resolution={size}) gives it)"
        )
    if not bool(torch.isfinite(images).all()):
        raise UsageError("images hold NaN or Inf")
    return images.to(torch.float32)


def _checked_start(
    generator: Generator, inverter: LayerInverter, init: Latent | State | None, n: int
) -> Latent | State | None:
    """A given start, on the generator's device, if it fits n images."""
    if init is None:
        return None
    device = generator.device
    if not isinstance(init, State):
        name, shape = generator.info.latent[0].name, generator.info.latent[0].shape
        if name not in init or tuple(init[name].shape) != (n, *shape):
            found = tuple(init[name].shape) if name in init else "missing"
            raise UsageError(f"init: latent {name!r} is {found}, expected {(n, *shape)}")
        return {key: value.to(device) for key, value in init.items()}
    if inverter.target != "r":
        raise UsageError(f"init: method {inverter.name} looks for z; give latents, not a state")
    cut = generator.boundary(inverter.cut)
    if generator.boundary(init.at).name != cut.name:
        raise UsageError(f"init is a state at {init.at!r}, the cut is {cut.name}")
    if tuple(init.x.shape) != (n, *cut.shape):
        raise UsageError(f"init: x is {tuple(init.x.shape)}, expected {(n, *cut.shape)}")
    carry = {key: value.to(device) for key, value in init.carry.items()}
    return State(cut.name, init.x.to(device), carry)


def join(parts: Sequence[Inversion]) -> Inversion:
    """Several inversions by one method at one cut as one."""
    if not parts or len({(p.method, p.cut) for p in parts}) != 1:
        raise ModelError("inversions of different methods or cuts cannot be joined")
    perceptual = [p.perceptual for p in parts if p.perceptual is not None]
    latents = [p.z for p in parts if p.z is not None]
    failed: dict[int, str] = {}
    start = 0
    for part in parts:
        failed |= {start + row: reason for row, reason in part.failed.items()}
        start += len(part)

    def cat(name: str) -> Tensor:
        return torch.cat([getattr(p, name) for p in parts])

    return replace(
        parts[0],
        images=cat("images"),
        reconstruction=cat("reconstruction"),
        state=State.cat([p.state for p in parts]),
        z=torch.cat(latents) if len(latents) == len(parts) else None,
        initial=cat("initial"),
        loss=cat("loss"),
        psnr=cat("psnr"),
        perceptual=torch.cat(perceptual) if len(perceptual) == len(parts) else None,
        steps=cat("steps"),
        converged=cat("converged"),
        failed=failed,
        frames=tuple(f for p in parts for f in p.frames),
        history=tuple(h for p in parts for h in p.history),
    )


def _maker(name: str, guess: Guess, target: Target) -> Callable[[InverterOptions], LayerInverter]:
    return lambda options: LayerInverter(name, guess, target, options)


optimise_z = _maker("z", "random", "z")
direct = _maker("encoder", "direct", "none")
direct_then_z = _maker("encoder+z", "direct", "z")
layered = _maker("layered", "layered", "none")
layered_then_z = _maker("layered+z", "layered", "z")
layered_then_r = _maker("layered+r", "layered", "r")
_ = Mapping
