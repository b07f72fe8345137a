"""Pictures and maps of labels as data URIs: text that a page holds instead of files.

Up to 128 pixels an image is kept exactly (lossless WebP); larger ones become WebP of quality 85
and at most 512 pixels a side, and less where all of them would exceed the budget of the page.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST_WEBP = 16383
"""Pixels that a side of a WebP picture may have."""
EXACT_UP_TO = 128
"""Longest side in pixels of an image that is kept exactly."""
MAP_SIZE = 256
"""Maps of labels are at most this large."""
DRAWN_SIZE = 512
"""Maps with lines or patterns are enlarged to at most so many pixels a side."""


@dataclass(frozen=True)
class Level:
    """How much detail pictures keep.

    Attributes:
        size: longest side in pixels; quality: of lossy WebP.
        strips: which filmstrips of inversions stay: of all methods, the first method, or none.
        cards: how many photos of an inversion are shown at most.
    """

    size: int
    quality: int
    strips: Literal["all", "first", "none"] = "all"
    cards: int = 48

    @property
    def map_size(self) -> int:
        """Longest side in pixels of a map of labels."""
        return min(self.size, MAP_SIZE)

    @property
    def drawn_size(self) -> int:
        """Longest side in pixels of a map that is enlarged to be drawn with lines or patterns."""
        return min(2 * self.size, DRAWN_SIZE)


LEVELS = (
    Level(512, 85),
    Level(384, 85),
    Level(256, 85),
    Level(256, 80, "first"),
    Level(256, 70, "first"),
    Level(192, 65, "first"),
    Level(128, 60, "first"),
    Level(96, 50, "none"),
    Level(96, 50, "none", 24),
    Level(96, 50, "none", 12),
    Level(96, 50, "none", 6),
)
"""From full detail to the least; a page takes the first at which all its pictures fit."""


def is_exact(*sides: int) -> bool:
    """Whether an image of these sides in pixels is kept exactly, and enlarged in squares."""
    return max(sides) <= EXACT_UP_TO


def image_uri(kind: str, data: bytes) -> str:
    """An image file as a data URI; ``kind``: its type after ``image/``."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def photo_uri(image: NDArray[np.uint8], level: Level) -> str:
    """(H, W, 3) uint8 as WebP: exact where small, else at most ``level.size`` a side."""
    picture = shrunk(image, level.size)
    exact = is_exact(*image.shape[:2]) and max(image.shape[:2]) <= level.size
    return webp_uri(picture, level.quality, exact=exact)


def shrunk(image: NDArray[np.uint8], size: int) -> Image.Image:
    """(H, W, 3) uint8 as a picture of at most ``size`` pixels a side."""
    picture = Image.fromarray(image)
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    return picture


def webp_uri(picture: Image.Image, quality: int, *, exact: bool = False) -> str:
    """A picture as WebP; ``quality``: 0 to 100, of lossy compression."""
    return _saved_uri(picture, "webp", lossless=exact, quality=quality, method=2)


def nearest(labels: NDArray[Any], size: int) -> NDArray[Any]:
    """A (H, W) map with its longer side at ``size`` pixels at most, by the nearest pixel."""
    longer = max(labels.shape)
    if longer <= size:
        return labels
    rows, columns = (
        np.minimum(
            ((np.arange(max(1, round(n * size / longer))) + 0.5) * longer / size).astype(int), n - 1
        )
        for n in labels.shape
    )
    return labels[np.ix_(rows, columns)]


def indexed_uri(places: NDArray[np.uint8], palette: list[tuple[int, int, int]]) -> str:
    """(H, W) uint8 places in a palette as PNG; colour 0 is transparent."""
    picture = Image.fromarray(places)
    picture.putpalette([channel for colour in palette for channel in colour])
    bits = next(b for b in (1, 2, 4, 8) if len(palette) <= 2**b)
    return _saved_uri(picture, "png", transparency=0, bits=bits)


def png_uri(image: NDArray[np.uint8]) -> str:
    """(H, W, 3) uint8 as PNG."""
    return _saved_uri(Image.fromarray(image), "png", optimize=True)


def rgba_uri(picture: Image.Image) -> str:
    """A picture with transparency as PNG."""
    return _saved_uri(picture, "png", optimize=True)


def _saved_uri(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind.upper(), **options)
    return image_uri(kind, buffer.getvalue())
