"""The config of a ProGAN: all that rebuilds it besides its tensors.

Guarantees that a config's odd values are refused by name, whichever file they come from.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ..configs import Colours, NetworkConfig
from .ablation import Variant

Size = Annotated[int, Field(ge=1, le=1 << 24)]


class ProGANConfig(NetworkConfig):
    """A ProGAN network.

    Attributes:
        sizes: numbers that enter the first layer, then channels at 4x4, 8x8, …
        variant: ``progan``, or one of the ablations.
        network: ``published`` (``network``, ``ablation``), or ``growing``
            (``growing``), to which alone everything from ``normalize_latents`` on applies.
        labels: how many of the numbers that enter are a class vector.
        image_channels: 3, or 1 for grey.
        clamp: whether the original clamps its output to [-1, 1].
        normalize_latents: whether the first layer begins with a pixel norm.
        pixel_norm: whether the others do.
        epsilon: of the pixel norm.
        leak: slope of the activation below 0.
        alpha: weight of the last resolution's RGB, the rest being the previous one's, upsampled.
        upscale: whole number by which the finished image is enlarged (nearest).
        first_bias: of the first layer: a number for each ``channel``, or a whole ``map`` of each.
        final: after the blended RGB.
        attributes: numbers of values of each attribute of a class vector that joins several;
            empty: the class vector is one.
        names: of the classes, where the file has them.
    """

    KIND: ClassVar[str] = "a ProGAN generator"

    sizes: Annotated[tuple[Size, ...], Field(min_length=2, max_length=12)]
    variant: Variant = "progan"
    network: Literal["published", "growing"] = "published"
    labels: Annotated[int, Field(ge=0)] = 0
    image_channels: Colours = 3
    clamp: bool = True
    normalize_latents: bool = True
    pixel_norm: bool = True
    epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-8
    leak: Annotated[float, Field(ge=0, le=1)] = 0.2
    alpha: Annotated[float, Field(ge=0, le=1)] = 1.0
    upscale: Annotated[int, Field(ge=1, le=1024)] = 1
    first_bias: Literal["channel", "map"] = "channel"
    final: Literal["none", "tanh"] = "none"
    attributes: tuple[Size, ...] = ()
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> ProGANConfig:
        if self.labels >= self.sizes[0]:
            raise ValueError("no numbers left for z beside the labels")
        if self.alpha < 1 and len(self.sizes) == 2:
            raise ValueError("alpha below 1 needs a resolution to blend with")
        if self.attributes and sum(self.attributes) != self.labels:
            raise ValueError(f"attributes of {self.attributes} values, {self.labels} labels")
        if self.names and len(self.names) != self.classes:
            raise ValueError(f"{len(self.names)} names of {self.classes} classes")
        return self

    @property
    def latent(self) -> int:
        """Numbers in z."""
        return self.sizes[0] - self.labels

    @property
    def classes(self) -> int:
        """Number of classes: all combinations of the attributes' values."""
        return math.prod(self.attributes) if self.attributes else self.labels

    @property
    def resolution(self) -> int:
        """Side of the image in pixels."""
        return int(2 ** len(self.sizes)) * self.upscale
