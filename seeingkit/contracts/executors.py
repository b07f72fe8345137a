"""The contract of executors: they start the workers of a suite, on this machine or elsewhere.

An executor knows nothing of suites. It starts one command several times and waits until all have
ended; the workers find their work, and divide it, in the folder that they share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """A worker that has ended.

    Attributes:
        name: of the worker, for people: ``worker 2 (process 1234)``.
        code: its exit code; negative: the signal that ended it.
        reason: the last line of what it said, where the executor knows it.

    >>> Ended("worker 1", -9).lost
    True
    """

    name: str
    code: int
    reason: str = ""

    @property
    def lost(self) -> bool:
        """Whether it ended before its work did: 0 and 3 (some work failed) are ordinary ends."""
        return self.code not in (0, 3)


class Executor(ABC):
    """Starts workers and waits for them."""

    @abstractmethod
    def run(self, command: Sequence[str], processes: int, folder: Path) -> list[Ended]:
        """Start a command several times, wait for all of them, and say how each ended.

        Args:
            command: program and arguments of a worker; it needs the same folders wherever it runs.
            processes: how many.
            folder: shared by all workers; for logs of the executor's own.

        Raises:
            PluginError: what the executor needs is not installed.
            RunError: no worker could be started.
        """
