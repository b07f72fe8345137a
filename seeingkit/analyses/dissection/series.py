"""Numbers of the groups of images at the pairs that are tested: the sums before they are added.

Guarantees: whole numbers of the same groups as the sums (``moments``), in the order of the images,
whichever process made them; groups share no image, so they may be drawn anew (``counts``). Only
candidates are kept, for no other pair can become a label.

Of many images neighbouring groups are added up into *bins*, so that the memory does not grow with
the images: a bin holds ``span`` groups, a power of two, from a multiple of ``span`` on. So any two
series can be brought to the same bins (``coarser``), whatever their numbers of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import UsageError

from .moments import SHIFTS, Moments

Small = NDArray[np.int32]
Whole = NDArray[np.int64]
NAMES = ("both", "union", "excess")
"""The numbers of a group and pair, as named in ``moments``."""
SUMS = (*NAMES, "excess2")
"""The numbers of a bin and pair."""

MOST_BINS, FEWEST_BINS = 256, 64
"""Bins of a series: at most, and at least half as many as this where there are as many groups; a
standard error over the fewest is known to 13 %."""
MOST_NUMBERS = 1 << 22
"""Bins times pairs of a series (80 MiB), as far as ``FEWEST_BINS`` allows."""
_SMALL = 1 << 31
"""Whole numbers below this one fit into int32."""


class GroupRows(NamedTuple):
    """The numbers of some groups, each by itself.

    Attributes:
        groups: (G,) int64: numbers of the groups, ascending; their images: ``grouping``.
        both, union, excess: (G, P) int32: I, V and S I - J of ``moments`` at the candidates.
    """

    groups: Whole
    both: Small
    union: Small
    excess: Small


@dataclass(frozen=True, eq=False)
class GroupSeries:
    """The numbers of a layer, bin by bin.

    Attributes:
        pairs: (P, 2) int64: unit and column of each candidate.
        groups: (G,) int64: numbers of the groups, ascending; their images: ``grouping``.
        span: groups of a bin: group g is in bin g // span.
        both, union, excess: (B, P) int32, or int64 where that is needed: sums of I, V and S I - J
            of ``moments``.
        excess2: (B, P) int64: sum of the squares of the groups' excess.
    """

    pairs: Whole
    groups: Whole
    span: int
    both: Small | Whole
    union: Small | Whole
    excess: Small | Whole
    excess2: Whole

    @property
    def chance(self) -> NDArray[np.float64]:
        """(B, P) pixels in common with the label maps of other images: J / S."""
        return np.asarray(self.both - self.excess / len(SHIFTS), np.float64)

    @property
    def bins(self) -> Whole:
        """(B,) numbers of the bins, ascending."""
        return np.unique(self.groups // self.span)

    @property
    def sizes(self) -> Whole:
        """(B,) groups in each bin."""
        return np.unique(self.groups // self.span, return_counts=True)[1].astype(np.int64)

    def coarser(self, span: int) -> GroupSeries:
        """The same numbers in bins of more groups.

        Raises:
            UsageError: bins of fewer groups, or of no whole number of these.
        """
        if span % self.span:
            raise UsageError(f"bins of {self.span} groups cannot be brought to {span}")
        if span == self.span:
            return self
        starts = np.flatnonzero(np.diff(self.bins * self.span // span, prepend=-1))
        sums = {name: np.add.reduceat(getattr(self, name), starts, dtype=np.int64) for name in SUMS}
        return GroupSeries(self.pairs, self.groups, span, **sums)

    def at(self, numbers: Whole) -> GroupSeries:
        """The bins of groups of these numbers, ascending.

        Raises:
            UsageError: one of them was not counted, or is not all of its bin.
        """
        if not np.isin(numbers, self.groups).all():
            raise UsageError("groups of images that were not counted")
        kept = np.isin(self.bins, numbers // self.span)
        if int(self.sizes[kept].sum()) != len(numbers):
            raise UsageError(f"groups of images that are not all of their bin of {self.span}")
        sums = {name: getattr(self, name)[kept] for name in SUMS}
        return GroupSeries(self.pairs, numbers, self.span, **sums)


def span_of(groups: int, pairs: int) -> int:
    """Groups of a bin: as few as leave at most ``MOST_BINS``, or ``MOST_NUMBERS`` in all.

    >>> [span_of(groups, 50) for groups in (20, 256, 257, 10_000)], span_of(625, 300_000)
    ([1, 1, 2, 64], 16)
    """
    most = max(FEWEST_BINS, min(MOST_BINS, MOST_NUMBERS // max(1, pairs)))
    return 1 << max(0, -(-groups // most) - 1).bit_length()


def shared_groups(members: Sequence[GroupSeries]) -> Whole:
    """Numbers of the groups of all bins that are the same in all series, of the same ``span``.

    A bin that lacks a group in one of them is left out whole.

    ::

        shared_groups([first, second])
    """
    span = members[0].span
    kept = members[0].groups
    for own in members:
        kept = np.intersect1d(kept, own.groups)
    every = np.unique(np.concatenate([own.groups for own in members]))
    broken = np.setdiff1d(every, kept) // span
    return np.asarray(kept[~np.isin(kept // span, broken)], np.int64)


class SeriesSums:
    """Adds up the rows of groups, in any order.

    Args:
        candidates: (U, C) the pairs that are kept.
        groups: how many there will be.

    >>> from seeingkit.analyses.dissection.moments import nothing
    >>> sums = SeriesSums(np.ones((2, 3), bool), 0)
    >>> sums.add(rows_of([(0, nothing(2, 3))], np.ones((2, 3), bool)))
    >>> sums.series().both.shape
    (0, 6)
    """

    def __init__(self, candidates: NDArray[np.bool_], groups: int) -> None:
        self.pairs = np.argwhere(candidates).astype(np.int64)
        self.span = span_of(groups, len(self.pairs))
        shape = (-(-groups // self.span), len(self.pairs))
        self._sums: dict[str, NDArray[Any]] = {name: np.zeros(shape, np.int32) for name in NAMES}
        self._sums["excess2"] = np.zeros(shape, np.int64)
        self._groups = list[int]()

    def add(self, rows: GroupRows) -> None:
        """Add groups that were not added yet."""
        for number, *values in zip(rows.groups.tolist(), *rows[1:], strict=True):
            for name, row in zip(NAMES, values, strict=True):
                if np.abs(row, dtype=np.int64).max(initial=0) * self.span >= _SMALL:
                    self._sums[name] = self._sums[name].astype(np.int64, copy=False)
                self._sums[name][number // self.span] += row
            self._sums["excess2"][number // self.span] += values[2].astype(np.int64) ** 2
        self._groups += rows.groups.tolist()

    def series(self) -> GroupSeries:
        """What was added."""
        groups = np.array(sorted(self._groups), np.int64)
        there = np.unique(groups // self.span)
        sums = {name: whole[there] for name, whole in self._sums.items()}
        if len(there) == len(self._sums["both"]):
            sums = self._sums  # no copy
        return GroupSeries(self.pairs, groups, self.span, **sums)


def rows_of(groups: Sequence[tuple[int, Moments]], candidates: NDArray[np.bool_]) -> GroupRows:
    """The rows of groups, each given by its number and its sums.

    Args:
        groups: in ascending order; those of no group (``moments.nothing``) are left out.
        candidates: (U, C) the pairs that are kept.

    >>> from seeingkit.analyses.dissection.moments import nothing
    >>> rows_of([(0, nothing(2, 3))], np.ones((2, 3), bool)).both.shape
    (0, 6)
    """
    there = [(number, sums) for number, sums in groups if sums.groups == 1]
    pairs = int(candidates.sum())

    def rows(name: str) -> Small:
        found = [getattr(sums, name)[candidates] for _, sums in there]
        return np.array(found, np.int32).reshape(len(found), pairs)

    numbers = np.array([number for number, _ in there], np.int64)
    return GroupRows(numbers, *(rows(name) for name in NAMES))


def stacked(rows: Sequence[GroupRows]) -> GroupRows:
    """Rows of one group after another.

    ::

        stacked([rows_of([(k, sums)], candidates) for k, sums in enumerate(made)])
    """
    return GroupRows(*(np.concatenate(parts) for parts in zip(*rows, strict=True)))
