"""Checked inputs of one call of ``invert``, on the generator's device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seeingkit.contracts import Generator, Latent, State
from seeingkit.errors import UsageError

from .prepared import LayerPrepared


@dataclass(frozen=True, eq=False)
class Inputs:
    """Photos, labels and given starts.

    Attributes:
        images: (N, 3, R, R) float32 in [-1, 1].
        labels: (N,) int64 of a conditional generator, else None.
        init: N latents, N states at the cut, or None: the method's own guess.
        seed: of random starts.
    """

    images: Tensor
    labels: Tensor | None
    init: Latent | State | None
    seed: int

    @staticmethod
    def checked(
        prepared: LayerPrepared,
        images: Tensor,
        labels: Sequence[int] | None,
        init: Latent | State | None,
        seed: int,
    ) -> Inputs:
        """The inputs, if they fit the generator and each other.

        Raises:
            UsageError: images of another size or not finite; labels missing or out of range; a
                start of another boundary or shape.
        """
        generator = prepared.generator
        images = _checked_images(generator, images).to(generator.device)
        return Inputs(
            images,
            _checked_labels(generator, labels, len(images)),
            _checked_start(prepared, init, len(images)),
            seed,
        )

    def label(self, row: int) -> int | None:
        """The class of one photo."""
        return None if self.labels is None else int(self.labels[row])


def _checked_images(generator: Generator, images: Tensor) -> Tensor:
    size = generator.info.resolution
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size) or not len(images):
        raise UsageError(
            f"images have shape {tuple(images.shape)}; {generator.info.family} needs "
            f"(N, 3, {size}, {size}) (open_images(..., resolution={size}) gives it)"
        )
    if not bool(torch.isfinite(images).all()):
        raise UsageError("images hold NaN or Inf")
    return images.to(torch.float32)


def _checked_labels(generator: Generator, labels: Sequence[int] | None, n: int) -> Tensor | None:
    classes = len(generator.info.class_names)
    if not classes:
        return None
    if labels is None or len(labels) != n:
        raise UsageError(f"{generator.info.family} is conditional: give one label for each image")
    if not all(0 <= label < classes for label in labels):
        raise UsageError(f"{generator.info.family}: labels go from 0 to {classes - 1}")
    return torch.as_tensor(list(labels), dtype=torch.int64).to(generator.device)


def _checked_start(
    prepared: LayerPrepared, init: Latent | State | None, n: int
) -> Latent | State | None:
    """A given start, on the generator's device, if it fits n images."""
    if init is None:
        return None
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
