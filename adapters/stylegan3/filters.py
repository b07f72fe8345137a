"""The filtered nonlinearity of StyleGAN3 (Karras et al., NeurIPS 2021, section 3.2, figure 4a).

Guarantees the order that the published weights were trained with: bias, zeros between samples and
the upsampling filter with gain ``up ** 2``, leaky ReLU with its gain, clamp, the downsampling
filter, every ``down``-th sample. Outside a map all is zero.

Filters are tensors: None (a single tap of 1), one axis (separable: applied to columns and rows), or
two axes (radially symmetric, configuration R). They are true convolutions: a filter is mirrored for
the correlation that libraries compute. Paddings are (left, right, top, bottom) and may be negative,
which crops.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Padding = tuple[int, int, int, int]


def filtered_leaky_relu(
    x: Tensor,
    bias: Tensor,
    up_filter: Tensor | None,
    down_filter: Tensor | None,
    *,
    up: int,
    down: int,
    padding: Padding,
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    """Bias, upsample, leaky ReLU, clamp, downsample.

    Args:
        x: (N, C, H, W).
        bias: (C,).
        up_filter: (T,), (T_y, T_x) or None.
        down_filter: likewise.
        up: zeros are put between samples so that there are this many times more.
        down: every ``down``-th sample is kept.
        padding: zeros around the map between the two steps of upsampling.
        gain: factor of the nonlinearity, above 0.
        slope: of the nonlinearity below zero.
        clamp: bound of the magnitude after the gain, or None.

    Returns:
        (N, C, ``filtered_size(H, …)``, ``filtered_size(W, …)``).
    """
    # a positive gain passes through filter and slope: it costs less here than on the larger map
    x = upsample((x + bias[:, None, None]) * gain, up_filter, up, padding)
    forward_only = not torch.is_grad_enabled()  # then the largest map there is need not be copied
    if slope != 1.0:
        x = F.leaky_relu(x, slope, inplace=forward_only)
    if clamp is not None:
        x = x.clamp_(-clamp, clamp) if forward_only else x.clamp(-clamp, clamp)
    return downsample(x, down_filter, down)


def filtered_size(
    size: int, up: int, down: int, up_taps: int, down_taps: int, before: int, after: int
) -> int:
    """Samples along one axis after ``filtered_leaky_relu``; below 1 if nothing is left."""
    return (size * up + before + after - (up_taps - 1) - (down_taps - 1) - 1) // down + 1


def upsample(x: Tensor, taps: Tensor | None, up: int, padding: Padding) -> Tensor:
    """Zeros between samples (after each), then padding, then the filter with gain ``up ** 2``.

    Returns:
        (N, C, H * up + top + bottom - (T_y - 1), W * up + left + right - (T_x - 1)).
    """
    left, right, top, bottom = padding
    if taps is None:
        taps = x.new_ones(1)
    if taps.ndim == 1:
        row, column = taps[None, :] * up, taps[:, None] * up
        x = _spread(x, row, (1, up), (left, right, 0, 0))
        return _spread(x, column, (up, 1), (0, 0, top, bottom))
    return _spread(x, taps * up**2, (up, up), padding)


def downsample(x: Tensor, taps: Tensor | None, down: int) -> Tensor:
    """The filter where it lies wholly inside the map, then every ``down``-th sample."""
    if taps is None:
        return x[:, :, ::down, ::down] if down > 1 else x
    if taps.ndim == 1:
        x = _filter(x, taps[None, :], (1, down))
        return _filter(x, taps[:, None], (down, 1))
    return _filter(x, taps, (down, down))


def _spread(x: Tensor, taps: Tensor, up: tuple[int, int], padding: Padding) -> Tensor:
    """Zeros between samples, padding, filter: one axis or both.

    A transposed convolution meets the samples only, not the zeros between them. It gives the whole
    convolution; the requested part is cut out of it, or zeros are put around it.
    """
    height, width = x.shape[2:]
    tall, wide = taps.shape
    left, right, top, bottom = padding
    rows, columns = (
        height * up[0] + top + bottom - tall + 1,
        width * up[1] + left + right - wide + 1,
    )
    x = F.conv_transpose2d(x, _each(taps, x), stride=up, groups=x.shape[1])
    start_y, start_x = tall - 1 - top, wide - 1 - left
    missing = (
        max(-start_x, 0),
        max(start_x + columns - x.shape[3], 0),
        max(-start_y, 0),
        max(start_y + rows - x.shape[2], 0),
    )
    if any(missing):
        x = F.pad(x, missing)
    start_y, start_x = max(start_y, 0), max(start_x, 0)
    return x[:, :, start_y : start_y + rows, start_x : start_x + columns]


def _filter(x: Tensor, taps: Tensor, down: tuple[int, int]) -> Tensor:
    return F.conv2d(x, _each(taps.flip(0, 1), x), stride=down, groups=x.shape[1])


def _each(taps: Tensor, x: Tensor) -> Tensor:
    """The filter once for every channel; contiguous, because CPU kernels are slow on a view."""
    return taps.to(x.dtype).expand(x.shape[1], 1, *taps.shape).contiguous()
