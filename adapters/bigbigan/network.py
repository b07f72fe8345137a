"""The networks of a small BigBiGAN (Donahue and Simonyan 2019; BigBiGAN-PyTorch).

Guarantees that spectral norm is expected to be folded into the weights already, and that row k of
an output depends on row k of the input only.

Generator: BigGAN's blocks (Brock et al. 2019, figure 15b) with conditional norms whose gain and
offset are linear in (piece of z, embedding of the class), the gain not centred at 1; attention
without pooling; a transposed convolution and a sigmoid at the end. Encoder: a RevNet (Gomez et al.
2017) of the doubled image, the mean over the map, two residual linear layers, and one that gives
mean and standard deviation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.contracts import Posterior

from ..class_tables import untrained_embedding
from ..dcgan.network import Normalisation
from .config import BOTTOM, BigBiGANConfig, BigBiGANEncoderConfig

EPSILON = 1e-5
SLOPE = 0.3
"""Of the encoder's leaky ReLU below zero."""


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class ConditionalNorm(nn.Module):
    """Batch norm by stored statistics, times a gain and plus an offset of the condition."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = Normalisation(channels, False, EPSILON)
        self.linear = nn.Linear(condition, 2 * channels)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C, h, w) and the condition (N, D) to (N, C, h, w)."""
        gain, offset = self.linear(y)[:, :, None, None].chunk(2, dim=1)
        found: Tensor = gain * self.norm(x) + offset
        return found


class UpBlock(nn.Module):
    """A residual block that doubles the map."""

    def __init__(self, before: int, after: int, condition: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)
        self.norm1 = ConditionalNorm(before, condition)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.norm2 = ConditionalNorm(after, condition)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C_in, h, w) and the condition to (N, C_out, 2h, 2w)."""
        h = self.conv1(_doubled(F.relu(self.norm1(x, y))))
        h = self.conv2(F.relu(self.norm2(h, y)))
        # a 1x1 convolution commutes with repeating pixels, at 1/4 the cost
        total: Tensor = h + _doubled(self.shortcut(x))
        return total


class Attention(nn.Module):
    """Self-attention (Zhang et al., ICML 2019, section 3) at full size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        query, key, value = (part(x).flatten(2) for part in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
        seen = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return torch.addcmul(x, self.gamma, seen)


class BigBiGANNetwork(nn.Module):
    """The generator, as pieces that the adapter runs in turn."""

    def __init__(self, config: BigBiGANConfig) -> None:
        super().__init__()
        self.config = config
        if config.classes:
            self.embedding = untrained_embedding(config.classes, config.embedding_dim)
        widths = config.widths
        self.linear = nn.Linear(config.piece, widths[0] * BOTTOM**2)
        self.blocks = nn.ModuleList(
            UpBlock(widths[k], widths[k + 1], config.condition_dim) for k in range(config.blocks)
        )
        self.attention = Attention(widths[config.attention])
        self.output_norm = Normalisation(widths[-1], True, EPSILON)
        self.output = nn.ConvTranspose2d(widths[-1], config.colours, 3, padding=1, bias=False)

    def conditions(self, z: Tensor, label: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """The first layer's input, and the conditions ``y0``, ``y1``, … of the blocks.

        Args:
            z: (N, z_dim).
            label: (N,) int64, or None without classes.
        """
        first, *pieces = z.split(self.config.piece, dim=1)
        if label is not None:
            embedding = self.embedding(label)
            pieces = [torch.cat((piece, embedding), 1) for piece in pieces]
        return first, {f"y{k}": piece for k, piece in enumerate(pieces)}

    def first_map(self, x: Tensor) -> Tensor:
        """(N, piece) to the first map (N, C, 4, 4)."""
        h: Tensor = self.linear(x).unflatten(1, (-1, BOTTOM, BOTTOM))
        return h

    def image(self, x: Tensor) -> Tensor:
        """The normalised last map (N, C, R, R) to RGB (N, 3, R, R) in [-1, 1]."""
        image = 2 * torch.sigmoid(self.output(F.relu(x))) - 1
        return image.expand(-1, 3, -1, -1) if self.config.colours == 1 else image


class ReversibleBlock(nn.Module):
    """(x1, x2), halves of the channels, to (x1 + x2 + f(x2), x2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.norm1 = Normalisation(half, True, EPSILON)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.norm2 = Normalisation(half, True, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        first, second = x.chunk(2, dim=1)
        h = F.relu(self.norm1(self.conv1(second)))
        h = F.relu(self.norm2(self.conv2(h)))
        return torch.cat((first + (h + second), second), 1)


class ResidualLinear(nn.Module):
    """Two linear layers with leaky ReLU, and one beside them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(inputs, outputs)
        self.linear2 = nn.Linear(outputs, outputs)
        self.skip = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        h = F.leaky_relu(self.linear2(F.leaky_relu(self.linear1(x), SLOPE)), SLOPE)
        return h + F.leaky_relu(self.skip(x), SLOPE)


class BigBiGANEncoderNetwork(nn.Module):
    """The encoder."""

    def __init__(self, config: BigBiGANEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Conv2d(config.colours, config.width, 7, stride=2, padding=3)
        channels, blocks = config.width, []
        for reversible in config.blocks:
            channels = channels if reversible else 2 * channels
            if reversible:
                blocks.append(ReversibleBlock(channels))
        self.blocks = nn.ModuleList(blocks)
        self.linear1 = ResidualLinear(config.features, config.hidden)
        self.linear2 = ResidualLinear(config.hidden, config.hidden)
        self.last = nn.Linear(config.hidden, 2 * config.z_dim)

    def forward(self, x: Tensor) -> Posterior:
        """(N, C, R, R) to the latent's distribution, (N, z_dim) each."""
        x = F.max_pool2d(self.first(_doubled(x)), 3, stride=2, padding=1)
        blocks = iter(self.blocks)
        for reversible in self.config.blocks:
            if reversible:
                x = next(blocks)(x)
            else:
                x = F.avg_pool2d(x, 3, stride=2, padding=1)
                side = x.shape[1] // 2
                x = F.pad(x, (0, 0, 0, 0, side, side))
        features = self.linear2(self.linear1(x.mean((2, 3))))
        mean, spread = self.last(features).chunk(2, dim=1)
        return Posterior(mean, F.softplus(spread))
