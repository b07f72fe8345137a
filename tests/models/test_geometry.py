"""Feature maps stand in the image where their window says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import grid_sample, interpolate

from seeingkit.contracts import Boundary
from seeingkit.errors import UsageError
from seeingkit.models.geometry import cell_size, cell_under, to_image_grid


def cut(
    height: int, width: int, window: tuple[float, float, float, float] = (0, 0, 1, 1)
) -> Boundary:
    return Boundary("r", 1, (2, height, width), "feature", (height, width), window=window)


sides = st.integers(1, 9)


@given(sides, sides, sides, sides, st.floats(0, 2), st.floats(0, 2), st.floats(0.2, 2))
def test_it_is_bilinear_with_the_border_repeated(
    h: int, w: int, height: int, width: int, top: float, left: float, length: float
) -> None:
    window = (-top, -left, -top + length, -left + 2 * length)
    maps = torch.randn(2, 2, h, w, generator=torch.Generator().manual_seed(h), dtype=torch.float64)
    y = ((torch.arange(height).double() + 0.5) / height + top) / length
    x = ((torch.arange(width).double() + 0.5) / width + left) / (2 * length)
    grid = torch.stack(torch.meshgrid(y * 2 - 1, x * 2 - 1, indexing="ij")[::-1], -1)
    there = grid_sample(
        maps, grid.expand(2, -1, -1, -1), padding_mode="border", align_corners=False
    )
    torch.testing.assert_close(to_image_grid(maps, cut(h, w, window), (height, width)), there)
    whole = interpolate(maps, (height, width), mode="bilinear", align_corners=False)
    torch.testing.assert_close(to_image_grid(maps, cut(h, w), (height, width)), whole)
    nearly = (0, 0, 1, 1 + 1e-9)  # the other way of computing it
    torch.testing.assert_close(to_image_grid(maps, cut(h, w, nearly), (height, width)), whole)


@given(sides, sides, st.floats(0, 1), st.floats(0, 1))
def test_the_cell_under_a_place_covers_it(h: int, w: int, y: float, x: float) -> None:
    boundary = cut(h, w, (-0.25, 0.0, 1.25, 1.0))
    row, column = cell_under(boundary, y, x)
    height, width = cell_size(boundary)
    assert row * height - 0.25 - 1e-9 <= y <= (row + 1) * height - 0.25 + 1e-9
    assert column * width - 1e-9 <= x <= (column + 1) * width + 1e-9


def test_what_has_no_map_is_refused() -> None:
    latent = Boundary("w", 1, (8,), "latent")
    for wrong in (lambda: cell_size(latent), lambda: cell_under(latent, 0.5, 0.5)):
        with pytest.raises(UsageError, match="w"):
            wrong()
    with pytest.raises(UsageError, match=r"expected \(N, units, 4, 4\)"):
        to_image_grid(torch.zeros(1, 2, 3, 4), cut(4, 4), (8, 8))
    with pytest.raises(UsageError, match="expected"):
        to_image_grid(torch.zeros(1, 8), latent, (8, 8))
    with pytest.raises(UsageError, match="no cell under"):
        cell_under(cut(4, 4), 1.5, 0.5)
    with pytest.raises(UsageError, match="no window"):
        cut(4, 4, (1.0, 0.0, 0.0, 1.0))
