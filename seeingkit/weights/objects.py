"""What the globals of weights files stand for: tensors, arrays, plain containers, inert records.

Guarantees that the table is exact: a global is known by its whole name or not at all. A storage, an
array or a tensor never claims more values than the bytes it has; foreign objects become ``Inert``,
which holds what they held and does nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seeingkit.errors import CorruptFileError, UnsafeFileError

from .reading import LONG, Budget, Inert, Maker, Shell, scalar
from .wording import shown

_MOST_AXES = 16
_STEPS = 10  # that a tensor or an array counts for: so much longer than others does it take


@dataclass(eq=False)
class Storage:
    """The bytes behind one or more tensors; None while a legacy file is read for the first time."""

    dtype: torch.dtype
    data: memoryview | None = field(repr=False)

    @property
    def count(self) -> int:
        """How many values the bytes hold."""
        return 0 if self.data is None else len(self.data) // self.dtype.itemsize


# ------------------------------------------------------------------------------------------ tensors

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

_DTYPES = {
    f"torch.{name}": getattr(torch, name)
    for name in (
        *("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8"),
        *("uint8", "bool"),
    )
}


def _sizes(what: str, values: Any) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or len(values) > _MOST_AXES:
        raise CorruptFileError(f"damaged tensor: its {what} is not a short tuple of numbers")
    if not all(type(v) is int and 0 <= v < 2**62 for v in values):
        raise CorruptFileError(f"damaged tensor: its {what} {shown(values)} is impossible")
    return tuple(values)


def rebuild_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype | None = None
) -> Tensor:
    """A view of a storage.

    Raises:
        CorruptFileError: it would reach outside the storage.
        UnsafeFileError: it claims more values than are stored.
    """
    if not isinstance(storage, Storage):
        raise CorruptFileError(f"damaged tensor: built from a {type(storage).__name__}")
    if storage.data is None:
        return torch.empty(0)
    size, stride = _sizes("shape", size), _sizes("stride", stride)
    (offset,) = _sizes("offset", (offset,))
    dtype = dtype or storage.dtype
    stored = len(storage.data) // dtype.itemsize
    if len(size) != len(stride):
        raise CorruptFileError("damaged tensor: shape and stride have different lengths")
    count = math.prod(size)
    if count > stored:
        raise UnsafeFileError(
            f"refused, a tensor of shape {size} claims more values than the {stored} stored"
        )
    if not count:
        return torch.empty(size, dtype=dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= stored:
        raise CorruptFileError(f"damaged tensor: shape {size} reaches outside its {stored} values")
    flat = torch.frombuffer(storage.data, dtype=dtype, count=stored)
    return flat.as_strided(size, stride, offset)


def _tensor(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    budget.spend(_STEPS)
    return rebuild_tensor(storage, offset, size, stride)


def _tensor_of_type(
    budget: Budget,
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    _grad: Any,
    _hooks: Any,
    dtype: Any,
    *_: Any,
) -> Tensor:
    budget.spend(_STEPS)
    if not isinstance(dtype, Maker) or dtype.kind not in _DTYPES:
        raise CorruptFileError("damaged tensor: its type is not a number type")
    return rebuild_tensor(storage, offset, size, stride, _DTYPES[dtype.kind])


def _parameter(data: Any, *_: Any) -> Any:
    if not isinstance(data, Tensor):
        raise CorruptFileError(f"damaged parameter: built from a {type(data).__name__}")
    return data


# ------------------------------------------------------------------------------------- numpy arrays


class _NumberType(Shell):
    """A numpy dtype: complete as constructed, but for its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        if isinstance(code, bytes):
            code = code.decode("latin-1")
        if not isinstance(code, str) or code not in _CODES:
            raise UnsafeFileError(f"refused, an array of type {shown(code)}; only numbers are read")
        super().__init__("numpy.dtype", (code,))
        self.dtype = np.dtype(code)

    def finish(self, state: Any) -> _NumberType:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
        order = order.decode("latin-1") if isinstance(order, bytes) else order
        if not isinstance(order, str) or order not in ("<", ">", "=", "|"):
            raise CorruptFileError(f"damaged array: byte order {shown(order)}")
        if order == ">":
            self.dtype = self.dtype.newbyteorder(">")
        return self


_CODES = {
    *("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"),
    *("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"),
    *("<f4", ">f4", "<f8", ">f8", "<i8", ">i8", "<i4", ">i4"),
}


