"""``Schedule``: the learning rate of a row by its own steps, and when the row stops."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """Learning rate and stopping rule, the same for every row.

    Attributes:
        steps: at most.
        rate: learning rate at the start, in units of ``scale`` of a variable.
        milestones: steps at which the rate is multiplied by ``decay``; empty and ``cosine`` false:
            the rate is halved when nothing improves for ``patience`` steps.
        cosine: the rate falls to zero along half a cosine over ``steps``.
        patience: None: no early stop. Otherwise a step improves if the loss falls by more than
            the share ``tolerance`` of the best; after ``patience`` steps without, the rate is
            halved (plateau schedule) or the row stops (the others).
        halvings: with the plateau schedule, how many before the row stops.
        quiet: share of the steps before which no row stops.
    """

    steps: int
    rate: float
    milestones: tuple[int, ...] = ()
    decay: float = 0.5
    cosine: bool = False
    patience: int | None = None
    tolerance: float = 0.0
    halvings: int = 5
    quiet: float = 0.5

    @property
    def plateau(self) -> bool:
        """Whether the rate follows the loss."""
        return not self.milestones and not self.cosine and self.patience is not None

    def rates(self, steps: Tensor, halved: Tensor) -> Tensor:
        """Learning rate of rows that have done ``steps`` steps, (B,)."""
        if self.cosine:
            rate = 0.5 * self.rate * (1 + torch.cos(math.pi * steps / self.steps))
        elif self.milestones:
            passed = sum((steps >= m).to(torch.float64) for m in self.milestones)
            rate = self.rate * self.decay ** torch.as_tensor(passed)
        else:
            rate = torch.full_like(steps, self.rate, dtype=torch.float64)
        return rate * 0.5**halved

    def adapted(self, steps: int | None = None, rate: float | None = None) -> Schedule:
        """The schedule with other steps (milestones move along) or another first rate."""
        chosen = self if steps is None else replace(self, steps=steps)
        if self.milestones and self.steps:
            marks = tuple(round(m * chosen.steps / self.steps) for m in self.milestones)
            chosen = replace(chosen, milestones=marks)
        return replace(chosen, rate=rate or self.rate)
