"""Shared by both layouts of BigGAN files: the record of a file, and checks of its values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from seeingkit.errors import StateMismatchError

from ..catalog.biggan import BigGANOptions
from .config import BigGANConfig

ROUNDING = 1e-6
"""Of the largest number of a table: by how much rows may differ that are one row stored often. A
trained table's rows differ by about the numbers themselves."""


@dataclass(frozen=True)
class ParsedFile:
    """The contents of a file, ready for the network.

    Attributes:
        config: of the network.
        tensors: by the network's own names; views of the file where possible.
        divisors: spectral norms, by the name of the weight each divides.
        options: the user's, resolved by the file.
        sha256: of the file or files.
    """

    config: BigGANConfig
    tensors: dict[str, Tensor]
    divisors: dict[str, Tensor]
    options: BigGANOptions
    sha256: str


def one_row(table: Tensor) -> bool:
    """Whether all of several rows are the same but for rounding, so that all classes are one."""
    if len(table) < 2:
        return False
    rows = table.float()
    return float((rows - rows[:1]).abs().max()) <= ROUNDING * float(rows.abs().max())


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


def divisor(path: Path, name: str, norm: Tensor) -> Tensor:
    """A spectral norm that a weight can be divided by.

    Raises:
        StateMismatchError: it is 0 or not finite, so that the weight would not be.
    """
    if not math.isfinite(float(norm)) or float(norm) == 0.0:
        raise StateMismatchError(f"{path}: {name} has spectral norm {float(norm):g}")
    return norm
