"""The StyleGAN2 generator (Karras et al., CVPR 2020, section 2 and figure 7; ADA, NeurIPS 2020).

Guarantees the names of NVIDIA's PyTorch files (``mapping.fc0.weight``,
``synthesis.b8.conv0.affine.bias``, …), of any layout.

``StyleGAN2Config`` is all that is needed to rebuild a network; ``network(config)`` builds it, fresh
for training, or without memory under ``torch.device("meta")``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from ..initial import normal
from ..resampling import upsample
from .config import StyleGAN2Config
from .layers import (
    EPSILON,
    GAINS,
    LEAK,
    Dense,
    ModulatedConvolution,
    NoiseMap,
    Shortcut,
    SynthesisLayer,
    ToRGB,
    activate,
    root_mean_square_one,
)

__all__ = [
    "EPSILON",
    "GAINS",
    "LEAK",
    "Dense",
    "StyleGAN2Config",
    "StyleGAN2Network",
    "SynthesisLayer",
    "activate",
    "network",
]

NoisePolicy = Literal["random", "const", "none"]


class MappingNetwork(nn.Module):
    """z and labels to w (Karras et al., CVPR 2019, section 2), with the running average of w."""

    w_avg: Tensor | None

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        concat = config.label_style == "concat"
        self.separately = not concat
        self.normalise = config.normalise_latents
        width = config.z_dim
        self.embed: Dense | None = None
        if config.c_dim:
            features = config.embed_features or (config.z_dim if concat else config.w_dim)
            bias = None if concat else 0.0
            self.embed = Dense(config.c_dim, features, bias=bias, scaled=not concat)
            width += features
        self.layers = len(config.mapping_widths)
        for i, width_out in enumerate(config.mapping_widths):
            layer = Dense(
                width, width_out, config.mapping_activation, multiplier=config.lr_multiplier
            )
            self.add_module(f"fc{i}", layer)
            width = width_out
        average = torch.zeros(config.w_dim) if config.stored_average else None
        self.register_buffer("w_avg", average)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """w (N, w_dim) of z (N, z_dim) and class vectors c (N, c_dim), one-hot or soft."""
        if self.embed is None:
            x = self._normalised(z)
        elif c is None:
            raise ValueError("a conditional network needs class vectors")
        else:
            y = self.embed(c)
            if self.separately:
                x = torch.cat([self._normalised(z), root_mean_square_one(y)], dim=1)
            else:
                x = self._normalised(torch.cat([z, y], dim=1))
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)
        return x

    def _normalised(self, x: Tensor) -> Tensor:
        return root_mean_square_one(x) if self.normalise else x

    @torch.no_grad()
    def track(self, w: Tensor, beta: float = 0.995) -> None:
        """Move the running average towards the batch's mean w (training only)."""
        if self.w_avg is not None:
            self.w_avg.lerp_(w.detach().mean(dim=0), 1.0 - beta)


