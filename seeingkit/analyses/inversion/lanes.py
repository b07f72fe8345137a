"""Two optimisations side by side on a CPU: each pass is too small to keep all cores busy.

Guarantees: how many threads a pass has follows from the threads of the process alone, not from the
number of images, so that numbers stay the same whatever is left to do; an error in one lane ends
the other, and so does the user.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION as FIRST
from concurrent.futures import ThreadPoolExecutor, wait

import torch

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
    threads, stop = torch.get_num_threads(), threading.Event()

    def begin() -> None:
        _lane.stop = stop
        torch.set_num_threads(max(1, threads // LANES))

    pool = ThreadPoolExecutor(max(1, len(works)), "lane", initializer=begin)
    try:
        running = [pool.submit(work) for work in works]
        ended, _ = wait(running, return_when=FIRST)
        failed = next((one for one in running if one in ended and one.exception()), None)
        if failed is not None:
            stop.set()
            failed.result()
    finally:  # also when the user stops: no lane outlives this call
        stop.set()
        pool.shutdown()
        torch.set_num_threads(threads)
