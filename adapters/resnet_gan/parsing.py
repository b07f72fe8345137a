"""From the names of a layout's files to the network's own.

Guarantees that every key of a file is accounted for under the file's own name, with its shape,
before a network is built, and that spectral norms are divisors of the network's own weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import check_finite, check_state

from ..spectral import Unfolded
from .config import ResNetGANConfig
from .network import ResNetGANNetwork

Change = Literal["none", "transposed", "first half", "second half", "scalar"]


@dataclass(frozen=True)
class Naming:
    """The names of a layout for our modules and their tensors.

    Attributes:
        heads: of ``linear``, ``output_norm``, ``output`` and ``embedding``.
        residual: of a block's ``conv1``, ``conv2``, ``shortcut``, ``norm1``, ``norm2``.
        attention: of an attention's ``theta``, ``phi``, ``g``, ``o``, ``gamma``.
        statistics: prefix of a conditional norm's statistics.
        tables: of a conditional norm's ``gain.weight`` and ``offset.weight``.
        halves: whether both tables are halves of one, of (classes, 2 C).
    """

    heads: Mapping[str, str]
    residual: Mapping[str, str]
    attention: Mapping[str, str]
    statistics: str = "bn."
    tables: Mapping[str, str] | None = None
    halves: bool = False


@dataclass(frozen=True)
class ParsedFile:
    """The contents of a file, ready for the network.

    Attributes:
        config: of the network.
        tensors: by the network's own names; views of the file where possible.
        divisors: spectral norms, by the name of the weight each divides.
    """

    config: ResNetGANConfig
    tensors: dict[str, Tensor]
    divisors: dict[str, Tensor]


_PLAIN = {"mean": "running_mean", "variance": "running_var", "gain": "weight", "offset": "bias"}


def parsed(path: Path, config: ResNetGANConfig, found: Unfolded, naming: Naming) -> ParsedFile:
    """The tensors of a file under our names, all of them checked.

    Args:
        path: the file, for messages.
        config: inferred from the file.
        found: its tensors, without spectral norms.
        naming: of its layout.

    Raises:
        StateMismatchError: a key is missing, unexpected, mis-shaped or not finite (names it).
    """
    with torch.device("meta"):
        state = ResNetGANNetwork(config).state_dict()
    tensors = without_counters(found.tensors)
    places = {key: _place(key, config, naming) for key in state}
    expected = {name: _stored(tensors, name, state[k], how) for k, (name, how) in places.items()}
    check_state(path, tensors, expected)
    for name, tensor in tensors.items():
        check_finite(path, name, tensor)
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise StateMismatchError(f"{path}: {name} holds negative variances")
    own = {key: _changed(tensors[name], how) for key, (name, how) in places.items()}
    divisors = {
        k: found.divisors[name] for k, (name, _) in places.items() if name in found.divisors
    }
    return ParsedFile(config, own, divisors)


def without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All but the batch counters of norms, which evaluation does not use."""
    ending = "num_batches_tracked"
    return {
        key: tensor
        for key, tensor in tensors.items()
        if not (key.endswith(f".{ending}") and key.replace(ending, "running_var") in tensors)
    }


def _place(key: str, config: ResNetGANConfig, naming: Naming) -> tuple[str, Change]:
    """The file's name of one of our tensors, and what has to be done to it."""
    head, *rest = key.split(".")
    if head != "blocks":
        leaf = ".".join(rest)
        return f"{naming.heads[head]}.{_PLAIN[leaf] if head == 'output_norm' else leaf}", "none"
    block = config.blocks[int(rest[0])]
    module, *leaves = rest[1:]
    leaf = ".".join(leaves)
    if block.kind == "attention":
        name = naming.attention[module]
        return f"{block.native}.{f'{name}.{leaf}' if leaf else name}", "none" if leaf else "scalar"
    inside = f"{block.native}.{naming.residual[module]}"
    if not module.startswith("norm"):
        return f"{inside}.{leaf}", "none"
    if config.condition == "none":
        return f"{inside}.{_PLAIN[leaf]}", "none"
    if leaf in ("mean", "variance"):
        return f"{inside}.{naming.statistics}{_PLAIN[leaf]}", "none"
    assert naming.tables is not None
    change: Change = "none"
    if naming.halves:
        change = "first half" if leaf.startswith("gain") else "second half"
    elif config.condition == "class":
        change = "transposed"
    return f"{inside}.{naming.tables[leaf]}", change


def _stored(tensors: Mapping[str, Tensor], name: str, own: Tensor, how: Change) -> tuple[int, ...]:
    """The shape that a tensor has in the file."""
    shape = tuple(own.shape)
    if how == "transposed":
        return shape[::-1]
    if how in ("first half", "second half"):
        return shape[0], 2 * shape[1]
    if how == "scalar":  # () and (1,) are the same
        found = tuple(tensors[name].shape) if name in tensors else ()
        return found if found in ((), (1,)) else ()
    return shape


def _changed(tensor: Tensor, how: Change) -> Tensor:
    if how == "transposed":
        return tensor.T
    if how in ("first half", "second half"):
        return tensor.chunk(2, dim=1)[how == "second half"]
    return tensor.reshape(()) if how == "scalar" else tensor
