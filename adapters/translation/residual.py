"""The residual translator of CycleGAN and StarGAN: down, residual blocks, up.

Source of the architecture: Johnson et al. 2016, as Zhu et al. 2017 (appendix 7.2) and Choi et al.
2018 (appendix, table 4) use it. Boundaries: ``input``; ``rN.enc`` after each layer on the way down;
``block0``, … after each residual block; ``rN.dec`` on the way up; ``image``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from seeingkit.contracts import Boundary
from seeingkit.models.staged import Carry, StageFunction

from ..configs import Colours, NetworkConfig
from .norms import Norm, NormKind, Statistics, drop

Padding = Literal["reflect", "replicate", "zeros"]


class ResidualConfig(NetworkConfig):
    """All that rebuilds the network besides its tensors.

    Attributes:
        colours_in, colours_out: channels of the image given and of the image made.
        conditions: constant planes beside the image, one an attribute.
        down: channels after the first layer and after each halving.
        blocks: residual blocks, of the last of these channels.
        up: channels after each doubling.
        kernel: of the layers that halve and double: 3 or 4.
        norm, tracked: of all norms.
        bias: whether convolutions before a norm have one; last_bias: the last one.
        padding: in the blocks; edges: of the first and the last layer.
        dropout: whether blocks have it.
    """

    KIND: ClassVar[str] = "a residual translator"
    colours_in: Colours
    colours_out: Colours
    conditions: int = 0
    down: tuple[int, ...]
    blocks: int
    up: tuple[int, ...]
    kernel: Literal[3, 4] = 3
    norm: NormKind
    tracked: bool = False
    bias: bool
    last_bias: bool
    padding: Padding
    edges: Padding
    dropout: bool = False


class Layer(nn.Module):
    """Convolution, norm, ReLU."""

    def __init__(self, conv: nn.Module, norm: Norm) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the next map."""
        y: Tensor = torch.relu(self.norm(self.conv(x)))
        return y


class Block(nn.Module):
    """x + norm(conv(dropout(relu(norm(conv(x))))))."""

    def __init__(self, convs: list[nn.Conv2d], norms: list[Norm]) -> None:
        super().__init__()
        self.conv0, self.conv1 = convs
        self.norm0, self.norm1 = norms

    def forward(self, x: Tensor, seeds: Tensor | None, place: int) -> Tensor:
        """The same shape; ``seeds`` of dropout, None where there is none."""
        inner = drop(torch.relu(self.norm0(self.conv0(x))), seeds, place)
        y: Tensor = x + self.norm1(self.conv1(inner))
        return y


class ResidualNetwork(nn.Module):
    """The network; tensors by ``down.K``, ``blocks.K``, ``up.K`` and ``last``.

    Args:
        config: of the file.
        statistics: that norms use.
    """

    def __init__(self, config: ResidualConfig, statistics: Statistics = "image") -> None:
        super().__init__()
        self.config = config
        norm: Callable[[int], Norm] = partial(
            Norm, kind=config.norm, tracked=config.tracked, statistics=statistics
        )
        first = config.colours_in + config.conditions
        conv: nn.Module = _same(first, config.down[0], 7, config.bias, config.edges)
        layers = [Layer(conv, norm(config.down[0]))]
        for before, after in zip(config.down, config.down[1:], strict=False):
            conv = nn.Conv2d(before, after, config.kernel, 2, 1, bias=config.bias)
            layers.append(Layer(conv, norm(after)))
        self.down = nn.ModuleList(layers)
        width = config.down[-1]
        self.blocks = nn.ModuleList(
            Block(
                [_same(width, width, 3, config.bias, config.padding) for _ in range(2)],
                [norm(width) for _ in range(2)],
            )
            for _ in range(config.blocks)
        )
        more = 1 if config.kernel == 3 else 0
        ups = []
        for after in config.up:
            conv = nn.ConvTranspose2d(width, after, config.kernel, 2, 1, more, bias=config.bias)
            ups.append(Layer(conv, norm(after)))
            width = after
        self.up = nn.ModuleList(ups)
        self.last = _same(width, config.colours_out, 7, config.last_bias, config.edges)

    def image(self, x: Tensor) -> Tensor:
        """The last layer: (N, 3, H, W) in [-1, 1]."""
        return torch.tanh(self.last(x)).expand(-1, 3, -1, -1)


def _same(inputs: int, outputs: int, kernel: int, bias: bool, padding: Padding) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias, padding_mode=padding)


# ------------------------------------------------------------------------------ stages, boundaries


def _apply(layer: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer(x), carry


def _block(block: nn.Module, place: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return block(x, carry.get("dropout"), place), carry


def _image(network: ResidualNetwork, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return network.image(x), carry


def residual_stages(
    network: ResidualNetwork, start: StageFunction | None = None
) -> list[StageFunction]:
    """The way through the network.

    Args:
        network: filled.
        start: what is done before the first layer, in the same stage: planes of a condition.
    """
    first = partial(_apply, network.down[0])
    stages: list[StageFunction] = [first if start is None else partial(_after, start, first)]
    stages += [partial(_apply, layer) for layer in list(network.down)[1:]]
    stages += [partial(_block, block, place) for place, block in enumerate(network.blocks)]
    stages += [partial(_apply, layer) for layer in network.up]
    return [*stages, partial(_image, network)]


def _after(
    start: StageFunction, first: StageFunction, x: Tensor, carry: Carry
) -> tuple[Tensor, Carry]:
    return first(*start(x, carry))


def residual_boundaries(
    config: ResidualConfig, size: int, native: Mapping[str, str]
) -> list[Boundary]:
    """The cuts of a network for images of a size.

    Args:
        config: of the network.
        size: height and width of the images.
        native: names in the file, by ours, as aliases.
    """
    maps = [(f"r{size >> k}.enc", channels, size >> k) for k, channels in enumerate(config.down)]
    least = size >> (len(config.down) - 1)
    maps += [(f"block{k}", config.down[-1], least) for k in range(config.blocks)]
    for k, channels in enumerate(config.up, start=1):
        maps.append((f"r{least << k}.dec", channels, least << k))
    cuts = [Boundary("input", 0, (config.colours_in, size, size), "image", (size, size))]
    for index, (name, channels, side) in enumerate(maps, start=1):
        aliases = (native[name],) if name in native else ()
        cuts.append(Boundary(name, index, (channels, side, side), "feature", (side, side), aliases))
    return [*cuts, Boundary("image", len(cuts), (3, size, size), "image", (size, size))]
