"""Devices, and batches that fit their memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from seeingkit.errors import ModelError, UsageError

from .processes import local_rank, world

T = TypeVar("T")


def resolve_device(name: str = "auto") -> str:
    """``auto`` becomes cuda, mps or cpu, whichever is there; anything else is checked.

    Raises:
        UsageError: no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            several = world() > 1 or local_rank() > 0
            return f"cuda:{local_rank() % torch.cuda.device_count()}" if several else "cuda"
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


def in_batches(
    work: Callable[[Tensor], T], images: Tensor, size: int, advice: str
) -> tuple[list[T], int]:
    """Results of ``work`` on images, in batches that are halved when memory runs out.

    Args:
        work: takes (n, …) images.
        images: (N, …).
        size: images at once to begin with.
        advice: the way out when even one image is too much, for the message.

    Returns:
        the results of the batches, in order, and the size of batches that fits.

    Raises:
        ModelError: memory ran out with a single image.
    """
    found: list[T] = []
    start = 0  # a loop, for the next attempt must not begin before the error lets its memory go
    while start < len(images):
        batch = images[start : start + size]
        try:
            found.append(work(batch))
            start += len(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise ModelError(f"out of memory with a single image; {advice}") from error
            size = (len(batch) + 1) // 2
    return found, size


def sent(batch: Tensor, device: str | torch.device) -> Tensor:
    """A batch that enters a loop, on the device: the one upload of each of its turns.

    From page-locked memory the copy runs beside what the device is doing, and nobody waits.

    >>> sent(torch.zeros(2, 3), "cpu").shape
    torch.Size([2, 3])
    """
    device = torch.device(device)
    if device.type != "cuda" or batch.device.type != "cpu":
        return batch.to(device)
    return batch.pin_memory().to(device, non_blocking=True)


def fetched(results: Tensor) -> Tensor:
    """Finished results of a batch, on the CPU: the one read of each turn of a loop.

    Elsewhere a loop reads nothing of the device, because the host would wait for all that it was
    told to do (``seeingkit.testing.pretended`` looks for it).

    >>> fetched(torch.arange(3))
    tensor([0, 1, 2])
    """
    return results.cpu()
