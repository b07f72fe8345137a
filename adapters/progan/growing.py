"""The ProGAN network as its TensorFlow code can build and save it (``networks.py``, G_paper).

Guarantees ``network``'s names and arithmetic, with what that code leaves open: no norm of
the latent or at all, another epsilon, ReLU, and a last resolution still being blended in. The first
layer may have a bias for each place, as that of pytorch_GAN_zoo.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ProGANConfig
from .network import LEAK, PIXEL_NORM_EPSILON, Layer, layer_shapes, resolutions, upsamples


class GrowingLayer(Layer):
    """``Layer`` with the settings of G_paper: its own epsilon, or no norm, and its own slope."""

    epsilon: float | None = PIXEL_NORM_EPSILON
    leak: float = LEAK

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, h, w) to (N, C_out, H, W)."""
        if self.epsilon is not None:
            x = x * (x.square().mean(dim=1, keepdim=True) + self.epsilon).rsqrt()
        if self.upsample:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.convolution(x, self.conv.weight, self.wscale.b, gain=self.scale)
        return x if self.rgb else F.leaky_relu(x, self.leak)


class FirstMapLayer(GrowingLayer):
    """The first layer where each place of its map has its own bias, as a linear layer has it."""

    def __init__(self, latent: int, channels: int) -> None:
        super().__init__(latent, channels, 4, padding=3)
        self.wscale.b = nn.Parameter(torch.zeros(channels, 4, 4))

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, 1, 1) to (N, C, 4, 4)."""
        if self.epsilon is not None:
            x = x * (x.square().mean(dim=1, keepdim=True) + self.epsilon).rsqrt()
        x = self.convolution(x, self.conv.weight, gain=self.scale) + self.wscale.b
        return F.leaky_relu(x, self.leak)


def growing_network(config: ProGANConfig) -> nn.Sequential:
    """The network of a config under the names of ``network.network``.

    Where the last resolution is blended with the one before, ``previous`` comes last: its RGB.
    """
    layers = nn.Sequential()
    for k, (channels_in, channels_out, kernel) in enumerate(layer_shapes(config.sizes), start=1):
        if k == 1 and config.first_bias == "map":
            layers.add_module("layer1", FirstMapLayer(channels_in, channels_out))
            continue
        layer = GrowingLayer(
            channels_in,
            channels_out,
            kernel,
            padding=3 if k == 1 else 1,
            upsample=upsamples(k),
        )
        layers.add_module(f"layer{k}", layer)
    r = resolutions(config.sizes)[-1]
    layers.add_module(f"output_{r}x{r}", GrowingLayer(config.sizes[-1], 3, 1, rgb=True))
    if config.alpha < 1:
        layers.add_module("previous", GrowingLayer(config.sizes[-2], 3, 1, rgb=True))
    for k, module in enumerate(layers):
        assert isinstance(module, GrowingLayer)
        normalised = config.normalize_latents if k == 0 else config.pixel_norm
        module.epsilon = config.epsilon if normalised else None
        module.leak = config.leak
    return layers
