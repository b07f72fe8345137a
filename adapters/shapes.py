"""Shapes of a file's tensors, from which networks are inferred.

Guarantees that a key that is not there, has other axes or is empty is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from seeingkit.errors import StateMismatchError


def shape_of(path: Path, tensors: Mapping[str, Tensor], key: str, axes: int) -> tuple[int, ...]:
    """Shape of a tensor with the given number of axes, none of them empty.

    Raises:
        StateMismatchError: there is no such key, or it has another number of axes.
    """
    if key not in tensors:
        raise StateMismatchError(f"{path}: missing key {key}")
    shape = tuple(tensors[key].shape)
    if len(shape) != axes or 0 in shape:
        raise StateMismatchError(f"{path}: {key} has shape {shape}, expected {axes} axes")
    return shape


def side_of(path: Path, key: str, values: int, channels: int) -> int:
    """Height and width of square maps of so many channels that hold so many values.

    Raises:
        StateMismatchError: there are no such maps.
    """
    side = math.isqrt(values // channels)
    if not side or channels * side**2 != values:
        raise StateMismatchError(
            f"{path}: {key} gives {values} values, no square map of {channels} channels"
        )
    return side
