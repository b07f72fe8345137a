"""Settings of a repair."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError

RANKS = (1, 6, 20)
KEEPS = (1.0, 5.0, 25.0)
"""Directions, and weights of what other places move, that are tried at each site."""


@dataclass(frozen=True)
class RepairSettings:
    """How a class is sought to be brought back.

    Attributes:
        sites: names of the sites; empty: all behind the cut of the inversion.
        photos: of the class, from which edits are planned; at least 3.
        ranks, keeps: of the edits.
        trials: edits of a class, those that reach most, of which images are made.
        search: images in which they are compared.
        n: fresh images in which the chosen one is measured.
        moved: share of the labels of the searched images that the chosen edit may change.
        level: false discovery rate of all claims.
        seed: of the run.

    Raises:
        UsageError: a number that cannot be right.

    >>> RepairSettings().search_seed
    14000000
    """

    sites: tuple[str, ...] = ()
    photos: int = 8
    ranks: tuple[int, ...] = RANKS
    keeps: tuple[float, ...] = KEEPS
    trials: int = 6
    search: int = 100
    n: int = 500
    moved: float = 0.1
    level: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"photos": 3, "trials": 1, "search": 2, "n": 10}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise UsageError(f"{name} {getattr(self, name)}: take at least {value}")
        keeps = [keep for keep in self.keeps if 0 < keep < math.inf]
        if not self.ranks or min(self.ranks) < 1 or not keeps or len(keeps) < len(self.keeps):
            raise UsageError("ranks of at least 1 and weights (keep) above 0 are needed")
        if not 0 < self.moved <= 1 or not 0 < self.level < 1:
            raise UsageError("the share of moved labels lies in (0, 1], the level in (0, 1)")

    @property
    def search_seed(self) -> int:
        """Of the images in which edits are compared."""
        return further_seed(self.seed, Series.REPAIR)

    @property
    def effect_seed(self) -> int:
        """Of the images in which the chosen edit is measured."""
        return further_seed(self.seed, Series.REPAIRED)
