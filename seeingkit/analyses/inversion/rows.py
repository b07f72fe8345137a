"""``Rows`` of an optimisation that are in work together, and the ``Schedule`` they all follow.

Guarantees: no operation mixes rows. Each has its own moments, step count, learning rate and
stopping rule. Counters lie where the values are, and a row that has stopped stays as it is, so that
nobody needs to read them at every step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seeingkit.system.devices import sent

Values = Mapping[str, Tensor]
"""Variables by name, each (B, …)."""

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015


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
        else:
            rate = torch.full_like(steps, self.rate, dtype=torch.float64)
            for milestone in self.milestones:  # a power rounds otherwise at other places of a batch
                rate = torch.where(steps >= milestone, rate * self.decay, rate)
        return rate * 0.5**halved

    def adapted(self, steps: int | None = None, rate: float | None = None) -> Schedule:
        """The schedule with other steps (milestones move along) or another first rate."""
        chosen = self if steps is None else replace(self, steps=steps)
        if self.milestones and self.steps:
            marks = tuple(round(m * chosen.steps / self.steps) for m in self.milestones)
            chosen = replace(chosen, milestones=marks)
        return replace(chosen, rate=rate or self.rate)


@dataclass(eq=False)
class Rows:
    """Variables, moments of gradients and counters (B,) float64 of B rows, all batch-first."""

    numbers: list[int]  # which rows they are
    done: list[int]  # steps done, as far as is known without asking the device: at least ``steps``
    values: dict[str, Tensor]
    first: dict[str, Tensor]
    second: dict[str, Tensor]
    steps: Tensor  # done
    best: Tensor  # least loss so far
    since: Tensor  # steps since the loss last improved
    halved: Tensor  # how often the rate was
    stopped: Tensor  # 1 where a row is finished, and stays as it is
    early: Tensor  # 1 where it was before its steps were used up
    failed: Tensor  # 1 where a loss, gradient or image was not finite

    def __len__(self) -> int:
        return len(self.numbers)

    @staticmethod
    def start(numbers: list[int], values: Values) -> Rows:
        """Rows before their first step."""
        number = torch.zeros(len(numbers), dtype=torch.float64, device=_home(values))
        return Rows(
            numbers,
            [0] * len(numbers),
            {name: value.detach().clone() for name, value in values.items()},
            {name: torch.zeros_like(value) for name, value in values.items()},
            {name: torch.zeros_like(value) for name, value in values.items()},
            steps=number.clone(),
            best=torch.full_like(number, math.inf),
            since=number.clone(),
            halved=number.clone(),
            stopped=number.clone(),
            early=number.clone(),
            failed=number.clone(),
        )

    def take(self, places: Sequence[int]) -> Rows:
        """The rows at these places."""
        index = torch.as_tensor(places, dtype=torch.int64)
        there = sent(index, next(iter(self.values.values())).device)
        values, first, second = ({n: t[there] for n, t in d.items()} for d in self._tensors())
        index = there if self.steps.device == there.device else index
        counters = (counter[index] for counter in self._counters())
        numbers, done = ([known[k] for k in places] for known in (self.numbers, self.done))
        return Rows(numbers, done, values, first, second, *counters)

    @staticmethod
    def join(parts: Sequence[Rows]) -> Rows:
        """All rows of several parts."""
        if len(parts) == 1:
            return parts[0]
        values, first, second = (
            {name: torch.cat([d[name] for d in several]) for name in several[0]}
            for several in zip(*(part._tensors() for part in parts), strict=True)
        )
        counters = zip(*(part._counters() for part in parts), strict=True)
        numbers = [k for part in parts for k in part.numbers]
        done = [k for part in parts for k in part.done]
        return Rows(numbers, done, values, first, second, *map(torch.cat, counters))

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        return self.values, self.first, self.second

    def _counters(self) -> tuple[Tensor, ...]:
        counted = self.steps, self.best, self.since, self.halved
        return *counted, self.stopped, self.early, self.failed

    def judge(self, losses: Tensor, schedule: Schedule) -> None:
        """Count improvements of the losses (B,); halve the rates of rows that are stuck."""
        better = losses < self.best * (1 - schedule.tolerance)
        self.best = torch.where(better, losses, self.best)
        self.since = torch.where(better, 0.0, self.since + 1)
        if schedule.plateau and schedule.patience is not None:
            stuck = self.since >= schedule.patience
            self.halved = self.halved + stuck
            self.since = torch.where(stuck, 0.0, self.since)

    def stop(self, finite: Tensor, schedule: Schedule) -> None:
        """Stop rows whose time has come, and those that are not ``finite`` (B,) bool."""
        early = self._early(schedule)
        stops = early | (self.steps >= schedule.steps) | ~finite
        now = stops & (self.stopped == 0)
        self.early = torch.where(now, early.to(self.early), self.early)
        self.failed = torch.where(now, (~finite).to(self.failed), self.failed)
        self.stopped = torch.maximum(self.stopped, now.to(self.stopped))

    def _early(self, schedule: Schedule) -> Tensor:
        """(B,) bool: which rows stop before their steps are used up."""
        if schedule.plateau:
            return self.halved > schedule.halvings
        if schedule.patience is not None:
            late = self.steps >= schedule.quiet * schedule.steps
            return (self.since >= schedule.patience) & late
        return torch.zeros_like(self.steps, dtype=torch.bool)

    def step(
        self,
        gradients: Mapping[str, Tensor],
        schedule: Schedule,
        scales: Mapping[str, float],
        delays: Mapping[str, int],
    ) -> None:
        """One step of Adam (Kingma and Ba 2015, algorithm 1) with a count and rate per row.

        Rows that have stopped do not move.
        """
        rate, going = schedule.rates(self.steps, self.halved), self.stopped == 0
        self.steps = self.steps + going
        self.done = [count + 1 for count in self.done]
        for name, gradient in gradients.items():
            # A variable counts its own steps, from when it was let go; before, nothing moves.
            delay = delays.get(name, 0)
            if max(self.done) <= delay:
                continue
            count = self.steps - delay
            moving = (count > 0) & going
            count = count.clamp_min(1)
            if min(self.done) <= delay or self.stopped.device.type != "cpu":
                still = _by_row(moving, gradient) == 0
                gradient = gradient.masked_fill(still, 0.0)
            step_size = torch.where(moving, rate / (1 - _BETA1**count), 0.0) * scales[name]
            root = (1 - _BETA2**count).sqrt()
            first = self.first[name].lerp_(gradient, 1 - _BETA1)
            second = self.second[name].mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            denominator = (second.sqrt() / _by_row(root, gradient)).add_(_EPSILON)
            change = _by_row(step_size, gradient) * (first / denominator)
            self.values[name] = self.values[name] - change


def _home(values: Values) -> torch.device:
    """Where counters lie: with the values; on the CPU where their device has no float64 (mps)."""
    device = next(iter(values.values())).device
    return torch.device("cpu") if device.type == "mps" else device


def _by_row(values: Tensor, like: Tensor) -> Tensor:
    """One number for each row, (B,), with the axes, type and device of a tensor (B, …)."""
    return values.to(like).reshape(-1, *[1] * (like.ndim - 1))
