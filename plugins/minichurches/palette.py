"""Fixes the vocabulary and the colours of the painted church world.

The order of ``OBJECTS`` and ``PARTS`` is part of the identity of the data: labels are indices
into them. Names are those of the class statistics in the paper's figure (arXiv 1910.11626,
outdoor church) wherever such a class exists there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

Colour = tuple[int, int, int]

OBJECTS: tuple[str, ...] = (
    "-",
    "building",
    "sky",
    "tree",
    "grass",
    "road",
    "plant",
    "person",
    "sidewalk",
    "earth",
    "wall",
    "mountain",
    "house",
    "water",
    "path",
    "car",
    "fence",
    "tower",
    "palm",
    "stairway",
    "signboard",
    "rock",
    "boat",
)
PARTS: tuple[str, ...] = ("-", "window", "door", "roof", "spire", "dome", "clock", "column")
OBJECT_PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "building": ("window", "door", "roof", "spire", "dome", "clock", "column"),
        "house": ("window", "door", "roof"),
        "tower": ("window", "door", "spire", "dome", "clock"),
    }
)

# One byte per sample holds both labels: five bits of object, three bits of part.
PART_SHIFT = 5
OBJECT_MASK = (1 << PART_SHIFT) - 1
_PART_CODE = {name: i << PART_SHIFT for i, name in enumerate(PARTS)}
_OBJECT_CODE = {name: i for i, name in enumerate(OBJECTS)}


def label(owner: str, part: str = "-") -> int:
    """Return the byte that stands for ``part`` of ``owner`` on a canvas (0..255)."""
    return _OBJECT_CODE[owner] | _PART_CODE[part]


class Sky(NamedTuple):
    """A time of day: sky colours, cloud colour, light on the world and haze."""

    zenith: Colour
    horizon: Colour
    cloud: Colour
    light: tuple[float, float, float]
    shadow: float
    haze: float


SKIES: tuple[tuple[float, Sky], ...] = (
    (0.34, Sky((78, 134, 208), (176, 208, 238), (250, 250, 250), (1.04, 1.02, 0.98), 0.42, 0.05)),
    (0.16, Sky((40, 92, 178), (132, 180, 228), (244, 247, 250), (1.08, 1.04, 0.96), 0.48, 0.02)),
    (0.24, Sky((168, 178, 190), (214, 218, 222), (240, 241, 243), (0.93, 0.95, 0.98), 0.12, 0.12)),
    (0.12, Sky((72, 84, 140), (246, 176, 118), (250, 196, 160), (1.02, 0.86, 0.74), 0.40, 0.10)),
    (0.08, Sky((146, 168, 212), (250, 214, 196), (254, 232, 222), (1.04, 0.95, 0.90), 0.30, 0.12)),
    (0.06, Sky((26, 34, 76), (110, 104, 148), (92, 92, 132), (0.66, 0.68, 0.84), 0.18, 0.06)),
)


class Material(NamedTuple):
    """A wall material: its colour, the colour of its dressings, and its masonry contrast."""

    wall: Colour
    trim: Colour
    masonry: float


MATERIALS: tuple[tuple[float, Material], ...] = (
    (0.26, Material((178, 164, 138), (208, 196, 172), 0.085)),
    (0.18, Material((142, 138, 132), (176, 172, 166), 0.085)),
    (0.20, Material((164, 86, 64), (206, 178, 150), 0.075)),
    (0.18, Material((232, 228, 218), (200, 190, 176), 0.015)),
    (0.12, Material((222, 182, 110), (244, 230, 200), 0.02)),
    (0.06, Material((208, 150, 128), (240, 222, 208), 0.02)),
)
ROOFS: tuple[Colour, ...] = (
    (156, 76, 54),
    (128, 62, 50),
    (84, 86, 96),
    (66, 70, 82),
    (104, 82, 66),
    (92, 140, 122),
)
CAPS: tuple[Colour, ...] = (
    (70, 74, 88),
    (92, 148, 130),
    (116, 66, 52),
    (88, 78, 72),
    (208, 166, 62),
    (60, 90, 150),
)
GLASS: tuple[Colour, ...] = ((40, 48, 66), (54, 62, 78), (34, 38, 48), (74, 88, 108))
DOORS: tuple[Colour, ...] = ((84, 52, 32), (60, 38, 28), (112, 44, 34), (40, 66, 56))
LEAVES: tuple[Colour, ...] = (
    (58, 100, 44),
    (44, 84, 42),
    (82, 116, 48),
    (104, 122, 50),
    (40, 74, 50),
    (168, 112, 40),
)
TRUNK: Colour = (82, 62, 46)
CLOTHES: tuple[Colour, ...] = (
    (190, 40, 44),
    (40, 70, 160),
    (236, 232, 226),
    (34, 34, 42),
    (226, 180, 60),
    (70, 140, 90),
    (130, 70, 140),
    (230, 130, 150),
    (90, 150, 200),
)
TROUSERS: tuple[Colour, ...] = ((38, 42, 60), (60, 66, 96), (92, 80, 66), (28, 28, 32))
SKINS: tuple[Colour, ...] = ((236, 194, 164), (204, 152, 116), (140, 94, 68), (92, 62, 46))
CARS: tuple[Colour, ...] = (
    (188, 30, 34),
    (230, 230, 232),
    (28, 30, 36),
    (150, 156, 164),
    (34, 74, 150),
    (216, 176, 40),
)
SIGNS: tuple[Colour, ...] = ((30, 84, 170), (24, 116, 70), (196, 36, 36), (240, 236, 224))
STREET: Colour = (98, 98, 102)
PAVING: tuple[Colour, ...] = ((176, 170, 160), (188, 176, 156), (160, 156, 152))
EARTH: tuple[Colour, ...] = ((168, 134, 94), (148, 116, 82), (186, 158, 118))
GRASSES: tuple[Colour, ...] = ((98, 142, 56), (84, 128, 52), (122, 146, 66), (140, 142, 76))
STONE: tuple[Colour, ...] = ((136, 130, 122), (118, 112, 106), (150, 140, 124))


def shade(colour: Colour, factor: float) -> Colour:
    """Scale a colour by ``factor`` and clip it to 0..255."""
    r, g, b = colour
    return (
        min(255, int(r * factor)),
        min(255, int(g * factor)),
        min(255, int(b * factor)),
    )


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """Return the colour a fraction ``t`` (0..1) of the way from ``a`` to ``b``."""
    return (
        int(a[0] + (b[0] - a[0]) * t),
        int(a[1] + (b[1] - a[1]) * t),
        int(a[2] + (b[2] - a[2]) * t),
    )
