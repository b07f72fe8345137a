"""Precise region-of-interest pooling over the full grid, as two small matrix products.

Guarantees the numbers of the precise-RoI-pooling kernel (Jiang et al. 2018, "Acquisition of
Localization Confidence for Accurate Object Detection", eq. 2) for the region (0, 0, W, H) at
spatial scale 1, on any device, differentiable, to rounding.

This is not adaptive average pooling. Pixel i stands at coordinate i, not i + 1/2, the surface
between pixels is bilinear, and outside the grid it is zero: pixel 0 enters the first bin with half
its weight, and in the last cell [L - 1, L] the surface fades to zero. The operation is linear and
separable, so one matrix of weights for each axis is enough.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn


def _hat_integral(u: Tensor) -> Tensor:
    """Integral of the hat max(0, 1 - |t|) from minus infinity to u, element-wise; in [0, 1]."""
    u = u.clamp(-1.0, 1.0)
    return torch.where(u < 0, (1 + u) ** 2 / 2, 1 - (1 - u) ** 2 / 2)


@lru_cache(maxsize=256)
def bin_weights(length: int, bins: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Weights (bins, length) of each pixel in each bin of one axis, values in [0, 1].

    Row b is ``1 / (L/s)`` times the integral over [bL/s, (b+1)L/s] of the hat centred at each pixel
    i, in closed form, computed in float64 and rounded once to ``dtype``. Rows sum to 1 except where
    a bin reaches into the last cell. The result is cached and shared: do not change it in place.

    Raises:
        ValueError: if ``length`` or ``bins`` is less than 1.
    """
    if length < 1 or bins < 1:
        raise ValueError(f"bin_weights: length {length} and bins {bins} must be at least 1")
    # A tensor born in inference mode could not serve a later call that needs gradients.
    with torch.inference_mode(False), torch.no_grad():
        edges = torch.arange(bins + 1, dtype=torch.float64) * length / bins
        pixels = torch.arange(length, dtype=torch.float64)
        reached = _hat_integral(edges[:, None] - pixels[None, :])
        weights = (reached[1:] - reached[:-1]) * (bins / length)
        return weights.to(dtype=dtype, device=device)


def prroi_pool(x: Tensor, bins: int) -> Tensor:
    """Pool maps (N, C, H, W) of any floating dtype to (N, C, bins, bins), same dtype and device.

    out = M_h x M_w^T with the matrices of :func:`bin_weights`.
    """
    rows = bin_weights(x.shape[-2], bins, x.dtype, x.device)
    columns = bin_weights(x.shape[-1], bins, x.dtype, x.device)
    return torch.einsum("bh,nchw,dw->ncbd", rows, x, columns)


class PrRoIPool(nn.Module):
    """:func:`prroi_pool` with a fixed number of bins, as a layer without parameters."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, bins, bins)."""
        return prroi_pool(x, self.bins)

    def extra_repr(self) -> str:
        """The bins, for printing."""
        return f"bins={self.bins}"
