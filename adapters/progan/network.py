"""The blocks of a ProGAN generator (Karras et al., ICLR 2018, section 4 and table 2).

Guarantees the published parameter names (``layer{k}.conv.weight``, ``layer{k}.wscale.b``,
``output_{R}x{R}.…``) and the published arithmetic: pixel norm first, scale recomputed, never read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.models.sites import LinearMap

from ..initial import normal

PIXEL_NORM_EPSILON = 1e-8
LEAK = 0.2


def pixel_norm(x: Tensor) -> Tensor:
    """x over the root mean square of its channels, (N, C, …) to the same (section 4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + PIXEL_NORM_EPSILON)


def equalised_scale(channels_in: int, kernel: int, *, rgb: bool = False) -> float:
    """The constant of equalised learning rate: gain / sqrt(fan-in) (section 4.1).

    The gain is sqrt(2) before a leaky ReLU and 1 before the RGB output.
    """
    return (1.0 if rgb else math.sqrt(2.0)) / (kernel * math.sqrt(channels_in))


class ChannelBias(nn.Module):
    """Holds the published name ``wscale.b``: one offset per output channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(channels))


class Layer(nn.Module):
    """Pixel norm, nearest x2 if asked, scaled convolution, bias, leaky ReLU (not before RGB).

    The scale is folded into the weight: the same number as scaling the convolution's output, one
    pass over the map less.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        padding: int = 0,
        upsample: bool = False,
        rgb: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=padding, bias=False)
        self.wscale = ChannelBias(channels_out)
        self.conv.weight = nn.Parameter(normal(channels_out, channels_in, kernel, kernel))
        self.convolution = LinearMap(partial(F.conv2d, padding=padding), "conv.weight", 1.0)
        self.upsample = upsample
        self.rgb = rgb
        self.scale = equalised_scale(channels_in, kernel, rgb=rgb)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, h, w) to (N, C_out, H, W)."""
        x = pixel_norm(x)
        if self.upsample:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.convolution(x, self.conv.weight, self.wscale.b, gain=self.scale)
        return x if self.rgb else F.leaky_relu(x, LEAK)


def rgb_layer(channels_in: int) -> Layer:
    """The output block: pixel norm, 1x1 convolution to RGB, bias; no activation."""
    return Layer(channels_in, 3, 1, rgb=True)


def feature_layers(sizes: Sequence[int]) -> nn.Sequential:
    """``layer1 … layerN`` for channel counts ``sizes`` = (latent, 4x4, 8x8, …)."""
    layers = nn.Sequential()
    for k, (channels_in, channels_out, kernel) in enumerate(layer_shapes(sizes), start=1):
        layers.add_module(
            f"layer{k}",
            Layer(
                channels_in,
                channels_out,
                kernel,
                padding=3 if k == 1 else 1,
                upsample=upsamples(k),
            ),
        )
    return layers


def layer_shapes(sizes: Sequence[int]) -> list[tuple[int, int, int]]:
    """(C_in, C_out, kernel) of ``layer1 … layerN``: two at each resolution."""
    shapes: list[tuple[int, int, int]] = []
    for i, (channels_in, channels_out) in enumerate(itertools.pairwise(sizes)):
        shapes.append((channels_in, channels_out, 3 if i else 4))
        shapes.append((channels_out, channels_out, 3))
    return shapes


def upsamples(k: int) -> bool:
    """Whether layer k doubles the resolution: the odd ones from the third."""
    return k >= 3 and k % 2 == 1


def resolutions(sizes: Sequence[int]) -> list[int]:
    """4, 8, 16, … for channel counts ``sizes``; the last is the image's: ``2 ** len(sizes)``."""
    return [4 * 2**i for i in range(len(sizes) - 1)]


def network(sizes: Sequence[int]) -> nn.Sequential:
    """The whole generator, latent (N, D, 1, 1) to RGB (N, 3, R, R), not clamped."""
    layers = feature_layers(sizes)
    size = resolutions(sizes)[-1]
    layers.add_module(f"output_{size}x{size}", rgb_layer(sizes[-1]))
    return layers
