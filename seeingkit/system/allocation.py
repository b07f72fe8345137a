"""Memory that a process keeps between passes of a network.

Guarantees: numbers do not depend on it. The highest memory of a process does: freed blocks that do
not fit the next ones are kept as well (docs/processes.md has both sides). A pass allocates the same
large blocks each time; glibc gives them back to the system as they are freed, and each time the
system clears the pages anew (``benchmarks/allocation.py``).
"""

from __future__ import annotations

import ctypes
import os

_TRIM, _PAD, _MAP = -1, -2, -3  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD of malloc.h
_SETTINGS = {_TRIM: 512 << 20, _PAD: 64 << 20, _MAP: 32 << 20}  # bytes; the last is its maximum


def keep_memory() -> bool:
    """Let this process keep up to 512 MiB of freed memory; whether that could be set.

    Only for programs, which own their process: a library leaves its host's settings alone. Other
    allocators than glibc's, and settings in the environment (``MALLOC_TRIM_THRESHOLD_``, …), are
    left as they are.

    >>> keep_memory() in (True, False)
    True
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        library = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):  # no such function or name: not glibc
        return False
    if not (library or "").startswith("glibc"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(key, value) for key, value in _SETTINGS.items())
