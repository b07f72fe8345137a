"""Marks that no class has: what a reconstruction has lost, kept or added, and lines between areas.

Each mark is a pattern as well as a colour, so that it is told apart in print without colours and
with any colour vision: what is lost is hatched, what is kept is plain, what is new is dotted.
Colours of classes stay away from the colours here (see ``colours``).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import uris

Colour = tuple[int, int, int]

LOST, KEPT, NEW = 1, 2, 3
"""Numbers of the marks in a map of differences; 0 is unmarked."""
DARK: Colour = (17, 17, 17)
"""Of lines between areas, and of the dark stripes where a class is lost."""
BRIGHT: Colour = (255, 213, 0)
"""Of the bright stripes where a class is lost."""
PLAIN: Colour = (120, 178, 222)
"""Where a class is kept."""
DOT, GROUND = (20, 66, 126), (255, 255, 255)
"""Dots where a class is new, and what is around them; the outline of what is new or kept."""
ONLY: Colour = (255, 0, 170)
"""Of one class alone, laid over a photo."""
RESERVED = (DARK, BRIGHT, ONLY)
"""Colours that no class comes near."""
_PALETTE = [(0, 0, 0), DARK, BRIGHT, PLAIN, DOT, GROUND]
_STRIPE = 1 / 52
"""Width of a stripe as a share of the longer side."""


def css_colour(colour: Colour) -> str:
    """An RGB triple in 0..255 as CSS has it: ``css_colour((255, 0, 170)) == "#ff00aa"``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def mark_background(mark: int) -> str:
    """The pattern of a mark as a CSS background, for the box in a legend.

    Args:
        mark: ``LOST``, ``KEPT`` or ``NEW``.
    """
    dark, bright, plain, dot, ground = map(css_colour, _PALETTE[1:])
    return {
        LOST: f"repeating-linear-gradient(135deg, {dark} 0 2px, {bright} 2px 5px)",
        KEPT: plain,
        NEW: f"radial-gradient({dot} 1.2px, {ground} 1.5px) 0 0 / 4px 4px",
    }[mark]


