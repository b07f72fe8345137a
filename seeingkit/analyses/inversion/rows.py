"""``Rows``: the rows of an optimisation that are in work together, each with its own Adam.

Guarantee: no operation mixes rows. Each has its own moments, step count, learning rate and
stopping rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .schedule import Schedule

Values = Mapping[str, Tensor]
"""Variables by name, each (B, …)."""

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015
_COUNTERS = ("steps", "best", "since", "halved")


@dataclass(eq=False)
class Rows:
    """Variables, moments and counters of B rows, all batch-first.

    Attributes:
        numbers: which rows they are.
        values: their variables.
        first, second: moments of the gradients.
        steps: (B,) float64, steps done.
        best: (B,) least loss so far.
        since: (B,) steps since the loss last improved.
        halved: (B,) how often the rate was halved.
    """

    numbers: list[int]
    values: dict[str, Tensor]
    first: dict[str, Tensor]
    second: dict[str, Tensor]
    steps: Tensor
    best: Tensor
    since: Tensor
    halved: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    @staticmethod
    def start(numbers: list[int], values: Values) -> Rows:
        """Rows before their first step."""
        zeros = {name: torch.zeros_like(value) for name, value in values.items()}
        number = torch.zeros(len(numbers), dtype=torch.float64)
        return Rows(
            numbers,
            {name: value.detach().clone() for name, value in values.items()},
            zeros,
            {name: value.clone() for name, value in zeros.items()},
            number.clone(),
            torch.full_like(number, math.inf),
            number.clone(),
            number.clone(),
        )

    def take(self, places: Sequence[int]) -> Rows:
        """The rows at these places."""
        index = torch.as_tensor(places, dtype=torch.int64)
        values, first, second = (
            {n: t[index.to(t.device)] for n, t in d.items()} for d in self._tensors()
        )
        counters = (getattr(self, name)[index] for name in _COUNTERS)
        return Rows([self.numbers[k] for k in places], values, first, second, *counters)

    @staticmethod
    def join(parts: Sequence[Rows]) -> Rows:
        """All rows of several parts."""
        if len(parts) == 1:
            return parts[0]
        values, first, second = (
            {n: torch.cat([p._tensors()[k][n] for p in parts]) for n in parts[0].values}
            for k in range(3)
        )
        counters = [torch.cat([getattr(p, name) for p in parts]) for name in _COUNTERS]
        return Rows([k for p in parts for k in p.numbers], values, first, second, *counters)

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        return self.values, self.first, self.second

    def judge(self, losses: Tensor, schedule: Schedule) -> None:
        """Count improvements of the losses (B,); halve the rates of rows that are stuck."""
        better = losses < self.best * (1 - schedule.tolerance)
        self.best = torch.where(better, losses, self.best)
        self.since = torch.where(better, 0.0, self.since + 1)
        if schedule.plateau and schedule.patience is not None:
            stuck = self.since >= schedule.patience
            self.halved = self.halved + stuck
            self.since = torch.where(stuck, 0.0, self.since)

    def stopping(self, schedule: Schedule) -> tuple[Tensor, Tensor]:
        """(B,) bool: which rows stop now, and which of them before their steps are used up."""
        if schedule.plateau:
            early = self.halved > schedule.halvings
        elif schedule.patience is not None:
            late = self.steps >= schedule.quiet * schedule.steps
            early = (self.since >= schedule.patience) & late
        else:
            early = torch.zeros_like(self.steps, dtype=torch.bool)
        return early | (self.steps >= schedule.steps), early

    def step(
        self,
        gradients: Mapping[str, Tensor],
        schedule: Schedule,
        scales: Mapping[str, float],
        delays: Mapping[str, int],
    ) -> None:
        """One step of Adam (Kingma and Ba 2015, algorithm 1) with a count and rate per row."""
        rate = schedule.rates(self.steps, self.halved)
        self.steps = self.steps + 1
        for name, gradient in gradients.items():
            # A variable counts its own steps, from when it was let go; before, nothing moves.
            count = self.steps - delays.get(name, 0)
            moving = count > 0
            if not bool(moving.any()):
                continue
            count = count.clamp_min(1)
            if not bool(moving.all()):
                gradient = gradient * _by_row(moving, gradient)
            step_size = torch.where(moving, rate / (1 - _BETA1**count), 0.0) * scales[name]
            root = (1 - _BETA2**count).sqrt()
            first = self.first[name].lerp_(gradient, 1 - _BETA1)
            second = self.second[name].mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            denominator = (second.sqrt() / _by_row(root, gradient)).add_(_EPSILON)
            change = _by_row(step_size, gradient) * (first / denominator)
            self.values[name] = self.values[name] - change


def _by_row(values: Tensor, like: Tensor) -> Tensor:
    """One number for each row, (B,), with the axes, type and device of a tensor (B, …)."""
    return values.to(like).reshape(-1, *[1] * (like.ndim - 1))
