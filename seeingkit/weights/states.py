"""Tensors by name: taken out of a checkpoint, checked against a network, copied into it.

Guarantees that a network is filled whole or not at all: missing, unexpected and mis-shaped keys are
named, NaN and Inf are refused, and each tensor is copied once, when its place was checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError, UnsafeFileError, WeightsError

from .checkpoints import Checkpoint, read_checkpoint
from .excerpts import shown
from .tensors import STORAGES
from .wrappers import choose_network, networks, networks_with

_PART = 1 << 20
"""Values looked at together."""
_MOST_TENSORS = 20_000  # of one network; the largest published ones have a few thousand
_SHARING = 4  # how often a file's bytes may be used; tied weights use theirs twice
_SLACK = 1 << 20  # bytes, or values, that need no reason
_DTYPES = frozenset(STORAGES.values())


@dataclass(frozen=True)
class WeightsFile:
    """Tensors of one file, by name, with the file's own string metadata and its hash."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    sha256: str = ""


def read_state_dict(path: str | Path, marks: Sequence[str] = ()) -> WeightsFile:
    """Read a file that holds one state dict, in whatever wrappers (see ``wrappers``).

    Args:
        path: the file.
        marks: names of tensors that tell the network wanted from others in the file.

    Raises:
        MissingWeightsError, UnsafeFileError, CorruptFileError: as ``read_checkpoint``.
        StateMismatchError: it holds something else, or NaN or Inf (the key is named).
        UsageError: several of its networks have the marks.

    >>> torch.save({"w": torch.ones(2)}, "g.pth")
    >>> read_state_dict("g.pth").tensors["w"]
    tensor([1., 1.])
    """
    checkpoint = read_checkpoint(path)
    found = networks_with(checkpoint, marks) if marks else []
    every = found or list(networks(checkpoint))
    if len(every) > 1:  # an optimiser's numbers have plain names
        every = [n for n in every if any("." in key for key in n.tree)] or every
    if len(every) > 1 and not found:
        places = ", ".join(network.where or "the whole" for network in every[:4])
        which = f"none of its networks has {marks[0]}" if marks else "holds several networks"
        raise StateMismatchError(f"{checkpoint.path}: {which} ({places})")
    if every:
        network = choose_network(checkpoint.path, every, "network", None)
        tensors = state_dict(checkpoint, network.tree, network.where)
    else:
        tensors = state_dict(checkpoint, checkpoint.content)
    for key, tensor in tensors.items():
        check_finite(checkpoint.path, key, tensor)
    return WeightsFile(checkpoint.path, tensors, checkpoint.metadata, checkpoint.sha256)


def state_dict(checkpoint: Checkpoint, tree: Any, where: str = "") -> dict[str, Tensor]:
    """A mapping of names to tensors out of a checkpoint's tree.

    Args:
        checkpoint: where the tree is from.
        tree: a mapping, such as that of a ``Network``; arrays become tensors.
        where: the name of the mapping in the file, for the message.

    Raises:
        StateMismatchError: not a mapping, or a value that is no tensor (the key is named).

    >>> torch.save({"step": 9, "g_ema": {"w": torch.ones(2)}}, "g.pth")
    >>> checkpoint = read_checkpoint("g.pth")
    >>> state_dict(checkpoint, checkpoint.content["g_ema"], "g_ema")
    {'w': tensor([1., 1.])}
    """
    at = f"{checkpoint.path}: " + (f"{where}: " if where else "")
    if not isinstance(tree, Mapping):
        raise StateMismatchError(f"{at}holds a {type(tree).__name__}, not a state dict")
    tensors: dict[str, Tensor] = {}
    for key, value in tree.items():
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise StateMismatchError(f"{at}{shown(key)} is a {type(value).__name__}, not a tensor")
        _check_type(checkpoint.path, key, value)
        if value.nbytes > value.untyped_storage().nbytes():
            raise UnsafeFileError(f"{at}refused, {key} claims more values than the file stores")
        tensors[key] = value
    check_claims(checkpoint.path, tensors.values(), where)
    return tensors


def check_claims(
    path: Path, values: Iterable[Tensor | np.ndarray[Any, Any]], where: str = ""
) -> None:
    """Refuse a network whose tensors lie on the same bytes, which it would cost much to unfold.

    Args:
        path: the file, for the message.
        values: all tensors or arrays of a network, views of the stored bytes.
        where: the name of the network in the file, for the message.

    Raises:
        UnsafeFileError: they claim several times the bytes that are stored, or are absurdly many.

    >>> check_claims(Path("g.pth"), [torch.zeros(1).expand(1 << 30)])
    Traceback (most recent call last):
    seeingkit.errors.UnsafeFileError: g.pth: ...
    """
    at = f"{path}: " + (f"{where}: " if where else "")
    claimed, count, stored = 0, 0, dict[int, int]()
    for value in values:
        count += 1
        claimed += value.nbytes
        if isinstance(value, Tensor):
            start, there = value.untyped_storage().data_ptr(), value.untyped_storage().nbytes()
        else:
            start, there = value.__array_interface__["data"][0], value.nbytes
        stored[start] = max(there, stored.get(start, 0))
    if count > _MOST_TENSORS:
        raise UnsafeFileError(f"{at}refused, {count} tensors in one network")
    there = sum(stored.values())
    if claimed > _SHARING * there + _SLACK:
        raise UnsafeFileError(f"{at}refused, its tensors claim {claimed} bytes, {there} are stored")


