"""``LayerPrepared``, the parts of a method for one generator, and the ``Inputs`` of one call.

Guarantee: the initial guess of a photo depends on that photo, its label, its given start and the
seed alone. Photos go through the encoder one by one, because matrix products round otherwise in
another batch, and a start that differs in the last bit ends elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seeingkit.contracts import Generator, Latent, Prepared, State
from seeingkit.errors import ModelError, UsageError
from seeingkit.images.preprocess import quantise
from seeingkit.system.devices import fetched

from .catalog import InverterOptions
from .presets import InversionPreset
from .rows import Schedule
from .samples import draw


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerPrepared(Prepared):
    """The parts that one of the six methods needs for one generator.

    Attributes:
        target: the optimised variable: ``z``, ``r`` or ``none``.
        preset: losses and schedules, with the options in place.
        options: as they were given.
        scales: standard deviation of x at every boundary up to the cut, by name.
        averages: class (none: all) to the mean state (1, …) of its samples at the cut.
    """

    generator: Generator
    method: str
    target: str
    preset: InversionPreset
    options: InverterOptions
    scales: Mapping[str, float]
    averages: Callable[..., State]

    @property
    def schedule(self) -> Schedule:
        """Rates and stopping; no step where the method optimises nothing."""
        if self.target == "none":
            return Schedule(steps=0, rate=1.0)
        return self.preset.residual if self.target == "r" else self.preset.latent

    @property
    def carried(self) -> tuple[str, ...]:
        """Carried tensors optimised along with r: those named, else the generator's own."""
        named = self.options.carry
        return self.generator.inverted_with if named is None else named

    def unit(self, name: str) -> float:
        """One unit of x at a boundary: its standard deviation, or 1 if δ is not scaled."""
        return self.scales[name] if self.preset.scaled else 1.0


class Inputs:
    """Checked photos, labels and given starts, on the generator's device.

    Args:
        images: (N, 3, R, R) in [-1, 1].
        labels: N numbers, for a conditional generator.
        init: N latents, N states at the cut, or None: the method's own guess.
        seed: of random starts.

    Raises:
        UsageError: images of another size or not finite; labels missing or out of range; a start of
            another boundary or shape.
    """

    def __init__(
        self,
        prepared: LayerPrepared,
        images: Tensor,
        labels: Sequence[int] | None,
        init: Latent | State | None,
        seed: int,
    ) -> None:
        self.prepared, self.seed = prepared, seed
        generator, family = prepared.generator, prepared.generator.info.family
        size, classes = generator.info.resolution, len(generator.info.class_names)
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size) or not len(images):
            raise UsageError(
                f"images have shape {tuple(images.shape)}; {family} needs "
                f"(N, 3, {size}, {size}) (open_images(..., resolution={size}) gives it)"
            )
        if not bool(torch.isfinite(images).all()):
            raise UsageError("images hold NaN or Inf")
        self.images = images.to(generator.device, torch.float32)
        self.labels: Tensor | None = None
        if classes:
            if labels is None or len(labels) != len(images):
                raise UsageError(f"{family} is conditional: give one label for each image")
            if not all(0 <= label < classes for label in labels):
                raise UsageError(f"{family}: labels go from 0 to {classes - 1}")
            self.labels = torch.tensor(list(labels), dtype=torch.int64, device=generator.device)
        self.init = None if init is None else _checked_start(prepared, init, len(images))

    def photos(self, rows: Sequence[int]) -> Tensor:
        """Some photos (B, 3, R, R); taken by slices, for an index would be sent to the device."""
        return torch.cat([self.images[row : row + 1] for row in rows])

    def classes(self, rows: Sequence[int]) -> Tensor | None:
        """Their labels (B,), or None of an unconditional generator."""
        if self.labels is None:
            return None
        return torch.cat([self.labels[row : row + 1] for row in rows])

    @property
    def from_latent(self) -> bool:
        """Whether inversion starts from a latent; otherwise from a state at the cut."""
        if self.init is not None:
            return not isinstance(self.init, State)
        return self.prepared.start != "average"

    def latent_guess(self, row: int) -> Tensor:
        """The latent (1, …) at which a photo starts: given, by the encoder, or drawn."""
        generator, encoder = self.prepared.generator, self.prepared.encoder
        name = generator.info.latent[0].name
        if self.init is not None:
            assert not isinstance(self.init, State)
            return self.init[name][[row]]
        if encoder is not None:
            return _checked_estimate(encoder.estimate(self.photos([row])), generator)
        # The number of a random start comes from the photo's pixels, so neighbours do not matter.
        pixels = fetched(quantise(self.photos([row]))).numpy().tobytes()
        number = int.from_bytes(hashlib.sha256(pixels).digest()[:4], "big") // 2
        return draw(generator, 1, number + self.seed)[name]

    def state_guess(self, row: int) -> State:
        """The state (1, …) at which a photo starts: given, or the average of its class."""
        if isinstance(self.init, State):
            return self.init[[row]]
        return self.prepared.averages(None if self.labels is None else int(self.labels[row]))


def _checked_estimate(found: object, generator: Generator) -> Tensor:
    """The latent (1, …) of an encoder's estimate for one image.

    Raises:
        ModelError: it is no latent of this generator.
    """
    z = found[0] if isinstance(found, tuple) and found else found
    expected = (1, *generator.info.latent[0].shape)
    if not isinstance(z, Tensor) or tuple(z.shape) != expected:
        given = f"a latent of shape {tuple(z.shape)}" if isinstance(z, Tensor) else "no latent"
        raise ModelError(f"the encoder of {generator.info.family} gave {given}, not {expected}")
    return z


def _checked_start(prepared: LayerPrepared, init: Latent | State, n: int) -> Latent | State:
    """A given start, on the generator's device, if it fits n images."""
    generator = prepared.generator
    if not isinstance(init, State):
        name, shape = generator.info.latent[0].name, generator.info.latent[0].shape
        if name not in init or tuple(init[name].shape) != (n, *shape):
            found = tuple(init[name].shape) if name in init else "missing"
            raise UsageError(f"init: latent {name!r} is {found}, expected {(n, *shape)}")
        return {key: value.to(generator.device) for key, value in init.items()}
    if prepared.target != "r":
        raise UsageError(f"init: method {prepared.method} looks for z; give latents, not a state")
    cut = generator.boundary(prepared.cut)
    if generator.boundary(init.at).name != cut.name:
        raise UsageError(f"init is a state at {init.at!r}, the cut is {cut.name}")
    if tuple(init.x.shape) != (n, *cut.shape):
        raise UsageError(f"init: x is {tuple(init.x.shape)}, expected {(n, *cut.shape)}")
    carry = {key: value.to(generator.device) for key, value in init.carry.items()}
    return State(cut.name, init.x.to(generator.device), carry)
