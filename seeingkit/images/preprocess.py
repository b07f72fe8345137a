"""Turns an RGB picture into the network's input, in the same way for files and for generators.

Guarantees: preset ``paper`` gives, to the bit, what the paper's loader gives for the same RGB
picture (shorter side to 256 by antialiased bilinear resampling, centre crop, [-1, 1]; Bau et al.
2019 and ``fsd.py`` of its code: Resize(256), CenterCrop(256), ToTensor, Normalize(0.5, 0.5)). The
rounding conventions are theirs: the longer side becomes ``int(size * longer / shorter)`` and the
crop starts at ``round((side - size) / 2)``, halves to even.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.errors import ImageError
from seeingkit.specs import Preset

from .decode import Limits
from .upright import Upright


def resized_size(width: int, height: int, size: int) -> tuple[int, int]:
    """(width, height) after the shorter side became ``size``."""
    longer = int(size * max(width, height) / min(width, height))
    return (size, longer) if width <= height else (longer, size)


def crop_offset(side: int, size: int) -> int:
    """Where the centred ``size`` pixels of ``side`` pixels begin."""
    return round((side - size) / 2.0)


def apply(
    image: Image.Image | Upright,
    preset: Preset,
    item: str = "image",
    limits: Limits | None = None,
) -> NDArray[np.uint8]:
    """Resize and crop one picture.

    Returns:
        (H, W, 3) uint8; ``size`` x ``size`` for a preset that crops.

    Raises:
        ImageError: so long and narrow that the resized picture is over the pixel limit.

    >>> apply(decode("photos/1.png", "1.png"), find_preset("paper@32")).shape
    (32, 32, 3)
    """
    picture = image if isinstance(image, Upright) else Upright(image)
    size, (width, height) = preset.size, picture.size
    if size is None:
        return np.asarray(picture.whole())
    wanted = resized_size(width, height, size)
    limit = (limits or Limits()).max_pixels
    if wanted[0] * wanted[1] > limit:
        grown = f"{width}x{height} pixels become {wanted[0]}x{wanted[1]}"
        raise ImageError(item, f"{grown}, more than the limit of {limit:,} in all")
    found = picture.resized(wanted, Image.Resampling[preset.filter.upper()])
    return np.asarray(cropped(found, size) if preset.crop else found)


def framed(image: Image.Image, size: int, resampling: Image.Resampling, crop: bool) -> Image.Image:
    """The picture with ``size`` pixels along its shorter side, cropped to a square if asked for."""
    wanted = resized_size(*image.size, size)
    if wanted != image.size:
        image = image.resize(wanted, resampling)
    return cropped(image, size) if crop else image


def cropped(image: Image.Image, size: int) -> Image.Image:
    """The central square of ``size`` pixels."""
    if image.size == (size, size):
        return image
    left, top = (crop_offset(side, size) for side in image.size)
    return image.crop((left, top, left + size, top + size))


def to_tensor(pixels: NDArray[np.uint8] | Tensor) -> Tensor:
    """(H, W, 3) or (N, H, W, 3) uint8 to (3, H, W) or (N, 3, H, W) float32 in [-1, 1].

    The operations are ToTensor's and Normalize's, in their order: (v / 255 - 0.5) / 0.5.

    >>> to_tensor(np.full((1, 1, 3), 255, np.uint8)).flatten()
    tensor([1., 1., 1.])
    """
    if not isinstance(pixels, Tensor):
        pixels = torch.from_numpy(np.array(pixels))  # copy: Pillow's arrays are read-only
    planes = pixels.movedim(-1, -3).contiguous().to(torch.float32)
    return planes.div_(255).sub_(0.5).div_(0.5)


def quantise(images: Tensor) -> Tensor:
    """(N, 3, H, W) in nominal [-1, 1] to (N, H, W, 3) uint8: what is saved as PNG.

    The value is floor(x * 127.5 + 128) clipped to 0..255, so halves round up: the expression of
    NVIDIA's tools. NaN has no value; check before.

    >>> quantise(torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1)).flatten()
    tensor([  0, 128, 255], dtype=torch.uint8)
    """
    levels = images.movedim(-3, -1).to(torch.float32).mul(127.5).add_(128).clamp_(0, 255)
    return levels.to(torch.uint8).contiguous()
