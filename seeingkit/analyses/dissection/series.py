"""Numbers of each group of images at the pairs that are tested: the sums before they are added.

Guarantees: whole numbers of the same groups as the sums (``moments``), in the order of the images,
whichever process made them; groups share no image, so they may be drawn anew (``counts``). Only
candidates are kept, for no other pair can become a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import UsageError

from .moments import SHIFTS, Moments

Small = NDArray[np.int32]
NAMES = ("both", "union", "excess")
"""The numbers of a group and pair, as named in ``moments``."""


@dataclass(frozen=True, eq=False)
class GroupSeries:
    """The numbers of a layer, group by group.

    Attributes:
        pairs: (P, 2) int64: unit and column of each candidate.
        groups: (G,) int64: numbers of the groups, ascending; their images: ``grouping``.
        both, union, excess: (G, P) int32: I, V and S I - J of ``moments``.
    """

    pairs: NDArray[np.int64]
    groups: NDArray[np.int64]
    both: Small
    union: Small
    excess: Small

    @property
    def chance(self) -> NDArray[np.float64]:
        """(G, P) pixels in common with the label maps of other images: J / S."""
        return np.asarray(self.both - self.excess / len(SHIFTS), np.float64)

    def at(self, numbers: NDArray[np.int64]) -> GroupSeries:
        """The groups of these numbers, ascending.

        Raises:
            UsageError: one of them is not there.
        """
        places = np.searchsorted(self.groups, numbers)
        if np.any(places >= len(self.groups)) or np.any(self.groups[places] != numbers):
            raise UsageError("groups of images that were not counted")
        return GroupSeries(
            self.pairs,
            self.groups[places],
            self.both[places],
            self.union[places],
            self.excess[places],
        )


def series_of(groups: Sequence[tuple[int, Moments]], candidates: NDArray[np.bool_]) -> GroupSeries:
    """The series of groups, each given by its number and its sums.

    Args:
        groups: in ascending order; those of no group (``moments.nothing``) are left out.
        candidates: (U, C) the pairs that are kept.

    >>> from seeingkit.analyses.dissection.moments import nothing
    >>> series_of([(0, nothing(2, 3))], np.ones((2, 3), bool)).both.shape
    (0, 6)
    """
    pairs = np.argwhere(candidates).astype(np.int64)
    there = [(number, sums) for number, sums in groups if sums.groups == 1]

    def rows(name: str) -> Small:
        found = [getattr(sums, name)[candidates] for _, sums in there]
        return np.array(found, np.int32).reshape(len(found), len(pairs))

    numbers = np.array([number for number, _ in there], np.int64)
    return GroupSeries(pairs, numbers, *(rows(name) for name in NAMES))


def joined(parts: Iterable[GroupSeries]) -> GroupSeries:
    """Series of the same pairs, one after another by the numbers of their groups.

    ::

        joined([second, first]).groups
    """
    ordered = sorted(parts, key=lambda one: one.groups[0] if len(one.groups) else -1)
    columns = {
        name: np.concatenate([getattr(one, name) for one in ordered]) for name in ("groups", *NAMES)
    }
    return GroupSeries(ordered[0].pairs, **columns)
