"""The blocks of a StyleGAN generator (Karras, Laine, Aila, CVPR 2019, section 2 and figure 1).

Guarantees one network for every layout of file: weights are effective ones, with the constants of
equalised learning rate, learning-rate multipliers and offsets of styles already multiplied or added
in by ``files``. Differences of the layouts are fields of ``StyleGAN1Config``.

Each layer computes: convolution (or a learnt constant), blur after upsampling, noise times one
strength a channel, bias, leaky ReLU, instance norm, then x * scale + shift from the style.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from seeingkit.models.sites import LinearMap

from ..configs import Colours, NetworkConfig
from ..resampling import fir

PIXEL_NORM_EPSILON = 1e-8
Size = Annotated[int, Field(ge=1, le=1 << 16)]
Tap = Annotated[float, Field(ge=-1e6, le=1e6)]


class StyleGAN1Config(NetworkConfig):
    """All that is needed to rebuild a network besides its tensors.

    Attributes:
        latent: numbers in z.
        labels: numbers in a class vector, 0 if not conditional.
        mapping: outputs of each dense layer of the mapping network; the last is the size of w.
        channels: feature channels at 4x4, 8x8, … up to the last resolution computed.
        image_channels: 3, or 1 for grey.
        normalize_latents: whether the mapping network begins with a pixel norm.
        mapping_leak: slope of its activation below 0 (0 is ReLU).
        leak: slope of the synthesis network's activation below 0.
        pixel_norm: whether each layer normalises over channels after its activation.
        instance_epsilon: of the instance norm, or None where there is no instance norm.
        blur: taps of the filter after upsampling (scaled to the sum 1), or None.
        bias_first: bias goes before blur and noise, and the constant has none (rosinality).
        noise: a map for each layer, for each resolution, or no noise inputs at all.
        stored_noise: whether the file has maps of its own.
        alpha: weight of the last resolution's RGB, the rest being the previous one's, upsampled.
        upscale: whole number by which the finished image is enlarged (nearest), as growing
            networks do below their final resolution.
    """

    KIND: ClassVar[str] = "a StyleGAN (v1) generator"

    latent: Size
    labels: Annotated[int, Field(ge=0, le=1 << 16)] = 0
    mapping: Annotated[tuple[Size, ...], Field(min_length=1, max_length=64)]
    channels: Annotated[tuple[Size, ...], Field(min_length=1, max_length=11)]
    image_channels: Colours = 3
    normalize_latents: bool = True
    mapping_leak: Annotated[float, Field(ge=0, le=1)] = 0.2
    leak: Annotated[float, Field(ge=0, le=1)] = 0.2
    pixel_norm: bool = False
    instance_epsilon: Annotated[float, Field(gt=0, lt=1)] | None = 1e-8
    blur: Annotated[tuple[Tap, ...], Field(min_length=1, max_length=15)] | None = (1, 2, 1)
    bias_first: bool = False
    noise: Literal["layer", "resolution", "none"] = "layer"
    stored_noise: bool = True
    alpha: Annotated[float, Field(ge=0, le=1)] = 1.0
    upscale: Annotated[int, Field(ge=1, le=1024)] = 1

    @model_validator(mode="after")
    def _consistent(self) -> StyleGAN1Config:
        if self.noise == "none" and self.stored_noise:
            raise ValueError("stored_noise without noise inputs")
        if self.blur is not None and abs(sum(self.blur)) < 1e-12:
            raise ValueError(f"a blur whose sum is 0: {list(self.blur)}")
        if self.alpha < 1 and len(self.channels) == 1:
            raise ValueError("alpha below 1 needs a resolution to blend with")
        return self

    @property
    def style(self) -> int:
        """Numbers in w."""
        return self.mapping[-1]

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8, … up to the last resolution computed."""
        return tuple(4 << i for i in range(len(self.channels)))

    @property
    def layers(self) -> int:
        """Number of styled layers, which is the number of w's: two at each resolution."""
        return 2 * len(self.channels)

    @property
    def resolution(self) -> int:
        """Side of the image in pixels."""
        return self.resolutions[-1] * self.upscale


