"""The StyleGAN3 generator, configurations T and R (Karras et al., NeurIPS 2021).

Guarantees float32 arithmetic with the published parameters under their published names
(``mapping.fc0.weight``, ``synthesis.L3_52_1024.affine.bias``, …), and rows that do not depend on
each other.

``StyleGAN3(config)`` builds the network, without memory under ``torch.device("meta")``.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.models.sites import LinearMap

from .config import DenseConfig, FourierConfig, LayerConfig, StyleGAN3Config
from .filters import filtered_leaky_relu

EPSILON = 1e-8  # of the normalisation of z and of demodulation, as in the published networks
LEAK = 0.2


def second_moment_normalised(x: Tensor) -> Tensor:
    """(N, D) over the root mean square of each row."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


def _unit_power(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """x over its root mean square along some axes; zeros stay zeros."""
    return x * _over_power(x, dims)


def _over_power(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """1 over the root mean square of x along some axes, which are kept with length 1."""
    power = x.square().mean(dim=dims, keepdim=True)
    return power.clamp_min(torch.finfo(x.dtype).tiny).rsqrt()


class Dense(nn.Module):
    """(N, inputs) to (N, outputs), with the constants of its equalised learning rate."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.zeros(config.outputs, config.inputs))
        self.bias = nn.Parameter(torch.zeros(config.outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's values."""
        config = self.config
        x = F.linear(x, self.weight * config.weight_gain, self.bias * config.bias_gain)
        return x if config.activation == "linear" else F.leaky_relu(x, LEAK) * math.sqrt(2)


class Mapping(nn.Module):
    """z and class weights to w."""

    w_avg: Tensor

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        if config.embed is not None:
            self.embed = Dense(config.embed)
        self.layers = [f"fc{k}" for k in range(len(config.mapping))]
        for name, dense in zip(self.layers, config.mapping, strict=True):
            self.add_module(name, Dense(dense))
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        """(N, z_dim) and, of a conditional model, (N, c_dim) to (N, w_dim)."""
        x = second_moment_normalised(z)
        if c is not None:
            x = torch.cat([x, second_moment_normalised(self.embed(c))], dim=1)
        for name in self.layers:
            x = self.get_submodule(name)(x)
        return x


class Fourier(nn.Module):
    """The input features: sinusoids, turned and moved by w (section 3.2 and appendix F)."""

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, config: FourierConfig) -> None:
        super().__init__()
        self.config = config
        self.affine = Dense(config.affine)
        self.weight = nn.Parameter(torch.zeros(config.channels, config.channels))
        self.register_buffer("freqs", torch.zeros(config.channels, 2))
        self.register_buffer("phases", torch.zeros(config.channels))
        self.register_buffer("transform", torch.zeros(3, 3))

    def forward(self, w: Tensor) -> Tensor:
        """(N, w_dim) to (N, channels, height, width)."""
        config = self.config
        # w gives a direction (cosine, sine) and a shift; the file's own transform comes before both
        pose = self.affine(w)
        pose = pose / pose[:, :2].norm(dim=1, keepdim=True)
        cosine, sine, x, y = pose.unbind(dim=1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        turn = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], dim=1)
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1)
        matrix = turn.reshape(-1, 3, 3) @ shift.reshape(-1, 3, 3) @ self.transform
        phases = self.phases + (self.freqs @ matrix[:, :2, 2:]).squeeze(2)
        freqs = self.freqs @ matrix[:, :2, :2]
        # waves that came close to the sampling limit fade out
        margin = config.sampling_rate / 2 - config.bandwidth
        fade = (1 - (freqs.norm(dim=2) - config.bandwidth) / margin).clamp(0, 1)
        turns = self._grid(freqs) @ freqs.mT + phases[:, None]
        waves = torch.sin(2 * math.pi * turns) * fade[:, None]
        features = F.linear(waves, self.weight / math.sqrt(config.channels))
        width, height = config.size
        return features.mT.reshape(-1, config.channels, height, width)

    def _grid(self, like: Tensor) -> Tensor:
        """(height * width, 2): x and y of each sample's centre, the map's centre being 0, 0."""
        x, y = (
            (torch.arange(n, device=like.device, dtype=like.dtype) + (1 - n) / 2)
            / self.config.sampling_rate
            for n in self.config.size
        )
        return torch.stack(torch.broadcast_tensors(x, y[:, None]), dim=-1).reshape(-1, 2)


