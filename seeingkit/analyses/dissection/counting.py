"""Joint counts: pixels of each class where a unit is above each of its levels.

Guarantees: counts are exact integers that add up over images, whatever the batch; a pixel is above
a level where its value is greater; values are those of ``to_image_grid``, so the mask that is
counted is the mask that is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seeingkit.errors import UsageError


@dataclass(frozen=True, eq=False)
class Ranks:
    """How many levels of its unit each value is above.

    Attributes:
        above: (U, M) int64, 0 to ``steps``; M pixels of all images, image by image.
        steps: T, how many levels a unit has.

    >>> Ranks.of(torch.tensor([[[[0.5, 1.0]]]]), torch.tensor([[0.0, 1.0]])).above.tolist()
    [[1, 1]]
    """

    above: Tensor
    steps: int

    @classmethod
    def of(cls, values: Tensor, levels: Tensor) -> Ranks:
        """The ranks of unit maps.

        Args:
            values: (N, U, H, W) at the pixels.
            levels: (U, T) of each unit, ascending.

        Raises:
            UsageError: levels of other units, or that do not ascend.
        """
        units = values.shape[1]
        if levels.ndim != 2 or len(levels) != units:
            raise UsageError(f"levels are {tuple(levels.shape)}, expected ({units}, levels)")
        if bool((levels.diff(dim=1) < 0).any()):
            raise UsageError("the levels of a unit must ascend")
        flat = values.transpose(0, 1).reshape(units, -1).contiguous()
        return cls(torch.searchsorted(levels.to(flat).contiguous(), flat), levels.shape[1])

    def counts(self, labels: Tensor, columns: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """Pixels above each level, of each class and in all.

        Args:
            labels: (N, P, H, W) whole numbers: label maps, one a plane.
            columns: (P, L) int64, the column of each label of each plane; -1: it is not counted.
            classes: C, how many columns there are.

        Returns:
            (U, T, C) and (U, T) int64.

        >>> maps = torch.tensor([[[[0, 1, 1]]]])
        >>> Ranks(torch.tensor([[0, 1, 2]]), 2).counts(maps, torch.tensor([[-1, 0]]), 1)[0].tolist()
        [[[2], [1]]]
        """
        units, device = len(self.above), self.above.device
        bins, width = self.steps + 1, classes + 1
        start = torch.arange(units, device=device)[:, None] * bins
        row = (self.above + start).mul_(width)
        both = torch.zeros(units, self.steps, classes, dtype=torch.int64, device=device)
        active = torch.zeros(units, self.steps, dtype=torch.int64, device=device)
        for plane, numbers in enumerate(columns.to(device)):
            column = numbers[labels[:, plane].long()].flatten()
            where = row + torch.where(column < 0, classes, column)
            found = torch.bincount(where.view(-1), minlength=units * bins * width)
            ranked = found.reshape(units, bins, width).flip(1).cumsum(1).flip(1)[:, 1:]
            both += ranked[:, :, :classes]
            active = ranked.sum(2)  # each pixel has one label in each plane
        return both, active


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
