"""Progress bars with rates, on stderr, and only where somebody can see them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from seeingkit.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar:
    """The progress of a long task; this one shows nothing."""

    def advance(self, steps: int, *, resumed: bool = False) -> None:
        """Count ``steps`` more as done; ``resumed`` ones do not count for the rate."""


class _ShownBar(Bar):
    """The only task of a ``Progress``."""

    def __init__(self, progress: Progress, unit: str) -> None:
        self._progress = progress
        self._unit = unit

    def advance(self, steps: int, *, resumed: bool = False) -> None:
        (task,) = self._progress.tasks
        if resumed:  # the rate is measured from here on
            self._progress.reset(task.id, completed=int(task.completed) + steps)
            steps = 0
        self._progress.advance(task.id, steps)
        if task.speed:
            self._progress.update(task.id, rate=f"{task.speed:.1f} {self._unit}/s")


@contextmanager
def progress_bar(title: str, total: int, unit: str) -> Iterator[Bar]:
    """A bar with count, rate and time left; silent when stderr is no terminal::

        with progress_bar("tally church", 1000, "images") as bar:
            bar.advance(16)

    Args:
        title: of the task.
        total: steps of the task.
        unit: of a step, in the plural.
    """
    if not sys.stderr.isatty():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", style="progress.data.speed", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        progress.add_task(printable(title), total=total, rate="")
        bar = _ShownBar(progress, unit)
        bar.advance(0)  # rich measures speed from the first sample on
        yield bar