class Layer(nn.Module):
    """Modulated convolution and filtered nonlinearity (section 3.2)."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, config: LayerConfig) -> None:
        super().__init__()
        self.config = config
        kernel = (config.kernel, config.kernel)
        self.affine = Dense(config.affine)
        self.weight = nn.Parameter(torch.zeros(config.out_channels, config.in_channels, *kernel))
        self.bias = nn.Parameter(torch.zeros(config.out_channels))
        self.convolution = LinearMap(partial(F.conv2d, padding=config.kernel - 1))
        self.register_buffer("magnitude_ema", torch.ones(()))
        for name, shape in (("up_filter", config.up_filter), ("down_filter", config.down_filter)):
            self.register_buffer(name, None if shape is None else torch.zeros(shape))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, in_channels, H, W) and (N, w_dim) to (N, out_channels, H', W')."""
        return self.steered(x, self.affine(w))

    def steered(self, x: Tensor, styles: Tensor) -> Tensor:
        """The layer with its styles (N, in_channels) given, as the affine map has them."""
        config = self.config
        x = self._modulated(x, styles)
        return filtered_leaky_relu(
            x,
            self.bias,
            self.up_filter,
            self.down_filter,
            up=config.up,
            down=config.down,
            padding=config.padding,
            gain=1.0 if config.rgb else math.sqrt(2),
            slope=1.0 if config.rgb else LEAK,
            clamp=config.clamp,
        )

    def _modulated(self, x: Tensor, styles: Tensor) -> Tensor:
        """The convolution with each row's own styles, (N, in_channels).

        The original normalises styles over the whole batch before demodulation undoes it; only
        through demodulation's epsilon (1e-8 to a sum of about in_channels * kernel ** 2) could one
        row then see another. Here each row is normalised by itself, which is the original's result
        for that row alone. The RGB layer is neither normalised nor demodulated.
        """
        config, gain = self.config, self.magnitude_ema.rsqrt()
        if config.rgb:
            styles = styles / math.sqrt(config.in_channels * config.kernel**2)
            x = x * (styles * gain)[:, :, None, None]
            values: Tensor = self.convolution(x, self.weight)
            return values
        factors, styles = _over_power(self.weight, (1, 2, 3)), _unit_power(styles, (1,))
        weight = self.weight * factors
        power = F.linear(styles.square(), weight.square().sum(dim=(2, 3)))
        # styles scale the input and demodulation the output: one kernel serves all rows
        x = self.convolution(x * (styles * gain)[:, :, None, None], self.weight)
        return x * ((power + EPSILON).rsqrt() * factors.flatten())[:, :, None, None]


class Synthesis(nn.Module):
    """The input features and the layers, by their published names."""

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.input = Fourier(config.fourier)
        for layer in config.layers:
            self.add_module(layer.name, Layer(layer))


class StyleGAN3(nn.Module):
    """The whole network, run part by part: mapping, ``broadcast``, input, layers.

    Args:
        config: its sizes and constants.
    """

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = Mapping(config)
        self.synthesis = Synthesis(config)

    def layer(self, number: int) -> Layer:
        """One of the layers, the first being number 0."""
        found = self.synthesis.get_submodule(self.config.layers[number].name)
        assert isinstance(found, Layer)
        return found

    def broadcast(self, w: Tensor, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
        """One w for each layer: (N, w_dim) to (N, num_ws, w_dim).

        Args:
            w: as the mapping network gives it.
            psi: truncation; how far from the average w the first ones go, 1 = as far as w.
            cutoff: how many are truncated; None = all.
        """
        ws = w[:, None].repeat(1, self.config.num_ws, 1)
        if psi == 1.0:
            return ws
        count = self.config.num_ws if cutoff is None else cutoff
        return torch.cat([self.mapping.w_avg.lerp(ws[:, :count], psi), ws[:, count:]], dim=1)
