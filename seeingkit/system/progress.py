"""Progress bars with rates, on stderr, and only where somebody can see them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """What a long task tells its progress bar."""

    def advance(self, steps: int, *, resumed: bool = False) -> None:
        """``steps`` more are done; ``resumed`` ones do not count for the rate."""


class _Silent:
    def advance(self, steps: int, *, resumed: bool = False) -> None:
        pass


@contextmanager
def progress_bar(title: str, total: int, unit: str) -> Iterator[Bar]:
    """A bar with count, rate and time left; silent when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            done = task.completed - task.fields["resumed"]
            if not task.elapsed or done <= 0:
                return Text("")
            return Text(f"{done / task.elapsed:.1f} {unit}/s", style="progress.data.speed")

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task(title, total=total, resumed=0)

        class Shown:
            def advance(self, steps: int, *, resumed: bool = False) -> None:
                if resumed:
                    fields = progress.tasks[0].fields
                    progress.update(task, resumed=fields["resumed"] + steps)
                progress.advance(task, steps)

        yield Shown()
