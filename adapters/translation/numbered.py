"""Residual translators in weights files: one ``nn.Sequential`` of numbered modules.

Guarantees: every tensor of the file has its place, or is one that is known to count for nothing;
numbers that such a network does not have, and layers of other shapes, are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import (
    Checkpoint,
    Network,
    choose_network,
    networks_with,
    shown,
    state_dict,
)

from ..configs import check_colours
from .norms import NormKind

_LEAVES = "weight|bias|running_mean|running_var|num_batches_tracked"
_MOST = 512  # modules of one network


@dataclass(frozen=True)
class Names:
    """How a family calls the parts of the network.

    Attributes:
        root: of the sequence: ``model`` or ``main``.
        inner: of a block's own sequence: ``conv_block`` or ``main``.
        first: number of the first convolution: 1 after a padding layer, else 0.
        kind: the network in words, for messages.

    >>> Names("model", "conv_block", 1, "CycleGAN generator").marks
    ('model.1.weight', 'model.4.weight', 'model.7.weight')
    """

    root: str
    inner: str
    first: int
    kind: str

    @property
    def marks(self) -> tuple[str, ...]:
        """Names that every network of the family has."""
        return tuple(f"{self.root}.{self.first + 3 * k}.weight" for k in range(3))

    @property
    def pattern(self) -> str:
        """Of the names of all tensors."""
        return rf"{self.root}\.\d+\.({self.inner}\.\d+\.)?({_LEAVES})"

    def holds(self, network: Network) -> bool:
        """Whether a network with the marks has blocks of the family."""
        blocks = re.compile(rf"{self.root}\.\d+\.{self.inner}\.\d+\.weight")
        return any(blocks.fullmatch(key) for key in network.tree)


def candidates(checkpoint: Checkpoint, names: Names) -> list[Network]:
    """The networks of a file that are named as a family's."""
    return [n for n in networks_with(checkpoint, names.marks) if names.holds(n)]


@dataclass(frozen=True)
class Numbered:
    """The modules of one network by their numbers.

    Attributes:
        path: the file, for messages.
        names: of the family.
        modules: leaves by number.
        blocks: leaves by number in the block, by number of the block, in order.
    """

    path: Path
    names: Names
    modules: Mapping[int, Mapping[str, Tensor]]
    blocks: Mapping[int, Mapping[int, Mapping[str, Tensor]]]

    def refuse(self, why: str) -> StateMismatchError:
        """The error that says why a file holds no such network."""
        return StateMismatchError(f"{self.path}: not a {self.names.kind}: {why}")

    @property
    def convolutions(self) -> list[int]:
        """Numbers of the convolutions outside of blocks."""
        return [k for k, leaves in self.modules.items() if _is_kernel(leaves)]

    def sides(self) -> tuple[list[int], list[int], int]:
        """Numbers of the convolutions before the blocks, after them, and of the last one.

        Raises:
            StateMismatchError: other numbers than the family's.
        """
        numbers, blocks, convs = self.names, list(self.blocks), self.convolutions
        start = blocks[0]
        down = [k for k in convs if k < start]
        *up, last = [k for k in convs if k > start] or [0]
        pads = numbers.first
        wanted = [pads + 3 * k for k in range(len(down))]
        after = start + len(blocks)
        behind = [after + 3 * k for k in range(len(up))]
        ending = after + 3 * len(up) + pads
        if (
            down != wanted
            or len(down) < 2
            or start != pads + 3 * len(down)
            or blocks != list(range(start, after))
            or up != behind
            or len(up) != len(down) - 1
            or last != ending
        ):
            have = ", ".join(map(str, convs[:12]))
            raise self.refuse(
                f"its convolutions have the numbers {have} and {len(blocks)} blocks begin at "
                f"{start}, where {', '.join(map(str, [*wanted, *behind, ending]))} were expected"
            )
        return down, up, last

    def norms(self) -> tuple[NormKind, bool, bool]:
        """Kind of all norms, whether running statistics are kept, and whether some are ignored.

        Raises:
            StateMismatchError: norms of several kinds, or of one that is not known.
        """
        kinds = set()
        for leaves in self._norm_places():
            kinds.add(frozenset(leaves) - {"num_batches_tracked"})
        if len(kinds) != 1:
            raise self.refuse("its norms have different tensors")
        (kind,) = kinds
        statistics = frozenset({"running_mean", "running_var"})
        affine = frozenset({"weight", "bias"})
        if kind == affine | statistics:
            return "affine", True, False
        if kind == affine:
            return "affine", False, False
        if kind == statistics:
            return "instance", False, True
        if kind:
            raise self.refuse(f"its norms have {', '.join(sorted(kind))}, which no known norm has")
        biased = "bias" in self.modules[self.names.first]
        return ("instance" if biased else "none"), False, False

    def _norm_places(self) -> list[Mapping[str, Tensor]]:
        down, up, _ = self.sides()
        found = [self.modules.get(k + 1, {}) for k in (*down, *up)]
        for inside in self.blocks.values():
            found += [inside.get(k + 1, {}) for k, leaves in inside.items() if _is_kernel(leaves)]
        return found