def pixel_norm(x: Tensor) -> Tensor:
    """x over the root mean square of its channels, (N, C, …) to the same."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + PIXEL_NORM_EPSILON)


def instance_norm(x: Tensor, epsilon: float) -> Tensor:
    """Each map of (N, C, H, W) less its mean, over its standard deviation."""
    x = x - x.mean(dim=(2, 3), keepdim=True)
    return x * torch.rsqrt(x.square().mean(dim=(2, 3), keepdim=True) + epsilon)


def styled(x: Tensor, style: Tensor) -> Tensor:
    """x (N, C, H, W) times the first half of the style (N, 2 C) plus the second half."""
    scale, shift = style[:, :, None, None].chunk(2, dim=1)
    return x * scale + shift


def upsampled_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Nearest x2, then 3x3 convolution with padding 1, as one transposed convolution.

    A pixel and its copies meet the kernel at neighbouring taps, so the taps are summed once and not
    for each pixel: four products a pixel where the two steps take nine. Equal at the borders too.

    Args:
        x: (N, C_in, h, w).
        weight: (C_out, C_in, 3, 3), as for a convolution of the enlarged map.
        bias: (C_out,) or None.
    """
    kernel = F.pad(weight.flip(2, 3), (1, 1, 1, 1))
    kernel = (
        kernel[..., 1:, 1:] + kernel[..., 1:, :-1] + kernel[..., :-1, 1:] + kernel[..., :-1, :-1]
    )
    return F.conv_transpose2d(x, kernel.transpose(0, 1), bias, stride=2, padding=1)


