"""The pretended device at work: which operations it runs, refuses and notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from .functions import FROM_DATA, OWN
from .tensors import (
    DEVICE,
    Kind,
    Transfer,
    computers,
    held,
    names_it,
    place,
    pretended,
    wrapped,
)

_WAITING = frozenset(
    {"_local_scalar_dense", "equal", "is_nonzero", "nonzero", "nonzero_numpy", "masked_select"}
    | {"_unique2", "unique_dim", "unique_consecutive", "bincount", "_linalg_check_errors"}
    | {"_linalg_eigh", "linalg_eig", "_linalg_eigvals", "repeat_interleave"}
)
"""Operations whose CUDA kernels make the host wait: their sizes or errors depend on values."""
_INDEXING = frozenset({"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"})


class PretendedDevice:
    """The device while it is pretended (``pretended_device``), and what crossed to and from it.

    Attributes:
        transfers: in their order.

    >>> PretendedDevice().unnamed()
    []
    """

    def __init__(self) -> None:
        self.transfers: list[Transfer] = []
        self._inside = False  # an operation of torch on pretended tensors, and all that it makes

    def unnamed(self) -> list[Transfer]:
        """Transfers that no function of ``system.devices`` made."""
        return [transfer for transfer in self.transfers if not transfer.named]

    def named(self, kind: Kind) -> int:
        """How many transfers of a kind moved the images or the finished results of a batch."""
        return sum(transfer.named for transfer in self.transfers if transfer.kind == kind)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Pretend in this thread, too (modes of torch belong to one thread)."""
        with ExitStack() as stack:
            stack.enter_context(_Functions(self))
            stack.enter_context(_Operations(self))
            yield

    def function(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A function of torch as Python code calls it."""
        own = OWN.get(func)
        if own is not None:
            with torch._C.DisableTorchFunctionSubclass():
                return own(self, func, args, kwargs)
        device = kwargs.get("device")
        if device is not None:
            return self._made(func, args, kwargs, names_it(device))
        before = self._inside
        self._inside = before or any(map(pretended, tree_leaves((args, kwargs))))
        try:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        finally:
            self._inside = before

    def _made(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], here: bool) -> Any:
        """The tensor of a function that is told where to make it."""
        if here and kwargs.get("generator") is not None:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        given = {**kwargs, "device": torch.device("cpu")}
        if func in FROM_DATA:
            self._note_data(func, args, here)
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*tree_map(held, tuple(args)), **tree_map(held, given))
        return tree_map(wrapped, found) if here else found

    def _note_data(self, func: Any, args: Sequence[Any], here: bool) -> None:
        leaves = tree_leaves(args)
        read = [leaf for leaf in leaves if pretended(leaf)]
        if read and not (here and len(read) == len(leaves) == 1):
            self.note("read", func.__name__)
        if here and not (read and len(leaves) == 1):
            self.note("upload", func.__name__)

    def operation(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """One operation of torch, on the tensors that are held.

        Raises:
            RuntimeError: tensors, or a random generator, of two devices.
        """
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if not any(map(pretended, tensors)):
            found = func(*args, **kwargs)
            return tree_map(wrapped, found) if self._inside and not tensors else found
        if any(isinstance(leaf, torch.Generator) for leaf in leaves):
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        name = func._schema.name.removeprefix("aten::")
        away = self._crossing(name, args, tensors)
        found = func(*tree_map(held, tuple(args)), **tree_map(held, dict(kwargs)))
        if away:
            return args[0]
        # In inference mode a view of an ordinary tensor is an ordinary one.
        ordinary = not all(tensor.is_inference() for tensor in tensors)
        with torch.inference_mode(not ordinary and torch.is_inference_mode_enabled()):
            found = tree_map(wrapped, found)
        return return_and_correct_aliasing(func, tuple(args), dict(kwargs), found)

    def _crossing(self, name: str, args: Sequence[Any], tensors: list[Tensor]) -> bool:
        """Note what one operation moves; True where it copies into a tensor of the CPU.

        Raises:
            RuntimeError: tensors of two devices.
        """
        others = [tensor for tensor in tensors if not pretended(tensor) and tensor.ndim > 0]
        if name == "copy_":
            away = not pretended(args[0])
            if away or others:
                self.note("read" if away else "upload", name)
            return away
        if name in _INDEXING:
            others = self._indexed(name, args, others)
        if others:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{DEVICE} and cpu! ({name} at {place()[0]})"
            )
        if name in _WAITING:
            self.note("read", name)
        return False

    def _indexed(self, name: str, args: Sequence[Any], others: list[Tensor]) -> list[Tensor]:
        """Note what an index moves; the tensors of the CPU that are no index."""
        places = [index for index in args[1] if index is not None]
        filled = len(args) > 2 and args[2].numel() == 1 and not pretended(args[2])
        if not filled and any(index.dtype in (torch.bool, torch.uint8) for index in places):
            self.note("read", f"{name} by a mask")
        elif any(not pretended(index) for index in places):
            self.note("upload", f"{name} by numbers of the CPU")
        return [tensor for tensor in others if not any(tensor is index for index in places)]

    def note(self, kind: Kind, operation: str) -> None:
        """Write a transfer down, with the place that asked for it."""
        where, named = place()
        self.transfers.append(Transfer(kind, operation.strip("_"), where, named))


@contextmanager
def pretended_device() -> Iterator[PretendedDevice]:
    """Let ``cuda`` name a device that is not there, in this thread, until the end of the block.

    Models and tensors that were moved there come back by ``to("cpu")`` inside the block.

    >>> with pretended_device() as device:
    ...     x = torch.ones(3, device="cuda") * 2
    ...     seen = x.sum().item(), str(x.device), len(device.transfers)
    >>> seen
    (6.0, 'cuda:127', 1)
    """
    device = PretendedDevice()
    swapping = torch.__future__.get_swap_module_params_on_conversion()
    computers.append(device)
    # A parameter that moves stays the same object, as on a GPU.
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with device.active():
            yield device
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swapping)
        computers.remove(device)


class _Functions(TorchFunctionMode):
    def __init__(self, device: PretendedDevice) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.device.function(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    def __init__(self, device: PretendedDevice) -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.device.operation(func, args, kwargs or {})
