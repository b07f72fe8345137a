"""Stacks of layers in weights files: the choice of a file's network, and its whole plan.

Guarantees that of several networks that fit none is chosen without ``key``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from seeingkit.errors import StateMismatchError, UsageError, first_fault
from seeingkit.weights import Checkpoint, Network, choose_network, networks, parts

from ..catalog.dcgan import DCGANOptions, MLPGANOptions
from .chain import FoundLayer, stack
from .modules import UnfitError
from .plan import Condition, Plan

_GENERATOR = re.compile(r"(?i)^(.*[._])?(net_?g|g|gen|generator|g_?ema|ema_?g|.*generator)$")


@dataclass(frozen=True)
class Candidate:
    """One network of a file that is a plain stack.

    Attributes:
        network: where it is, and what lies beside it.
        layers: first to last.
    """

    network: Network
    layers: list[FoundLayer]

    @property
    def where(self) -> str:
        """Its place, see ``seeingkit.weights.Network``."""
        return self.network.where

    @property
    def averaged(self) -> bool:
        """Whether it is a running average."""
        return self.network.averaged

    @property
    def named(self) -> bool:
        """True: every stack that fits may be read."""
        return True


def candidates(
    checkpoint: Checkpoint, fits: Callable[[list[FoundLayer]], None]
) -> tuple[list[Candidate], dict[str, str]]:
    """Every plain stack of a family in a file.

    Args:
        checkpoint: the file; foreign parts are passed over.
        fits: raises ``UnfitError`` for stacks that are not of the family.

    Returns:
        the networks that fit, and for every other state dict, by place, why it does not.

    Raises:
        StateMismatchError: the file holds absurdly many networks.
    """
    found: list[Candidate] = []
    reasons: dict[str, str] = {}
    for network in networks(checkpoint):
        if _tried(network, fits, found, reasons):
            continue
        for part in parts(network):
            _tried(part, fits, found, reasons)
    return found, reasons


def _tried(
    network: Network,
    fits: Callable[[list[FoundLayer]], None],
    found: list[Candidate],
    reasons: dict[str, str],
) -> bool:
    """Whether a network is a stack of the family; it is put among those, or its fault is."""
    try:
        layers = stack({key: _as_tensor(value) for key, value in network.tree.items()})
        fits(layers)
    except UnfitError as why:
        reasons[network.where] = str(why)
        return False
    found.append(Candidate(network, layers))
    return True


def _as_tensor(value: Tensor | np.ndarray[Any, Any]) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return torch.from_numpy(value if value.flags.writeable else value.copy())


def choose(
    checkpoint: Checkpoint,
    fits: Callable[[list[FoundLayer]], None],
    what: str,
    key: str | None,
) -> Candidate:
    """The one network of a family in a file.

    Args:
        checkpoint: the file.
        fits: as in ``candidates``.
        what: the family in words, for messages.
        key: the place wanted, or its last part; None for the only one, or the running average.

    Raises:
        StateMismatchError: none fits; says why the likeliest does not.
        UsageError: several fit and ``key`` chooses none of them, or ``key`` names none.
    """
    path = checkpoint.path
    found, reasons = candidates(checkpoint, fits)
    if key is not None and not any(key == c.where or c.where.endswith(f".{key}") for c in found):
        why = next((r for w, r in reasons.items() if key in (w, w.rpartition(".")[2])), None)
        there = ", ".join(repr(c.where) for c in found) or "none"
        raise UsageError(
            f"{path}: key={key}: {why or 'no such network'}; networks that fit: {there}"
        )
    if found:
        return choose_network(path, found, what, key)
    if not reasons:
        raise StateMismatchError(f"{path}: holds no state dict of a {what}")
    where, why = likeliest(reasons)
    place = f" ({where})" if where else ""
    raise StateMismatchError(f"{path}: not a {what}{place}: {why}")


def likeliest(reasons: Mapping[str, str]) -> tuple[str, str]:
    """The place that is called a generator, else the first, and why it does not fit."""
    return min(reasons.items(), key=lambda item: (_GENERATOR.search(item[0]) is None, item))


# ------------------------------------------------------------------------------------- the plan


def whole_plan(
    path: Path,
    stored: Mapping[str, Any],
    options: DCGANOptions | MLPGANOptions,
) -> Plan:
    """A plan as stored or read, with the options that were given in place of its own values.

    What an option says is no longer assumed.

    Raises:
        UsageError: layers and options that make no network.
        StateMismatchError: a stored config that is no plan.
    """
    names = ("activation", "slope", "final", "eps", "shape")
    chosen = {name: getattr(options, name, None) for name in names}
    given = {name: value for name, value in chosen.items() if value is not None}
    if "activation" not in given and "slope" in given:
        given["activation"] = "leaky"
    assumed = stored.get("assumed", ())
    if isinstance(assumed, (list, tuple)):
        given["assumed"] = tuple(what for what in assumed if what not in given)
    try:
        return Plan(**{**stored, **given})
    except ValidationError as error:
        refusal = UsageError if options.model_fields_set else StateMismatchError
        raise refusal(f"{path}: {first_fault(error)}") from error


def renamed(found: Sequence[FoundLayer], condition: Condition | None) -> dict[str, Tensor]:
    """The tensors of all layers, and the table of classes, by the names of ``network.Stack``."""
    tensors = {key: value for i, layer in enumerate(found) for key, value in layer.tensors(i)}
    if condition is not None and condition.width:
        (table,) = found[0].tables
        tensors |= {f"table.{leaf}": tensor for leaf, tensor in table.tensors.items()}
    return tensors
