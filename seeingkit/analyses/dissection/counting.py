"""Joint counts: pixels of each class where a unit is above each of its levels.

Guarantees: counts are exact integers that add up over images, whatever the batch; a pixel is above
a level where its value is greater; values are those of ``to_image_grid``, so the mask that is
counted is the mask that is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seeingkit.errors import UsageError

_EXACT = 1 << 24
"""Whole numbers up to this one are exact in float32."""
_INT8 = 127


class PairCounts(NamedTuple):
    """Pixels of each unit and class at the level of the pair; (U, C) int64.

    Attributes:
        both: above the level and of the class.
        active: above the level.
        exchanged: as ``both``, with label maps of other images, summed over the exchanges.
    """

    both: Tensor
    active: Tensor
    exchanged: Tensor


@dataclass(frozen=True, eq=False)
class Ranks:
    """How many levels of its unit each value is above.

    Attributes:
        above: (N, U, M) int8, or int32 where there are more than 127 levels: 0 to ``steps``, of M
            pixels of each image.
        steps: T, how many levels a unit has.

    >>> Ranks.of(torch.tensor([[[[0.5, 1.0]]]]), torch.tensor([[0.0, 1.0]])).above.tolist()
    [[[1, 1]]]
    """

    above: Tensor
    steps: int

    @classmethod
    def of(cls, values: Tensor, levels: Tensor, *, even: bool = False) -> Ranks:
        """The ranks of unit maps.

        Args:
            values: (N, U, H, W) at the pixels.
            levels: (U, T) of each unit, ascending.
            even: the levels of a unit have equal distances, so that the rank is a division (four
                times as fast; a value within float rounding of a level may fall to either side).

        Raises:
            UsageError: levels of other units, or that do not ascend.
        """
        units = values.shape[1]
        if levels.ndim != 2 or len(levels) != units:
            raise UsageError(f"levels are {tuple(levels.shape)}, expected ({units}, levels)")
        if bool((levels.diff(dim=1) < 0).any()):
            raise UsageError("the levels of a unit must ascend")
        flat, steps = values.flatten(2), levels.shape[1]
        levels = levels.to(flat).contiguous()
        if not even or steps < 2:
            found = [torch.searchsorted(levels, one.contiguous(), out_int32=True) for one in flat]
            return cls(torch.stack([_small(ranks, steps) for ranks in found]), steps)
        first, width = levels[:, :1], (levels[:, -1:] - levels[:, :1]) / (steps - 1)
        scale = torch.where(width > 0, 1 / width, torch.inf)  # else all levels are one
        place = (flat - first).mul_(scale).nan_to_num_(0.0).ceil_()
        return cls(_small(place.clamp_(0, steps), steps), steps)

    def counts(self, labels: Tensor, columns: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """Pixels above each level, of each class and in all.

        Args:
            labels: (N, P, H, W) whole numbers: label maps, one a plane.
            columns: (P, L) int64, the column of each label of each plane; -1: it is not counted.
            classes: C, how many columns there are.

        Returns:
            (U, T, C) and (U, T) int64.

        >>> maps = torch.tensor([[[[0, 1, 1]]]])
        >>> ranks = Ranks(torch.tensor([[[0, 1, 2]]], dtype=torch.int8), 2)
        >>> ranks.counts(maps, torch.tensor([[-1, 0]]), 1)[0].tolist()
        [[[2], [1]]]
        """
        units, bins, width = self.above.shape[1], self.steps + 1, classes + 1
        row = self._rows().mul_(width)
        both = row.new_zeros(units, self.steps, classes, dtype=torch.int64)
        active = row.new_zeros(units, self.steps, dtype=torch.int64)
        for plane in _planes(labels, columns):
            column = torch.where(plane < 0, classes, plane).to(torch.int32)
            found = torch.bincount((row + column[:, None]).view(-1), minlength=units * bins * width)
            ranked = _tails(found.reshape(units, bins, width))
            both += ranked[:, :, :classes]
            active = ranked.sum(2)  # each pixel has one label in each plane
        return both, active

    def pairs(
        self, labels: Tensor, columns: Tensor, places: Tensor, shifts: Sequence[int] = ()
    ) -> PairCounts:
        """Pixels at one level of each unit and class, with own and with exchanged label maps.

        Args:
            labels: (N, P, H, W) whole numbers: label maps, one a plane.
            columns: (P, L) int64, the column of each label of each plane; -1: it is not counted.
            places: (U, C) int64, the level of each pair: 0 to ``steps`` - 1.
            shifts: exchanges: the map of image k meets the label map of image k - shift.

        >>> maps = torch.tensor([[[[0, 1, 1]]]])
        >>> ranks = Ranks(torch.tensor([[[0, 1, 2]]], dtype=torch.int8), 2)
        >>> ranks.pairs(maps, torch.tensor([[-1, 0]]), torch.tensor([[1]])).both.tolist()
        [[1]]
        """
        units, bins = self.above.shape[1], self.steps + 1
        found = torch.bincount(self._rows().view(-1), minlength=units * bins)
        active = _tails(found.reshape(units, bins)).gather(1, places)
        both, exchanged = torch.zeros_like(places), torch.zeros_like(places)
        most = self.above.shape[2] * max(1, len(shifts))
        kind = torch.float32 if most < _EXACT else torch.float64
        for plane in _planes(labels, columns):
            present = torch.bincount(plane.flatten() + 1, minlength=2)[1:].nonzero().flatten()
            marked = _marked(plane, present, kind)
            level = (places[:, present].to(kind) @ marked).to(self.above.dtype)
            own = self.above > level
            both[:, present] += _in_classes(own, marked)
            if shifts:
                masks = [self.above.roll(-shift, 0) > level for shift in shifts]
                total = sum(mask.view(torch.int8) for mask in masks)
                exchanged[:, present] += _in_classes(total, marked)
        return PairCounts(both, active, exchanged)

    def _rows(self) -> Tensor:
        """(N, U, M) int32: the place of each value in a table of units and ranks."""
        units = self.above.shape[1]
        start = torch.arange(units, device=self.above.device, dtype=torch.int32) * (self.steps + 1)
        return self.above.to(torch.int32).add_(start[:, None])


def _small(ranks: Tensor, steps: int) -> Tensor:
    return ranks.to(torch.int8 if steps <= _INT8 else torch.int32)


def _tails(found: Tensor) -> Tensor:
    """(U, T + 1, ...) values of each rank to (U, T, ...) values above each level."""
    return found.flip(1).cumsum(1).flip(1)[:, 1:]


def _planes(labels: Tensor, columns: Tensor) -> Iterator[Tensor]:
    """(N, M) int64 of each plane: the column of each pixel, -1: it is not counted."""
    for plane, numbers in enumerate(columns.to(labels.device)):
        yield numbers[labels[:, plane].long()].flatten(1)


def _marked(plane: Tensor, present: Tensor, kind: torch.dtype) -> Tensor:
    """(N, K, M): 1 where a pixel is of a column that is present, else 0."""
    return (plane[:, None] == present[:, None]).to(kind)


def _in_classes(masks: Tensor, marked: Tensor) -> Tensor:
    """(U, K) int64: values of masks (N, U, M) summed over the pixels of each class.

    Sums of an image are whole numbers below ``_EXACT``, so a product of matrices is exact.
    """
    masks = masks.view(torch.int8) if masks.dtype == torch.bool else masks
    found = torch.bmm(marked, masks.to(marked.dtype).transpose(1, 2))
    return found.to(torch.int64).sum(0).T


def lattice(size: tuple[int, int], most: int | None) -> tuple[Tensor, Tensor] | None:
    """Rows and columns of the pixels that are counted: None for all, else ``most`` spread a side.

    Neighbouring pixels say nearly the same, so a part of them costs less and loses little.

    >>> lattice((64, 64), 4)[0].tolist(), lattice((64, 64), 64)
    ([8, 24, 40, 56], None)
    """
    if most is None or max(size) <= most:
        return None
    rows, columns = (
        ((torch.arange(min(most, side)) + 0.5) * side / min(most, side)).long() for side in size
    )
    return rows, columns
