"""Shared by both layouts of BigGAN files: the record of a file, and checks of its values."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

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
