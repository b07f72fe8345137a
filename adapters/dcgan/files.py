"""Stacks of layers in weights files: the choice of a file's network, and its whole plan.

Guarantees that nothing absent from a file is guessed in silence: strides and paddings follow from
kernels only where one choice is usual (format notes, section 7), else the message names the option
to give; several networks that fit are never chosen from without ``key``.
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
from .chain import FoundLayer, UnfitError, stack
from .network import LayerPlan, Plan

_GENERATOR = re.compile(r"(?i)^(.*[._])?(net_?g|g|gen|generator|g_?ema|ema_?g|.*generator)$")
_USUAL = {2: (2, 0), 4: (2, 1)}  # stride and padding of later transposed kernels: they double
_TRANSPOSED = re.compile(r"(?i)conv_?t|convtrans|deconv|t_?conv|transp|dcv")


@dataclass(frozen=True)
class Candidate:
    """One network of a file that is a plain stack.

    Attributes:
        where, averaged, named: see ``seeingkit.weights.Network``.
        layers: first to last.
    """

    where: str
    layers: list[FoundLayer]
    averaged: bool = False
    named: bool = True


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
    found.append(Candidate(network.where, layers, network.averaged))
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


def convolutions(path: Path, found: Sequence[FoundLayer], options: DCGANOptions) -> list[LayerPlan]:
    """The layers with their strides and paddings.

    The rules, each overruled by ``options``: the first convolution turns the 1x1 latent into a map
    as large as its kernel; later transposed kernels of 4x4 and 2x2 double the map; a convolution
    that is not transposed keeps it; a transposed 1x1 keeps it too, but the last one to a single
    channel at 32 pixels crops it to 28 (padding 2, csinva's MNIST network; the grey CIFAR-100
    network of the same author has the same keys and needs ``paddings``). With strides given,
    paddings make a map grow by the stride, exactly.

    Raises:
        UsageError: names the layer whose stride, padding or kind the file leaves open, or an
            option of the wrong length.
    """
    maps = [layer for layer in found if layer.kind != "linear"]
    lists: dict[str, Sequence[Any] | None] = {
        "strides": options.strides,
        "paddings": options.paddings,
        "output_paddings": options.output_paddings,
        "kinds": options.kinds,
    }
    for name, values in lists.items():
        if values is not None and len(values) != len(maps):
            raise UsageError(
                f"{path}: {name} has {len(values)} numbers, the file {len(maps)} convolutions "
                f"({', '.join(layer.main.path for layer in maps)})"
            )
    plans: list[LayerPlan] = []
    size, k = 0, 0
    for i, layer in enumerate(found):
        if layer.doubt and not options.strides:
            raise StateMismatchError(f"{path}: {layer.doubt}; {OWN_CODE}")
        if layer.kind == "linear":
            plans.append(layer.plan())
        else:
            given = {name: values[k] for name, values in lists.items() if values is not None}
            if i and (found[i - 1].gap or 0) > 1 and not options.strides:
                given["upsampled"] = found[i - 1].gap
            plans.append(_convolution(path, layer, size, found, given, i == len(found) - 1))
            k += 1
        size = plans[-1].size(size)
        if size < (layer.kind != "linear"):
            raise UsageError(f"{path}: {layer.main.path}: no pixel is left; check the paddings")
    return plans


OWN_CODE = "load it by its own code with --gan module:FILE.py:FUNCTION and --weights"


def _convolution(
    path: Path,
    layer: FoundLayer,
    size: int,
    found: Sequence[FoundLayer],
    given: dict[str, Any],
    last: bool,
) -> LayerPlan:
    kernel, name = layer.main.shape[2], layer.main.path
    kind = given.get("kinds") or (_kind(path, layer, found) if layer.kind == "open" else layer.kind)
    if layer.kind not in ("open", kind):
        raise UsageError(f"{path}: {name} is of kind {layer.kind} by its shape, not {kind}")
    if kind == "conv" and "upsampled" in given:
        raise StateMismatchError(
            f"{path}: {given['upsampled']} modules without tensors stand before {name}, one of "
            f"which may enlarge the map; give strides if none does, else {OWN_CODE}"
        )
    stride, padding, extra = given.get("strides"), given.get("paddings"), None
    if kind == "conv":
        stride = stride or 1
        if padding is None and kernel % 2 == 0:
            raise UsageError(f"{path}: {name} is a {kernel}x{kernel} convolution; give paddings")
        padding = (kernel - 1) // 2 if padding is None else padding
    elif not size:
        stride, padding = stride or 1, padding or 0
    elif kernel == 1 and stride in (None, 1):
        crop = last and layer.outputs == 1 and size == 32
        stride, padding = 1, (2 if crop else 0) if padding is None else padding
    else:
        if stride is None and kernel not in _USUAL:
            raise UsageError(
                f"{path}: {name} is a transposed {kernel}x{kernel} convolution, whose stride and "
                "padding are not in the file; give strides= (and paddings=), one number for each "
                f"of the {sum(f.kind != 'linear' for f in found)} convolutions, first to last"
            )
        stride = stride or _USUAL[kernel][0]
        if padding is None:
            padding = max(0, -((stride - kernel) // 2))
            extra = 2 * padding + stride - kernel
    chosen = given.get("output_paddings")
    return layer.plan(
        kind=kind,
        stride=stride,
        padding=padding,
        output_padding=(extra or 0) if chosen is None else chosen,
    )


def _kind(path: Path, layer: FoundLayer, found: Sequence[FoundLayer]) -> str:
    """Whether a layer of equally many channels in and out is transposed: by kernel and name."""
    kernel, word = layer.main.shape[2], _word(layer)
    if kernel % 2 == 0:
        return "up"  # an even kernel that is not transposed would not keep the map
    known = {kind: {_word(f) for f in found if f.kind == kind} for kind in ("up", "conv")}
    if word and (word in known["up"]) != (word in known["conv"]):
        return "up" if word in known["up"] else "conv"
    if _TRANSPOSED.search(word):
        return "up"
    if "conv" in word.lower() and any(_TRANSPOSED.search(other) for other in known["up"]):
        return "conv"
    raise UsageError(
        f"{path}: {layer.main.path} has as many channels in as out, so the file leaves open "
        "whether it is a transposed convolution; give kinds=, up or conv for each convolution"
    )


def _word(layer: FoundLayer) -> str:
    """The last part of a name without its numbers; empty where modules are just numbered."""
    return re.sub(r"[\d_]+", "", layer.main.path.rpartition(".")[2])


def whole_plan(
    path: Path,
    stored: Mapping[str, Any],
    options: DCGANOptions | MLPGANOptions,
) -> Plan:
    """A plan as stored or read, with the options that were given in place of its own values.

    Raises:
        UsageError: layers and options that make no network.
        StateMismatchError: a stored config that is no plan.
    """
    names = ("activation", "slope", "final", "eps", "shape")
    chosen = {name: getattr(options, name, None) for name in names}
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        return Plan(**{**stored, **given})
    except ValidationError as error:
        refusal = UsageError if options.model_fields_set else StateMismatchError
        raise refusal(f"{path}: {first_fault(error)}") from error


def renamed(found: Sequence[FoundLayer]) -> dict[str, Tensor]:
    """The tensors of all layers under the names of ``network.Stack``."""
    return {key: value for i, layer in enumerate(found) for key, value in layer.tensors(i)}
