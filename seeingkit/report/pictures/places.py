"""Where in the image a class is: its mean share of each cell of a grid, over images that show it.

The map of the real images and that of the generated ones have one colour scale, so that equal
colours are equal shares. It is the mean over images that show the class, so that it says where the
class is, not how often. The colours are told apart with any colour vision and in grey.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import UsageError

from ..selection import SIDES, Side
from ..words.numbers import share
from .uris import png_uri

CELLS = 16
"""Cells along each side of a square image; others have about as many cells in all."""
MOST_CELLS = 64
"""Cells along a side, at most."""
LEAST = 5
"""Images below which no map is shown."""
MOSTLY = 2 / 3
"""Part of a class's area, twice an even share, from which it is said to be mostly in a third."""
CELL_PIXELS = 8
"""Pixels of the picture along a cell."""
SCALE_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Round ends of the scale, times a power of ten."""
COLOURS = np.array(
    [
        *([68, 1, 84], [72, 40, 120], [62, 73, 137], [49, 104, 142], [38, 130, 142]),
        *([31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]),
    ]
)
"""Evenly spaced colours of viridis (van der Walt and Smith 2015), from 0 to the scale's end."""
_THIRDS = (
    ("top third", "middle third of the height", "bottom third"),
    ("left third", "middle third of the width", "right third"),
)


@dataclass(frozen=True, eq=False)
class PlaceMap:
    """Where a class is in the images of one side that show it.

    Attributes:
        images: how many images the map is made of; showing: how many of the side show the class.
        shares: (rows, columns) float32 in 0..1, the mean share of the class in each cell of a grid
            over the image; None without images.

    Raises:
        UsageError: numbers that do not fit, an array of another kind, or shares outside 0..1.
    """

    images: int
    showing: int
    shares: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        numbers = (self.images, self.showing)
        if any(type(n) is not int for n in numbers) or not 0 <= self.images <= self.showing:
            raise UsageError(f"a map of places is made of {self.images!r} of {self.showing!r}")
        if (self.shares is None) != (self.images == 0):
            raise UsageError(f"a map of places of {self.images} images: shares go with images")
        if self.shares is None:
            return
        shape = self.shares.shape
        if self.shares.dtype != np.float32 or len(shape) != 2 or min(shape) < 1:
            found = f"{self.shares.dtype} {shape}"
            raise UsageError(f"a map of places is {found}; give float32 of shape (rows, columns)")
        if max(shape) > MOST_CELLS:
            raise UsageError(f"a map of places has up to {MOST_CELLS} cells a side, not {shape}")
        if not ((self.shares >= 0) & (self.shares <= 1)).all():  # NaN is not
            raise UsageError("a map of places holds a share that is not in 0..1")


