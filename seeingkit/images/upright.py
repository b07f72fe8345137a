"""A decoded picture as upright 8-bit RGB, given in strips so that no second whole one is needed.

Guarantees: ``whole`` and ``framed`` give, to the bit, what converting the whole picture first gives
(Pillow resizes along x, then along y, with 8 bits between; so the strips are resized along x, put
together, and resized along y).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from PIL import Image, ImageChops

Convert = Callable[[Image.Image], Image.Image]
"""Turns part of a decoded picture into RGB."""

STRIP = 1 << 21
"""Pixels that are converted at a time."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF 2.32, table 6: what brings a picture of each orientation upright."""
_LYING = (5, 6, 7, 8)
_FROM_BELOW = (3, 4, 7, 8)  # the first upright row is the last stored row, or column of a lying one


class Upright:
    """A decoded picture, to be converted to RGB and turned upright.

    Args:
        image: as it was decoded.
        convert: to RGB.
        orientation: of EXIF; 1 is upright.

    >>> Upright(Image.new("L", (3, 2), 7)).whole().getpixel((0, 0))
    (7, 7, 7)
    """

    def __init__(
        self,
        image: Image.Image,
        convert: Convert = lambda part: part.convert("RGB"),
        orientation: int = 1,
    ) -> None:
        self._image, self._convert = image, convert
        self._orientation = orientation if orientation in TURNS else 1
        size = image.size
        self.size: tuple[int, int] = size[::-1] if self._orientation in _LYING else size
        """(width, height) upright."""

    def whole(self) -> Image.Image:
        """The picture at its own size."""
        if self._orientation == 1 and self._image.mode == "RGB":
            return self._convert(self._image)
        parts = list(self._strips())
        return parts[0][1] if len(parts) == 1 else _joined(parts, self.size)

    def resized(self, size: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
        """The picture resampled to (width, height)."""
        width, height = self.size
        if size == self.size:
            return self.whole()
        if width * height <= STRIP:
            return self.whole().resize(size, resampling)
        narrow = (
            (top, part.resize((size[0], part.height), resampling)) for top, part in self._strips()
        )
        return _joined(narrow, (size[0], height)).resize(size, resampling)

    def _strips(self) -> Iterator[tuple[int, Image.Image]]:
        """Upright RGB strips, each with the row it begins at."""
        width, height = self.size
        rows = max(1, STRIP // width)
        for top in range(0, height, rows):
            yield top, self._rows(top, min(top + rows, height))

    def _rows(self, top: int, bottom: int) -> Image.Image:
        width, height = self._image.size
        if self._orientation in _FROM_BELOW:
            last = self.size[1]
            top, bottom = last - bottom, last - top
        lying = self._orientation in _LYING
        box = (top, 0, bottom, height) if lying else (0, top, width, bottom)
        part = self._image if box == (0, 0, width, height) else self._image.crop(box)
        part = self._convert(part)
        turn = TURNS.get(self._orientation)
        return part if turn is None else part.transpose(turn)


def _joined(parts: Iterable[tuple[int, Image.Image]], size: tuple[int, int]) -> Image.Image:
    found = Image.new("RGB", size)
    for top, part in parts:
        found.paste(part, (0, top))
    return found


def uninverted(part: Image.Image) -> Image.Image:
    """CMYK that was taken for Adobe's inverted kind, as RGB."""
    return ImageChops.invert(part).convert("RGB")


def on_white(part: Image.Image) -> Image.Image:
    """A picture with transparency as RGB on white."""
    rgba = part.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def grey_levels(full: float, white_is_zero: bool, transparent: int | None) -> Convert:
    """Grey samples of more than 8 bits to 8: rounded at ``full`` = 255."""

    def convert(part: Image.Image) -> Image.Image:
        samples = np.asarray(part)
        scaled = np.floor(samples.astype(np.float64) * (255 / full) + 0.5)
        if white_is_zero:
            scaled = 255 - scaled
        if transparent is not None:
            scaled[samples == transparent] = 255
        return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")

    return convert
