"""The networks of ALI (Dumoulin et al., ICLR 2017, appendix A, table 2) as ali-pytorch has them.

Guarantees that a config that exists describes a network whose layers follow each other and whose
last map has the size of the learned bias that is added to it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from seeingkit.contracts import Posterior

from ..configs import Colours, NetworkConfig
from ..dcgan.network import Normalisation

KERNELS = (4, 4, 4, 4, 5, 1, 1)
STRIDES = (1, 2, 1, 2, 1, 1, 1)
"""Of the generator's transposed convolutions, without padding; the encoder's are the reverse, but
for its last three layers, which keep a map of one pixel."""
ENCODER_KERNELS = (5, 4, 4, 4, 4, 1, 1)
ENCODER_STRIDES = (1, 2, 1, 2, 1, 1, 1)
SLOPE = 0.01
EPSILON = 1e-5
SIZE = 32
"""Pixels a side, which follow from kernels and strides."""

Width = Annotated[int, Field(ge=1, le=1 << 20)]
Widths = Annotated[tuple[Width, ...], Field(min_length=7, max_length=7)]


def sizes() -> tuple[int, ...]:
    """Height and width after each layer of the generator: 4, 10, 13, 28, 32, 32, 32."""
    found, size = [], 1
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        size = (size - 1) * stride + kernel
        found.append(size)
    return tuple(found)


class ALIConfig(NetworkConfig):
    """All that is needed to rebuild a generator besides its tensors.

    Attributes:
        latent: length of z.
        widths: channels after each of the seven layers.
    """

    KIND: ClassVar[str] = "an ALI generator"

    latent: Width
    widths: Widths

    @model_validator(mode="after")
    def _in_colour(self) -> Self:
        if self.colours not in (1, 3):
            raise ValueError(f"images of {self.colours} channels, expected 1 or 3")
        return self

    @property
    def colours(self) -> int:
        """Channels of the images."""
        return self.widths[-1]


class ALILayer(nn.Module):
    """A transposed convolution; then a norm with the stored statistics and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, last: bool) -> None:
        super().__init__()
        self.main = nn.ConvTranspose2d(inputs, outputs, kernel, stride, bias=False)
        self.norm = None if last else Normalisation(outputs, True, EPSILON)

    def finish(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same: norm and activation."""
        assert self.norm is not None
        return F.leaky_relu(self.norm(x), SLOPE)


class ALINetwork(nn.Module):
    """The generator, as pieces that the adapter runs in turn."""

    def __init__(self, config: ALIConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.latent, *config.widths)
        self.layers = nn.ModuleList(
            ALILayer(widths[k], widths[k + 1], KERNELS[k], STRIDES[k], k == len(KERNELS) - 1)
            for k in range(len(KERNELS))
        )
        self.output_bias = nn.Parameter(torch.zeros(config.colours, SIZE, SIZE))

    def image(self, x: Tensor) -> Tensor:
        """The last map (N, C, R, R) to RGB (N, 3, R, R) in [-1, 1]."""
        image = 2 * torch.sigmoid(x + self.output_bias) - 1
        return image.expand(-1, 3, -1, -1) if self.config.colours == 1 else image


class ALIEncoderConfig(NetworkConfig):
    """All that is needed to rebuild an encoder besides its tensors.

    Attributes:
        latent: length of z.
        colours: channels of the images.
        widths: channels after each of the seven layers; the last are the outputs.
    """

    KIND: ClassVar[str] = "an ALI encoder"

    latent: Width
    colours: Colours
    widths: Widths

    @property
    def stochastic(self) -> bool:
        """Whether the outputs are mean and log sigma of each number."""
        return self.widths[-1] == 2 * self.latent

    @model_validator(mode="after")
    def _gives_latents(self) -> Self:
        if self.widths[-1] not in (self.latent, 2 * self.latent):
            raise ValueError(
                f"its {self.widths[-1]} outputs are neither a z of {self.latent} numbers nor mean "
                "and log sigma of each"
            )
        return self


class ALIEncoderNetwork(nn.Module):
    """The encoder: six convolutions with norms and leaky ReLU, and one with a bias."""

    def __init__(self, config: ALIEncoderConfig) -> None:
        super().__init__()
        self.config = config
        widths, last = (config.colours, *config.widths), len(ENCODER_KERNELS) - 1
        self.convolutions = nn.ModuleList(
            nn.Conv2d(
                widths[k], widths[k + 1], ENCODER_KERNELS[k], ENCODER_STRIDES[k], bias=k == last
            )
            for k in range(last + 1)
        )
        self.norms = nn.ModuleList(
            Normalisation(width, True, EPSILON) for width in config.widths[:-1]
        )

    def forward(self, x: Tensor) -> Posterior:
        """(N, C, 32, 32) in [0, 1] to the latent's distribution, (N, latent) each."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=False):
            x = F.leaky_relu(norm(convolution(x)), SLOPE)
        outputs = self.convolutions[-1](x).flatten(1)
        if not self.config.stochastic:
            return Posterior(outputs)
        mean, log_sigma = outputs.split(self.config.latent, dim=1)
        return Posterior(mean, log_sigma.exp())