def _blurred(x: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Each map correlated with ``taps`` down and across, zeros around, same size."""
    before = (len(taps) - 1) // 2
    return fir(x, taps[::-1], (before, len(taps) - 1 - before))


def _convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, up: bool, blur: tuple[float, ...] | None
) -> Tensor:
    """The layer's convolution; where it doubles the map, with the blur behind it."""
    if not up:
        return F.conv2d(x, weight, bias, padding=1)
    x = upsampled_convolution(x, weight, bias)
    return _blurred(x, blur) if blur else x


def enlarged(x: Tensor, factor: int) -> Tensor:
    """Each pixel repeated ``factor`` times down and across."""
    return F.interpolate(x, scale_factor=float(factor), mode="nearest") if factor > 1 else x


class Mapping(nn.Module):
    """z (and a class vector) to w (section 2; labels as in the published TensorFlow code)."""

    def __init__(self, config: StyleGAN1Config) -> None:
        super().__init__()
        self.normalize, self.leak = config.normalize_latents, config.mapping_leak
        self.label: nn.Linear | None = None
        width = config.latent
        if config.labels:
            self.label = nn.Linear(config.labels, config.latent, bias=False)
            width *= 2
        self.dense = nn.ModuleList()
        for outputs in config.mapping:
            self.dense.append(nn.Linear(width, outputs))
            width = outputs

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """(N, latent), and (N, labels) if conditional, to (N, style)."""
        if self.label is not None and c is not None:
            z = torch.cat([z, self.label(c)], dim=1)
        x = pixel_norm(z) if self.normalize else z
        for dense in self.dense:
            x = F.leaky_relu(dense(x), self.leak)
        return x


class StyledLayer(nn.Module):
    """One layer: a convolution or the constant, then noise, bias, activation, norm and style.

    Args:
        config: of the network.
        number: 0 is the constant; even numbers from 2 on upsample.
    """

    noise: Tensor | None

    def __init__(self, config: StyleGAN1Config, number: int) -> None:
        super().__init__()
        channels = config.channels[number // 2]
        self.upsample = number >= 2 and number % 2 == 0
        self.config = config
        self.const: nn.Parameter | None = None
        self.weight: nn.Parameter | None = None
        self.bias: nn.Parameter | None = None
        self.noise_strength: nn.Parameter | None = None
        if number == 0:
            self.const = nn.Parameter(torch.empty(channels, 4, 4))
        else:
            inputs = config.channels[(number - 1) // 2]
            self.weight = nn.Parameter(torch.empty(channels, inputs, 3, 3))
            blur = config.blur if self.upsample else None
            self.convolution = LinearMap(partial(_convolved, up=self.upsample, blur=blur))
        if number > 0 or not config.bias_first:
            self.bias = nn.Parameter(torch.empty(channels))
        if config.noise != "none":
            self.noise_strength = nn.Parameter(torch.empty(channels))
        size = config.resolutions[number // 2]
        self.register_buffer("noise", torch.empty(size, size) if config.stored_noise else None)
        self.style = nn.Linear(config.style, 2 * channels)

    def forward(self, x: Tensor | None, w: Tensor, noise: Tensor | None) -> Tensor:
        """The layer's output (N, C, R, R).

        Args:
            x: (N, C_in, R or R/2, …), or None for the constant.
            w: (N, style) of this layer.
            noise: maps (N or 1, 1, R, R), or None.
        """
        return styled(self.plain(x, len(w), noise), self.style(w))

    def plain(self, x: Tensor | None, rows: int, noise: Tensor | None) -> Tensor:
        """The layer before its style, for so many rows."""
        early = self.bias if self.config.bias_first else None
        if self.const is not None:
            x = self.const.expand(rows, -1, -1, -1)
        elif self.weight is not None and x is not None:
            x = self.convolution(x, self.weight, early)
        else:
            raise ValueError("a layer after the constant needs a map")
        if noise is not None and self.noise_strength is not None:
            x = x + noise * self.noise_strength[:, None, None]
        if self.bias is not None and not self.config.bias_first:
            x = x + self.bias[:, None, None]
        x = F.leaky_relu(x, self.config.leak)
        if self.config.pixel_norm:
            x = pixel_norm(x)
        if self.config.instance_epsilon is not None:
            x = instance_norm(x, self.config.instance_epsilon)
        return x


class StyleGAN1Network(nn.Module):
    """Mapping network, styled layers by name (``r8_conv0``), RGB outputs and the mean of w.

    ``previous_rgb`` exists only where the last resolution is blended with the one before.
    """

    mean_style: Tensor

    def __init__(self, config: StyleGAN1Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = Mapping(config)
        self.layers = nn.ModuleDict()
        for number in range(config.layers):
            r, half = config.resolutions[number // 2], number % 2
            self.layers[f"r{r}_conv{half}"] = StyledLayer(config, number)
        self.rgb = nn.Conv2d(config.channels[-1], config.image_channels, 1)
        self.previous_rgb: nn.Conv2d | None = None
        if config.alpha < 1:
            self.previous_rgb = nn.Conv2d(config.channels[-2], config.image_channels, 1)
        self.register_buffer("mean_style", torch.zeros(config.style))

    def styles(
        self,
        z: Tensor,
        c: Tensor | None,
        psi: float,
        cutoff: int,
        mean: Tensor | None = None,
    ) -> Tensor:
        """One w a layer, drawn towards the mean in the first ``cutoff`` layers.

        w = mean + psi (w - mean): the truncation trick (appendix B).

        Args:
            mean: (N, style) instead of the network's own mean.

        Returns:
            (N, layers, style).
        """
        w: Tensor = self.mapping(z, c)[:, None]
        if psi == 1 or cutoff == 0:
            return w.expand(-1, self.config.layers, -1)
        centre = self.mean_style if mean is None else mean[:, None]
        truncated = torch.lerp(centre, w, psi).expand(-1, cutoff, -1)
        return torch.cat([truncated, w.expand(-1, self.config.layers - cutoff, -1)], dim=1)

    def blend(self, x: Tensor, previous: Tensor | None) -> Tensor:
        """Last features (N, C, r, r) and the previous RGB, upsampled, to the image (N, 3, R, R)."""
        image: Tensor = self.rgb(x)
        if previous is not None:
            image = (1 - self.config.alpha) * previous + self.config.alpha * image
        return enlarged(image, self.config.upscale).expand(-1, 3, -1, -1)

    def skip(self, x: Tensor) -> Tensor | None:
        """RGB of the resolution before the last, upsampled, or None where nothing is blended."""
        return enlarged(self.previous_rgb(x), 2) if self.previous_rgb is not None else None
