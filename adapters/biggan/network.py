"""The networks of BigGAN and BigGAN-deep (Brock, Donahue and Simonyan, ICLR 2019, appendix B).

Guarantees one network for every layout of file: what differs between them (how z and the class
condition the blocks, where the maps grow, epsilons, rows of batch statistics) is in
``BigGANConfig``, and spectral norm is expected to be folded into the weights already.

A condition y is either a vector (N, D), of which each norm's gain and offset are linear functions,
or, in networks without a shared embedding, the class itself: (N,) int64, or soft (N, classes).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import Attention
from ..class_tables import look_up, untrained_embedding
from .config import BOTTLENECK, BigGANConfig, Block

Rows = tuple[int, int, float]
"""Two rows of stored statistics and the weight of the first."""


def statistics_rows(truncation: float, rows: int) -> Rows:
    """Which stored statistics belong to a truncation: rows i, i + 1 and the weight of row i.

    As the published Hugging Face code does: with coef and i the fractional and whole part of
    ``truncation / step`` in float64, the weight of row *i* is coef, where linear interpolation
    would have 1 - coef. So a quotient just above a whole number takes the row after it.
    Beyond the last row, where the original fails, the last one is taken.
    """
    if rows == 1:
        return 0, 0, 0.0
    fraction, whole = math.modf(truncation / (1.0 / (rows - 1)))
    lower = min(int(whole), rows - 1)
    if fraction == 0.0:
        return lower, lower, 0.0
    return lower, min(lower + 1, rows - 1), fraction


class Norm(nn.Module):
    """Batch norm by stored statistics; gain and offset are given, or its own parameters.

    Args:
        channels: of the map.
        rows: number of stored statistics.
        chosen: those used, of ``statistics_rows``.
        epsilon: added to the variance.
        added: the gain is added to the normalised map instead of multiplied.
    """

    mean: Tensor
    variance: Tensor

    def __init__(
        self, channels: int, rows: int, chosen: Rows, epsilon: float, *, added: bool
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(rows, channels))
        self.register_buffer("variance", torch.ones(rows, channels))
        self.chosen = chosen
        self.epsilon = epsilon
        self.added = added

    def _chosen(self, statistics: Tensor) -> Tensor:
        lower, upper, weight = self.chosen
        if lower == upper:
            return statistics[lower]
        return statistics[lower] * weight + statistics[upper] * (1 - weight)

    def normalise(self, x: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        """(N, C, h, w) with gain and offset (N, C) or (C,) to the same shape."""
        scale = torch.rsqrt(self._chosen(self.variance) + self.epsilon)
        if self.added:
            offset = offset + gain
        else:
            scale = scale * gain
        centred = x - self._chosen(self.mean)[:, None, None]
        return torch.addcmul(offset[..., None, None], centred, scale[..., None, None])


class PlainNorm(Norm):
    """The last norm, whose gain and offset are its own."""

    def __init__(
        self, channels: int, rows: int, chosen: Rows, epsilon: float, *, added: bool
    ) -> None:
        super().__init__(channels, rows, chosen, epsilon, added=added)
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        return self.normalise(x, self.gain, self.offset)


class ConditionalNorm(Norm):
    """A norm whose gain (less one) and offset depend on the condition."""

    def __init__(self, channels: int, config: BigGANConfig, chosen: Rows) -> None:
        added = config.gain == "added"
        super().__init__(channels, config.rows, chosen, config.epsilon, added=added)

        def table() -> nn.Linear | nn.Embedding:
            if config.condition == "class":
                return untrained_embedding(config.classes, channels)
            return nn.Linear(config.condition_dim, channels, bias=False)

        self.gain = table()
        self.offset = table()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C, h, w) and the condition to (N, C, h, w)."""
        return self.normalise(x, 1 + look_up(self.gain, y), look_up(self.offset, y))


