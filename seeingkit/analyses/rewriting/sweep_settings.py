"""What a sweep of edits tries, and on how many images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seeingkit.errors import UsageError
from seeingkit.statistics.ratios import FEWEST

from .plan import MOMENT_IMAGES

BUDGET = 0.15
"""Share of the labels of other places that an edit may change unless told otherwise: what edits
of the default rank and weight change on the embedded networks (``docs/rewriting.md``)."""
LEAST = 0.05
"""Gain at matching places, beyond that of the controls, that counts as doing what was asked."""


@dataclass(frozen=True)
class SweepSettings:
    """What a sweep tries, and on how many images.

    Attributes:
        sites: names, or ``all``.
        ranks, keeps: numbers of directions, and weights of what other places move.
        images: that candidates are compared on.
        fresh: images that the chosen one is measured on.
        budget: share of the labels of other places that may change.
        matching: site whose keys say which places match; None: all that are swept (``consensus``).
        controls: edits that the chosen one is compared with.
        least: see ``LEAST``.
        key_images: images of the moments.

    Raises:
        UsageError: numbers that cannot be right.

    >>> SweepSettings(ranks=(1, 3)).keeps
    (20.0, 5.0, 1.25)
    """

    sites: Sequence[str] | Literal["all"] = "all"
    ranks: Sequence[int] = (1, 3, 6, 10)
    keeps: Sequence[float] = (20.0, 5.0, 1.25)
    images: int = 60
    fresh: int = 200
    budget: float = BUDGET
    matching: str | None = None
    controls: int = 3
    least: float = LEAST
    key_images: int = MOMENT_IMAGES

    def __post_init__(self) -> None:
        lists = (("sites", self.sites), ("ranks", self.ranks), ("keeps", self.keeps))
        empty = next((name for name, given in lists if not given), None)
        if empty:
            raise UsageError(f"{empty}: a sweep needs at least one")
        if min(self.ranks) < 1:
            raise UsageError(f"rank {min(self.ranks)}: at least 1 is needed")
        if not all(0 < keep < float("inf") for keep in self.keeps):
            raise UsageError(f"keeps {list(self.keeps)}: numbers above 0 are needed")
        if min(self.images, self.fresh) < FEWEST or self.controls < 1:
            raise UsageError(f"a sweep needs at least {FEWEST} images of each kind, and a control")
        if not 0 < self.budget <= 1:
            raise UsageError(f"budget {self.budget}: a share of labels in (0, 1] is needed")
