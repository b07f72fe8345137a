"""Snapshots of one training: the curve of the distance and of lost classes, drawn and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..words.numbers import listing, number
from .figures import Axis, axis_of
from .standings import Standing
from .words import NAMED


@dataclass(frozen=True)
class Point:
    """One snapshot in the drawing, in pixels, and its row."""

    x: float
    y: float
    low: float | None
    high: float | None
    omitted: float
    lost: float
    row: Standing


@dataclass(frozen=True)
class Curve:
    """The two panels of one training in one layout, in pixels: the distance, and lost classes.

    Attributes:
        layout: ``wide`` or ``narrow``.
        width, height: of the drawing; left, right: ends of the axis of steps; panel: height of one.
        tops: upper ends of the panels.
        points: in the order of steps.
        steps: place and step of the ticks below.
        distances, classes: place and value of the ticks of the two panels.
    """

    layout: str
    width: int
    height: int
    left: int
    right: int
    panel: int
    tops: tuple[int, int]
    points: tuple[Point, ...]
    steps: tuple[tuple[float, float], ...]
    distances: tuple[tuple[float, float], ...]
    classes: tuple[tuple[float, float], ...]

    @property
    def line(self) -> str:
        """The distance as points of a polyline."""
        return " ".join(f"{p.x:g},{p.y:g}" for p in self.points)

    @property
    def band(self) -> str:
        """The intervals as points of a polygon; empty where one snapshot has none."""
        upper = [(p.x, p.high) for p in self.points if p.high is not None]
        lower = [(p.x, p.low) for p in self.points if p.low is not None]
        if len(upper) < len(self.points) or len(lower) < len(self.points):
            return ""
        return " ".join(f"{x:g},{y:g}" for x, y in (*upper, *reversed(lower)))

    def classes_line(self, name: str) -> str:
        """The number of omitted classes, or of all lost ones, as points of a polyline."""
        return " ".join(f"{p.x:g},{getattr(p, name):g}" for p in self.points)


LAYOUTS = {"wide": (760, 130), "narrow": (360, 120)}
"""Width of the drawing and height of a panel in pixels."""
LEFT, RIGHT, GAP, TOP, BOTTOM = 52, 14, 34, 18, 26


def curves(rows: Sequence[Standing]) -> list[Curve]:
    """The curves of one training in both layouts; ``rows``: its snapshots by their steps."""
    return [_curve(rows, layout, *size) for layout, size in LAYOUTS.items()]


def _curve(rows: Sequence[Standing], layout: str, width: int, panel: int) -> Curve:
    first, last = rows[0].step or 0.0, rows[-1].step or 0.0
    right, tops = width - RIGHT, (TOP, TOP + panel + GAP)
    axis = axis_of(rows)
    count = Axis(top=max(4.0, 1.05 * max(r.counts["omitted"] + r.reduced for r in rows)))

    def across(step: float) -> float:
        return round(LEFT + (right - LEFT) * (step - first) / (last - first), 1)

    def up(scale: Axis, value: float, top: int) -> float:
        return round(top + panel * (1 - scale.at(value) / 100), 1)

    points = []
    for row in rows:
        low, high = row.low, row.high
        omitted = row.counts["omitted"]
        points.append(
            Point(
                x=across(row.step or 0.0),
                y=up(axis, row.distance, tops[0]),
                low=None if low is None else up(axis, low, tops[0]),
                high=None if low is None else up(axis, axis.top if high is None else high, tops[0]),
                omitted=up(count, omitted, tops[1]),
                lost=up(count, omitted + row.reduced, tops[1]),
                row=row,
            )
        )
    whole = sorted({round(tick) for tick in count.ticks})
    return Curve(
        layout=layout,
        width=width,
        height=tops[1] + panel + BOTTOM,
        left=LEFT,
        right=right,
        panel=panel,
        tops=tops,
        points=tuple(points),
        steps=tuple((across(s), s) for s in _step_ticks([r.step or 0.0 for r in rows], width)),
        distances=tuple((up(axis, tick, tops[0]), tick) for tick in axis.ticks),
        classes=tuple((up(count, tick, tops[1]), tick) for tick in whole),
    )


def _step_ticks(steps: Sequence[float], width: int) -> list[float]:
    """The steps that are written below the axis: first and last, and those between with room."""
    apart = (steps[-1] - steps[0]) * 64 / (width - LEFT - RIGHT)
    found = [steps[0]]
    for step in steps[1:-1]:
        if step - found[-1] >= apart and steps[-1] - step >= apart:
            found.append(step)
    return [*found, steps[-1]]


def training_words(rows: Sequence[Standing]) -> list[str]:
    """How the distance went over training: first, least and last, and what is as good as the best.

    Args:
        rows: the snapshots of one training by their steps.
    """
    first, last = rows[0], rows[-1]
    best = min(rows, key=lambda row: row.distance)
    found = [
        f"From {first.step_text} to {last.step_text} the distance goes from "
        f"{number(first.distance)} to {number(last.distance)}, and the number of omitted classes "
        f"from {first.counts['omitted']} to {last.counts['omitted']}."
    ]
    letters = set(best.letters.split())
    same = [row for row in rows if row is not best and letters & set(row.letters.split())]
    if same:
        steps = listing([row.step_text for row in same], limit=NAMED + 2)
        found.append(
            f"The least distance is at {best.step_text}; it cannot be told from that at {steps}."
        )
    elif letters:
        found.append(f"The least distance is at {best.step_text}, and surely so.")
    else:
        found.append(f"The least distance is at {best.step_text}.")
    return found