def _grown(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Residual(nn.Module):
    """BigGAN's block (figure 15b): two 3x3 convolutions, and a 1x1 one beside them."""

    def __init__(self, block: Block, config: BigGANConfig, chosen: Rows) -> None:
        super().__init__()
        before, after = block.channels_in, block.channels_out
        self.norm1 = ConditionalNorm(before, config, chosen)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.norm2 = ConditionalNorm(after, config, chosen)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)
        self.upsample = block.upsample

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C_in, h, w) and the condition to (N, C_out, H, W)."""
        h = F.relu(self.norm1(x, y))
        side = self.shortcut(x)  # a 1x1 convolution commutes with repeating pixels, at 1/4 the cost
        if self.upsample:
            h, side = _grown(h), _grown(side)
        h = F.relu(self.norm2(self.conv1(h), y))
        total: Tensor = self.conv2(h) + side
        return total


class Bottleneck(nn.Module):
    """BigGAN-deep's block (figure 16b): 1x1, 3x3, 3x3, 1x1; the skip drops the last channels."""

    def __init__(self, block: Block, config: BigGANConfig, chosen: Rows) -> None:
        super().__init__()
        before, after = block.channels_in, block.channels_out
        inside = before // BOTTLENECK
        self.norm1 = ConditionalNorm(before, config, chosen)
        self.conv1 = nn.Conv2d(before, inside, 1)
        self.norm2 = ConditionalNorm(inside, config, chosen)
        self.conv2 = nn.Conv2d(inside, inside, 3, padding=1)
        self.norm3 = ConditionalNorm(inside, config, chosen)
        self.conv3 = nn.Conv2d(inside, inside, 3, padding=1)
        self.norm4 = ConditionalNorm(inside, config, chosen)
        self.conv4 = nn.Conv2d(inside, after, 1)
        self.upsample = block.upsample
        self.kept = after

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C_in, h, w) and the condition to (N, C_out, H, W)."""
        h = F.relu(self.norm2(self.conv1(F.relu(self.norm1(x, y))), y))
        side = x[:, : self.kept]
        if self.upsample:
            h, side = _grown(h), _grown(side)
        h = self.conv3(F.relu(self.norm3(self.conv2(h), y)))
        total: Tensor = self.conv4(F.relu(self.norm4(h, y))) + side
        return total


class BigGANNetwork(nn.Module):
    """The whole generator, as pieces that ``seeingkit_adapters.biggan`` runs in turn.

    Args:
        config: of the network.
        truncation: chooses the rows of batch statistics where there are several.
    """

    def __init__(self, config: BigGANConfig, truncation: float = 1.0) -> None:
        super().__init__()
        self.config = config
        chosen = statistics_rows(truncation, config.rows)
        if config.embedding_dim:
            self.embedding = untrained_embedding(config.classes, config.embedding_dim)
        channels = config.blocks[0].channels_in
        self.linear = nn.Linear(config.first_dim, channels * config.bottom**2)
        kinds = {"residual": Residual, "bottleneck": Bottleneck}
        self.blocks = nn.ModuleList(
            Attention(block.channels_in)
            if block.kind == "attention"
            else kinds[block.kind](block, config, chosen)
            for block in config.blocks
        )
        last = config.blocks[-1].channels_out
        self.output_norm = PlainNorm(
            last, config.rows, chosen, config.output_epsilon, added=config.gain == "added"
        )
        self.output = nn.Conv2d(last, 3, 3, padding=1)

    def embed(self, given: Mapping[str, Tensor]) -> Tensor:
        """The class of a latent's ``embedding``, ``c`` or ``label``, embedded.

        Returns:
            the embedding (N, E); without a shared one, the class (N,) int64 or (N, classes).
        """
        if "embedding" in given:
            return given["embedding"]
        y = given["c"] if "c" in given else given["label"]
        return look_up(self.embedding, y) if self.config.embedding_dim else y

    def conditions(self, z: Tensor, e: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The first layer's input, and the conditions ``y``, or ``y0``, ``y1``, … of the blocks.

        Args:
            z: (N, z_dim).
            e: of ``embed``.
        """
        match self.config.condition:
            case "chunks":
                first, *others = z.split(self.config.first_dim, dim=1)
                return first, {f"y{i}": torch.cat((e, part), 1) for i, part in enumerate(others)}
            case "embedding+z":
                y = torch.cat((e, z), 1)
                return y, {"y": y}
            case "z+embedding":
                y = torch.cat((z, e), 1)
                return y, {"y": y}
            case _:
                return z, {"y": e}

    def first_map(self, x: Tensor) -> Tensor:
        """(N, first_dim) to the first map (N, C, bottom, bottom)."""
        size = self.config.bottom
        h: Tensor = self.linear(x).unflatten(1, (-1, size, size))
        return h

    def image(self, x: Tensor) -> Tensor:
        """The normalised last map (N, C, R, R) to RGB (N, 3, R, R) in [-1, 1]."""
        h: Tensor = self.output(F.relu(x))
        return h.tanh()
