"""Constructors of NumPy arrays, as views of their bytes.

Guarantees: an array never claims more values than the bytes it has; its type is one of numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seeingkit.errors import CorruptFileError, UnsafeFileError

from .excerpts import shown
from .reader import Budget
from .records import Unfinished
from .tensors import STEPS, checked_sizes

_SHORT_CODES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_LONG_CODES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
_ORDERED_CODES = ("<f4", ">f4", "<f8", ">f8", "<i8", ">i8", "<i4", ">i4")
_CODES = {*_SHORT_CODES, *_LONG_CODES, *_ORDERED_CODES}


class NumberType(Unfinished):
    """A numpy dtype: complete as constructed, but for its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        if isinstance(code, bytes):
            code = code.decode("latin-1")
        if not isinstance(code, str) or code not in _CODES:
            raise UnsafeFileError(f"refused, an array of type {shown(code)}; only numbers are read")
        super().__init__("numpy.dtype", (code,))
        self.dtype = np.dtype(code)

    def finish(self, state: Any) -> NumberType:
        """Set the byte order."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
        order = order.decode("latin-1") if isinstance(order, bytes) else order
        if not isinstance(order, str) or order not in ("<", ">", "=", "|"):
            raise CorruptFileError(f"damaged array: byte order {shown(order)}")
        if order == ">":
            self.dtype = self.dtype.newbyteorder(">")
        return self


def _dtype(value: Any) -> np.dtype[Any]:
    if isinstance(value, NumberType):
        return value.dtype
    raise CorruptFileError("damaged array: its type is missing")


def _raw(budget: Budget, value: Any) -> memoryview:
    """The bytes of an array; Python 2 wrote them as text, read here as Latin-1."""
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
    budget.spend(STEPS)
    shape, raw = checked_sizes("shape", shape), _raw(budget, data)
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise CorruptFileError(f"damaged array: shape {shape} does not fit its {len(raw)} bytes")
    flat = np.frombuffer(raw, dtype=dtype)
    if not dtype.isnative:
        budget.copy(len(raw))
        flat = flat.astype(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F" if columns_first else "C")


class UnfilledArray(Unfinished):
    """An array that gets shape, type and values from its state."""

    def __init__(self, budget: Budget, *args: Any) -> None:
        super().__init__("numpy.ndarray", args)
        self.budget = budget

    def finish(self, state: Any) -> np.ndarray[Any, Any]:
        """The array."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise CorruptFileError("damaged array: its state has not five parts")
        _, shape, dtype, columns_first, data = state
        return _array(self.budget, shape, _dtype(dtype), bool(columns_first), data)


def make_array(budget: Budget, data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> Any:
    """``numpy._core.numeric._frombuffer``."""
    return _array(budget, shape, _dtype(dtype), isinstance(order, str) and order == "F", data)


def make_number(budget: Budget, dtype: Any, data: Any) -> Any:
    """``numpy._core.multiarray.scalar``: one value, as a Python number."""
    values = np.frombuffer(_raw(budget, data), dtype=_dtype(dtype))
    if values.shape != (1,):
        raise CorruptFileError(f"damaged number: {values.size} values instead of one")
    return values[0].item()
