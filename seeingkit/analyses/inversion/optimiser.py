"""Many small minimisations at once: one Adam per row, and rows come and go.

Guarantees: rows share the passes through the network and nothing else. Each has its own moments,
step count, learning rate and stopping rule; a row that is finished leaves and the next one takes
its place; a row whose loss is not finite leaves with the reason, and the others go on; when memory
runs out the batch is halved and the rows put back keep their state. So what comes out for a row is
what it would get alone, but for the rounding of kernels that depends on the batch size.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seeingkit.errors import ModelError

Values = Mapping[str, Tensor]
Objective = Callable[[Values, Sequence[int]], tuple[Tensor, Tensor]]
"""Variables (B, …) and which rows they are, to losses (B,) and images (B, 3, R, R)."""

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015


@dataclass(frozen=True)
class Schedule:
    """How the learning rate of a row goes with its own steps, and when the row stops.

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


@dataclass(eq=False)
class Outcome:
    """What became of one row.

    Attributes:
        values: its variables, each (1, …).
        image: (1, 3, R, R) at the last step.
        loss: at the last step; steps: how many; converged: stopped early, or fell by less than
            1 % in the last tenth of its steps.
        failed: why it has no result, or None.
        frames: images kept at some steps; history: loss at every step.
    """

    values: dict[str, Tensor]
    image: Tensor
    loss: float
    steps: int
    converged: bool
    failed: str | None = None
    frames: list[tuple[int, Tensor]] = field(default_factory=list)
    history: list[float] = field(default_factory=list)


@dataclass(eq=False)
class _Batch:
    """The rows in work: variables, moments, counters, all batch-first."""

    rows: list[int]
    values: dict[str, Tensor]
    first: dict[str, Tensor]
    second: dict[str, Tensor]
    steps: Tensor
    best: Tensor
    since: Tensor
    halved: Tensor

    @staticmethod
    def start(rows: list[int], values: Values) -> _Batch:
        zeros = {name: torch.zeros_like(value) for name, value in values.items()}
        number = torch.zeros(len(rows), dtype=torch.float64)
        return _Batch(
            rows,
            {name: value.detach().clone() for name, value in values.items()},
            zeros,
            {name: value.clone() for name, value in zeros.items()},
            number.clone(),
            torch.full_like(number, math.inf),
            number.clone(),
            number.clone(),
        )

    def take(self, places: Sequence[int]) -> _Batch:
        index = torch.as_tensor(places, dtype=torch.int64)
        values, first, second = (
            {n: t[index.to(t.device)] for n, t in d.items()} for d in self._tensors()
        )
        counters = (t[index] for t in (self.steps, self.best, self.since, self.halved))
        return _Batch([self.rows[k] for k in places], values, first, second, *counters)

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        return self.values, self.first, self.second

    @staticmethod
    def join(parts: Sequence[_Batch]) -> _Batch:
        if len(parts) == 1:
            return parts[0]
        values, first, second = (
            {n: torch.cat([p._tensors()[k][n] for p in parts]) for n in parts[0].values}
            for k in range(3)
        )
        counters = [
            torch.cat([getattr(p, name) for p in parts])
            for name in ("steps", "best", "since", "halved")
        ]
        rows = [row for p in parts for row in p.rows]
        return _Batch(rows, values, first, second, *counters)


def minimise(
    rows: Sequence[int],
    start: Callable[[Sequence[int]], Values],
    objective: Objective,
    schedule: Schedule,
    *,
    scales: Mapping[str, float],
    delays: Mapping[str, int] | None = None,
    batch_size: int = 8,
    frames: Sequence[int] = (),
    done: Callable[[int, Outcome], None],
    stepped: Callable[[int], None] = lambda _: None,
) -> None:
    """Minimise the loss of each row over its variables.

    Args:
        rows: names of the rows; ``start`` and ``objective`` are asked by these.
        start: initial values of some rows, each variable (B, …).
        objective: losses and images of some rows.
        schedule: rates and stopping, the same rule for every row.
        scales: size of one unit of each variable; rates are multiplied by it.
        delays: variables that rest for that many of a row's steps.
        batch_size: rows in work at a time; halved when memory runs out.
        frames: steps at which the image is kept (0 = before the first step).
        done: told of each row when it is finished.
        stepped: told how many row-steps were done.

    Raises:
        ModelError: out of memory with a single row.
    """
    minimiser = _Minimiser(objective, schedule, scales, delays or {}, set(frames), done, stepped)
    minimiser.run(rows, start, batch_size)


