"""The true numbers that estimates are judged against.

Guarantees: real and planted side are the same images, with and without the omission, so that the
sampling of the population cancels in their difference: no omission gives exactly 0, and there is no
floor in a true distance. Of a pool they are exact; of a family they rest on ``TRUTH_DRAWS`` draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seeingkit.statistics import Moments, frechet

from .families import Rows
from .planting import Plant, plant
from .sources import CHUNK, Source

TRUTH_DRAWS = 2_000_000
LARGE = 200_000
"""Images per side of the plug-in distance that ``fsd_large`` is."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """A source with one omission planted, as it would be with endlessly many images.

    Attributes:
        fsd: percent²; fsd_mean_term: its mean term.
        fsd_large: plug-in FSD of ``LARGE`` images a side that are not the same; NaN where the
            source has not that many.
        images: how many images this rests on.
        area, planted_area: (L,) mean area in percent.
        presence, planted_presence: (L,) share of images.
    """

    fsd: float
    fsd_mean_term: float
    fsd_large: float
    images: int
    area: Vector
    planted_area: Vector
    presence: Vector
    planted_presence: Vector

    @property
    def relative(self) -> Vector:
        """(L,) relative difference of areas; NaN where the class does not occur."""
        return _relative(self.area, self.planted_area)

    @property
    def presence_change(self) -> Vector:
        """(L,) relative difference of presences."""
        return _relative(self.presence, self.planted_presence)

    @property
    def given_change(self) -> Vector:
        """(L,) relative difference of the mean area in images that show the class."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return _relative(self.area / self.presence, self.planted_area / self.planted_presence)

    def directions(self) -> NDArray[np.int8]:
        """(L, 2) sign of the true change in area and in presence, 0 where nothing changed."""
        changes = np.stack([self.planted_area - self.area, self.planted_presence - self.presence])
        changes[np.abs(changes) < 1e-12] = 0.0
        return np.sign(changes.T).astype(np.int8)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """All fields, for a file."""
        return {name: np.asarray(value, dtype=np.float64) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float64]]) -> Truth:
        """What ``arrays`` gave."""
        values = {k: v if v.ndim else float(v) for k, v in arrays.items()}
        return cls(**{**values, "images": int(arrays["images"])})  # type: ignore[arg-type]


class _Sums:
    """Moments and presences of rows that come in chunks, or of changes to such."""

    def __init__(self, size: int) -> None:
        self.n = 0
        self.total, self.shown = np.zeros(size), np.zeros(size)
        self.cross = np.zeros((size, size))

    def add(self, rows: Rows, sign: int = 1) -> None:
        """Add rows of fractions, or with -1 take them away."""
        percent = 100 * rows
        self.n += sign * len(rows)
        self.total += sign * percent.sum(axis=0)
        self.shown += sign * (rows > 0).sum(axis=0)
        self.cross += sign * (percent.T @ percent)

    def plus(self, other: _Sums) -> _Sums:
        """Both together."""
        found = _Sums(len(self.total))
        for name in vars(found):
            setattr(found, name, getattr(self, name) + getattr(other, name))
        return found

    def moments(self) -> Moments:
        mean = self.total / self.n
        cov = (self.cross - self.n * np.outer(mean, mean)) / (self.n - 1)
        return Moments(self.n, mean, cov)


def truths(source: Source, plants: Sequence[Plant | None], draws: int) -> list[Truth]:
    """The truth of each plant (None: nothing planted) from one pass over the population."""
    live = _live(source)
    halves = _Sums(len(live)), _Sums(len(live)), _Sums(len(live))  # LARGE, LARGE, the rest
    changes = [tuple(_Sums(len(live)) for _ in halves) for _ in plants]
    for part, rows in enumerate(source.population(draws)):
        half = min(part * CHUNK // LARGE, 2)
        halves[half].add(rows[:, live])
        for k, what in enumerate(plants):
            if what is None:
                continue
            shown = rows[rows[:, what.label] > 0]
            planted = plant(shown, what, np.random.default_rng([7, part]))
            changes[k][half].add(shown[:, live], -1)
            changes[k][half].add(planted[:, live])
    real = halves[0].plus(halves[1]).plus(halves[2])
    whole = real.moments()
    found = []
    for change in changes:
        sums = real.plus(change[0]).plus(change[1]).plus(change[2])
        distance = frechet(whole, sums.moments())
        large = float("nan")
        if halves[0].n == halves[1].n == LARGE:
            large = frechet(halves[0].moments(), halves[1].plus(change[1]).moments()).value
        vectors = []
        for vector in (real.total, sums.total, real.shown, sums.shown):
            vectors.append(np.zeros(len(source.classes)))
            vectors[-1][live] = vector / real.n
        found.append(Truth(distance.value, distance.mean_term, large, real.n, *vectors))
    return found


def _live(source: Source) -> NDArray[np.intp]:
    """Columns that ever occur (of a family: in its first five chunks)."""
    if source.pool is not None:
        return np.flatnonzero(np.asarray(source.pool).any(axis=0))
    seen = np.zeros(len(source.classes), dtype=bool)
    for rows in source.population(5 * CHUNK):
        seen |= (rows > 0).any(axis=0)
    return np.flatnonzero(seen)


def nearest_class(truth: Truth, presence: float) -> int:
    """The class whose presence in real images is nearest to this share, by ratio."""
    with np.errstate(divide="ignore"):
        return int(np.abs(np.log(truth.presence / presence)).argmin())


def _relative(real: Vector, other: Vector) -> Vector:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(real > 0, other / real - 1, np.nan)
