"""Cells of a feature map and the pixels that they stand for.

Guarantees: a cell has the place in the image that ``Boundary.window`` gives it; cells have flat
numbers row · width + column. Where the map covers exactly the image, the share of a class in a cell
is ``adaptive_avg_pool2d``, as in the code of GAN Dissection.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from seeingkit.contracts import Boundary
from seeingkit.errors import UsageError
from seeingkit.models.geometry import cell_size

_WHOLE = (0.0, 0.0, 1.0, 1.0)
OUTSIDE = -1
"""Label under a cell whose middle the image does not show."""


def cell_means(maps: Tensor, boundary: Boundary) -> Tensor:
    """Means over the pixels of each cell; differentiable.

    Args:
        maps: (N, H, W) over the image, such as a mask or a score.
        boundary: whose cells.

    Returns:
        (N, h, w); 0 in cells that the image does not show.

    Raises:
        UsageError: the boundary has no map.

    >>> r1 = Boundary("r1", 1, (8, 1, 2), "feature", (1, 2))
    >>> cell_means(torch.tensor([[[1.0, 0.0, 0.0, 0.0]]]), r1).tolist()
    [[[0.5, 0.0]]]
    """
    if boundary.extent is None:
        raise UsageError(f"{boundary.name!r} has no map of cells")
    if boundary.window == _WHOLE:
        return adaptive_avg_pool2d(maps[:, None], boundary.extent)[:, 0]
    top, left, bottom, right = boundary.window
    rows = _shares(maps.shape[1], boundary.extent[0], top, bottom).to(maps)
    columns = _shares(maps.shape[2], boundary.extent[1], left, right).to(maps)
    return rows @ maps @ columns.T


def _shares(pixels: int, cells: int, start: float, end: float) -> Tensor:
    """(cells, pixels): the share of each pixel in what a cell shows, along one axis."""
    edges = start + (end - start) * torch.arange(cells + 1, dtype=torch.float64) / cells
    lines = torch.arange(pixels + 1, dtype=torch.float64) / pixels
    low = torch.maximum(edges[:-1, None], lines[None, :-1])
    high = torch.minimum(edges[1:, None], lines[None, 1:])
    overlap = (high - low).clamp(min=0)
    return overlap / overlap.sum(1, keepdim=True).clamp(min=1e-12)


def cell_masks(cells: Sequence[int] | NDArray[np.int64], extent: tuple[int, int]) -> Tensor:
    """A mask of one cell for each of N images: (N, 1, h, w) of zeros and ones.

    Raises:
        UsageError: a cell that the map does not have.

    >>> cell_masks([1], (1, 3)).tolist()
    [[[[0.0, 1.0, 0.0]]]]
    """
    numbers = np.asarray(cells, dtype=np.int64)
    size = extent[0] * extent[1]
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < size):
        wrong = numbers[(numbers < 0) | (numbers >= size)][0]
        raise UsageError(f"no cell {wrong}; the map's cells are 0 to {size - 1}")
    masks = torch.zeros(len(numbers), size)
    masks[torch.arange(len(numbers)), torch.from_numpy(numbers)] = 1
    return masks.reshape(len(numbers), 1, *extent)


def box_mask(boundary: Boundary, box: tuple[float, float, float, float]) -> Tensor:
    """The cells whose middle lies in a part of the image: (h, w) of zeros and ones.

    Args:
        box: top, left, bottom, right, in heights and widths of the image.

    Raises:
        UsageError: no such part, or no cell's middle lies in it.

    >>> box_mask(Boundary("r2", 1, (8, 2, 2), "feature", (2, 2)), (0.5, 0, 1, 1)).tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    if boundary.extent is None:
        raise UsageError(f"{boundary.name!r} has no map of cells")
    top, left, bottom, right = box
    if not (0 <= top < bottom <= 1 and 0 <= left < right <= 1):
        said = ",".join(f"{end:g}" for end in box)
        raise UsageError(f"box {said}: give top,left,bottom,right from 0 to 1")
    (height, width), (start, side) = cell_size(boundary), boundary.window[:2]
    y = start + height * (torch.arange(boundary.extent[0], dtype=torch.float64) + 0.5)
    x = side + width * (torch.arange(boundary.extent[1], dtype=torch.float64) + 0.5)
    mask = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))[None, :]
    if not bool(mask.any()):
        raise UsageError(f"no cell of {boundary.name!r} has its middle in the box; make it larger")
    return mask.float()


def labels_under(maps: Tensor, boundary: Boundary) -> Tensor:
    """The label under the middle of each cell: (N, H, W) int64 to (N, h · w).

    ``OUTSIDE`` where the image does not show the middle.

    >>> r1 = Boundary("r1", 1, (8, 1, 2), "feature", (1, 2))
    >>> labels_under(torch.tensor([[[1, 2, 3, 4]]]), r1).tolist()
    [[2, 4]]
    """
    if boundary.extent is None:
        raise UsageError(f"{boundary.name!r} has no map of cells")
    (height, width), (top, left) = cell_size(boundary), boundary.window[:2]
    rows = _middles(maps.shape[1], boundary.extent[0], top, height).to(maps.device)
    columns = _middles(maps.shape[2], boundary.extent[1], left, width).to(maps.device)
    picked = maps[:, rows.clamp(min=0)][:, :, columns.clamp(min=0)]
    outside = (rows < 0)[:, None] | (columns < 0)[None, :]
    return picked.masked_fill(outside, OUTSIDE).flatten(1)


def _middles(pixels: int, cells: int, start: float, size: float) -> Tensor:
    """The pixel under the middle of each cell along one axis, -1 outside of the image."""
    middles = start + size * (torch.arange(cells, dtype=torch.float64) + 0.5)
    # A middle on the line between two pixels belongs to the second, in spite of rounding.
    found = torch.floor(middles * pixels + 1e-9).to(torch.int64)
    return torch.where((found >= 0) & (found < pixels), found, -1)