def _dtype(value: Any) -> np.dtype[Any]:
    if isinstance(value, _NumberType):
        return value.dtype
    raise CorruptFileError("damaged array: its type is missing")


def _raw(budget: Budget, value: Any) -> memoryview:
    """The bytes of an array. Python 2 wrote them as text, read here as Latin-1."""
    if isinstance(value, (str, bytes)):
        budget.copy(len(value))
    if isinstance(value, str):
        value = value.encode("latin-1")
    if isinstance(value, bytes):
        return memoryview(bytearray(value))  # short; writable, as torch wants it
    if not isinstance(value, memoryview):
        raise CorruptFileError(f"damaged array: its values are a {type(value).__name__}")
    return value


def _array(
    budget: Budget, shape: Any, dtype: np.dtype[Any], columns_first: bool, data: Any
) -> np.ndarray[Any, Any]:
    budget.spend(_STEPS)
    shape, raw = _sizes("shape", shape), _raw(budget, data)
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise CorruptFileError(f"damaged array: shape {shape} does not fit its {len(raw)} bytes")
    flat = np.frombuffer(raw, dtype=dtype)
    if not dtype.isnative:
        budget.copy(len(raw))
        flat = flat.astype(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F" if columns_first else "C")


class _UnfilledArray(Shell):
    def __init__(self, budget: Budget, *args: Any) -> None:
        super().__init__("numpy.ndarray", args)
        self.budget = budget

    def finish(self, state: Any) -> np.ndarray[Any, Any]:
        if not isinstance(state, tuple) or len(state) != 5:
            raise CorruptFileError("damaged array: its state has not five parts")
        _, shape, dtype, columns_first, data = state
        return _array(self.budget, shape, _dtype(dtype), bool(columns_first), data)


def _array_from_buffer(
    budget: Budget, data: Any, dtype: Any, shape: Any, order: Any, *_: Any
) -> Any:
    return _array(budget, shape, _dtype(dtype), isinstance(order, str) and order == "F", data)


def _number(budget: Budget, dtype: Any, data: Any) -> Any:
    values = np.frombuffer(_raw(budget, data), dtype=_dtype(dtype))
    if values.shape != (1,):
        raise CorruptFileError(f"damaged number: {values.size} values instead of one")
    return values[0].item()


# --------------------------------------------------------------------------------- plain containers


def _mapping(budget: Budget, *args: Any) -> dict[Any, Any]:
    if not args:
        return {}
    made: dict[Any, Any] = {}
    (items,) = args
    if not isinstance(items, (dict, list, tuple)):
        raise CorruptFileError(f"damaged mapping: built from a {type(items).__name__}")
    budget.spend(len(items))
    pairs = items.items() if isinstance(items, dict) else items
    for pair in pairs:
        key, value = pair
        made[scalar(key)] = value
    return made


def _set(budget: Budget, items: Any = ()) -> set[Any]:
    if not isinstance(items, (list, tuple, set)):
        raise CorruptFileError("damaged set")
    budget.spend(len(items))
    return {scalar(item) for item in items}


def _encode(budget: Budget, text: Any, codec: Any = "latin1", *_: Any) -> bytes | memoryview:
    """Bytes as protocol 2 writes them; long ones are writable, so that arrays need no copy."""
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise CorruptFileError("damaged bytes: not Latin-1 text")
    budget.copy(len(text))
    encoded = text.encode("latin-1")
    return memoryview(bytearray(encoded)) if len(encoded) >= LONG else encoded


def _empty_bytes(*args: Any) -> bytes:
    if args:
        raise CorruptFileError("damaged bytes: built from something")
    return b""


def _reconstructed(kind: Any, base: Any, state: Any) -> Any:
    """Objects of protocols 0 and 1: a class, what it extends (object or dict), and its items."""
    if not isinstance(kind, Maker) or not isinstance(base, Maker):
        raise UnsafeFileError("refused, an object of no known class")
    return kind.make(state) if base.kind == "dict" and state else kind.make()


def _shape(sizes: Any = ()) -> tuple[int, ...]:
    return _sizes("shape", sizes)


def _inert(kind: str) -> Callable[..., Inert]:
    def make(*args: Any) -> Inert:
        return Inert(kind, args)

    return make


# ---------------------------------------------------------------------------------- NVIDIA pickles

PERSISTENT = (
    *("Generator", "MappingNetwork", "SynthesisNetwork", "SynthesisBlock", "SynthesisLayer"),
    *("SynthesisInput", "ToRGBLayer", "FullyConnectedLayer", "Conv2dLayer"),
    *("Discriminator", "DiscriminatorBlock", "DiscriminatorEpilogue", "MinibatchStdLayer"),
    "AugmentPipe",
)
"""Module classes in pickles of stylegan2-ada-pytorch and stylegan3 (``torch_utils.persistence``).
Their embedded source is text that nobody reads."""


def _persistent(meta: Any) -> Inert:
    found = meta.get("type") if isinstance(meta, dict) else None
    if not isinstance(found, str) or found != "class":
        raise UnsafeFileError("refused, a persistent object that is not a class")
    name = meta.get("class_name")
    if not isinstance(name, str) or name not in PERSISTENT:
        raise UnsafeFileError(
            f"refused, unknown persistent class {shown(name)}; its code is not run"
        )
    return Inert(f"persistent:{name}", (), meta.get("state"))


# --------------------------------------------------------------------------------------- the table

_MODULES = ("ReLU", "LeakyReLU", "PReLU", "ELU", "SELU", "GELU", "SiLU", "Tanh", "Sigmoid")
_RECORDS = (
    *("argparse.Namespace", "types.SimpleNamespace", "tfutil.Network", "network.Network"),
    *("dnnlib.tflib.network.Network", "pathlib.PosixPath", "pathlib.WindowsPath"),
    *("torch.device", "torch.serialization._get_layout"),
    *(f"torch.nn.modules.activation.{name}" for name in _MODULES),
)


def makers(budget: Budget | None = None) -> dict[str, Maker]:
    """A fresh table of every global that a weights file may name.

    Args:
        budget: of the file: what copies values takes them off it.

    ``torch.storage._load_from_bytes`` is missing: the reader adds it, because the bytes are a whole
    file under the same rules.
    """
    budget = budget or Budget()
    mapping, as_set = partial(_mapping, budget), partial(_set, budget)
    table: dict[str, Callable[..., Any]] = {
        "collections.OrderedDict": mapping,
        "collections.Counter": mapping,
        "dnnlib.EasyDict": mapping,
        "dnnlib.util.EasyDict": mapping,
        "builtins.set": as_set,
        "builtins.frozenset": as_set,
        "__builtin__.set": as_set,
        "__builtin__.frozenset": as_set,
        "_codecs.encode": partial(_encode, budget),
        "copy_reg._reconstructor": _reconstructed,
        "copyreg._reconstructor": _reconstructed,
        "builtins.bytes": _empty_bytes,
        "__builtin__.bytes": _empty_bytes,
        "torch.Size": _shape,
        "torch._utils._rebuild_tensor": partial(_tensor, budget),
        "torch._utils._rebuild_tensor_v2": partial(_tensor, budget),
        "torch._utils._rebuild_tensor_v3": partial(_tensor_of_type, budget),
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
        "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
        "numpy.dtype": _NumberType,
        "numpy.ndarray": _inert("numpy.ndarray"),
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray._reconstruct"] = partial(_UnfilledArray, budget)
        table[f"{core}.multiarray.scalar"] = partial(_number, budget)
        table[f"{core}.numeric._frombuffer"] = partial(_array_from_buffer, budget)
    for name in _RECORDS:
        table[name] = _inert(name)
    found = {name: Maker(name, make) for name, make in table.items()}
    for module in ("builtins", "__builtin__"):
        found[f"{module}.object"] = Maker("object", _inert("object"))
        found[f"{module}.dict"] = Maker("dict", mapping)
    for name in _DTYPES:
        found[name] = Maker(name, _inert(name))
    for name in STORAGES:
        for module in ("torch", "torch.cuda"):
            found[f"{module}.{name}"] = Maker(f"torch.{name}", _inert(f"torch.{name}"))
    for module in ("torch", "torch.storage"):
        name = "torch.UntypedStorage"
        found[f"{module}.UntypedStorage"] = Maker(name, _inert(name))
    return found


def storage_type(value: Any) -> torch.dtype:
    """The number type of a storage class as a file names it.

    Raises:
        UnsafeFileError: not a storage class.
    """
    name = value.kind.removeprefix("torch.") if isinstance(value, Maker) else ""
    if name == "UntypedStorage":
        return torch.uint8
    if name not in STORAGES:
        raise UnsafeFileError(f"refused, a storage of type {shown(value)}; only numbers are read")
    return STORAGES[name]