@dataclass(frozen=True)
class PlacePicture:
    """The map of one side as the page shows it.

    Attributes:
        uri: data URI of a PNG, or empty where there are too few images.
        images: how many the map is made of; showing: how many of the side show the class.
        words: where the class mostly is, or why there is no map.
        alt: text in place of the picture.
        width, height: of the picture in pixels.
    """

    uri: str
    images: int
    showing: int
    words: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Places:
    """Where a class is, real and generated: None for a side whose images cannot be shown.

    Attributes:
        scale: share that has the last colour, in 0..1, the same for both; end: it as text.
        bar: data URI of a PNG with all colours, from 0 on the left to the scale's end.
        least: images below which no map is shown.
    """

    real: PlacePicture | None
    generated: PlacePicture | None
    scale: float
    end: str
    bar: str
    least: int = LEAST


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of about square cells on an image of these sides in pixels.

    >>> grid_of(256, 256), grid_of(100, 400)
    ((16, 16), (8, 32))
    """
    stretch = math.sqrt(width / height)
    rows, columns = (min(MOST_CELLS, max(1, round(n))) for n in (CELLS / stretch, CELLS * stretch))
    return rows, columns


def pooled(values: NDArray[Any], grid: tuple[int, int]) -> NDArray[np.float64]:
    """(H, W) numbers or booleans → (rows, columns) means, by the area that pixels share with cells.

    >>> pooled(np.array([[1, 0, 0], [0, 0, 0]]), (1, 2)).round(3).tolist()
    [[0.333, 0.0]]
    """
    down, across = (_overlaps(n, cells) for n, cells in zip(values.shape, grid, strict=True))
    return np.asarray(down @ values.astype(np.float64) @ across.T)


def _overlaps(n: int, cells: int) -> NDArray[np.float64]:
    """(cells, n) part of each cell that lies in each of n pixels."""
    pixels, ends = np.arange(n), np.arange(cells + 1) * (n / cells)
    low = np.maximum(ends[:-1, None], pixels)
    high = np.minimum(ends[1:, None], pixels + 1)
    return np.asarray(np.maximum(high - low, 0.0) * (cells / n))


def encode_places(label: str, maps: Mapping[Side, PlaceMap]) -> Places | None:
    """The maps of a class as pictures with one scale; None where there are no maps.

    Args:
        label: of the class.
        maps: by side; a side whose images cannot be shown has none.
    """
    if not maps:
        return None
    shown = [m.shares for m in maps.values() if m.shares is not None and m.images >= LEAST]
    scale = _round_end(max((float(shares.max()) for shares in shown), default=0.0))
    real, generated = (
        _picture(label, side, maps[side], scale) if side in maps else None for side in SIDES
    )
    ramp = np.linspace(0, 1, 128)[None].repeat(CELL_PIXELS, axis=0)
    return Places(real, generated, scale, share(scale), png_uri(coloured(ramp)))


def _round_end(largest: float) -> float:
    """The smallest round number that is not below the largest share, at most 1."""
    if largest <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(largest))
    return min(
        1.0, next(unit * step for step in SCALE_STEPS if unit * step >= largest * (1 - 1e-6))
    )


def _picture(label: str, side: Side, found: PlaceMap, scale: float) -> PlacePicture:
    """The map of one side; ``scale``: share that has the last colour."""
    images, showing = found.images, found.showing
    if found.shares is None or images < LEAST:
        words = f"no map: {images:,} {side} images show it, and a map needs {LEAST}"
        if images < 2:
            words = f"no map: {'one' if images else 'no'} {side} image shows it"
        return PlacePicture("", images, showing, words, f"{label}: {words}", 0, 0)
    words = place_words(found.shares)
    cells = (found.shares / scale).repeat(CELL_PIXELS, axis=0).repeat(CELL_PIXELS, axis=1)
    height, width = cells.shape
    of_them = f"{images:,} of the {showing:,}" if images < showing else f"the {showing:,}"
    return PlacePicture(
        uri=png_uri(coloured(cells)),
        images=images,
        showing=showing,
        words=words,
        alt=f"where {label} is in {of_them} {side} images that show it: {words}",
        width=width,
        height=height,
    )


def coloured(values: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W) numbers in 0..1 → (H, W, 3) RGB, from dark violet over green to yellow."""
    places = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(values, places, COLOURS[:, k]) for k in range(3)]
    return np.asarray(np.stack(channels, axis=-1).round(), dtype=np.uint8)


def place_words(shares: NDArray[Any]) -> str:
    r"""The thirds of the image in which most of the area lies, or that there are none.

    >>> place_words(np.array([[3, 1, 0], [0, 0, 0], [1, 0, 0]]))
    'mostly in the top third (80\xa0% of its area) and in the left third (80\xa0%)'
    """
    whole = float(np.sum(shares, dtype=np.float64))
    if whole <= 0:
        return "nowhere in these images"
    parts = pooled(shares, (3, 3))
    found: list[str] = []
    for axis, names in enumerate(_THIRDS):
        thirds = parts.sum(axis=1 - axis) / parts.sum()
        largest = int(thirds.argmax())
        part = min(1.0, round(float(thirds[largest]), 6))
        if part >= MOSTLY:
            found.append(f"{names[largest]} ({share(part)}{'' if found else ' of its area'})")
    if not found:
        return "not mostly in one third of the image"
    return "mostly in the " + " and in the ".join(found)
