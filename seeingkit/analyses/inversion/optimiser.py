"""Many small minimisations at once: one Adam per row, and rows come and go.

Guarantees: rows share the passes through the network and nothing else. A row that is finished
leaves and the next one takes its place; a row whose loss is not finite leaves with the reason, and
the others go on; when memory runs out the batch is halved and the rows put back keep their state.
So the result of a row is the one it would get alone, but for the rounding of kernels that depends
on the batch size; where every pass has as many rows (``least``), to the bit. Losses and counters
are read only now and then (``look``), so that the host does not wait for the device at every step;
a row that has stopped meanwhile stays as it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from seeingkit.errors import ModelError
from seeingkit.system.devices import fetched, sent

from .rows import Rows, Schedule, Values

Objective = Callable[[Values, Sequence[int]], tuple[Tensor, Tensor]]
"""Variables (B, …) and which rows they are, to losses (B,) and images (B, 3, R, R)."""


@dataclass(eq=False)
class Outcome:
    """The result of one row: variables (1, …), image (1, 3, R, R) and loss at the last step.

    Attributes:
        converged: stopped early, or fell by less than 1 % in the last tenth of its steps.
        failed: why it has no result, or None.
        frames: images kept at some steps.
        history: loss at every step.
    """

    values: dict[str, Tensor]
    image: Tensor
    loss: float
    steps: int
    converged: bool
    failed: str | None = None
    frames: list[tuple[int, Tensor]] = field(default_factory=list)
    history: list[float] = field(default_factory=list)


def minimise(
    rows: Sequence[int],
    start: Callable[[Sequence[int]], Values],
    objective: Objective,
    schedule: Schedule,
    *,
    scales: Mapping[str, float],
    delays: Mapping[str, int] | None = None,
    batch_size: int = 8,
    least: int = 2,
    look: int = 1,
    frames: Sequence[int] = (),
    done: Callable[[int, Outcome], None],
    stepped: Callable[[int], None] = lambda _: None,
) -> None:
    """Minimise the loss of each row over its variables.

    Args:
        rows: numbers of the rows, by which ``start`` and ``objective`` are called.
        start: initial values of some rows, each variable (B, …).
        scales: size of one unit of each variable; rates are multiplied by it.
        delays: variables that rest for that many of a row's steps.
        batch_size: rows in work at a time; halved when memory runs out.
        least: rows of each pass at least; where there are fewer, the first is repeated.
        look: after how many steps at most it is asked which rows have stopped; 1 where asking costs
            nothing (on a CPU).
        frames: steps at which the image is kept (0 = before the first step).
        done: called with each row when it is finished.
        stepped: called with the number of row-steps done.

    Raises:
        ModelError: out of memory with a single row.
    """
    steps = set(frames)
    minimiser = _Minimiser(
        start, objective, schedule, scales, delays or {}, steps, least, look, done, stepped
    )
    minimiser.run(rows, batch_size)


@dataclass(eq=False)
class _Minimiser:
    """One call of ``minimise``: its arguments, and images and losses of the rows in work."""

    start: Callable[[Sequence[int]], Values]
    objective: Objective
    schedule: Schedule
    scales: Mapping[str, float]
    delays: Mapping[str, int]
    frames: set[int]
    least: int
    look: int
    done: Callable[[int, Outcome], None]
    stepped: Callable[[int], None]
    kept: dict[int, list[tuple[int, Tensor]]] = field(default_factory=dict)
    history: dict[int, list[float]] = field(default_factory=dict)
    parked: list[Rows] = field(default_factory=list)  # rows put back when memory ran out
    unread: list[tuple[list[int], Tensor]] = field(default_factory=list)  # rows and their losses

    def run(self, rows: Sequence[int], size: int) -> None:
        queue = deque(rows)
        batch: Rows | None = None
        while queue or self.parked or batch is not None:
            batch = self._filled(batch, queue, size)
            found = None
            try:
                found = self._evaluate(batch)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise ModelError(
                        "out of memory inverting a single image; use --device cpu or a later cut"
                    ) from error
            if found is None:  # only here the error, and with it the graph, has let its memory go
                size = (len(batch) + 1) // 2
                self.least = min(self.least, size)
                self.parked.append(batch.take(range(size, len(batch))))
                batch = batch.take(range(size))
                continue
            batch = self._step(batch, *found)

    def _filled(self, batch: Rows | None, queue: deque[int], size: int) -> Rows:
        parts = [] if batch is None else [batch]
        while (room := size - sum(map(len, parts))) > 0 and self.parked:
            back = self.parked.pop()
            parts.append(back.take(range(min(room, len(back)))))
            if len(back) > room:
                self.parked.append(back.take(range(room, len(back))))
        if room > 0 and queue:
            fresh = [queue.popleft() for _ in range(min(room, len(queue)))]
            parts.append(Rows.start(fresh, self.start(fresh)))
            for row in fresh:
                self.kept[row], self.history[row] = [], []
        return Rows.join(parts)

    def _evaluate(self, batch: Rows) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        with torch.enable_grad():
            n = len(batch)
            # Kernels for few rows round otherwise than those for several (on a CPU convolutions for
            # one, matrix products for up to three), and hundreds of steps blow that up.
            more = max(0, self.least - n)
            values = {
                k: torch.cat([v, *[v[:1]] * more]).detach().requires_grad_(True)
                for k, v in batch.values.items()
            }
            loss, image = self.objective(values, batch.numbers + batch.numbers[:1] * more)
            # The sum: each row's gradient is that of its own loss, whatever the others are.
            gradients = torch.autograd.grad(loss.sum(), list(values.values()))
        rows = {k: g[:n] for k, g in zip(values, gradients, strict=True)}
        return loss.detach()[:n], image.detach()[:n], rows

    def _step(
        self, batch: Rows, loss: Tensor, image: Tensor, gradients: dict[str, Tensor]
    ) -> Rows | None:
        losses = loss.to(batch.steps.device).double()
        finite = torch.isfinite(losses)
        for found in (*gradients.values(), image):
            finite &= torch.isfinite(found.flatten(1)).all(1).to(finite.device)
        self.unread.append((batch.numbers, losses))
        for k, (row, step) in enumerate(zip(batch.numbers, batch.done, strict=True)):
            if step in self.frames:
                self.kept[row].append((step, image[k : k + 1].clone()))
        batch.judge(losses, self.schedule)
        batch.stop(finite, self.schedule)
        used_up = max(batch.done) >= self.schedule.steps
        leaving = self._read(batch) if used_up or len(self.unread) >= self.look else {}
        for k, counters in leaving.items():
            self._finish(batch, k, image, counters)
        staying = [k for k in range(len(batch)) if k not in leaving]
        self.stepped(len(staying))
        if not staying:
            return None
        if leaving:
            kept = batch.take(staying)
            index = sent(torch.as_tensor(staying), image.device)
            batch, gradients = kept, {n: g[index] for n, g in gradients.items()}
        batch.step(gradients, self.schedule, self.scales, self.delays)
        return batch

    def _read(self, batch: Rows) -> dict[int, _Counters]:
        """Read counters and losses: which rows of the batch have stopped, by their places."""
        counters = torch.stack([batch.stopped, batch.steps, batch.early, batch.failed], 1)
        numbers = fetched(
            torch.cat([counters.flatten(), *(losses for _, losses in self.unread)])
        ).tolist()
        first, rest = numbers[: counters.numel()], iter(numbers[counters.numel() :])
        for rows, _ in self.unread:
            for row in rows:
                self.history[row].append(next(rest))
        self.unread.clear()
        leaving: dict[int, _Counters] = {}
        for k in range(len(batch)):
            stopped, steps, early, failed = first[4 * k : 4 * k + 4]
            if stopped:
                leaving[k] = _Counters(int(steps), bool(early), bool(failed))
        return leaving

    def _finish(self, batch: Rows, k: int, image: Tensor, counters: _Counters) -> None:
        row, steps, finite = batch.numbers[k], counters.steps, not counters.failed
        history = self.history.pop(row)[: steps + 1]  # it may have stood still for a while
        tail = max(1, len(history) // 10)
        still = len(history) > tail and history[-1 - tail] - history[-1] > 0.01 * history[-1]
        outcome = Outcome(
            {name: value[k : k + 1].clone() for name, value in batch.values.items()},
            image[k : k + 1].clone(),
            history[-1],
            steps,
            finite and (counters.early or not still),
            None if finite else f"NaN or Inf at step {steps} of the optimisation",
            [(step, frame) for step, frame in self.kept.pop(row) if step <= steps],
            history,
        )
        self.done(row, outcome)


class _Counters(NamedTuple):
    """Steps of a row that has stopped, whether before they were used up, and whether in NaN."""

    steps: int
    early: bool
    failed: bool


def _out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or (
        "can't allocate memory" in text or "not enough memory" in text
    )