class Block(nn.Module):
    """The layers of one resolution: ``conv0`` (from 8x8 on), ``conv1``, and the architecture's own.

    Which parts there are: ``torgb`` in every block of ``skip`` and in the last of all, ``skip``
    (the shortcut) from 8x8 on in ``resnet``, ``const`` at 4x4.
    """

    def __init__(self, config: StyleGAN2Config, resolution: int) -> None:
        super().__init__()
        width = config.channels[resolution]
        first = resolution == 4
        if first:
            before = config.constant_channels or width
            self.const = nn.Parameter(normal(before, 4, 4))
            self.conv1 = SynthesisLayer(config, before, width, resolution, up=False)
        else:
            before = config.channels[resolution // 2]
            self.conv0 = SynthesisLayer(config, before, width, resolution, up=True)
            self.conv1 = SynthesisLayer(config, width, width, resolution, up=False)
        draws = config.architecture == "skip" or resolution == config.resolution
        self.torgb = ToRGB(config, width) if draws else None
        residual = config.architecture == "resnet" and not first
        self.skip = Shortcut(config, before, width) if residual else None
        self.taps = config.resample_filter

    def start(self, style: Tensor, noise: NoiseMap) -> Tensor:
        """``r4.conv1``: the learned constant through the first layer."""
        return self.conv1.steered(self.const.expand(len(style), -1, -1, -1), style, noise)

    def shortcut(self, x: Tensor) -> Tensor | None:
        """The residual that ``second`` adds, from the block's input; None without residuals."""
        return None if self.skip is None else self.skip(x)

    def first(self, x: Tensor, style: Tensor, noise: NoiseMap) -> Tensor:
        """``conv0``: twice the resolution."""
        return self.conv0.steered(x, style, noise)

    def second(self, x: Tensor, style: Tensor, noise: NoiseMap, shortcut: Tensor | None) -> Tensor:
        """``conv1``, and the residual sum if there is one."""
        if shortcut is None:
            return self.conv1.steered(x, style, noise)
        return shortcut + self.conv1.steered(x, style, noise, gain=math.sqrt(0.5))

    def draw(self, x: Tensor, style: Tensor, rgb: Tensor | None) -> Tensor:
        """The image so far: this block's colours on the up-sampled image of the last one."""
        assert self.torgb is not None
        colours = self.torgb.steered(x, style)
        return colours if rgb is None else upsample(rgb, self.taps) + colours


class SynthesisNetwork(nn.Module):
    """w to the image, (N, num_ws, w_dim) to (N, colours, R, R), not clamped."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        for resolution in config.resolutions:
            self.add_module(f"b{resolution}", Block(config, resolution))

    def block(self, resolution: int) -> Block:
        """The layers at that resolution."""
        found = self.get_submodule(f"b{resolution}")
        assert isinstance(found, Block)
        return found

    def layer(self, name: str) -> SynthesisLayer:
        """The layer of that name, such as ``r8.conv0``."""
        found = self.get_submodule(f"b{name.removeprefix('r')}")
        assert isinstance(found, SynthesisLayer)
        return found

    def styled(self, name: str) -> ModulatedConvolution:
        """The layer of that name, such as ``r8.conv0`` or ``r8.torgb``."""
        found = self.get_submodule(f"b{name.removeprefix('r')}")
        assert isinstance(found, ModulatedConvolution)
        return found

    def noise(self, policy: NoisePolicy, n: int) -> dict[str, Tensor]:
        """Noise maps by layer: fresh from torch's generator, the stored ones, or none at all."""
        if policy == "none" or not self.config.use_noise:
            return {}
        maps = {}
        for name in self.config.layers:
            layer = self.layer(name)
            if policy == "const":
                maps[name] = layer.noise_const[None, None]
            else:
                shape = (n, 1, layer.resolution, layer.resolution)
                maps[name] = torch.randn(shape, device=layer.weight.device)
        return maps

    def forward(self, ws: Tensor, noise: Mapping[str, Tensor] | NoisePolicy = "random") -> Tensor:
        """The image of ws; ``noise`` is a policy, or maps (N or 1, 1, r, r) by layer name."""
        maps = self.noise(noise, len(ws)) if isinstance(noise, str) else noise
        x, rgb = ws, None
        for i, r in enumerate(self.config.resolutions):
            block = self.block(r)
            if i == 0:
                x = block.start(block.conv1.affine(ws[:, 0]), maps.get("r4.conv1"))
            else:
                shortcut = block.shortcut(x)
                x = block.first(x, block.conv0.affine(ws[:, 2 * i - 1]), maps.get(f"r{r}.conv0"))
                style = block.conv1.affine(ws[:, 2 * i])
                x = block.second(x, style, maps.get(f"r{r}.conv1"), shortcut)
            if block.torgb is not None:
                rgb = block.draw(x, block.torgb.affine(ws[:, 2 * i + 1]), rgb)
        assert rgb is not None
        return rgb


class StyleGAN2Network(nn.Module):
    """The whole generator: ``mapping`` and ``synthesis``."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)

    def broadcast(self, w: Tensor) -> Tensor:
        """The same w for every layer: (N, w_dim) to (N, num_ws, w_dim)."""
        return w[:, None].expand(-1, self.config.num_ws, -1)

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        noise: Mapping[str, Tensor] | NoisePolicy = "random",
    ) -> Tensor:
        """Images (N, colours, R, R) of z (N, z_dim) and class vectors c (N, c_dim)."""
        images: Tensor = self.synthesis(self.broadcast(self.mapping(z, c)), noise)
        return images


def network(config: StyleGAN2Config) -> StyleGAN2Network:
    """A generator with fresh parameters: kernels, constant and noise maps N(0, 1), mapping weights
    N(0, 1) / ``lr_multiplier``, style biases 1, other biases and noise strengths 0."""
    return StyleGAN2Network(config)
