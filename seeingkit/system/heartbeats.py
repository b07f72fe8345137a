"""Signs of life: a thread touches the files of what this process holds, while it holds any.

Guarantees: the thread begins with the first file and ends with the last; it keeps no process from
ending; a fork has none, and holds nothing.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from contextlib import suppress

from seeingkit.errors import StorageError

from .addresses import RemotePath

BEAT = 5.0
"""Seconds between two touches of a file."""


class Beating(ABC):
    """A file that is touched until ``stop``."""

    def __init__(self) -> None:
        self._busy, self._ended = threading.Lock(), False
        _heart.add(self)

    def touch(self) -> None:
        """One sign of life; of a drive that is gone for a moment, the next one may arrive."""
        with self._busy, suppress(OSError, StorageError):
            if not self._ended:
                self._touch()

    def stop(self) -> None:
        """No more signs of life."""
        _heart.remove(self)
        with self._busy:
            self._ended = True
            self._close()

    @abstractmethod
    def _touch(self) -> None: ...

    def _close(self) -> None:
        return None


class OpenFile(Beating):
    """A file of this machine, by its open descriptor: whatever takes its place is left alone."""

    def __init__(self, number: int) -> None:
        self._number = number
        super().__init__()

    def _touch(self) -> None:
        os.utime(self._number)

    def _close(self) -> None:
        os.close(self._number)


class RewrittenFile(Beating):
    """A file at an address: its time of change changes as it is written once more."""

    def __init__(self, path: RemotePath, content: bytes) -> None:
        self._path, self._content = path, content
        super().__init__()

    def _touch(self) -> None:
        if self._path.read_bytes() == self._content:  # else it is another's by now
            self._path.write_whole(self._content)


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
        while True:
            with self._change:
                if self._files:
                    self._change.wait(BEAT)
                if not self._files:
                    self._thread = None
                    return
                files = list(self._files)
            for file in files:  # a drive that does not answer must not keep others from ending
                file.touch()


_heart = _Heart()
os.register_at_fork(after_in_child=_heart.forget)
