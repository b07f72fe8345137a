"""Memory that a process keeps between passes of a network.

Guarantees: numbers do not depend on it, and neither does the highest memory of a process; only what
is given back, and when. A pass allocates the same large blocks each time. glibc gives them back to
the system as they are freed, and each time the system clears the pages anew: a fifth of the time
of segmenting small images on a CPU (``benchmarks/allocation.py``).
"""

from __future__ import annotations

import ctypes
import os
import platform

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
    if platform.libc_ver()[0] != "glibc" or any(n.startswith("MALLOC_") for n in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(key, value) for key, value in _SETTINGS.items())
