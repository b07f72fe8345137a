"""Paints shapes and their labels in one stroke, so that a picture and its label map agree.

A canvas is an RGBA raster at twice the resolution of the picture whose fourth channel carries
the label byte (see :func:`palette.label`) instead of opacity. Coordinates are fractions of the
picture side, x to the right and y downwards, so a layout is the same at every resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from seeingkit_plugins.minichurches.palette import OBJECT_MASK, PART_SHIFT, Colour, Sky, label, mix

T = TypeVar("T")
Point = tuple[float, float]
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SUPERSAMPLING = 2
_GROUND = ("grass", "road", "sidewalk", "earth", "path", "stairway")


def _byte(value: float) -> int:
    """Cut a number down to a whole one in 0..255."""
    return int(min(255, max(0, value)))


class Dice:
    """A frozen stream of random layout decisions, a pure function of ``(seed, index)``.

    Only ``RandomState.random_sample`` over MT19937 is used: NumPy guarantees that stream.
    """

    def __init__(self, seed: int, index: int) -> None:
        sequence = np.random.SeedSequence((seed, index))
        self._state = np.random.RandomState(np.random.MT19937(sequence))
        self._values: list[float] = []

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        if not self._values:
            self._values = self._state.random_sample(512).tolist()
            self._values.reverse()
        return self._values.pop()

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.unit() < probability

    def whole(self, low: int, high: int) -> int:
        """Return an integer in low..high, both included."""
        return low + int(self.unit() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, all equally likely."""
        return options[int(self.unit() * len(options))]

    def weigh(self, options: Sequence[tuple[float, T]]) -> T:
        """Return one of the options, each with its weight (weights sum to 1)."""
        u = self.unit()
        for weight, option in options:
            u -= weight
            if u < 0:
                return option
        return options[-1][1]

    def tint(self, colour: Colour, spread: float = 14.0) -> Colour:
        """Return the colour with random brightness and a little random hue."""
        d = self.between(-spread, spread)
        s = spread * 0.4
        r, g, b = (c + d + self.between(-s, s) for c in colour)
        return _byte(r), _byte(g), _byte(b)


class Canvas:
    """A supersampled raster on which each shape leaves its colour and its label."""

    def __init__(self, resolution: int, backdrop: Bytes) -> None:
        self.size = resolution * SUPERSAMPLING
        self.raster = Image.fromarray(backdrop)
        self.shade = Image.new("L", (self.size, self.size))
        self._draw = ImageDraw.Draw(self.raster)
        self._shadow = ImageDraw.Draw(self.shade)

    def poly(self, points: Sequence[Point], colour: Colour, code: int) -> None:
        """Fill a polygon."""
        s = self.size
        self._draw.polygon([(x * s - 0.5, y * s - 0.5) for x, y in points], (*colour, code))

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, code: int) -> None:
        """Fill an upright rectangle; it is at least one sample wide and high."""
        s = self.size
        a, b = round(x0 * s), round(y0 * s)
        box = (a, b, max(a, round(x1 * s) - 1), max(b, round(y1 * s) - 1))
        self._draw.rectangle(box, (*colour, code))

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, code: int) -> None:
        """Fill an ellipse with centre (x, y) and radii rx, ry."""
        s = self.size
        left, top, right = (x - rx) * s, (y - ry) * s, (x + rx) * s - 1
        if right >= left:
            box = (left, top, right, max((y + ry) * s - 1, top))
            self._draw.ellipse(box, (*colour, code))

    def line(self, points: Sequence[Point], width: float, colour: Colour, code: int) -> None:
        """Draw a polyline; the width is a fraction of the side, at least one sample."""
        s = self.size
        scaled = [(x * s - 0.5, y * s - 0.5) for x, y in points]
        self._draw.line(scaled, (*colour, code), max(1, round(width * s)))

    def shadow(self, points: Sequence[Point]) -> None:
        """Mark a polygon as lying in shadow; it darkens ground only."""
        s = self.size
        self._shadow.polygon([(x * s, y * s) for x, y in points], 255)

    def shadow_oval(self, x: float, y: float, rx: float, ry: float) -> None:
        """Mark an ellipse as lying in shadow; it darkens ground only."""
        s = self.size
        self._shadow.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), 255)


