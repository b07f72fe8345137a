"""Functions of torch that move tensors between host and device, as the pretended device does them.

They never reach ``__torch_dispatch__`` as moves, because for torch itself all is on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .tensors import DEVICE, Computer, Own, held, names_it, pretended, wrapped


def moved(computer: Computer, x: Tensor, device: object | None, *more: Any, **how: Any) -> Tensor:
    """``x.to(device, …)``: a copy to the other side, differentiable, or a change of type.

    Args:
        computer: notes the transfer.
        x: of either side.
        device: where it is to be; None: where it is.
        more, how: of ``Tensor.to``, without the device.
    """
    copied = x.to(*more, **how) if more or how else x
    if device is None or names_it(device) == pretended(x):
        return copied
    unpinned = pretended(x) or not getattr(x, "_pretends_pinned", False)
    if unpinned or not how.get("non_blocking"):
        computer.note("read" if pretended(x) else "upload", "to")
    return _Move.apply(copied)  # type: ignore[no-any-return]


class _Move(torch.autograd.Function):
    """A copy to the other side; its gradient goes back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return held(x).clone() if pretended(x) else wrapped(x.clone())  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Move.forward(ctx, gradient)


def _to(computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    x, *rest = args
    given = dict(kwargs)
    if "other" in given:
        rest = [given.pop("other"), *rest]
    if rest and isinstance(rest[0], Tensor):
        given.setdefault("dtype", rest[0].dtype)
        return moved(computer, x, rest[0].device, *rest[1:], **given)
    device = given.pop("device", None)
    if rest and not isinstance(rest[0], torch.dtype):
        device, *rest = rest
    if rest and not isinstance(rest[0], bool):
        given["dtype"], *rest = rest
    given |= zip(("non_blocking", "copy"), rest, strict=False)
    return moved(computer, x, device, **given)


def _cpu(computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return moved(computer, args[0], torch.device("cpu"))


def _cuda(computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return moved(computer, args[0], DEVICE)


def _refused(computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if not pretended(args[0]):
        return func(*args, **kwargs)
    raise TypeError(
        f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() to copy the tensor "
        "to host memory first."
    )


def _read(computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A function whose result is no tensor, and that torch does beside its operations."""
    if pretended(args[0]):
        computer.note("read", func.__name__)
    return func(*map(held, args), **kwargs)


def _data(computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return args[0].detach() if pretended(args[0]) else func(*args)


def _pinned(computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if pretended(args[0]):
        raise RuntimeError(f"cannot pin '{DEVICE}' only dense CPU tensors can be pinned")
    found = args[0].clone()
    found._pretends_pinned = True
    return found


def _is_pinned(
    computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    return getattr(args[0], "_pretends_pinned", False)


def _as_tensor(
    computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """``as_tensor`` of a tensor is a move; of anything else, a tensor made of it."""
    data, *rest = args
    device = kwargs.get("device")
    dtype = kwargs.get("dtype", rest[0] if rest else None)
    if isinstance(data, Tensor):
        kind = {} if dtype is None else {"dtype": dtype}
        return moved(computer, data, device, **kind)
    found = torch.tensor(data, dtype=dtype) if func is torch.tensor else _plain(func, data, dtype)
    return found if device is None else moved(computer, found, device)


def _plain(func: Any, data: Any, dtype: torch.dtype | None) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return func(data, dtype=dtype)  # type: ignore[no-any-return]


def _new_tensor(
    computer: Computer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    like, data, *_ = args
    given = {"dtype": like.dtype, **kwargs}
    device = given.pop("device", like.device)
    return moved(computer, torch.tensor(data, **given), device)


OWN: Mapping[Any, Own] = {
    Tensor.to: _to,
    Tensor.cpu: _cpu,
    Tensor.cuda: _cuda,
    Tensor.numpy: _refused,
    Tensor.__array__: _refused,
    Tensor.__dlpack__: _refused,
    Tensor.tolist: _read,
    Tensor.__repr__: _read,
    Tensor.__format__: _read,
    Tensor.data.__get__: _data,  # type: ignore[attr-defined]
    Tensor.pin_memory: _pinned,
    Tensor.is_pinned: _is_pinned,
    Tensor.new_tensor: _new_tensor,
    torch.as_tensor: _as_tensor,
    torch.asarray: _as_tensor,
}
"""By the function as ``__torch_function__`` is given it."""
FROM_DATA = frozenset({torch.tensor})
"""Functions that copy data of the host to the device they are told."""
