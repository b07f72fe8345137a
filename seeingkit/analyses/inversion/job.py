"""One call of ``invert``: initial guesses, the objective, and what comes out.

Guarantees: photos enter one by one and share nothing but passes through the networks; a row that
fails has NaN for its picture and the reason beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seeingkit.contracts import Generator, Inversion, Latent, State
from seeingkit.errors import ModelError, UsageError
from seeingkit.images.preprocess import quantise
from seeingkit.models.edits import AddEdit, run

from .encoders.files import latent_state
from .encoders.training import draw
from .objectives import features_difference, mean_absolute, mean_square, psnr
from .optimiser import Outcome, Schedule, Values, minimise

if TYPE_CHECKING:
    from .methods import LayerInverter


class Job:
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
        last = cut.index if inverter.residuals_at() == "all" or cut.index == 1 else cut.index - 1
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
            scales[name] = inverter.scales[name] if inverter.preset.scaled else 1.0
        scales |= {f"carry.{name}": 1.0 for name in self.inverter.carried(self.generator)}
        scales[inverter.cut] = inverter.scales[inverter.cut] if inverter.preset.scaled else 1.0

        def done(row: int, outcome: Outcome) -> None:
            finished(row, self._result(row, outcome))
            for kept in (self.base, self.first, self.truth, self.begun):
                kept.pop(row, None)

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
        for name in self.inverter.carried(self.generator):
            carried = state.carry.get(name)
            if carried is None or not carried.is_floating_point():
                if self.inverter.options.carry is None:
                    continue  # not there yet, or not at all, at this boundary
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
        names = [
            name for name in self.inverter.carried(self.generator) if f"carry.{name}" in values
        ]
        if names:
            state = state.with_carry(**{n: state.carry[n] + values[f"carry.{n}"] for n in names})
        edits = [AddEdit(name, values[name]) for name in (*self.free, *self.places)]
        r, _ = run(self.generator, state, cut, edits=edits)
        image = self.generator.advance(r).x
        size = self.inverter.scales if self.inverter.preset.scaled else {}
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


def checked_images(generator: Generator, images: Tensor) -> Tensor:
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
