"""The colour of a class, by its name alone: the same in every run and with every segmenter.

Common classes have the colours that maps give them by convention (``colours.toml``). Any other name
has a colour made from its hash. No colour is near a mark's (see ``marks``).
"""

from __future__ import annotations

import functools
import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .marks import RESERVED, Colour

_FILE = Path(__file__).with_name("colours.toml")
_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)  # of linear sRGB, IEC 61966-2-1
_FROM_MARKS, _FROM_OUTDOORS, _FROM_OTHERS = 30.0, 18.0, 6.0
"""How far a colour made from a hash stays away, in CIE Lab: nothing unknown looks like a tree."""
_LIGHTNESS, _CHROMA = (40.0, 88.0), (12.0, 62.0)
"""Of colours made from a hash, in CIE Lab: lines between areas stay visible, and none glares."""


@functools.lru_cache(maxsize=4096)
def class_colour(name: str) -> Colour:
    """RGB in 0..255 of a class.

    ::

        class_colour("person") == class_colour("Person; individual")

    Case, white space, hyphens and underscores make no difference. Of several names of one class,
    separated by commas, semicolons or slashes, the first that is known counts, else the first.
    """
    names = synonyms(name)
    known = next((conventional()[n] for n in names if n in conventional()), None)
    return known or _hashed(names[0])


def synonyms(name: str) -> list[str]:
    """The names in a label, normalised; at least one: "Sign, sign-board" → sign, sign board."""
    parts = (" ".join(re.split(r"[\s_-]+", part.casefold())) for part in re.split("[,;/]", name))
    return [part.strip() for part in parts if part.strip()] or [name]


@functools.lru_cache(maxsize=1)
def conventional() -> dict[str, Colour]:
    """The colour of each name in ``colours.toml``."""
    found: dict[str, Colour] = {}
    for classes in _tables().values():
        for name, (colour, *others) in classes.items():
            found |= dict.fromkeys((name, *others), _rgb(colour))
    return found


@functools.lru_cache(maxsize=1)
def _tables() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def _rgb(colour: str) -> Colour:
    r, g, b = bytes.fromhex(colour.removeprefix("#"))
    return r, g, b


def lab(colours: ArrayLike) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of sRGB colours: (..., 3) in 0..255 → (..., 3) float64."""
    shares = np.asarray(colours, dtype=np.float64) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    x = linear @ _XYZ.T / _XYZ.sum(axis=1)
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])],
        axis=-1,
    )


def _hashed(name: str) -> Colour:
    """The first colour in a name's stream of hashes that is near no mark and no known class."""
    return next(colour for colour in _stream(name) if _is_free(colour))


def _stream(name: str) -> Iterator[Colour]:
    k = 0
    while True:
        digest = hashlib.sha256(f"{name}\n{k}".encode("utf-8", "surrogatepass")).digest()
        yield from zip(digest[0:30:3], digest[1:30:3], digest[2:30:3], strict=True)
        k += 1


def _is_free(colour: Colour) -> bool:
    place = lab(colour)
    return bool(
        _LIGHTNESS[0] <= place[0] <= _LIGHTNESS[1]
        and _CHROMA[0] <= np.hypot(*place[1:]) <= _CHROMA[1]
        and all(np.linalg.norm(taken - place, axis=1).min() >= least for taken, least in _taken())
    )


@functools.lru_cache(maxsize=1)
def _taken() -> tuple[tuple[NDArray[np.float64], float], ...]:
    """Lab colours that are taken, and how far from them a colour made from a hash is."""
    outdoors = [_rgb(colour) for colour, *_ in _tables()["open_air"].values()]
    return (
        (lab(RESERVED), _FROM_MARKS),
        (lab(outdoors), _FROM_OUTDOORS),
        (lab(sorted(conventional().values())), _FROM_OTHERS),
    )
