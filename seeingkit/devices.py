"""Where models compute."""

from __future__ import annotations

import torch

from .errors import UsageError
from .processes import local_rank, world


def resolve_device(name: str = "auto") -> str:
    """``auto`` becomes cuda, mps or cpu, whichever is there; anything else is checked.

    Raises:
        UsageError: no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return f"cuda:{local_rank() % torch.cuda.device_count()}" if world() > 1 else "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device named {name!r}; use cpu, cuda, cuda:N, mps or auto") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }.get(device.type, False)
    if not there:
        raise UsageError(f"device {name!r} is not on this machine; use --device cpu or auto")
    return name
