"""This process among several: its rank, as torchrun sets it, and names that only it uses."""

from __future__ import annotations

import os
import platform
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_alone = 0  # how many times this process was told to work alone


def rank() -> int:
    """Number of this process, 0 when it is alone."""
    return 0 if _alone else int(os.environ.get("RANK", 0))


def world() -> int:
    """The number of processes that share the work."""
    return 1 if _alone else int(os.environ.get("WORLD_SIZE", 1))


def local_rank() -> int:
    """Number of this process on its machine, and of its GPU; also while it works ``alone``."""
    return int(os.environ.get("LOCAL_RANK", 0))


def own_number() -> int | None:
    """The rank that torchrun gave to this process, also while it works ``alone``; None: none."""
    number = os.environ.get("RANK", "")
    return int(number) if number else None


@contextmanager
def alone() -> Iterator[None]:
    """Inside, rank is 0 and world is 1: for a process that does whole pieces of work.

    >>> with alone():
    ...     rank(), world()
    (0, 1)
    """
    global _alone
    _alone += 1
    try:
        yield
    finally:
        _alone -= 1


def host_name() -> str:
    """The name of this machine as it stands in names of files."""
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:20] or "-"


def temporary_name(name: str) -> str:
    """The name of a file until it is whole; two writers never have the same one."""
    return f".{name}.{host_name()}.{os.getpid()}.{threading.get_ident()}.tmp"
