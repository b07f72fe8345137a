"""One process at a time fetches a file; the others wait and then find it there.

The lock belongs to the operating system, so a process that dies lets go of it. Where the file
system knows no locks there is none, and two processes then fetch the same file twice at worst: the
last rename wins, and both have checked what they rename.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .cache import cache_folder

_POLL = 0.1  # seconds between two looks
_TAKEN = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _try(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def lock_for(target: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a file that is to be written.

    Args:
        target: the file; its lock lies in the cache folder, not beside it.
        waiting: called once if another process holds the lock.

    Raises:
        OSError: the cache folder cannot be written.
    """
    key = hashlib.sha256(os.fsencode(os.path.realpath(target))).hexdigest()[:32]
    path = cache_folder() / "locks" / f"{key}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        told = False
        while True:
            try:
                _try(descriptor)
            except OSError as error:
                if error.errno not in _TAKEN:
                    break  # no locks here
                if not told:
                    waiting()
                    told = True
                time.sleep(_POLL)
            else:
                break
        yield
    finally:
        os.close(descriptor)  # which also lets go
