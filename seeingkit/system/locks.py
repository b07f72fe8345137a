"""Locks between processes: one fetches a file, the others wait and then find it there.

Guarantees: the lock belongs to the operating system, so that a process that dies lets go of it.
Where the file system knows no locks there is none, and two processes then fetch the same file twice
at worst: the last rename wins, and both have checked the file that they rename.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .cache import cache_folder

_POLL_SECONDS = 0.1
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def lock_for(target: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a file that is to be written.

    Args:
        target: the file; its lock lies in the cache folder, not beside it.
        waiting: called once if another process holds the lock.

    Raises:
        OSError: the cache folder cannot be written.
    """
    from filelock import FileLock, Timeout

    key = hashlib.sha256(os.fsencode(os.path.realpath(target))).hexdigest()[:32]
    path = cache_folder() / "locks" / f"{key}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    # A soft lock, a mere file, would outlive a process that dies.
    lock = FileLock(path, fallback_to_soft=False)
    with ExitStack() as held:
        try:
            try:
                held.enter_context(lock.acquire(blocking=False))
            except Timeout:
                waiting()
                held.enter_context(lock.acquire(poll_interval=_POLL_SECONDS))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
