"""Settings read from a StyleGAN2 file, checked: one value for all layers, separable filters.

Guarantees that a setting that this code cannot follow is refused by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import shown

T = TypeVar("T")


def single(path: Path, what: str, values: Mapping[str, T]) -> T:
    """The value that all of some layers share.

    Raises:
        StateMismatchError: two differ (both layers are named), or there is no layer.
    """
    if not values:
        raise StateMismatchError(f"{path}: no layer says its {what}")
    first, value = next(iter(values.items()))
    for name, other in values.items():
        if other != value:
            raise StateMismatchError(
                f"{path}: {what} is {shown(value)} at {first} but {shown(other)} at {name}; one "
                "for all layers is expected"
            )
    return value


def separable_taps(path: Path, name: str, kernel: Tensor) -> tuple[float, ...]:
    """The taps along one axis of a two-dimensional filter, with sum one.

    Args:
        path: the file, for the message.
        name: of the filter in the file.
        kernel: (k, k), or (k,) as files with long filters keep them; of any scale.

    Raises:
        StateMismatchError: not the product of a line with itself, or it sums to zero.
    """
    kernel = kernel.detach().to(torch.float64)
    usable = kernel.ndim in (1, 2) and 0 < kernel.numel() <= 64 * 64
    if usable and bool(kernel.isfinite().all()) and abs(float(kernel.sum())) > 1e-12:
        kernel = kernel / kernel.sum()
        if kernel.ndim == 1:
            return _rounded(kernel)
        line = kernel.sum(dim=1)
        if kernel.shape[0] == kernel.shape[1]:
            product = torch.outer(line, line)
            if bool(torch.allclose(kernel, product, rtol=1e-5, atol=1e-7)):
                return _rounded(line)
    raise StateMismatchError(
        f"{path}: {name} of shape {tuple(kernel.shape)} is not a filter of equal rows and columns"
    )


def check_square(path: Path, tensors: Mapping[str, Tensor], blocks: int) -> None:
    """Refuse networks of images that are not square, as some forks train them.

    Args:
        path: the file, for the message.
        tensors: by our names.
        blocks: resolutions of the network.

    Raises:
        StateMismatchError: says how large the images are.
    """
    const = tensors.get("synthesis.b4.const")
    if const is None or const.ndim != 3 or const.shape[1] == const.shape[2]:
        return
    height, width = (int(side) for side in const.shape[1:])
    scale = 2 ** (blocks - 1)
    raise StateMismatchError(
        f"{path}: generators of images that are not square are not supported; its images are "
        f"{height * scale} pixels high and {width * scale} wide (synthesis.b4.const: "
        f"{height}x{width})"
    )


def _rounded(line: Tensor) -> tuple[float, ...]:
    """Without the last digits, which differ between a filter and four times the same filter."""
    return tuple(round(float(tap), 8) for tap in line)