def _is_kernel(leaves: Mapping[str, Tensor]) -> bool:
    return "weight" in leaves and leaves["weight"].ndim == 4


def numbered(path: Path, tensors: Mapping[str, Tensor], names: Names) -> Numbered:
    """The modules of a state dict by number.

    Raises:
        StateMismatchError: a tensor that such a network does not have, or no blocks.
    """
    form = re.compile(rf"{names.root}\.(\d+)\.(?:{names.inner}\.(\d+)\.)?({_LEAVES})")
    modules: dict[int, dict[str, Tensor]] = {}
    blocks: dict[int, dict[int, dict[str, Tensor]]] = {}
    for key, tensor in tensors.items():
        match = form.fullmatch(key)
        if match is None or len(match[1]) > 4 or int(match[1]) > _MOST:
            raise StateMismatchError(
                f"{path}: not a {names.kind}: {shown(key)} has no place in one"
            )
        number, inner, leaf = int(match[1]), match[2], match[3]
        leaves = (
            modules.setdefault(number, {})
            if inner is None
            else blocks.setdefault(number, {}).setdefault(int(inner[:4]), {})
        )
        leaves[leaf] = tensor
    if not blocks:
        raise StateMismatchError(f"{path}: not a {names.kind}: it has no residual blocks")
    by_number = {k: dict(sorted(blocks[k].items())) for k in sorted(blocks)}
    return Numbered(path, names, dict(sorted(modules.items())), by_number)


def read_numbered(checkpoint: Checkpoint, names: Names, key: str | None) -> tuple[Numbered, str]:
    """The one network of a family in a file, and its place.

    Args:
        checkpoint: the file.
        names: of the family.
        key: the place wanted, or its end.

    Raises:
        StateMismatchError: there is none, or a tensor has no place in one.
        UsageError: several, and ``key`` chooses none of them.
    """
    found = candidates(checkpoint, names)
    if not found:
        raise StateMismatchError(f"{checkpoint.path}: not a {names.kind}: its keys are others")
    network = choose_network(checkpoint.path, found, names.kind, key)
    tree = state_dict(checkpoint, network.tree, network.where)
    return numbered(checkpoint.path, tree, names), network.where


def renamed(
    found: Numbered, inside: Sequence[int], *, keep_statistics: bool
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by our names, and the file's names of our boundaries but for their sizes.

    Args:
        found: the modules.
        inside: numbers of the two convolutions of a block; their norms come next.
        keep_statistics: whether running statistics are read.

    Raises:
        StateMismatchError: a module that has no place.
    """
    down, up, last = found.sides()
    places: dict[tuple[int, int | None], str] = {}
    for side, numbers in (("down", down), ("up", up)):
        for k, number in enumerate(numbers):
            places[number, None] = f"{side}.{k}.conv"
            places[number + 1, None] = f"{side}.{k}.norm"
    places[last, None] = "last"
    for k, number in enumerate(found.blocks):
        for i, inner in enumerate(inside):
            places[number, inner] = f"blocks.{k}.conv{i}"
            places[number, inner + 1] = f"blocks.{k}.norm{i}"
    tensors: dict[str, Tensor] = {}
    every: dict[tuple[int, int | None], Mapping[str, Tensor]] = {}
    every |= {(k, None): leaves for k, leaves in found.modules.items()}
    every |= {(k, i): v for k, block in found.blocks.items() for i, v in block.items()}
    for (number, within), leaves in every.items():
        if (number, within) not in places:
            inner_name = "" if within is None else f".{found.names.inner}.{within}"
            name = f"{found.names.root}.{number}{inner_name}"
            raise found.refuse(f"{name} has no place in one")
        for leaf, tensor in leaves.items():
            ignored = leaf.startswith("running") and not keep_statistics
            if leaf != "num_batches_tracked" and not ignored:
                tensors[f"{places[number, within]}.{leaf}"] = tensor
    return tensors, {f"block{k}": f"{found.names.root}.{n}" for k, n in enumerate(found.blocks)}


def shapes(found: Numbered) -> dict[str, Any]:
    """The numbers of channels and kernels that the tensors have, as fields of the config.

    Raises:
        StateMismatchError: images of other channels than colours, or other kernels.
    """
    down, up, last = found.sides()
    kernels = {k: found.modules[k]["weight"].shape for k in (*down, *up, last)}
    check_colours(found.path, kernels[last][0])
    size = kernels[down[1]][-1]
    if size not in (3, 4):
        raise found.refuse(f"its second layer has kernels of {size}, not 3 or 4")
    return {
        "colours_out": kernels[last][0],
        "down": tuple(kernels[k][0] for k in down),
        "up": tuple(kernels[k][1] for k in up),
        "blocks": len(found.blocks),
        "kernel": size,
        "bias": "bias" in found.modules[down[0]],
        "last_bias": "bias" in found.modules[last],
    }
