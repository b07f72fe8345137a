"""FIR resampling of feature maps by small separable filters, as in StyleGAN 1 and 2.

Guarantees that an image of H x W becomes exactly 2H x 2W or H/2 x W/2, that the filter's weights
sum to one (to the square of the factor when upsampling, so that a constant stays the constant away
from the border), and that pixels outside an image are zero.

The filter is applied as a true convolution (an asymmetric filter is mirrored for the correlation
that libraries compute). Centring follows Karras et al., CVPR 2020, appendix B, and their files: a
filter of four taps looks at two samples on each side of the new one.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.errors import UsageError

Taps = tuple[float, ...]


def normalised(taps: Sequence[float]) -> Taps:
    """The same filter with weights that sum to one.

    Raises:
        UsageError: no taps, a tap that is not finite, or taps that sum to zero.
    """
    values = torch.tensor([float(tap) for tap in taps], dtype=torch.float64)
    if not len(values) or not bool(values.isfinite().all()) or float(values.sum()) == 0.0:
        raise UsageError(f"not a resampling filter: {list(taps)}")
    return tuple((values / values.sum()).tolist())


@functools.lru_cache(maxsize=64)
def _kernel(taps: Taps, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # a cached tensor must be usable in training too
        line = torch.tensor(normalised(taps), dtype=torch.float64)
        return torch.outer(line, line).to(device, dtype)


def fir(x: Tensor, taps: Taps, pads: tuple[int, int], gain: float = 1.0) -> Tensor:
    """Convolve every channel with ``gain * outer(taps, taps)``.

    Args:
        x: (N, C, H, W).
        taps: the filter along one axis; normalised here.
        pads: zeros before and after each axis; negative numbers crop.
        gain: factor of the result.

    Returns:
        (N, C, H + sum(pads) - len(taps) + 1, likewise W).
    """
    channels, side = x.shape[1], len(taps)
    kernel = _kernel(taps, x.device, x.dtype).flip(0, 1) * gain
    # contiguous per channel: an expanded view is several times slower on CPU
    weight = kernel.expand(channels, 1, side, side).contiguous()
    before, after = pads
    if before == after and before >= 0:
        return F.conv2d(x, weight, padding=before, groups=channels)
    return F.conv2d(F.pad(x, (before, after, before, after)), weight, groups=channels)


def upsample(x: Tensor, taps: Taps) -> Tensor:
    """Twice the size: zeros between samples, then the filter with gain 4.

    Args:
        x: (N, C, H, W).
        taps: the filter along one axis.

    Returns:
        (N, C, 2H, 2W).
    """
    channels, side = x.shape[1], len(taps)
    weight = (_kernel(taps, x.device, x.dtype) * 4.0).expand(channels, 1, side, side).contiguous()
    y = F.conv_transpose2d(x, weight, stride=2, groups=channels)
    # zeros between samples start with a sample: (side + 1) // 2 taps reach before the first one
    before = (side + 1) // 2 - side + 1
    after = (side - 2) // 2 - side + 2
    return F.pad(y, (before, after, before, after)) if (before, after) != (0, 0) else y


def downsample(x: Tensor, taps: Taps) -> Tensor:
    """Half the size: the filter, then every second sample.

    Args:
        x: (N, C, H, W) of even H and W.
        taps: the filter along one axis.

    Returns:
        (N, C, H / 2, W / 2).
    """
    side = len(taps)
    return fir(x, taps, ((side - 1) // 2, (side - 2) // 2))[:, :, ::2, ::2]


def convolve_up(x: Tensor, weight: Tensor, taps: Taps) -> Tensor:
    """Stride-2 transposed convolution, then the filter with gain 4 (StyleGAN2's upsampling layer).

    Args:
        x: (N, C_in, H, W).
        weight: (C_out, C_in, k, k), k odd; used as stored, not mirrored.
        taps: the filter along one axis.

    Returns:
        (N, C_out, 2H, 2W).
    """
    y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    side, half = len(taps), weight.shape[-1] // 2
    before = half + (side + 1) // 2 - 2 * half
    after = half + (side - 2) // 2 - 2 * half + 1
    return fir(y, taps, (before, after), gain=4.0)


def convolve_down(x: Tensor, weight: Tensor, taps: Taps) -> Tensor:
    """The filter, then a stride-2 convolution (the layers of a discriminator).

    Args:
        x: (N, C_in, H, W) of even H and W.
        weight: (C_out, C_in, k, k), k odd.
        taps: the filter along one axis.

    Returns:
        (N, C_out, H / 2, W / 2).
    """
    side, half = len(taps), weight.shape[-1] // 2
    return F.conv2d(
        fir(x, taps, (half + (side - 1) // 2, half + (side - 2) // 2)), weight, stride=2
    )