class _Minimiser:
    def __init__(
        self,
        objective: Objective,
        schedule: Schedule,
        scales: Mapping[str, float],
        delays: Mapping[str, int],
        frames: set[int],
        done: Callable[[int, Outcome], None],
        stepped: Callable[[int], None],
    ) -> None:
        self.objective, self.schedule = objective, schedule
        self.scales, self.delays = scales, delays
        self.frames, self.done, self.stepped = frames, done, stepped
        self.kept: dict[int, list[tuple[int, Tensor]]] = {}
        self.history: dict[int, list[float]] = {}

    def run(self, rows: Sequence[int], start: Callable[[Sequence[int]], Values], size: int) -> None:
        queue = deque(rows)
        parked: list[_Batch] = []  # rows put back when memory ran out
        batch: _Batch | None = None
        while queue or parked or batch is not None:
            batch = self._fill(batch, parked, queue, start, size)
            found = None
            try:
                found = self._evaluate(batch)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                if len(batch.rows) == 1:
                    raise ModelError(
                        "out of memory inverting a single image; use --device cpu or a later cut"
                    ) from error
            if found is None:  # only here the error, and with it the graph, has let its memory go
                size = (len(batch.rows) + 1) // 2
                parked.append(batch.take(range(size, len(batch.rows))))
                batch = batch.take(range(size))
                continue
            batch = self._step(batch, *found)

    def _fill(
        self,
        batch: _Batch | None,
        parked: list[_Batch],
        queue: deque[int],
        start: Callable[[Sequence[int]], Values],
        size: int,
    ) -> _Batch:
        parts = [batch] if batch is not None else []
        room = size - sum(len(p.rows) for p in parts)
        while room > 0 and parked:
            back = parked.pop()
            parts.append(back.take(range(min(room, len(back.rows)))))
            if len(back.rows) > room:
                parked.append(back.take(range(room, len(back.rows))))
            room = size - sum(len(p.rows) for p in parts)
        if room > 0 and queue:
            fresh = [queue.popleft() for _ in range(min(room, len(queue)))]
            parts.append(_Batch.start(fresh, start(fresh)))
            for row in fresh:
                self.kept[row], self.history[row] = [], []
        return _Batch.join(parts)

    def _evaluate(self, batch: _Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        with torch.enable_grad():
            n = len(batch.rows)
            # Kernels for a single row round otherwise than those for several (which agree to the
            # last bit for convolutions on CPU, though not for matrix products), and hundreds of
            # steps blow that up. So no row is ever alone.
            places = list(range(n)) if n > 1 else [0, 0]
            values = {k: v[places].detach().requires_grad_(True) for k, v in batch.values.items()}
            loss, image = self.objective(values, [batch.rows[k] for k in places])
            # The sum: each row's gradient is that of its own loss, whatever the others are.
            gradients = torch.autograd.grad(loss.sum(), list(values.values()))
        rows = {k: g[:n] for k, g in zip(values, gradients, strict=True)}
        return loss.detach()[:n], image.detach()[:n], rows

    def _step(
        self, batch: _Batch, loss: Tensor, image: Tensor, gradients: dict[str, Tensor]
    ) -> _Batch | None:
        losses = loss.cpu().double()
        finite = torch.isfinite(losses)
        for gradient in gradients.values():
            finite &= torch.isfinite(gradient.flatten(1)).all(1).cpu()
        finite &= torch.isfinite(image.flatten(1)).all(1).cpu()
        for k, row in enumerate(batch.rows):
            step = int(batch.steps[k])
            self.history[row].append(float(losses[k]))
            if step in self.frames:
                self.kept[row].append((step, image[k : k + 1].clone()))
        self._judge(batch, losses)
        stop, early = self._stopping(batch)
        leaving = (stop | ~finite).nonzero().flatten().tolist()
        for k in leaving:
            self._finish(batch, k, image, losses, bool(finite[k]), bool(early[k]))
        staying = [k for k in range(len(batch.rows)) if k not in set(leaving)]
        self.stepped(len(staying))
        if not staying:
            return None
        if leaving:
            batch = batch.take(staying)
            gradients = {n: g[staying] for n, g in gradients.items()}
        self._adam(batch, gradients)
        return batch

    def _judge(self, batch: _Batch, losses: Tensor) -> None:
        """Who improved, and whose rate is halved."""
        better = losses < batch.best * (1 - self.schedule.tolerance)
        batch.best = torch.where(better, losses, batch.best)
        batch.since = torch.where(better, 0.0, batch.since + 1)
        if self.schedule.plateau and self.schedule.patience is not None:
            stuck = batch.since >= self.schedule.patience
            batch.halved = batch.halved + stuck
            batch.since = torch.where(stuck, 0.0, batch.since)

    def _stopping(self, batch: _Batch) -> tuple[Tensor, Tensor]:
        if self.schedule.plateau:
            early = batch.halved > self.schedule.halvings
        elif self.schedule.patience is not None:
            late = batch.steps >= self.schedule.quiet * self.schedule.steps
            early = (batch.since >= self.schedule.patience) & late
        else:
            early = torch.zeros_like(batch.steps, dtype=torch.bool)
        return early | (batch.steps >= self.schedule.steps), early

    def _finish(
        self, batch: _Batch, k: int, image: Tensor, losses: Tensor, finite: bool, early: bool
    ) -> None:
        row = batch.rows[k]
        history = self.history.pop(row)
        tail = max(1, len(history) // 10)
        still = len(history) > tail and history[-1 - tail] - history[-1] > 0.01 * history[-1]
        outcome = Outcome(
            {name: value[k : k + 1].clone() for name, value in batch.values.items()},
            image[k : k + 1].clone(),
            float(losses[k]),
            int(batch.steps[k]),
            finite and (early or not still),
            None if finite else f"NaN or Inf at step {int(batch.steps[k])} of the optimisation",
            self.kept.pop(row),
            history,
        )
        self.done(row, outcome)

    def _adam(self, batch: _Batch, gradients: dict[str, Tensor]) -> None:
        """One step of Adam (Kingma and Ba 2015, algorithm 1) with a count and rate per row."""
        rate = self.schedule.rates(batch.steps, batch.halved)
        batch.steps = batch.steps + 1
        for name, gradient in gradients.items():
            # A variable counts its own steps, from when it was let go; before, nothing moves.
            count = batch.steps - self.delays.get(name, 0)
            moving = count > 0
            if not bool(moving.any()):
                continue
            count = count.clamp_min(1)
            size = (-1, *([1] * (gradient.ndim - 1)))
            if not bool(moving.all()):
                gradient = gradient * moving.to(gradient).reshape(size)
            step_size = torch.where(moving, rate / (1 - _BETA1**count), 0.0) * self.scales[name]
            root = (1 - _BETA2**count).sqrt()
            first = batch.first[name].lerp_(gradient, 1 - _BETA1)
            second = batch.second[name].mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            denominator = (second.sqrt() / root.to(gradient).reshape(size)).add_(_EPSILON)
            by_row = step_size.to(gradient).reshape(size)
            batch.values[name] = batch.values[name] - by_row * (first / denominator)


def _out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or (
        "can't allocate memory" in text or "not enough memory" in text
    )
