"""What a suite would do: steps that are there, steps that are left, and how long they take here."""

from __future__ import annotations

from dataclasses import dataclass

from seeingkit.system.claims import Claims
from seeingkit.system.holders import Holder

from .graph import Graph, Step
from .rates import Rates, total
from .state import State, SuiteFolder


@dataclass(frozen=True)
class StepState:
    """One step of a suite, now.

    Attributes:
        reason: why it failed.
        holder: who works on it.
        seconds: that it took, or will take; None where nothing like it was measured here.
    """

    step: Step
    state: State
    reason: str = ""
    holder: Holder | None = None
    seconds: float | None = None

    @property
    def shown(self) -> str:
        """In a word: done, failed, running, waiting."""
        return "running" if self.holder is not None and self.state == "waiting" else self.state


@dataclass(frozen=True)
class Forecast:
    """All steps of a suite, and the time that those take which are left."""

    steps: list[StepState]

    @property
    def left(self) -> list[StepState]:
        """The steps that are neither done nor failed."""
        return [one for one in self.steps if one.state == "waiting"]

    @property
    def seconds(self) -> tuple[float, int]:
        """Seconds of the steps that are left, one after another, and how many are not known."""
        return total([one.seconds for one in self.left])

    def count(self, state: str) -> int:
        """How many steps are done, failed, running or waiting."""
        return sum(one.shown == state for one in self.steps)


def forecast(graph: Graph, folder: SuiteFolder, *, again: bool = False) -> Forecast:
    """The state of every step.

    Args:
        again: steps that failed would be tried again, as a new start does.
    """
    rates = Rates()
    held = {holder.key: holder for holder in Claims(folder.path / "claims").holders()}
    found: list[StepState] = []
    left: set[str] = set()
    for step in graph.steps:
        state, reason = folder.reason(graph, step)
        if again and state == "failed" and not step.fault:
            state = "waiting"
        if left & set(step.needs) and state == "done":
            state = "waiting"  # a ranking, that is made again with the cells that are left
        if state == "waiting":
            left.add(step.name)
        record = folder.record(step) if state == "done" else None
        seconds = rates.seconds(step) if record is None else record.seconds
        found.append(StepState(step, state, reason, held.get(step.name), seconds))
    return Forecast(found)