def _check_type(path: Path, key: str, tensor: Tensor) -> None:
    if tensor.dtype not in _DTYPES:
        raise StateMismatchError(f"{path}: {key} is {tensor.dtype}, no type that weights have")


def check_finite(path: Path, key: str, tensor: Tensor) -> None:
    """Refuse NaN and Inf, and types of numbers that no network has.

    Raises:
        StateMismatchError: names the key.

    >>> check_finite(Path("g.pth"), "w", torch.tensor([1.0, float("nan")]))
    Traceback (most recent call last):
    seeingkit.errors.StateMismatchError: g.pth: ...
    """
    _check_type(path, key, tensor)
    if tensor.is_floating_point() and not _is_finite(tensor):
        raise StateMismatchError(f"{path}: {key} holds NaN or Inf; the file is damaged")


def _is_finite(tensor: Tensor) -> bool:
    """Whether there is no NaN or Inf; by parts: looking takes as much room as the values do."""
    tensor = tensor.squeeze()  # parts are taken along the first axis
    if tensor.numel() <= _PART:
        return bool(torch.isfinite(tensor).all())
    rows = max(1, _PART * tensor.shape[0] // tensor.numel())
    return all(bool(torch.isfinite(part).all()) for part in tensor.split(rows))


def check_state(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse tensors that do not fit a network, naming the first few keys.

    Args:
        path: the file, for the message.
        found: tensors, or shapes, by name.
        expected: tensors, or shapes, by name.

    Raises:
        StateMismatchError: a key is missing, unexpected, or of another shape.

    >>> check_state(Path("g.pth"), {"w": torch.ones(2)}, {"w": torch.ones(3)})
    Traceback (most recent call last):
    seeingkit.errors.StateMismatchError: g.pth: ...
    """
    shapes = _shapes(expected)
    for key, shape in _shapes(found).items():
        if key in shapes and shape != shapes[key]:
            raise StateMismatchError(f"{path}: {key} has shape {shape}, expected {shapes[key]}")
    missing = sorted(shapes.keys() - found.keys())
    unexpected = sorted(found.keys() - shapes.keys())
    for fault, keys in (("missing", missing), ("unexpected", unexpected)):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise StateMismatchError(f"{path}: {fault} keys {', '.join(keys[:3])}{more}")


def _shapes(values: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(getattr(value, "shape", value)) for key, value in values.items()}


def fill(
    module: nn.Module, tensors: Mapping[str, Tensor], path: Path, *, optional: Iterable[str] = ()
) -> None:
    """Fill a network built under ``torch.device("meta")``, one tensor at a time.

    Floating-point tensors become float32 (the networks' own type); each is a fresh copy, so that
    nothing of the file stays mapped. Kernels are laid out channels-last, which is faster on CPU.

    Args:
        module: on ``meta``, so that nothing is allocated before the file was checked.
        tensors: by the module's own names.
        path: the file, for the message.
        optional: keys of the module that the file may lack; they must not be on ``meta``.

    Raises:
        StateMismatchError: as ``check_state``, and for NaN, Inf, or whole numbers where fractions
            belong.

    >>> torch.save(nn.Linear(2, 1).state_dict(), "g.pth")
    >>> with torch.device("meta"):
    ...     network = nn.Linear(2, 1)
    >>> fill(network, read_state_dict("g.pth").tensors, Path("g.pth"))
    """
    expected = dict(module.state_dict())
    for key in set(optional) - tensors.keys():
        del expected[key]
    check_state(path, tensors, expected)
    _check_size(path, expected)
    for key, place in expected.items():
        tensor = tensors[key]
        _check_type(path, key, tensor)
        dtype = torch.float32 if place.is_floating_point() else place.dtype
        if place.is_floating_point() and not tensor.is_floating_point():
            raise StateMismatchError(f"{path}: {key} is {tensor.dtype}, not floating point")
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        value = torch.empty(tensor.shape, dtype=dtype, memory_format=layout).copy_(tensor)
        check_finite(path, key, value)  # here, because float64 may be beyond float32
        owner, _, name = key.rpartition(".")
        module.get_submodule(owner).load_state_dict({name: value}, strict=False, assign=True)


def _check_size(path: Path, expected: Mapping[str, Tensor]) -> None:
    """Refuse a network that is larger than its file, before memory is taken for it."""
    values, size = sum(place.numel() for place in expected.values()), path.stat().st_size
    if values > size + _SLACK:
        claim = f"a network of {values} numbers in a file of {size} bytes"
        raise UnsafeFileError(f"{path}: refused, {claim}")


def load_into(module: nn.Module, weights: WeightsFile, **renamed: Tensor) -> None:
    """Copy checked tensors into a module built for them: ``load_into(network, weights)``.

    Args:
        module: gets the tensors.
        weights: by the module's own names.
        renamed: more tensors, or others, by name.

    Raises:
        StateMismatchError: as ``check_state``, and for values beyond float32.

    >>> torch.save(nn.Linear(2, 1).state_dict(), "g.pth")
    >>> load_into(nn.Linear(2, 1), read_state_dict("g.pth"))
    """
    tensors = {**weights.tensors, **renamed}
    check_state(weights.path, tensors, module.state_dict())
    for key, tensor in tensors.items():
        if tensor.dtype == torch.float64:
            check_finite(weights.path, key, tensor.float())
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:  # dtype surprises; shapes were checked above
        raise WeightsError(f"{weights.path}: {str(error).splitlines()[0]}") from error
