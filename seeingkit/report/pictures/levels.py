"""The levels of detail of a page's pictures, and the size that a page may have.

Up to 128 pixels an image is kept exactly (lossless WebP); larger ones become WebP of quality 85
and at most 512 pixels a side, and less where all of them would exceed the budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BUDGET = 8_000_000
"""Bytes of all images of a page as text; with the scripts the page stays below 10 MB."""
EXACT_UP_TO = 128
"""Longest side in pixels of an image that is kept exactly."""
MAP_SIZE = 256
"""Maps of labels are at most this large."""


@dataclass(frozen=True)
class Level:
    """How much detail pictures keep.

    Attributes:
        size: longest side in pixels; quality: of lossy WebP.
        strips: which filmstrips of inversions stay: of all methods, the first method, or none.
        cards: how many photos of an inversion are shown at most.
    """

    size: int
    quality: int
    strips: Literal["all", "first", "none"] = "all"
    cards: int = 48

    @property
    def map_size(self) -> int:
        """Longest side in pixels of a map of labels."""
        return min(self.size, MAP_SIZE)


LEVELS = (
    Level(512, 85),
    Level(384, 85),
    Level(256, 85),
    Level(256, 80, "first"),
    Level(256, 70, "first"),
    Level(192, 65, "first"),
    Level(128, 60, "first"),
    Level(96, 50, "none"),
    Level(96, 50, "none", 24),
    Level(96, 50, "none", 12),
    Level(96, 50, "none", 6),
)
"""From full detail to the least; a page takes the first at which all its pictures fit."""


def is_exact(*sides: int) -> bool:
    """Whether an image of these sides in pixels is kept exactly, and enlarged in squares."""
    return max(sides) <= EXACT_UP_TO
