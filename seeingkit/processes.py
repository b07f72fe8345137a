"""Which of several processes this one is, as torchrun says it. Never imports torch."""

from __future__ import annotations

import os


def rank() -> int:
    """Number of this process, 0 when it is alone."""
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """How many processes share the work."""
    return int(os.environ.get("WORLD_SIZE", 1))


def local_rank() -> int:
    """Number of this process on its machine: which GPU is its own."""
    return int(os.environ.get("LOCAL_RANK", 0))
