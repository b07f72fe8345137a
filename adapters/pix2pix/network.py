"""The U-Net of pix2pix: halved down to a bottleneck, doubled up again beside each map of the way.

Source of the architecture: Isola et al. 2017, appendix 6.1. What goes up at a size is joined with
the map that came down at that size. Boundaries: ``input``; ``rN.enc`` after each layer on the way
down, before its activation; ``rN.dec`` after each layer up, before it is joined; ``image``. What
came down is carried as ``skipN`` until it was joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.contracts import Boundary
from seeingkit.models.staged import Carry, StageFunction

from ..configs import Colours, NetworkConfig
from ..translation.norms import Norm, NormKind, Statistics, drop

_SLOPE = 0.2
_PLAIN_UP = 4
"""The last layers up, which never have dropout: to 4, 2 and 1 times ngf, and the image."""


class UNetConfig(NetworkConfig):
    """All that rebuilds the network besides its tensors.

    Attributes:
        colours_in, colours_out: channels of the image given and of the image made.
        down: channels after each halving.
        up: channels after each doubling but the last.
        norm, tracked: of all norms.
        bias: whether convolutions before a norm have one; first_bias: the first one.
    """

    KIND: ClassVar[str] = "a pix2pix U-Net"
    colours_in: Colours
    colours_out: Colours
    down: tuple[int, ...]
    up: tuple[int, ...]
    norm: NormKind
    tracked: bool = False
    bias: bool
    first_bias: bool

    @property
    def depth(self) -> int:
        """How often the image is halved."""
        return len(self.down)

    @property
    def drops(self) -> bool:
        """Whether layers up have dropout: those between the innermost and the last four."""
        return self.depth > _PLAIN_UP + 1


class UNet(nn.Module):
    """The network; tensors by ``down.K``, ``down_norm.K``, ``up.K`` and ``up_norm.K``.

    Args:
        config: of the file.
        statistics: that norms use.
    """

    def __init__(self, config: UNetConfig, statistics: Statistics = "image") -> None:
        super().__init__()
        self.config = config
        norm = partial(Norm, tracked=config.tracked, statistics=statistics)
        down, up, depth = config.down, config.up, config.depth
        inputs = (config.colours_in, *down)
        self.down = nn.ModuleList(
            nn.Conv2d(inputs[k], down[k], 4, 2, 1, bias=config.bias if k else config.first_bias)
            for k in range(depth)
        )
        # neither the outermost layer down nor the innermost has a norm
        self.down_norm = nn.ModuleList(norm(down[k], config.norm) for k in range(1, depth - 1))
        joined = [down[-1], *(up[k] + down[depth - 2 - k] for k in range(depth - 1))]
        outputs = (*up, config.colours_out)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(joined[k], outputs[k], 4, 2, 1, bias=config.bias or k == depth - 1)
            for k in range(depth)
        )
        self.up_norm = nn.ModuleList(norm(channels, config.norm) for channels in up)

    def go_down(self, k: int, x: Tensor) -> Tensor:
        """Layer k down, of the map before it was activated."""
        x = self.down[k](F.leaky_relu(x, _SLOPE) if k else x)
        return self.down_norm[k - 1](x) if 0 < k < self.config.depth - 1 else x

    def go_up(self, k: int, x: Tensor, skip: Tensor | None, seeds: Tensor | None) -> Tensor:
        """Layer k up, of the map beside the one that came down at its size."""
        if skip is not None:
            # activated twice, once on the way down: ReLU of leaky ReLU is ReLU
            x = torch.cat([skip, x], 1)
        x = self.up[k](torch.relu(x))
        if k == self.config.depth - 1:
            return torch.tanh(x).expand(-1, 3, -1, -1)
        x = self.up_norm[k](x)
        inner = 0 < k < self.config.depth - _PLAIN_UP
        return drop(x, seeds, k) if inner else x


def _halve(network: UNet, k: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    kept = {**carry, f"skip{k - 1}": x} if k else dict(carry)
    return network.go_down(k, x), kept


def _double(network: UNet, k: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    place = f"skip{network.config.depth - 1 - k}"
    left = {name: value for name, value in carry.items() if name != place}
    return network.go_up(k, x, carry.get(place), carry.get("dropout")), left


def unet_stages(network: UNet) -> list[StageFunction]:
    """The way through the network."""
    depth = range(network.config.depth)
    down: list[StageFunction] = [partial(_halve, network, k) for k in depth]
    return [*down, *(partial(_double, network, k) for k in depth)]


def unet_boundaries(config: UNetConfig, size: int, native: Mapping[str, str]) -> list[Boundary]:
    """The cuts of a network for images of a size.

    Args:
        config: of the network.
        size: height and width of the images.
        native: names in the file, by ours, as aliases.
    """
    maps = [(f"r{size >> k}.enc", c, size >> k) for k, c in enumerate(config.down, start=1)]
    least = size >> config.depth
    maps += [(f"r{least << k}.dec", c, least << k) for k, c in enumerate(config.up, start=1)]
    cuts = [Boundary("input", 0, (config.colours_in, size, size), "image", (size, size))]
    for index, (name, channels, side) in enumerate(maps, start=1):
        aliases = (native[name],) if name in native else ()
        cuts.append(Boundary(name, index, (channels, side, side), "feature", (side, side), aliases))
    return [*cuts, Boundary("image", len(cuts), (3, size, size), "image", (size, size))]
