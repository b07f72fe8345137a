"""Made-up distributions of scenes, from which any number of images can be drawn.

Guarantees: rows are area fractions that are not negative and sum to 1; rows are independent and
alike; the same generator state gives the same rows. Each family is hard in its own way, so that
a statistic that is right on all of them is right for a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Rows = NDArray[np.float64]
"""(N, L) area fractions, each row summing to 1."""


def long_tail(n: int, rng: np.random.Generator) -> Rows:
    """336 classes, 216 ever present, presence min(0.98, 1.2 / k^1.1) for k = 1 .. 216.

    The mean of the logarithm of the area falls linearly from -1 to -5 over the 336 classes, with
    standard deviation 0.8; rows are normalised. Class 31 is in 2.7 % of the images, class 6 in
    17 %.
    An image with nothing in it (1 in 7,300) shows class 1.
    """
    k = np.arange(1, 217)
    presence = np.minimum(0.98, 1.2 / k**1.1)
    rows = np.zeros((n, 336))
    at = np.nonzero(rng.random((n, 216)) < presence)
    rows[at] = np.exp(np.linspace(-1, -5, 336)[at[1]] + 0.8 * rng.standard_normal(len(at[0])))
    return _normalised(rows)


def dense(n: int, rng: np.random.Generator) -> Rows:
    """20 classes, all in every image: Dirichlet with parameters from 4 down to 0.25."""
    return rng.dirichlet(np.geomspace(4, 0.25, 20), n)


def correlated(n: int, rng: np.random.Generator) -> Rows:
    """40 classes driven by three hidden numbers of the scene, which decide presence and area.

    Class k is present where 0.9 times a direction of the three plus 0.44 times noise of its own
    passes the normal quantile of its presence (0.9 down to 0.005, geometrically); where the
    hidden numbers favour a class it is also larger.
    """
    size = 40
    presence = np.geomspace(0.9, 0.005, size)
    angles = np.arange(size) * 2.399963  # golden angle: neighbours point elsewhere
    height = np.linspace(-0.8, 0.8, size)
    flat = np.sqrt(1 - height**2)
    directions = np.stack([flat * np.cos(angles), flat * np.sin(angles), height])
    hidden = rng.standard_normal((n, 3)) @ directions
    score = 0.9 * hidden + np.sqrt(1 - 0.81) * rng.standard_normal((n, size))
    areas = np.exp(hidden + 0.5 * rng.standard_normal((n, size)) + np.linspace(0, -2, size))
    rows: Rows = np.where(score > special.ndtri(1 - presence), areas, 0.0)
    return _normalised(rows)


def rare_and_large(n: int, rng: np.random.Generator) -> Rows:
    """60 classes; the rarer a class, the more of the image it fills where it is present.

    Classes 1 to 5 are ordinary scenery. Class k > 5 has presence 0.5 / (k - 4)^1.3 and, relative to
    the scenery, an area of a heavy tail (Pareto with exponent 1.2, growing with k), cut at 200.
    """
    size = 60
    rows = np.zeros((n, size))
    rows[:, :5] = rng.dirichlet(np.full(5, 2.0), n)
    k = np.arange(6, size + 1)
    presence = 0.5 / (k - 4.0) ** 1.3
    at = np.nonzero(rng.random((n, size - 5)) < presence)
    tail = 0.02 * (at[1] + 1) * (1 - rng.random(len(at[0]))) ** (-1 / 1.2)
    rows[at[0], at[1] + 5] = np.minimum(tail, 200.0)
    return _normalised(rows)


def one_class(n: int, rng: np.random.Generator) -> Rows:
    """30 classes; class 1 fills nearly all of every image, the others are tiny.

    Class k > 1 has presence 0.6 / k^0.9 and an area of exp(-6 + normal), so that they take about
    1 % of the image together.
    """
    size = 30
    rows = np.zeros((n, size))
    rows[:, 0] = 1.0
    k = np.arange(2, size + 1)
    at = np.nonzero(rng.random((n, size - 1)) < 0.6 / k**0.9)
    rows[at[0], at[1] + 1] = np.exp(-6 + rng.standard_normal(len(at[0])))
    return _normalised(rows)


def _normalised(rows: Rows) -> Rows:
    """Rows divided by their sums; a row without anything shows its first class."""
    total = rows.sum(axis=1)
    rows[total == 0, 0] = 1.0
    rows /= np.where(total == 0, 1.0, total)[:, None]
    return rows


@dataclass(frozen=True)
class Family:
    """A distribution of scenes.

    Attributes:
        name: as on the command line.
        size: number of classes L.
        summary: what it is, in a few words.
        draw: (n, rng) -> (n, L) area fractions.
    """

    name: str
    size: int
    summary: str
    draw: Callable[[int, np.random.Generator], Rows]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(f"class {k}" for k in range(1, self.size + 1))


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("long-tail", 336, "336 classes of which 216 occur, most of them rare", long_tail),
        Family("dense", 20, "20 classes, all in every image", dense),
        Family("correlated", 40, "40 classes that come and go together", correlated),
        Family("rare-large", 60, "60 classes, the rare ones fill the image", rare_and_large),
        Family("one-class", 30, "one class fills almost all of every image", one_class),
    )
}


def family(name: str) -> Family:
    """The family of this name.

    Raises:
        KeyError: no such family; the message lists those there are.
    """
    if name not in FAMILIES:
        raise KeyError(f"no family {name!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]
