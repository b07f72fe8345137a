"""Joint counts: pixels of each class where a unit is above each of its levels.

Guarantees: counts are exact integers that add up over images, whatever the batch; a pixel is above
a level where its value is greater; values are those of ``to_image_grid``, so the mask that is
counted is the mask that is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
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
        flat, steps = values.flatten(2).contiguous(), levels.shape[1]
        levels = levels.to(flat).contiguous()
        if not even or steps < 2:
            found = [torch.searchsorted(levels, one, out_int32=True) for one in flat]
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
        both = self.above.new_zeros(self.above.shape[1], self.steps, classes, dtype=torch.int64)
        active = both[:, :, 0].clone()
        for plane in _planes(labels, columns):
            present, local = _present(plane)
            ranked = self._table(local, len(present))
            both[:, :, present] += ranked[:, :, 1:]
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
        both, exchanged = torch.zeros_like(places), torch.zeros_like(places)
        active, table = torch.zeros_like(places), _small(places, self.steps)
        most = self.above.shape[2] * max(1, len(shifts))
        kind = torch.float32 if most < _EXACT else torch.float64
        for plane in _planes(labels, columns):
            present, local = _present(plane)
            ranked = self._table(local, len(present))
            both[:, present] += ranked[:, :, 1:].gather(1, places[:, None, present]).squeeze(1)
            active = ranked.sum(2).gather(1, places)
            if shifts:
                of_pixel = _levels_at(table[:, present], local)
                of_class = local[:, None] == torch.arange(1, len(present) + 1)[:, None].to(local)
                masks = _exchanged(self.above, of_pixel, shifts)
                # Sums of an image are whole numbers below _EXACT, so the product is exact.
                found = torch.bmm(of_class.to(kind), masks.to(kind).transpose(1, 2))
                exchanged[:, present] += found.to(torch.int64).sum(0).T
        return PairCounts(both, active, exchanged)

    def _table(self, local: Tensor, classes: int) -> Tensor:
        """(U, T, 1 + classes) int64: values above each level, of pixels of each local number."""
        units, bins, width = self.above.shape[1], self.steps + 1, classes + 1
        start = torch.arange(units, device=self.above.device, dtype=torch.int32) * bins
        place = self.above.to(torch.int32, copy=True).add_(start[:, None]).mul_(width)
        place.add_(local[:, None].to(torch.int32))
        found = torch.bincount(place.view(-1), minlength=units * bins * width)
        return found.reshape(units, bins, width).flip(1).cumsum(1).flip(1)[:, 1:]


def _small(ranks: Tensor, steps: int) -> Tensor:
    return ranks.to(torch.int8 if steps <= _INT8 else torch.int32)


def _planes(labels: Tensor, columns: Tensor) -> Iterator[Tensor]:
    """(N, M) int64 of each plane: the column of each pixel, -1: it is not counted."""
    for plane, numbers in enumerate(columns.to(labels.device)):
        yield numbers[labels[:, plane].long()].flatten(1)


def _present(plane: Tensor) -> tuple[Tensor, Tensor]:
    """The K columns that a plane has (K,), and their numbers from 1 at its pixels; 0: none."""
    present = torch.bincount(plane.flatten() + 1, minlength=2)[1:].nonzero().flatten()
    number = plane.new_zeros(int(present[-1]) + 2 if len(present) else 1)
    number[present + 1] = torch.arange(1, len(present) + 1, device=plane.device)
    return present, number[plane + 1]


def _levels_at(table: Tensor, local: Tensor) -> Tensor:
    """(N, U, M): the level (U, K) of each unit for the class of each pixel (N, M)."""
    rows = torch.cat([torch.zeros_like(table[:, :1]), table], 1)
    if table.device.type != "cpu":
        return rows[:, local].transpose(0, 1)
    found = [np.take(rows.numpy(), numbers, axis=1) for numbers in local.numpy()]
    return torch.from_numpy(np.stack(found))  # five times as fast as an index of torch


def _exchanged(above: Tensor, levels: Tensor, shifts: Sequence[int]) -> Tensor:
    """(N, U, M) int8: how often the maps of the images further on are above these levels."""
    found = torch.zeros(levels.shape, dtype=torch.int8, device=levels.device)
    for shift in shifts:
        found[:-shift] += (above[shift:] > levels[:-shift]).view(torch.int8)
        found[-shift:] += (above[:shift] > levels[-shift:]).view(torch.int8)
    return found


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
