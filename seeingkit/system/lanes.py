"""Work in two lanes on a CPU: one pass seldom keeps all cores busy, two side by side do.

Guarantees: how many threads a pass has follows from the threads of the process alone, not from the
number of images, so that numbers stay the same whatever is left to do; results and errors come in
order; after an error, or when the user stops, no lane begins anything more.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION as FIRST
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Found = TypeVar("Found")

LANES = 2
"""A pass of four images of 64 x 64 takes as long with two threads as with one (measured on two
cores), so twice as many are done in two lanes."""

_lane = threading.local()


class Halted(Exception):  # noqa: N818, of no interest to users
    """The other lane failed, or the user has stopped the run."""


def check_halted() -> None:
    """Called at each step of an optimisation.

    Raises:
        Halted: this lane is to end.

    >>> check_halted()
    """
    stop: threading.Event | None = getattr(_lane, "stop", None)
    if stop is not None and stop.is_set():
        raise Halted


def lanes_here() -> int:
    """How many lanes a process with its threads has.

    >>> lanes_here() in (1, LANES)
    True
    """
    return LANES if torch.get_num_threads() >= LANES else 1


def side_by_side(works: Sequence[Callable[[], None]]) -> None:
    """Do some work in as many lanes, each with its part of the threads.

    >>> done = []
    >>> side_by_side([lambda: done.append(1), lambda: done.append(2)])
    >>> sorted(done)
    [1, 2]

    Raises:
        Exception: the first one that any of them raised.
    """
    with _lanes(len(works)) as pool:
        running = [pool.submit(work) for work in works]
        ended, _ = wait(running, return_when=FIRST)
        failed = next((one for one in running if one in ended and one.exception()), None)
        if failed is not None:
            failed.result()


def in_lanes(items: Iterable[Item], work: Callable[[Item], Found]) -> Generator[Found, None, None]:
    """``map(work, items)``, two of them at once.

    At most one result waits to be asked for, so that large ones are not gathered.

    Args:
        items: what there is to do; asked for by the caller's thread.
        work: called by both lanes at once; whether it follows gradients is as in the caller.

    Returns:
        the results, in the order of the items.

    Raises:
        Exception: what ``work`` or the items raised, where the result would come.

    >>> list(in_lanes("abc", ord))
    [97, 98, 99]
    """
    gradients, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def one(item: Item) -> Found:
        # Both modes belong to a thread.
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return work(item)

    with _lanes(LANES) as pool:
        running = deque[Future[Found]]()
        try:
            # An error of the items waits until what came before it is done.
            more, fault = iter(items), None
            while fault is None:
                try:
                    running.append(pool.submit(one, next(more)))
                except Exception as error:  # StopIteration, too
                    fault = error
                if len(running) > LANES:  # one waits, so that no lane does
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
            if not isinstance(fault, StopIteration):
                raise fault
        finally:
            for left in running:
                left.cancel()


@contextmanager
def _lanes(number: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads share those of the process; none outlives the block."""
    threads, stop = torch.get_num_threads(), threading.Event()

    def begin() -> None:
        _lane.stop = stop
        torch.set_num_threads(max(1, threads // LANES))

    pool = ThreadPoolExecutor(max(1, number), "lane", initializer=begin)
    try:
        yield pool
    finally:  # also when the user stops, and while the lanes end
        stop.set()
        try:
            pool.shutdown()
        finally:
            torch.set_num_threads(threads)
