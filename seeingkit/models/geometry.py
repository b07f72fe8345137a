"""Where a feature map lies in the image: one upsampling for every analysis.

Guarantees: the middle of cell (i, j) stands where ``Boundary.window`` says; between the middles the
values are bilinear, and beyond the outermost ones they stay as there. With the window of a map that
covers exactly the image this is ``interpolate(mode="bilinear", align_corners=False)``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from seeingkit.contracts import Boundary
from seeingkit.errors import UsageError

_WHOLE = (0.0, 0.0, 1.0, 1.0)


def to_image_grid(
    maps: Tensor,
    boundary: Boundary,
    size: tuple[int, int],
    pixels: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Feature maps at the pixels of an image of another size.

    Args:
        maps: (N, U, h, w), floating point, at the boundary.
        boundary: where they lie.
        size: (H, W) of the grid wanted, such as that of a label map.
        pixels: rows (H',) and columns (W',) int64 of the pixels that are wanted; None: all.

    Returns:
        (N, U, H, W), or of H' and W', of the same dtype.

    Raises:
        UsageError: maps without height and width, or of another size than the boundary has.

    >>> r2 = Boundary("r2", 1, (1, 2, 2), "feature", (2, 2))
    >>> to_image_grid(torch.tensor([[[[0.0, 4.0], [0.0, 4.0]]]]), r2, (2, 4))[0, 0, 0]
    tensor([0., 1., 3., 4.])
    """
    if maps.ndim != 4 or tuple(maps.shape[2:]) != boundary.extent:
        raise UsageError(
            f"{boundary.name}: maps of shape {tuple(maps.shape)}, expected (N, units, "
            f"{', '.join(map(str, boundary.extent or ('height', 'width')))})"
        )
    if boundary.window == _WHOLE and (pixels is None or tuple(maps.shape[2:]) == size):
        if tuple(maps.shape[2:]) != size:
            return interpolate(maps, size, mode="bilinear", align_corners=False)
        return maps if pixels is None else maps[:, :, pixels[0]][:, :, :, pixels[1]]
    top, left, bottom, right = boundary.window
    rows = _weights(size[0], maps.shape[2], top, bottom)
    columns = _weights(size[1], maps.shape[3], left, right)
    if pixels is not None:
        rows, columns = rows[pixels[0]], columns[pixels[1]]
    return rows.to(maps) @ maps @ columns.to(maps).T


def _weights(pixels: int, cells: int, start: float, end: float) -> Tensor:
    """(pixels, cells): the share of each cell in each pixel, along one axis."""
    middles = (torch.arange(pixels, dtype=torch.float64) + 0.5) / pixels
    place = ((middles - start) / (end - start) * cells - 0.5).clamp(0, cells - 1)
    distance = (place[:, None] - torch.arange(cells, dtype=torch.float64)).abs()
    return (1 - distance).clamp(min=0)


def cell_size(boundary: Boundary) -> tuple[float, float]:
    """Height and width of a cell, in heights and widths of the image.

    Raises:
        UsageError: the boundary has no map.

    >>> cell_size(Boundary("r8", 2, (512, 8, 8), "feature", (8, 8)))
    (0.125, 0.125)
    """
    if boundary.extent is None:
        raise UsageError(f"{boundary.name} has no map of cells")
    top, left, bottom, right = boundary.window
    return (bottom - top) / boundary.extent[0], (right - left) / boundary.extent[1]


def cell_under(boundary: Boundary, y: float, x: float) -> tuple[int, int]:
    """The cell (row, column) under a place of the image, given in heights and widths of it.

    Raises:
        UsageError: the boundary has no map, or the place is outside the image.

    >>> cell_under(Boundary("r8", 2, (512, 8, 8), "feature", (8, 8)), 0.99, 0.5)
    (7, 4)
    """
    if boundary.extent is None or not (0 <= y <= 1 and 0 <= x <= 1):
        raise UsageError(f"{boundary.name}: no cell under ({y:g}, {x:g})")
    (height, width), (top, left) = cell_size(boundary), boundary.window[:2]
    row, column = math.floor((y - top) / height), math.floor((x - left) / width)
    return min(max(row, 0), boundary.extent[0] - 1), min(max(column, 0), boundary.extent[1] - 1)
