"""The progress of long tasks on stderr: a bar in a terminal, else a line now and then.

Guarantees: a task that ends within ``PERIOD`` seconds prints no line; of processes that share a run
only rank 0 reports.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from seeingkit.errors import printable

from .processes import rank

if TYPE_CHECKING:
    from rich.progress import Progress

PERIOD = 30.0
"""Seconds between lines where stderr is no terminal."""


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


class Lines(Bar):
    """Progress as lines of text::

        lines = Lines("tally church", 1000, "images")
        lines.advance(16)
        lines.line()

    Args:
        title, total, unit: as of ``progress_bar``.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._title, self._total, self._unit = printable(title), total, unit
        self._done = self._resumed = 0
        self._started = time.monotonic()

    def advance(self, steps: int, *, resumed: bool = False) -> None:
        self._done += steps
        if resumed:
            self._resumed += steps
            self._started = time.monotonic()

    def line(self) -> str:
        """``tally church: 320 of 1,000 images (32 %), 4.1 images/s, 2:46 left``.

        Before the first step, the time so far stands in place of rate and time left.
        """
        seconds, made = time.monotonic() - self._started, self._done - self._resumed
        share = 100 * self._done / self._total if self._total else 100.0
        unit = self._unit.removesuffix("s") if self._total == 1 else self._unit
        said = f"{self._title}: {self._done:,} of {self._total:,} {unit} ({share:.0f} %)"
        if not made or seconds <= 0:
            return f"{said}, {duration(seconds)} so far"
        each = seconds / made
        many = f"{1 / each:.1f} {self._unit}/s" if each < 1 else f"{each:.1f} s each"
        return f"{said}, {many}, {duration(each * (self._total - self._done))} left"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(166), duration(7325)
    ('2:46', '2:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


_hidden = False


@contextmanager
def hidden_progress(hidden: bool = True) -> Iterator[None]:
    """No progress is shown inside: for one of several workers in one terminal.

    >>> with hidden_progress(), progress_bar("tally church", 1000, "images") as bar:
    ...     bar.advance(16)
    """
    global _hidden
    before, _hidden = _hidden, hidden or _hidden
    try:
        yield
    finally:
        _hidden = before


Told = Callable[[str], None]
_listener: ContextVar[Told | None] = ContextVar("listener", default=None)


class _ToldBar(Lines):
    """The progress of a task, told step by step."""

    def __init__(self, title: str, total: int, unit: str, told: Told) -> None:
        super().__init__(title, total, unit)
        self._told = told
        told(self.line())

    def advance(self, steps: int, *, resumed: bool = False) -> None:
        super().advance(steps, resumed=resumed)
        self._told(self.line())


@contextmanager
def progress_told(listener: Told) -> Iterator[None]:
    """Progress inside is told to a listener, a line at each step, in place of stderr; for the
    tasks of this thread.

    >>> lines = []
    >>> with progress_told(lines.append), progress_bar("keys", 2, "images") as bar:
    ...     bar.advance(1)
    >>> lines[0]
    'keys: 0 of 2 images (0 %), 0:00 so far'
    """
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


@contextmanager
def progress_bar(title: str, total: int, unit: str) -> Iterator[Bar]:
    """A bar with count, rate and time left; a line of it every ``PERIOD`` where stderr is a file::

        with progress_bar("tally church", 1000, "images") as bar:
            bar.advance(16)

    Args:
        title: of the task.
        total: steps of the task.
        unit: of a step, in the plural.
    """
    if rank() or _hidden:
        yield Bar()
        return
    if (listener := _listener.get()) is not None:
        yield _ToldBar(title, total, unit, listener)
        return
    if not sys.stderr.isatty():
        with _printed(Lines(title, total, unit)) as lines:
            yield lines
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


@contextmanager
def _printed(lines: Lines) -> Iterator[Lines]:
    """Print a line every ``PERIOD``, also while a single step takes longer than that."""
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(PERIOD):
            print(lines.line(), file=sys.stderr, flush=True)

    # A daemon: a process that is told to end must not wait for the next line.
    reporter = threading.Thread(target=report, name="progress", daemon=True)
    reporter.start()
    try:
        yield lines
    finally:
        ended.set()
        reporter.join()
