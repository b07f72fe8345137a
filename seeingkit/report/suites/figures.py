"""The figure of a ranking, drawn as SVG in its table: an interval for each row.

They take their colours from the page's style sheet, so that they follow its theme, and positions in
percent of their width, so that they fit any window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .standings import Ranking, Standing

WIDE_RANGE = 12.0
"""The largest value over the median above which an axis is one of square roots."""
TICKS = 5
LEAST_APART = 17.0
"""Percent of the axis between two ticks of an axis of square roots."""


@dataclass(frozen=True)
class Axis:
    """An axis that begins at 0.

    Attributes:
        top: its upper end.
        root: it is one of square roots, for values of very different size.
    """

    top: float
    root: bool = False

    @staticmethod
    def of(values: Iterable[float], *, ends: Iterable[float] = ()) -> Axis:
        """An axis for these values, long enough for these ends of intervals too."""
        shown = sorted(v for v in values if math.isfinite(v) and v > 0)
        largest = max([*shown, *(e for e in ends if math.isfinite(e))], default=1.0) or 1.0
        middle = shown[len(shown) // 2] if shown else largest
        return Axis(top=1.02 * largest, root=largest > WIDE_RANGE * middle)

    def at(self, value: float) -> float:
        """The place of a value, in percent of the axis; cut to it."""
        share = min(max(value / self.top, 0.0), 1.0)
        return round(100 * (math.sqrt(share) if self.root else share), 2)

    @property
    def ticks(self) -> list[float]:
        """Round values along the axis, from 0 on."""
        if not self.root:
            step = round_up(self.top / TICKS)
            return [step * k for k in range(int(self.top / step) + 1)]
        found = [0.0]
        for k in range(1, TICKS + 1):
            value = round_down(self.top * (k / TICKS) ** 2)
            if self.at(value) - self.at(found[-1]) > LEAST_APART:
                found.append(value)
        return found


def round_up(value: float) -> float:
    """The next of 1, 2, 5, 10 × a power of ten.

    >>> round_up(3.1), round_up(0.11)
    (5.0, 0.2)
    """
    return _round(value, lambda step, size: step >= size - 1e-9, (1, 2, 5, 10))


def round_down(value: float) -> float:
    """The last of 1, 2, 5 × a power of ten that is not larger.

    >>> round_down(3.1), round_down(0.6)
    (2.0, 0.5)
    """
    return _round(value, lambda step, size: step <= size + 1e-9, (5, 2, 1))


def _round(value: float, fits: Callable[[float, float], bool], steps: Sequence[int]) -> float:
    power = math.floor(math.log10(value))
    size = value / 10.0**power
    step = next(step for step in steps if fits(step, size))
    return float(f"{step}e{power}")


@dataclass(frozen=True)
class Interval:
    """One row of the figure of a ranking, all in percent of the axis.

    Attributes:
        at: the distance; low, high: its interval, None without one.
        beyond: the interval goes on beyond the axis.
    """

    at: float
    low: float | None
    high: float | None
    beyond: bool = False


@dataclass(frozen=True)
class Intervals:
    """The figure of a ranking.

    Attributes:
        axis: of all rows.
        ticks: place and value.
        band: upper end of what real images against real images reach, or None without controls.
        rows: by the name of the row.
        letters: of all groups, in the order of their first row.
    """

    axis: Axis
    ticks: tuple[tuple[float, float], ...]
    band: float | None
    rows: dict[str, Interval]
    letters: tuple[str, ...]


def intervals(ranking: Ranking) -> Intervals | None:
    """The figure of a ranking; None where nothing has been compared."""
    rows = [row for row in ranking.rows if row.fsd is not None]
    if not rows:
        return None
    axis = axis_of(rows)
    control = [row.high or max(row.distance, 0.0) for row in ranking.controls]
    return Intervals(
        axis=axis,
        ticks=tuple((axis.at(value), value) for value in axis.ticks),
        band=axis.at(max(control)) if control else None,
        rows={row.name: _interval(row, axis) for row in rows},
        letters=tuple(dict.fromkeys(x for row in rows for x in row.letters.split())),
    )


def axis_of(rows: Sequence[Standing]) -> Axis:
    """The axis of distances on which all rows fit."""
    ends = [row.high for row in rows if row.high is not None]
    return Axis.of([row.distance for row in rows], ends=ends)


def _interval(row: Standing, axis: Axis) -> Interval:
    low, high = row.low, row.high
    return Interval(
        at=axis.at(row.distance),
        low=None if low is None else axis.at(low),
        high=None if low is None else axis.at(axis.top if high is None else high),
        beyond=low is not None and high is None,
    )
