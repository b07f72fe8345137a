"""The real images of a search for artifact units: which are for the search, which for the tests.

Guarantees: images are parted by their numbers before any is read, so that one that cannot be read
moves no other from one part to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seeingkit.errors import UsageError
from seeingkit.statistics.resampling import ENOUGH

from ..effects import Floats
from ..subjects import Integers


class RealParts(NamedTuple):
    """Numbers of real images, increasing: of the search, and of the tests."""

    search: Integers
    test: Integers


class RealRows(NamedTuple):
    """Rows of real images, (N, D): of the search, and of the tests."""

    search: Floats
    test: Floats


def split_real(images: int, search: int, seed: int) -> RealParts:
    """Which real images are for the search and which for the tests.

    Args:
        images: how many there are.
        search: how many the search wants; where there are few, it gets a third.

    Raises:
        UsageError: too few for both.

    >>> [len(part) for part in split_real(600, 200, 0)]
    [200, 400]
    """
    many = min(search, images // 3)
    if many < ENOUGH:
        raise UsageError(
            f"{images:,} real images are too few: the search needs {ENOUGH} of them and the tests "
            f"{2 * ENOUGH} others; give at least {3 * ENOUGH}"
        )
    order = np.random.default_rng([seed, 37]).permutation(images)
    return RealParts(np.sort(order[:many]), np.sort(order[many:]))


def readable_parts(parts: RealParts, read: Sequence[int]) -> RealParts:
    """The parts without the images that could not be read; no image changes its part.

    Args:
        parts: of ``split_real``.
        read: numbers of the images that could be read.

    Raises:
        UsageError: too few are left in a part.

    >>> parts = split_real(600, 200, 0)
    >>> [len(part) for part in readable_parts(parts, range(1, 600))]
    [200, 399]
    """
    found = RealParts(*(part[np.isin(part, read)] for part in parts))
    if len(found.search) < ENOUGH or len(found.test) < 2 * ENOUGH:
        raise UsageError(
            f"too few real images can be read: {len(found.search):,} of the search, which needs "
            f"{ENOUGH}, and {len(found.test):,} of the tests, which need {2 * ENOUGH}; give more"
        )
    return found


def parted_rows(values: Floats, read: Sequence[int], parts: RealParts) -> RealRows:
    """The rows of both parts.

    Args:
        values: (N, D), one row for each image that could be read.
        read: their N numbers.
        parts: of ``readable_parts``.

    >>> parts = RealParts(np.array([0, 4]), np.array([2]))
    >>> parted_rows(np.array([[0.0], [2.0], [4.0]]), [0, 2, 4], parts).search.tolist()
    [[0.0], [4.0]]
    """
    places = {number: row for row, number in enumerate(read)}
    return RealRows(*(values[[places[int(number)] for number in part]] for part in parts))