def enlarged(places: NDArray[Any], size: int) -> NDArray[Any]:
    """A (H, W) map with each pixel as a square, as large as fits ``size`` pixels a side."""
    times = max(1, size // max(places.shape))
    return places.repeat(times, 0).repeat(times, 1)


def edges(places: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """Lines of so many pixels at upper and left ends of the areas of a (H, W) map: (H, W) bool.

    They lie on one side of a boundary, so an area one pixel wide keeps its colour when it is
    enlarged by more than the width.
    """
    found = np.zeros(places.shape, np.bool_)
    for k in range(1, width + 1):
        found[k:] |= places[k:] != places[:-k]
        found[:, k:] |= places[:, k:] != places[:, :-k]
    return found


def mark_places(places: NDArray[np.uint8], size: int = uris.DRAWN_SIZE) -> str:
    """A map of differences as a picture: hatched, plain and dotted areas, the rest transparent.

    Args:
        places: (h, w) uint8 of ``LOST``, ``KEPT``, ``NEW``, and 0 elsewhere.
        size: longest side in pixels of the picture. All marks have outlines, and what is lost the
            strongest.

    Returns:
        a PNG as data URI.
    """
    return uris.indexed_uri(_drawn(places, size), _PALETTE)


def marks_over(
    ground: Image.Image, places: NDArray[np.uint8], size: int = uris.DRAWN_SIZE
) -> NDArray[np.uint8]:
    """A picture with a map of differences drawn on it::

        marks_over(Image.open("photo.png"), difference_map(before, after, [number]))

    Args:
        ground: any size, it covers the same field.
        places, size: as of ``mark_places``.

    Returns:
        (H, W, 3) uint8, H and W those of the enlarged map.
    """
    drawn = _drawn(places, size)
    picture = ground.convert("RGB").resize(drawn.shape[::-1], Image.Resampling.BICUBIC)
    colours = np.array(_PALETTE, np.uint8)[drawn]
    return np.where(drawn[..., None] > 0, colours, np.asarray(picture))


def _drawn(places: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Places in the palette of an enlarged map of differences."""
    drawn = enlarged(places, size)
    picture = np.zeros(drawn.shape, np.uint8)
    picture[drawn == KEPT] = 3
    picture[drawn == NEW] = 5
    picture[((drawn == NEW) & _dots(*drawn.shape)) | edges(drawn, 2)] = 4
    for colour, area in _hatching(drawn == LOST, _width(*drawn.shape)):
        picture[area] = colour
    return picture


def vanished_uri(photo: NDArray[np.uint8], lost: NDArray[np.bool_]) -> str:
    """A photo in full colour with what vanished from it hatched and outlined.

    ::

        vanished_uri(photo, difference_map(before, after, [number]) == LOST)

    Between the stripes the photo shows through. Small photos are enlarged so that the hatching is
    fine: squares up to 128 pixels a side, smoothly above.

    Args:
        photo: (H, W, 3) uint8.
        lost: (h, w) bool, which covers the same field.

    Returns:
        a WebP of at most 512 pixels a side as data URI.
    """
    picture, exact = uris.shrunk(photo, uris.DRAWN_SIZE), uris.is_exact(*photo.shape[:2])
    times = max(1, uris.DRAWN_SIZE // max(picture.size))
    how = Image.Resampling.NEAREST if exact else Image.Resampling.BICUBIC
    picture = picture.resize((times * picture.width, times * picture.height), how)
    mask = Image.fromarray(lost).resize(picture.size, Image.Resampling.NEAREST)
    pixels, width = np.array(picture), max(2, _width(picture.height, picture.width) * 2 // 3)
    for colour, area in _hatching(np.asarray(mask, dtype=np.bool_), width, apart=4):
        pixels[area] = _PALETTE[colour]
    return uris.webp_uri(Image.fromarray(pixels), 90, exact=exact)


def _hatching(
    lost: NDArray[np.bool_], width: int, apart: int = 0
) -> list[tuple[int, NDArray[np.bool_]]]:
    """Places in the palette and the pixels that get them, in the order of painting.

    Stripes run at 45°.

    Args:
        lost: (H, W) bool.
        width: of a stripe.
        apart: widths of a stripe between two pairs of a dark and a bright one.
    """
    phase = _stripes(*lost.shape, width, 2 + apart)
    line = max(1, round(_width(*lost.shape) / 4))
    around = _grown(lost, line)
    return [
        (2, lost & (phase == 0)),
        (1, lost & (phase == 1)),
        (1, _grown(around, line) & ~around),
        (2, around & ~lost),
    ]


@functools.lru_cache(maxsize=16)
def _stripes(height: int, width: int, stripe: int, kinds: int) -> NDArray[np.uint8]:
    """The kind of stripe that each pixel is in, of stripes so wide and of so many kinds."""
    rows, columns = np.indices((height, width))
    return ((rows + columns) // stripe % kinds).astype(np.uint8)


@functools.lru_cache(maxsize=16)
def _dots(height: int, width: int) -> NDArray[np.bool_]:
    """Round dots, the distance of two stripes apart."""
    rows, columns = np.indices((height, width))
    apart = _width(height, width)
    y, x = rows % (2 * apart) - apart, columns % (2 * apart) - apart
    return np.asarray(y * y + x * x < (0.62 * apart) ** 2)


def _width(height: int, width: int) -> int:
    """Of a stripe, in pixels."""
    return max(2, round(max(height, width) * _STRIPE))


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """A mask and all pixels at most so far from it, diagonally too."""
    for _ in range(2):  # down the columns, then along the rows
        grown = mask.copy()
        for k in range(1, by + 1):
            grown[k:] |= mask[:-k]
            grown[:-k] |= mask[k:]
        mask = grown.T
    return mask
