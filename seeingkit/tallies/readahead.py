"""What is loaded while what came before it is being counted.

Guarantee: results come in order; at most one is loaded beyond those that were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Made = TypeVar("Made")


@contextmanager
def one_ahead(load: Callable[[Batch], Made], batches: Iterable[Batch]) -> Iterator[Iterator[Made]]:
    """``map(load, batches)``, the next one ahead, until the end of the block.

    Args:
        load: gives the images of a batch; called by another thread.
        batches: such as numbers of images.

    ::

        with one_ahead(source.load, [[0, 1], [2]]) as loaded:
            for images, good, skipped in loaded:
                ...
    """
    threads = torch.get_num_threads()
    # A second thread that computes with torch gets its own team of OpenMP workers, and two
    # teams on the same cores wait for each other (measured: half the speed). Hence one thread.
    reader = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))

    def results() -> Iterator[Made]:
        ahead: Future[Made] | None = None
        for batch in batches:
            following = reader.submit(load, batch)
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()

    try:
        yield results()
    finally:
        reader.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
