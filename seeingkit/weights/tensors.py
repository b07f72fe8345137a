"""Constructors of tensors: storages, and views of them.

Guarantees: a tensor never reaches outside its storage nor claims more values than are stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from seeingkit.errors import CorruptFileError, UnsafeFileError

from .excerpts import shown
from .reader import Budget
from .records import Constructor

STEPS = 10
"""Operations that one tensor or array counts for, because it takes so much longer."""

MOST_AXES = 16
"""Axes of a tensor or array, whatever the file is written in: no network has more than five."""

STORAGES: dict[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""Number type of each storage class, by its name."""

DTYPES = {str(dtype): dtype for dtype in STORAGES.values()}
"""Number types by their name in a file, such as ``torch.float32``."""


@dataclass(eq=False)
class Storage:
    """The bytes behind one or more tensors; None while a legacy file is read for the first time."""

    dtype: torch.dtype
    data: memoryview | None = field(repr=False)

    @property
    def count(self) -> int:
        """Number of values that the bytes hold."""
        return 0 if self.data is None else len(self.data) // self.dtype.itemsize


def storage_type(value: Any) -> torch.dtype:
    """The number type of a storage class named by a file."""
    name = value.kind.removeprefix("torch.") if isinstance(value, Constructor) else ""
    if name == "UntypedStorage":
        return torch.uint8
    if name not in STORAGES:
        raise UnsafeFileError(f"refused, a storage of type {shown(value)}; only numbers are read")
    return STORAGES[name]


def checked_sizes(part: str, values: Any) -> tuple[int, ...]:
    """Shape, stride or offset (``part`` names it): a short tuple of numbers, none negative."""
    if not isinstance(values, (tuple, list)) or len(values) > MOST_AXES:
        raise CorruptFileError(f"damaged tensor: its {part} is not a short tuple of numbers")
    if not all(type(v) is int and 0 <= v < 2**62 for v in values):
        raise CorruptFileError(f"damaged tensor: its {part} {shown(values)} is impossible")
    return tuple(values)


def rebuild_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype | None = None
) -> Tensor:
    """A view of a storage, inside it and of no more values than are stored."""
    if not isinstance(storage, Storage):
        raise CorruptFileError(f"damaged tensor: built from a {type(storage).__name__}")
    if storage.data is None:
        return torch.empty(0)
    size, stride = checked_sizes("shape", size), checked_sizes("stride", stride)
    (offset,) = checked_sizes("offset", (offset,))
    dtype = dtype or storage.dtype
    stored = len(storage.data) // dtype.itemsize
    if len(size) != len(stride):
        raise CorruptFileError("damaged tensor: shape and stride have different lengths")
    count = math.prod(size)
    if count > stored:
        claim = f"claims more values than the {stored} stored"
        raise UnsafeFileError(f"refused, a tensor of shape {size} {claim}")
    if not count:
        return torch.empty(size, dtype=dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= stored:
        raise CorruptFileError(f"damaged tensor: shape {size} reaches outside its {stored} values")
    flat = torch.frombuffer(storage.data, dtype=dtype, count=stored)
    return flat.as_strided(size, stride, offset)


def make_tensor(
    budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, *_: Any
) -> Tensor:
    """``torch._utils._rebuild_tensor`` and ``_rebuild_tensor_v2``."""
    budget.spend(STEPS)
    return rebuild_tensor(storage, offset, size, stride)


def make_tensor_of_type(
    budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any
) -> Tensor:
    """``torch._utils._rebuild_tensor_v3``, of another type than its storage."""
    _grad, _hooks, dtype, *_ = rest
    budget.spend(STEPS)
    if not isinstance(dtype, Constructor) or dtype.kind not in DTYPES:
        raise CorruptFileError("damaged tensor: its type is not a number type")
    return rebuild_tensor(storage, offset, size, stride, DTYPES[dtype.kind])


def make_parameter(data: Any, *_: Any) -> Any:
    """``torch._utils._rebuild_parameter``: the tensor itself."""
    if not isinstance(data, Tensor):
        raise CorruptFileError(f"damaged parameter: built from a {type(data).__name__}")
    return data
