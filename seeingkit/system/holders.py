"""Who holds a piece of work: a process, on which machine, and whether it still lives.

A process is known by its number and by when it started, for numbers are used again; a machine by
its name, its start and its space of process numbers, for containers may have the same name.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seeingkit.errors import one_line

from .processes import own_number


@dataclass(frozen=True)
class Holder:
    """The process that made a claim, as its file describes it.

    Attributes:
        key, about: of the piece of work.
        host: name of the machine, for people.
        machine: tells machines, their starts and their containers apart.
        process: its number.
        started: when the process started, as the system counts; empty where that is not known.
        rank: among the processes of its run; None: it was alone.
    """

    key: str = ""
    about: str = ""
    host: str = ""
    machine: str = ""
    process: int = 0
    started: str = ""
    rank: int | None = None

    @classmethod
    def here(cls, key: str, about: str) -> Holder:
        """This process.

        >>> Holder.here("chunk 7", "counting images").is_gone
        False
        """
        process = os.getpid()
        return cls(key, about, platform.node(), _machine(), process, _start(process), own_number())

    @classmethod
    def read(cls, data: bytes) -> Holder:
        """The process that a file describes; an unknown one where it does not."""
        try:
            fields = json.loads(data)
            texts = {name: str(fields[name]) for name in ("key", "about", "host", "machine")}
            rank = None if fields["rank"] is None else int(fields["rank"])
            return cls(
                **texts, process=int(fields["process"]), started=str(fields["started"]), rank=rank
            )
        except (ValueError, LookupError, TypeError):  # it was killed before it could write
            return cls()

    @property
    def is_gone(self) -> bool:
        """Whether this was a process of this machine that has ended."""
        if self.machine != _machine():
            return False
        now = _start(self.process)
        return not now or now != self.started

    def __str__(self) -> str:
        if not self.process:
            return "a process"
        host = one_line(self.host, 80)
        if self.rank is None:
            return f"process {self.process} of {host}"
        return f"rank {self.rank} ({host}, process {self.process})"


@cache
def _machine() -> str:
    """Of this machine since it started, and of this process's space of process numbers."""
    parts: list[Any] = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _start(process: int) -> str:
    """When a living process of this machine started; empty where there is none."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else _lives(process)
    except OSError:  # a process that ends while it is looked at
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]  # one that has ended, and nobody asked how


def _lives(process: int) -> str:
    """As ``_start`` where the system does not say when: whether there is one."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return ""
    except OSError:  # another user's
        pass
    return "?"
