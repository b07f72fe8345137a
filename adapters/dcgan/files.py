"""Stacks of layers in weights files: the choice of a file's network, and its whole plan.

Guarantees that of several networks that fit none is chosen without ``key``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from seeingkit.errors import StateMismatchError, UsageError, first_fault

from ..catalog.dcgan import DCGANOptions, MLPGANOptions
from .chain import FoundLayer, stack
from .modules import UnfitError
from .network import Plan

_DEPTH = 4  # of networks inside training files
_MOST_NETWORKS = 500
_GENERATOR = re.compile(r"(?i)^(.*[._])?(net_?g|g|gen|generator|g_?ema|ema_?g|.*generator)$")


@dataclass(frozen=True)
class Candidate:
    """One network of a file that is a plain stack.

    Attributes:
        where: its place in the file: ``netG``, ``state_dict.generator``; empty for the whole.
        tensors: as in the file, without prefixes that only give their place.
        layers: first to last.
    """

    where: str
    tensors: dict[str, Tensor]
    layers: list[FoundLayer]


def candidates(
    content: object, fits: Callable[[list[FoundLayer]], None]
) -> tuple[list[Candidate], dict[str, str]]:
    """Every plain stack of a family in a file's tree.

    Args:
        content: the tree; foreign parts are passed over.
        fits: raises ``UnfitError`` for stacks that are not of the family.

    Returns:
        the networks that fit, and for every other state dict, by place, why it does not.
    """
    found: list[Candidate] = []
    reasons: dict[str, str] = {}
    for number, (where, tensors) in enumerate(state_dicts(content)):
        if number >= _MOST_NETWORKS:
            return [], {"": f"the file holds more than {_MOST_NETWORKS} networks"}
        try:
            layers = stack(tensors)
            fits(layers)
            found.append(Candidate(where, tensors, layers))
        except UnfitError as reason:
            reasons[where] = str(reason)
            for inner, some in _parts(tensors, where):
                try:
                    layers = stack(some)
                    fits(layers)
                except UnfitError as why:
                    reasons[inner] = str(why)
                else:
                    found.append(Candidate(inner, some, layers))
    return found, reasons


def choose(
    path: Path,
    content: object,
    fits: Callable[[list[FoundLayer]], None],
    what: str,
    key: str | None,
) -> Candidate:
    """The one network of a family in a file.

    Args:
        path: the file, for messages.
        content: its tree.
        fits: as in ``candidates``.
        what: the family in words, for messages.
        key: the place wanted, or its last part; None if there must be only one.

    Raises:
        StateMismatchError: none fits; says why the likeliest does not.
        UsageError: several fit and ``key`` chooses none of them, or ``key`` names none.
    """
    found, reasons = candidates(content, fits)
    if key is not None:
        chosen = [c for c in found if key in (c.where, c.where.rpartition(".")[2])]
        if len(chosen) != 1:
            why = next((r for w, r in reasons.items() if key in (w, w.rpartition(".")[2])), None)
            there = ", ".join(repr(c.where) for c in found) or "none"
            raise UsageError(
                f"{path}: key={key}: {why or 'no such network'}; networks that fit: {there}"
            )
        return chosen[0]
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(c.where or "the whole" for c in found)
        raise UsageError(f"{path}: holds more than one {what} ({places}); choose one with key=…")
    if not reasons:
        raise StateMismatchError(f"{path}: holds no state dict of a {what}")
    where, why = min(reasons.items(), key=lambda item: (_GENERATOR.search(item[0]) is None, item))
    place = f" ({where})" if where else ""
    raise StateMismatchError(f"{path}: not a {what}{place}: {why}")


def state_dicts(content: object) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every state dict in a file's tree, with its place: ``netG``, ``state_dict``, ….

    The place of the whole is the empty text; foreign content is passed over.
    """
    yield from _state_dicts(content, "", _DEPTH, set())


def _state_dicts(
    tree: object, where: str, depth: int, seen: set[int]
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each mapping once, however often the tree refers to it: a small file can do so very often."""
    if not isinstance(tree, Mapping) or id(tree) in seen:
        return
    seen.add(id(tree))
    if not tree or not all(isinstance(k, str) for k in tree):
        return
    if all(_is_tensor(v) for v in tree.values()):
        tensors = {k: _as_tensor(v) for k, v in tree.items()}
        if all(k.startswith("module.") for k in tensors):  # of DataParallel
            tensors = {k.removeprefix("module."): v for k, v in tensors.items()}
        yield where, tensors
    elif depth:
        for key, value in tree.items():
            yield from _state_dicts(value, f"{where}.{key}" if where else key, depth - 1, seen)


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "fi" and value.dtype.isnative
    )


def _as_tensor(value: Tensor | np.ndarray[Any, Any]) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return torch.from_numpy(value if value.flags.writeable else value.copy())


def _parts(tensors: dict[str, Tensor], where: str) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Generators among the networks of one state dict, as Lightning's files hold them."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        first, _, rest = key.partition(".")
        parts.setdefault(first, {})[rest] = tensor
    if len(parts) > 1:
        for first, found in parts.items():
            if _GENERATOR.search(first):
                yield (f"{where}.{first}" if where else first), found


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


def renamed(found: Sequence[FoundLayer]) -> dict[str, Tensor]:
    """The tensors of all layers under the names of ``network.Stack``."""
    return {key: value for i, layer in enumerate(found) for key, value in layer.tensors(i)}
