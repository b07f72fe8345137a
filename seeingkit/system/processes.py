"""The rank of this process among several (as set by torchrun), and waiting for the others."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from seeingkit.errors import RunError


def rank() -> int:
    """Number of this process, 0 when it is alone."""
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """The number of processes that share the work."""
    return int(os.environ.get("WORLD_SIZE", 1))


def local_rank() -> int:
    """Number of this process on its machine, and of its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0))


def wait_for(paths: Sequence[Path], task: str, patience: float = 3600.0) -> None:
    """Wait until other processes have written these files.

    Args:
        paths: the files.
        task: named in the message.
        patience: seconds.

    Raises:
        RunError: they have not, after ``patience`` seconds.
    """
    started = time.monotonic()
    while missing := [path for path in paths if not path.exists()]:
        if time.monotonic() - started > patience:
            raise RunError(
                f"{task}: {len(missing)} files were not written by the other processes; "
                "run it again"
            )
        time.sleep(0.05)
