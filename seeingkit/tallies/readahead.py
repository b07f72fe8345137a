"""The batches of a source, each read while the one before it is being counted.

Guarantee: batches come in order, whole; at most one is read beyond those that were asked for.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from seeingkit import contracts
from seeingkit.contracts import ImageSource, Skipped
from seeingkit.images import SamplerSource

Loaded = tuple[Tensor | None, list[int], list[Skipped]]
"""What ``ImageSource.load`` gives."""


def batches_of(
    source: ImageSource, batches: Sequence[list[int]], device: torch.device
) -> Generator[Loaded, None, None]:
    """Load batches of images, the next one ahead where that gains time.

    Args:
        batches: numbers of images.
        device: where they are counted.

    ::

        for images, good, skipped in batches_of(source, [[0, 1], [2]], segmenter.device):
            ...
    """
    if not batches or _computed_here(source, device):
        yield from map(source.load, batches)
        return
    threads = torch.get_num_threads()
    # A second thread that computes with torch gets its own team of OpenMP workers, and two
    # teams on the same cores wait for each other (measured: half the speed). Hence one thread.
    reader = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
    try:
        ahead = reader.submit(source.load, batches[0])
        for following in (*batches[1:], None):
            loaded = ahead.result()
            if following is not None:
                ahead = reader.submit(source.load, following)
            yield loaded
    finally:
        reader.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _computed_here(source: ImageSource, device: torch.device) -> bool:
    """Whether images are made by the cores that count them.

    A generator uses all of them by itself, so one after the other is faster (measured on two cores:
    by an eighth) than both at once.
    """
    sampler = source.sampler if isinstance(source, SamplerSource) else None
    return isinstance(sampler, contracts.Generator) and sampler.device.type == device.type == "cpu"
