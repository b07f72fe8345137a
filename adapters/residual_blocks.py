"""Chains of residual blocks with attentions between them, as BigGAN and its relatives have them.

Guarantees that families of such networks cut them at the same places under the same names: each
block ``r8.b0``, ``r16.b0``, … by the size of its output, ``r16.attention``, ``output.norm``, and
the last map of each size also ``rN``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from seeingkit.contracts import Boundary
from seeingkit.models.staged import Carry, StageFunction

from .attention import Attention


class Map(NamedTuple):
    """A map between two stages: its name, its shape, and its module path in the file."""

    name: str
    channels: int
    size: int
    native: str


class Block(Protocol):
    """What a config says of a block."""

    @property
    def kind(self) -> str:
        """``attention`` or another."""

    @property
    def upsample(self) -> bool:
        """Whether it doubles height and width."""

    @property
    def channels_in(self) -> int:
        """Channels of its input."""

    @property
    def channels_out(self) -> int:
        """Channels of its output."""

    @property
    def native(self) -> str:
        """Its module path in the file."""


def alone(part: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    """A stage that needs x alone, as ``partial(alone, part)``."""
    return part(x), carry


def residual(block: nn.Module, key: str, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    """A block and its condition ``key``, which is dropped unless all blocks have the one ``y``."""
    x = block(x, carry.get(key))
    return x, {k: v for k, v in carry.items() if k != key or key == "y"}


def block_stages(blocks: Iterable[nn.Module], *, chunks: bool) -> list[StageFunction]:
    """The stages of a chain: attentions alone, all others with their condition.

    Args:
        chunks: each block has a condition of its own, ``y0``, ``y1``, …; else all have ``y``.
    """
    stages: list[StageFunction] = []
    number = 0
    for block in blocks:
        if isinstance(block, Attention):
            stages.append(partial(alone, block))
            continue
        stages.append(partial(residual, block, f"y{number}" if chunks else "y"))
        number += 1
    return stages


def block_maps(bottom: int, blocks: Sequence[Block], first: str) -> list[Map]:
    """The maps before and after each block.

    Args:
        bottom: height and width of the first.
        first: module path of the layer that makes it.
    """
    size = bottom
    maps = [Map(f"r{size}.linear", blocks[0].channels_in, size, first)]
    numbers: Counter[str] = Counter()
    for block in blocks:
        size <<= block.upsample
        attends = block.kind == "attention"
        stem = f"r{size}.{'attention' if attends else 'b'}"
        name = stem if attends and not numbers[stem] else f"{stem}{numbers[stem]}"
        numbers[stem] += 1
        maps.append(Map(name, block.channels_out, size, block.native))
    return maps


def map_boundaries(z_dim: int, maps: Sequence[Map], norm: str) -> list[Boundary]:
    """The cuts of a network: ``input``, its maps, ``output.norm`` and ``image``.

    Args:
        z_dim: numbers in z.
        maps: in order.
        norm: module path of the norm after the last map.
    """
    last = {each.size: each.name for each in maps}
    size = maps[-1].size
    cuts = [Boundary("input", 0, (z_dim,), "latent", aliases=("z",))]
    for each in [*maps, Map("output.norm", maps[-1].channels, size, norm)]:
        aliases = (each.native, *((f"r{each.size}",) if last[each.size] == each.name else ()))
        shape, grid = (each.channels, each.size, each.size), (each.size, each.size)
        cuts.append(Boundary(each.name, len(cuts), shape, "feature", grid, aliases))
    cuts.append(Boundary("image", len(cuts), (3, size, size), "image", (size, size)))
    return cuts
