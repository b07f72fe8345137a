"""The residual generator of WGAN-GP, SNGAN, SAGAN and their kin, and its options.

Guarantees one network for every layout of file: what differs between them is in
``ResNetGANConfig``, and spectral norm is expected to be folded into the weights already.

A block is norm, activation, doubling, 3x3, norm, activation, 3x3, beside doubling and 1x1
(Gulrajani et al., NIPS 2017, appendix; Miyato et al., ICLR 2018, table 4). Norms use their stored
statistics, so that an image never depends on its batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import Attention
from ..class_tables import look_up, untrained_embedding
from .config import Activation, Block, ResNetGANConfig, Upsampling

LEAKY_SLOPE = 0.1  # of StudioGAN's Leaky_ReLU

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky": partial(F.leaky_relu, negative_slope=LEAKY_SLOPE),
    "elu": F.elu,
    "gelu": F.gelu,
}


def activated(x: Tensor, activation: Activation) -> Tensor:
    """(N, C, h, w) after one of the activations between layers."""
    return _ACTIVATIONS[activation](x)


def doubled(x: Tensor, upsampling: Upsampling) -> Tensor:
    """(N, C, h, w) to (N, C, 2h, 2w): nearest pixels, or bilinear between pixels' middles."""
    if upsampling == "nearest":
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Norm(nn.Module):
    """Batch norm by stored statistics; base of the two kinds.

    Args:
        channels: of the map.
        epsilon: added to the variance.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.epsilon = epsilon

    def normalise(self, x: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        """(N, C, h, w) with gain and offset (N, C) or (C,) to the same shape."""
        scale = torch.rsqrt(self.variance + self.epsilon) * gain
        centred = x - self.mean[:, None, None]
        return torch.addcmul(offset[..., None, None], centred, scale[..., None, None])


class PlainNorm(Norm):
    """A norm whose scale and offset are its own."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__(channels, epsilon)
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, C, h, w) to the same; there is no condition."""
        return self.normalise(x, self.gain, self.offset)


class ConditionalNorm(Norm):
    """A norm whose scale (less ``centre``) and offset depend on the condition."""

    def __init__(self, channels: int, config: ResNetGANConfig) -> None:
        super().__init__(channels, config.epsilon)
        self.centre = config.centre

        def table() -> nn.Linear | nn.Embedding:
            if config.condition == "class":
                return untrained_embedding(config.classes, channels)
            return nn.Linear(config.condition_dim, channels, bias=False)

        self.gain, self.offset = table(), table()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C, h, w) and the condition to (N, C, h, w)."""
        return self.normalise(x, self.centre + look_up(self.gain, y), look_up(self.offset, y))


def _block_norm(channels: int, config: ResNetGANConfig) -> PlainNorm | ConditionalNorm:
    if config.condition == "none":
        return PlainNorm(channels, config.epsilon)
    return ConditionalNorm(channels, config)


class Residual(nn.Module):
    """A block of two convolutions and a shortcut."""

    def __init__(self, block: Block, config: ResNetGANConfig) -> None:
        super().__init__()
        before, inside, after = block.channels_in, block.channels_inside, block.channels_out
        self.norm1 = _block_norm(before, config)
        self.conv1 = nn.Conv2d(before, inside, 3, padding=1, bias=block.biased)
        self.norm2 = _block_norm(inside, config)
        self.conv2 = nn.Conv2d(inside, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if block.shortcut else None
        self.upsampling: Upsampling | None = config.upsampling if block.upsample else None
        self.activation: Activation = config.activation

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """(N, C_in, h, w) and the condition to (N, C_out, H, W)."""
        h = activated(self.norm1(x, y), self.activation)
        # a 1x1 convolution commutes with doubling, at a quarter of the cost
        side = x if self.shortcut is None else self.shortcut(x)
        if self.upsampling is not None:
            h, side = doubled(h, self.upsampling), doubled(side, self.upsampling)
        h = activated(self.norm2(self.conv1(h), y), self.activation)
        total: Tensor = self.conv2(h) + side
        return total


class ResNetGANNetwork(nn.Module):
    """The whole generator, as pieces that ``generator`` runs in turn."""

    def __init__(self, config: ResNetGANConfig) -> None:
        super().__init__()
        self.config = config
        if config.embedding_dim:
            self.embedding = untrained_embedding(config.classes, config.embedding_dim)
        first = config.blocks[0].channels_in
        self.linear = nn.Linear(config.first_dim, first * config.bottom**2)
        self.blocks = nn.ModuleList(
            Attention(block.channels_in) if block.kind == "attention" else Residual(block, config)
            for block in config.blocks
        )
        last = config.blocks[-1].channels_out
        self.output_norm = PlainNorm(last, config.epsilon)
        self.output = nn.Conv2d(last, config.colours, 3, padding=1)

    def conditions(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """The first layer's input, and the conditions of the blocks: ``y``, or ``y0``, ``y1``, ….

        Args:
            z: (N, z_dim).
            c: the class, (N,) int64 or soft (N, classes); None without classes.
        """
        if self.config.condition == "none":
            return z, {}
        if self.config.condition == "class":
            assert c is not None
            return z, {"y": c}
        first, *others = z.split(self.config.first_dim, dim=1)
        if c is None:
            return first, {f"y{i}": part for i, part in enumerate(others)}
        e = look_up(self.embedding, c)
        return first, {f"y{i}": torch.cat((e, part), 1) for i, part in enumerate(others)}

    def first_map(self, x: Tensor) -> Tensor:
        """(N, first_dim) to the first map (N, C, bottom, bottom)."""
        size = self.config.bottom
        h: Tensor = self.linear(x).unflatten(1, (-1, size, size))
        return h

    def image(self, x: Tensor) -> Tensor:
        """The normalised last map (N, C, R, R) to RGB (N, 3, R, R); grey is repeated."""
        h: Tensor = self.output(activated(x, self.config.activation))
        if self.config.final == "tanh":
            h = h.tanh()
        elif self.config.final == "sigmoid":
            h = 2 * torch.sigmoid(h) - 1
        return h.expand(-1, 3, -1, -1).contiguous() if h.shape[1] == 1 else h
