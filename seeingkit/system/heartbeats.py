"""Signs of life: a thread touches the files of what this process holds, while it holds any.

Guarantees: the thread begins with the first file and ends with the last; it keeps no process from
ending; a fork has none, and holds nothing.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

BEAT = 5.0
"""Seconds between two touches of a file."""


class Beating:
    """An open file that is touched until ``stop``.

    Args:
        number: its descriptor: whatever takes the place of the file is left alone.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        _heart.add(self)

    def touch(self) -> None:
        """One sign of life."""
        with suppress(OSError):  # of a drive that is gone for a moment, the next one may arrive
            os.utime(self._number)

    def stop(self) -> None:
        """Close the file."""
        _heart.remove(self)
        os.close(self._number)


class _Heart:
    """The thread, and the files that it touches."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin without a thread and without files, as in a fork."""
        self._files: list[Beating] = []
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, file: Beating) -> None:
        with self._change:
            self._files.append(file)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()

    def remove(self, file: Beating) -> None:
        with self._change:
            self._files.remove(file)
            if not self._files:
                self._change.notify()

    def _run(self) -> None:
        with self._change:
            while self._files:
                self._change.wait(BEAT)
                for file in self._files:
                    file.touch()
            self._thread = None


_heart = _Heart()
os.register_at_fork(after_in_child=_heart.forget)
