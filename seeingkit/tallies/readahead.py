"""What is loaded while what came before it is being counted.

Guarantee: results come in order; at most one is loaded beyond those that were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Loaded = TypeVar("Loaded")


def one_ahead(
    load: Callable[[Batch], Loaded], batches: Sequence[Batch]
) -> Generator[Loaded, None, None]:
    """``map(load, batches)``, the next one ahead.

    Args:
        load: gives the images of a batch; called by another thread.
        batches: such as numbers of images.

    ::

        for images, good, skipped in one_ahead(source.load, [[0, 1], [2]]):
            ...
    """
    if not batches:
        return
    threads = torch.get_num_threads()
    # A second thread that computes with torch gets its own team of OpenMP workers, and two
    # teams on the same cores wait for each other (measured: half the speed). Hence one thread.
    reader = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
    try:
        ahead = reader.submit(load, batches[0])
        for batch in batches[1:]:
            loaded = ahead.result()
            ahead = reader.submit(load, batch)
            yield loaded
        yield ahead.result()
    finally:
        reader.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