class Finish(NamedTuple):
    """Settings of the step from canvas to picture: light, texture strengths and offsets.

    ``offsets`` are eight numbers in [0, 1) that place the noise tiles; ``waterline`` is the
    y of the far shore (1.0 where there is no water).
    """

    sky: Sky
    exposure: float
    contrast: float
    haze: float
    masonry: float
    grain: float
    waterline: float
    offsets: tuple[float, ...]


def _smooth(rng: np.random.RandomState, cells: int, side: int) -> Floats:
    """Return value noise with ``cells`` cells per side, zero mean and unit variance."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    noise = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


class Tiles(NamedTuple):
    """Noise tiles of twice the canvas side, about zero mean and unit variance each."""

    cloud: Floats
    masonry: Floats
    leaf: Floats
    ripple: Floats
    grain: Floats


@lru_cache(maxsize=8)
def tiles(resolution: int) -> Tiles:
    """Return the noise tiles of one resolution; the same tiles in every process."""
    side = 2 * resolution * SUPERSAMPLING
    rng = np.random.RandomState(20191)
    cloud = sum(
        (_smooth(rng, n, side) * a for n, a in ((9, 1.0), (18, 0.55), (40, 0.3), (80, 0.12))),
        np.zeros((side, side), np.float32),
    )
    cloud = np.maximum(cloud, np.roll(cloud, side // 97, axis=1)).astype(np.float32)
    cloud = (cloud - cloud.mean()) / cloud.std()
    courses = 96
    blocks = rng.standard_normal((courses, courses // 2 + 1)).astype(np.float32)
    y = (np.arange(side) * courses) // side
    x = np.arange(side)[None, :] * courses / 2 / side + 0.5 * (y[:, None] % 2)
    masonry = blocks[y[:, None], np.minimum(x.astype(int), courses // 2)]
    leaf = _smooth(rng, 70, side) * 0.8 + _smooth(rng, 130, side) * 0.6
    flat = Image.fromarray(rng.standard_normal((150, 22)).astype(np.float32))
    ripple = np.asarray(flat.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    grain = rng.standard_normal((resolution * 2, resolution * 2, 3)).astype(np.float32)
    return Tiles(cloud, masonry.astype(np.float32), leaf.astype(np.float32), ripple, grain)


def _crop(tile: Floats, side: int, u: float, v: float) -> Floats:
    """Cut a ``side`` by ``side`` window out of a tile at the fraction (u, v) of its slack."""
    top, left = int(u * (tile.shape[0] - side)), int(v * (tile.shape[1] - side))
    return tile[top : top + side, left : left + side]


def backdrop(
    resolution: int, sky: Sky, horizon: float, clouds: float, softness: float, at: Point
) -> Bytes:
    """Return a canvas-sized RGBA sky: a vertical gradient with soft clouds, all labelled sky.

    ``clouds`` is the cloud threshold in standard deviations (low means overcast).
    """
    side = resolution * SUPERSAMPLING
    ramp = np.clip(np.arange(side, dtype=np.float32) / (side * horizon), 0, 1)
    zenith = np.array(sky.zenith, np.float32)
    column = zenith + ramp[:, None] * (np.array(sky.horizon, np.float32) - zenith)
    noise = _crop(tiles(resolution).cloud, side, *at)
    veil = np.clip((noise - clouds) / softness, 0, 1)[:, :, None] * 0.85
    # Thick cloud is a little darker than its rim.
    body = np.array(sky.cloud, np.float32) - 14 * np.clip(noise - clouds - 0.9, 0, 1)[:, :, None]
    out = np.empty((side, side, 4), np.uint8)
    out[:, :, :3] = column[:, None, :] + veil * (body - column[:, None, :])
    out[:, :, 3] = label("sky")
    return out


_CODES = np.arange(256)
_OWNER = _CODES & OBJECT_MASK


def _strength(amounts: dict[str, float]) -> Floats:
    """Return a table from label byte to texture strength."""
    table = np.zeros(256, np.float32)
    for owner, amount in amounts.items():
        table[label(owner) == _OWNER] = amount
    return table


_LEAVES = _strength(
    {
        "tree": 0.15,
        "plant": 0.15,
        "palm": 0.10,
        "grass": 0.07,
        "earth": 0.06,
        "path": 0.04,
        "rock": 0.10,
        "mountain": 0.05,
        "road": 0.03,
        "sidewalk": 0.03,
    }
)
_MASONRY = _strength({"building": 1.0, "tower": 1.0, "house": 0.5, "wall": 1.0, "sidewalk": 0.4})
_MASONRY[[label(o, p) for o in ("building", "tower", "house") for p in ("window", "door")]] = 0
_SHADED = _strength(dict.fromkeys(_GROUND, 1.0))


def majority(samples: Bytes) -> Bytes:
    """Return the most frequent value of every 2 by 2 block; ties go to the upper left.

    ``samples`` is (2H, 2W); the result is (H, W).
    """
    a, b = samples[0::2, 0::2], samples[0::2, 1::2]
    c, d = samples[1::2, 0::2], samples[1::2, 1::2]
    tied = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
    return np.asarray(np.where((a == b) | (a == c) | (a == d), a, tied), np.uint8)


def develop(canvas: Canvas, finish: Finish) -> tuple[Bytes, Bytes, Bytes]:
    """Turn a painted canvas into ``(image, objects, parts)`` at the final resolution.

    Light, shadow and texture change colours only, never labels; each label is the majority of
    its samples.
    """
    side = canvas.size
    resolution = side // SUPERSAMPLING
    samples = np.asarray(canvas.raster)
    codes = samples[:, :, 3]
    noise = tiles(resolution)
    o = finish.offsets
    gain = _LEAVES[codes] * _crop(noise.leaf, side, o[0], o[1])
    gain += (_MASONRY * np.float32(finish.masonry))[codes] * _crop(noise.masonry, side, o[2], o[3])
    gain += 1
    gain *= 1 - _SHADED[codes] * (np.float32(finish.sky.shadow / 255) * np.asarray(canvas.shade))
    light = np.float32(finish.exposure) * np.array(finish.sky.light, np.float32)
    lit = (codes != label("sky")).astype(np.float32)
    colour = samples[:, :, :3].astype(np.float32)
    for k in range(3):
        colour[:, :, k] *= gain * (1 + lit * (light[k] - 1))
    if finish.waterline < 1:
        _reflect(colour, codes, finish.waterline, _crop(noise.ripple, side, o[4], o[5]))
    pairs = colour[0::2] + colour[1::2]
    small = (pairs[:, 0::2] + pairs[:, 1::2]) * np.float32(0.25)
    haze = np.array(finish.sky.horizon, np.float32)
    small += np.float32(finish.haze) * (haze - small)
    small = (small - 118) * np.float32(finish.contrast) + 118
    small += np.float32(finish.grain) * _crop(noise.grain, resolution, o[6], o[7])
    objects = majority(codes & np.uint8(OBJECT_MASK))
    both = majority(codes)
    parts = np.where((both & OBJECT_MASK) == objects, both >> PART_SHIFT, 0).astype(np.uint8)
    return np.clip(small + 0.5, 0, 255).astype(np.uint8), objects, parts


def _reflect(colour: Floats, codes: Bytes, waterline: float, ripple: Floats) -> None:
    """Mirror the rows above the waterline into the water, broken up by ripples, in place."""
    side = colour.shape[0]
    top = round(waterline * side)
    rows = np.arange(top, side)[:, None]
    bend = (ripple[top:] * side / 90).astype(np.int64)
    source = np.clip(2 * top - rows - 1 + bend - side // 24, 0, top - 1)
    mirrored = colour[source, np.arange(side)[None, :]]
    water = (codes[top:] == label("water"))[:, :, None]
    own = colour[top:] * (1 + 0.07 * ripple[top:, :, None])
    colour[top:] = np.where(water, own * 0.6 + mirrored * 0.38, colour[top:])


def faded(colour: Colour, sky: Sky, distance: float) -> Colour:
    """Return a colour seen through ``distance`` (0..1) of air."""
    return mix(colour, sky.horizon, distance)
