"""Precise region pooling against the original kernel's numbers and against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from seeingkit_adapters.upernet.prroi import PrRoIPool, bin_weights, prroi_pool

SIZES = ("2x2", "6x6", "7x9", "8x8")
SCALES = (1, 2, 3, 6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", SCALES)
def test_equals_the_original_kernel(shared: Path, size: str, scale: int) -> None:
    with np.load(shared / "golden" / "prroi_pool" / "full-grid" / "expected.npz") as arrays:
        x, expected = arrays[f"in.{size}"], arrays[f"out.{size}.{scale}"]
    found = PrRoIPool(scale)(torch.from_numpy(x)).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 12), bins=st.integers(1, 8), data=st.data())
def test_weights_are_the_integral_of_the_hat(length: int, bins: int, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, bins - 1))
    pixel = data.draw(st.integers(0, length - 1))
    low, high = row * length / bins, (row + 1) * length / bins
    kinks = [p for p in (pixel - 1.0, float(pixel), pixel + 1.0) if low < p < high]
    area, _ = quad(lambda t: max(0.0, 1 - abs(t - pixel)), low, high, points=kinks or None)
    weights = bin_weights(length, bins, torch.float64, torch.device("cpu"))
    assert weights[row, pixel].item() == pytest.approx(area / (length / bins), abs=1e-9)


def test_known_matrix_for_eight_pixels_in_two_bins() -> None:
    expected = [
        [0.125, 0.25, 0.25, 0.25, 0.125, 0, 0, 0],
        [0, 0, 0, 0, 0.125, 0.25, 0.25, 0.25],
    ]
    found = bin_weights(8, 2, torch.float64, torch.device("cpu"))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@given(length=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_global_pool_of_ones_fades_in_the_last_cell(length: int) -> None:
    ones = torch.ones(1, 1, length, length, dtype=torch.float64)
    expected = ((length - 0.5) / length) ** 2
    assert prroi_pool(ones, 1).item() == pytest.approx(expected, abs=1e-12)


def test_axes_are_not_mixed_up() -> None:
    x = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    x[0, 0, 3, 1] = 1.0
    pooled = prroi_pool(x, 2)[0, 0]
    rows = bin_weights(4, 2, torch.float64, torch.device("cpu"))[:, 3]
    columns = bin_weights(6, 2, torch.float64, torch.device("cpu"))[:, 1]
    torch.testing.assert_close(pooled, torch.outer(rows, columns))
    assert pooled[1, 0] > 0
    assert pooled[0, 1] == 0


def test_gradients_after_a_first_call_in_inference_mode() -> None:
    bin_weights.cache_clear()
    with torch.inference_mode():
        prroi_pool(torch.ones(1, 1, 5, 5), 3)
    x = torch.rand(1, 2, 5, 5, requires_grad=True)
    prroi_pool(x, 3).sum().backward()  # type: ignore[no-untyped-call]
    expected = bin_weights(5, 3, torch.float32, torch.device("cpu")).sum(0)
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0, 0], torch.outer(expected, expected))


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        bin_weights(0, 2, torch.float32, torch.device("cpu"))
