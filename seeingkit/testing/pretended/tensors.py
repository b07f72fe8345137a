"""Tensors of the pretended device, and the transfers to and from it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from seeingkit.system.devices import fetched, sent

DEVICE = torch.device("cuda:127")
"""The device of pretended tensors. No machine has one of that number, so that what is kept for each
device is never mixed up."""

Kind = Literal["read", "upload"]
_NAMED: frozenset[CodeType] = frozenset({fetched.__code__, sent.__code__})
_HERE = str(Path(__file__).parent)
_TORCH = str(Path(torch.__file__).parent)


@dataclass(frozen=True)
class Transfer:
    """One wait of the host for the device, or one sending of data to it.

    Attributes:
        kind: ``read``: the host waits for values of the device; ``upload``: it sends some there.
        operation: of torch.
        place: file, line and function that asked for it.
        named: whether ``system.devices.fetched`` or ``sent`` did it, for a whole batch.

    >>> Transfer("read", "item", "mygan.py:12 in forward").named
    False
    """

    kind: Kind
    operation: str
    place: str
    named: bool = False

    def __str__(self) -> str:
        return f"{self.operation} at {self.place}"


class Computer(Protocol):
    """What runs functions and operations on pretended tensors."""

    def function(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A function of torch as Python code calls it."""

    def operation(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """One operation of torch."""

    def note(self, kind: Kind, operation: str) -> None:
        """Write a transfer down."""


computers: list[Computer] = []
"""Those at work; the last one is asked."""


def computer() -> Computer:
    """The one at work.

    Raises:
        RuntimeError: the pretence has ended.
    """
    if not computers:
        raise RuntimeError("a tensor of a pretended device is used after its end")
    return computers[-1]


class PretendedTensor(Tensor):
    """A tensor of the pretended device; ``held`` is the tensor on the CPU that computes.

    >>> PretendedTensor(torch.ones(3)).device
    device(type='cuda', index=127)
    """

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> PretendedTensor:
        found = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=held.device,  # for the engine of gradients; Python asks the properties below
        )
        found.held = held
        return found

    def __init__(self, held: Tensor) -> None:
        super().__init__()

    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(
        inner: Mapping[str, Tensor], context: object, size: object, stride: object
    ) -> PretendedTensor:
        return PretendedTensor(inner["held"])

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computer().function(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return computer().operation(func, args, kwargs or {})


def pretended(x: object) -> bool:
    """Whether something is a tensor of the pretended device."""
    return isinstance(x, PretendedTensor)


def held(x: Any) -> Any:
    """The tensor that computes; anything else as it is."""
    return x.held if isinstance(x, PretendedTensor) else x


def wrapped(x: Any) -> Any:
    """A tensor of the CPU as one of the pretended device; anything else as it is."""
    return PretendedTensor(x) if isinstance(x, Tensor) and not pretended(x) else x


def names_it(device: Any) -> bool:
    """Whether a device, or the name of one, is the pretended one."""
    return bool(torch.device(device).type == DEVICE.type)


def place() -> tuple[str, bool]:
    """The innermost place that is neither torch's nor of this package, and whether it is named.

    Returns:
        such as ``network.py:12 in forward``; and whether it was reached through ``fetched`` or
        ``sent``.
    """
    frame: FrameType | None = sys._getframe(1)
    named = False
    while frame is not None:
        code = frame.f_code
        named = named or code in _NAMED
        if code not in _NAMED and not code.co_filename.startswith((_HERE, _TORCH)):
            path = Path(code.co_filename)
            return f"{path.parent.name}/{path.name}:{frame.f_lineno} in {code.co_name}", named
        frame = frame.f_back
    return "nowhere", named


Own = Callable[[Computer, Any, Sequence[Any], Mapping[str, Any]], Any]
"""A function of torch that moves tensors, as the pretended device does it."""
