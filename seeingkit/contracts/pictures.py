"""Photos, reconstructions and their differences as one picture, for notebooks.

Guarantees: a picture of up to ``EXACT`` pixels a side is enlarged in whole squares, so that every
pixel of it is there; a difference is that of the 8-bit pictures. Importing this imports no PIL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import UsageError, printable

if TYPE_CHECKING:
    from PIL import Image

EXACT = 128
"""Longest side in pixels of a picture that is enlarged in squares."""
TILE = 192
"""Side that such a picture has at least; larger ones keep theirs, up to ``LARGEST``."""
LARGEST = 384
GAP = 6
LINE = 20
"""Height of a line of text in pixels."""
FONT = 13

Pixels = NDArray[np.uint8]
"""(H, W, 3)."""


def absolute_difference(photo: Pixels, reconstruction: Pixels, gain: float = 1.0) -> Pixels:
    """|reconstruction − photo| of every value, times ``gain``: black where both are equal.

    >>> absolute_difference(np.full((1, 1, 3), 10, np.uint8), np.full((1, 1, 3), 30, np.uint8), 2)
    array([[[40, 40, 40]]], dtype=uint8)
    """
    change = np.abs(reconstruction.astype(np.int16) - photo)
    return np.asarray(np.clip(np.rint(gain * change), 0, 255), dtype=np.uint8)


def photo_rows(
    photos: Sequence[Pixels],
    reconstructions: Sequence[Pixels | None],
    captions: Sequence[str],
    *,
    gain: float = 1.0,
    footer: str = "",
) -> Image.Image:
    """Photo | reconstruction | difference, one row a photo, with a line of text below each.

    Args:
        photos, reconstructions: of equal size; None: there is none, and its places stay empty.
        captions: of the rows.
        gain: of ``absolute_difference``.
        footer: last line.

    Raises:
        UsageError: no photo, or a gain that is not above 0.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not photos:
        raise UsageError("there is no photo to show")
    if not 0 < gain < 1000:
        raise UsageError(f"the gain of differences is {gain}; give a number above 0, such as 2")
    tiles = [
        [photo, *((None, None) if made is None else (made, absolute_difference(photo, made, gain)))]
        for photo, made in zip(photos, reconstructions, strict=True)
    ]
    width, height = tile_size(*photos[0].shape[:2])
    lines = LINE * (1 + bool(footer))
    size = (3 * width + 4 * GAP, lines + GAP + len(tiles) * (height + LINE + GAP))
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=FONT)
    times = "" if gain == 1 else f" x {gain:g}"
    for column, head in enumerate(("photo", "reconstruction", f"difference{times}")):
        draw.text((GAP + column * (width + GAP), GAP), head, fill="black", font=font)
    for k, (row, caption) in enumerate(zip(tiles, captions, strict=True)):
        top = LINE + GAP + k * (height + LINE + GAP)
        for column, tile in enumerate(row):
            place = (GAP + column * (width + GAP), top)
            if tile is None:
                draw.rectangle((*place, place[0] + width - 1, top + height - 1), fill="#eeeeee")
            else:
                sheet.paste(_tile(tile, width, height), place)
        draw.text((GAP, top + height + 2), printable(caption), fill="#444444", font=font)
    if footer:
        draw.text((GAP, size[1] - LINE), footer, fill="#444444", font=font)
    return sheet


def tile_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) at which a picture of this size is shown.

    >>> tile_size(64, 64), tile_size(256, 256), tile_size(1024, 512)
    ((192, 192), (256, 256), (192, 384))
    """
    longer = max(height, width)
    if longer <= EXACT:
        times = -(-TILE // longer)
        return times * width, times * height
    if longer <= LARGEST:
        return width, height
    return max(1, round(width * LARGEST / longer)), max(1, round(height * LARGEST / longer))


def _tile(pixels: Pixels, width: int, height: int) -> Image.Image:
    from PIL import Image

    shrinks = pixels.shape[1] > width
    how = Image.Resampling.LANCZOS if shrinks else Image.Resampling.NEAREST
    return Image.fromarray(pixels).resize((width, height), how)
