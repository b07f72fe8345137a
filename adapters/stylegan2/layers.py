"""The layers of a StyleGAN2 generator (Karras et al., CVPR 2020, section 2.2).

Guarantees float32 arithmetic with the published parameters: weights are stored unscaled, and the
constants of the equalised learning rate are applied in the forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.models.sites import LinearMap

from ..initial import normal
from ..resampling import Taps, convolve_up, upsample
from .config import StyleGAN2Config

EPSILON = 1e-8  # of every division by a root mean square, as in the published networks
LEAK = 0.2

NoiseMap = Tensor | Callable[[Tensor], Tensor] | None
"""Noise of a layer: a map (N or 1, 1, r, r), one made for the features it is added to, or none."""

GAINS: dict[str, float] = {"relu": math.sqrt(2), "lrelu": math.sqrt(2), "swish": math.sqrt(2)}
"""Factor after an activation where it is not 1, as in the published networks."""


def root_mean_square_one(x: Tensor) -> Tensor:
    """Each row over its root mean square, (N, D) to the same."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


def activate(x: Tensor, name: str, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    """The activation times its own gain times ``gain``, then clamped to ± ``clamp * gain``."""
    match name:
        case "lrelu":
            x = F.leaky_relu(x, LEAK)
        case "relu":
            x = F.relu(x)
        case "swish":
            x = F.silu(x)
        case "linear":
            pass
        case "tanh":
            x = torch.tanh(x)
        case "sigmoid":
            x = torch.sigmoid(x)
        case "elu":
            x = F.elu(x)
        case "selu":
            x = F.selu(x)
        case "softplus":
            x = F.softplus(x)
        case _:
            raise ValueError(f"unknown activation {name!r}")
    gain_here = GAINS.get(name, 1.0) * gain
    if gain_here != 1.0:
        x = x * gain_here
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


class Dense(nn.Module):
    """A fully connected layer with equalised learning rate, its bias and activation.

    Args:
        features_in: inputs.
        features_out: outputs.
        activation: name.
        multiplier: learning rate multiplier; weights start at N(0, 1) / multiplier.
        bias: start of the biases, or None for a layer without.
        scaled: False leaves the stored weight as it is (labels of StyleGAN2 in TensorFlow).
    """

    def __init__(
        self,
        features_in: int,
        features_out: int,
        activation: str = "linear",
        *,
        multiplier: float = 1.0,
        bias: float | None = 0.0,
        scaled: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(features_out, features_in) / multiplier)
        self.bias = None if bias is None else nn.Parameter(torch.full((features_out,), bias))
        self.activation = activation
        self.scale = multiplier / math.sqrt(features_in) if scaled else 1.0
        self.bias_scale = multiplier

    def forward(self, x: Tensor) -> Tensor:
        """(N, features_in) to (N, features_out)."""
        bias = None if self.bias is None else self.bias * self.bias_scale
        return activate(F.linear(x, self.weight * self.scale, bias), self.activation)


class ModulatedConvolution(nn.Module):
    """Base of the layers that a style steers: an affine style and a shared kernel.

    Scaling the kernel per sample (CVPR 2020, equation 1) is the same as scaling the input's
    channels; demodulation (equation 3) is the same as scaling the output's. So every sample shares
    one plain convolution, which is much faster on a CPU than one group per sample.
    """

    def __init__(self, config: StyleGAN2Config, width_in: int, width_out: int, side: int) -> None:
        super().__init__()
        self.affine = Dense(config.w_dim, width_in, bias=1.0)
        self.weight = nn.Parameter(normal(width_out, width_in, side, side))
        self.bias = nn.Parameter(torch.zeros(width_out))
        self.clamp = config.conv_clamp
        self.equaliser = 1.0 / math.sqrt(width_in * side * side)


class SynthesisLayer(ModulatedConvolution):
    """Modulated 3x3 convolution, demodulation, noise, bias, activation.

    Args:
        config: of the network.
        width_in: channels before.
        width_out: channels after.
        resolution: side of the output.
        up: whether the side doubles.
    """

    noise_const: Tensor

    def __init__(
        self, config: StyleGAN2Config, width_in: int, width_out: int, resolution: int, *, up: bool
    ) -> None:
        super().__init__(config, width_in, width_out, 3)
        self.resolution = resolution
        self.activation = config.activation
        self.convolution = LinearMap(
            partial(_convolved, taps=config.resample_filter if up else None), unit=1.0
        )
        self.scaled = config.scale_weights
        if config.use_noise:
            self.noise_strength = nn.Parameter(torch.zeros(()))
            if config.stored_noise:
                self.register_buffer("noise_const", normal(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, noise: NoiseMap = None, gain: float = 1.0) -> Tensor:
        """One layer.

        Args:
            x: (N, C_in, h, w).
            w: (N, w_dim).
            noise: (N or 1, 1, r, r), or None for no noise.
            gain: of the output (sqrt(1/2) before a residual sum).

        Returns:
            (N, C_out, r, r).
        """
        return self.steered(x, self.affine(w), noise, gain)

    def steered(
        self, x: Tensor, style: Tensor, noise: NoiseMap = None, gain: float = 1.0
    ) -> Tensor:
        """The layer with its style (N, C_in) given."""
        scale = self.equaliser if self.scaled else 1.0
        energy = F.linear(style.square(), (self.weight * scale).square().sum(dim=(2, 3)))
        x = self.convolution(x * style[:, :, None, None], self.weight, gain=scale)
        offset = self.bias[:, None, None]
        if noise is not None:
            noise = noise(x) if callable(noise) else noise
            offset = offset + noise * self.noise_strength
        x = torch.addcmul(offset, x, torch.rsqrt(energy + EPSILON)[:, :, None, None])
        return activate(x, self.activation, gain, self.clamp)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, taps: Taps | None) -> Tensor:
    """The 3x3 convolution, which doubles the map where there is a filter."""
    return F.conv2d(x, weight, bias, padding=1) if taps is None else convolve_up(x, weight, taps)


class ToRGB(ModulatedConvolution):
    """Modulated 1x1 convolution to colours; no demodulation, no noise, no activation."""

    def __init__(self, config: StyleGAN2Config, width_in: int) -> None:
        super().__init__(config, width_in, config.img_channels, 1)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, C, r, r) and w (N, w_dim) to (N, colours, r, r)."""
        return self.steered(x, self.affine(w))

    def steered(self, x: Tensor, style: Tensor) -> Tensor:
        """The layer with its style (N, C) given, as the affine map has it."""
        style = style * self.equaliser
        x = F.conv2d(x * style[:, :, None, None], self.weight, self.bias)
        return activate(x, "linear", clamp=self.clamp)


class Shortcut(nn.Module):
    """The residual branch of ``resnet``: 1x1 convolution without bias, up-sampled."""

    def __init__(self, config: StyleGAN2Config, width_in: int, width_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(width_out, width_in, 1, 1))
        self.scale = math.sqrt(0.5 / width_in)
        self.taps = config.resample_filter

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, r, r) to (N, C_out, 2r, 2r), already times sqrt(1/2)."""
        return upsample(F.conv2d(x, self.weight * self.scale), self.taps)
