"""Losses and quality measures of inversion, for each image of a batch by itself.

Guarantee: every loss gives one number per image, (N,), so that no image affects another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seeingkit.errors import ModelError


def mean_absolute(a: Tensor, b: Tensor) -> Tensor:
    """mean |a - b| of each row, (N,): the pixel loss (Bau et al. 2019, section 3.2)."""
    return (a - b).abs().flatten(1).mean(1)


def mean_square(x: Tensor) -> Tensor:
    """mean x² of each row, (N,): the residual loss (``optimize_residuals.py``)."""
    return x.square().flatten(1).mean(1)


def one_minus_cosine(a: Tensor, b: Tensor) -> Tensor:
    """Mean over positions of 1 - cosine over the channel axis, (N,): the code's "cse" loss."""
    similarity = F.cosine_similarity(a, b, dim=1)
    return 1 - similarity.reshape(len(a), -1).mean(1)


def features_difference(
    a: Sequence[Tensor], b: Sequence[Tensor], *, relative: bool = False
) -> Tensor:
    """Mean |difference| of perceptual features, averaged over the layers, (N,).

    Args:
        relative: each layer's divided by its mean |b|.

    Raises:
        ModelError: layers of other shapes on the two sides.
    """
    layers = []
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape:  # they would be broadcast
            raise ModelError(f"features of an image are {tuple(x.shape)} and {tuple(y.shape)}")
        size = y.abs().flatten(1).mean(1).clamp_min(1e-12) if relative else 1.0
        layers.append(mean_absolute(x, y) / size)
    return torch.stack(layers).mean(0)


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of images (N, 3, H, W) in [-1, 1], clamped; (N,) float64.

    10 log10(2² / mean square difference), 100 at most (so images equal to the last bit have one).
    """
    difference = a.clamp(-1, 1).double() - b.clamp(-1, 1).double()
    return 10 * torch.log10(4 / difference.square().flatten(1).mean(1).clamp_min(4e-10))


def correlation(truth: Tensor, estimate: Tensor) -> float:
    """Pearson correlation of all coordinates of all rows together (``test_inversion.ipynb``).

    NaN where one side does not vary.
    """
    a: NDArray[np.float64] = truth.detach().double().flatten().cpu().numpy()
    b: NDArray[np.float64] = estimate.detach().double().flatten().cpu().numpy()
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")
