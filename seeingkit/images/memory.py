"""Bounds the memory of decoding, whatever the pictures and however many threads decode.

Guarantees: pictures that are decoded at the same time take at most ``TOGETHER`` bytes, or there is
one alone; a picture that would take more than ``MOST`` by itself is refused before it is decoded.
Only the order of the work changes with it, never a number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from PIL import _imaging

TOGETHER = 384 << 20
"""Most bytes of pictures that are decoded at the same time."""
MOST = 900 << 20
"""Most bytes that one picture may take, its encoded bytes included."""
FREE = 16 << 20
"""Encoded bytes that a waiting thread may hold."""


_imaging.set_block_size(64 << 20)  # the setting that Pillow reads from PILLOW_BLOCK_SIZE
# Pillow keeps a large picture in blocks, of 16 MiB by default. glibc serves such blocks from the
# heap of the thread that asks once one of them was freed, and each thread's heap then keeps what
# it had: four pictures took three times the memory. Blocks above 32 MiB go back when freed.


class Room:
    """Bytes that several threads share; a thread waits until what it asks for is free.

    ``with room.take(5_000_000): decode()``. A thread that has taken all of it may take more without
    waiting, so that two threads never wait for each other.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._used = 0
        self._change = threading.Condition()
        self._mine = threading.local()

    @contextmanager
    def take(self, needed: int) -> Iterator[None]:
        """Hold so many bytes, or all there are if it is more, while inside.

        A thread holds none when it asks, or all of them.
        """
        if needed <= 0 or getattr(self._mine, "all", False):
            yield
            return
        share = min(needed, self.total)
        with self._change:
            self._change.wait_for(lambda: self._used + share <= self.total)
            self._used += share
        self._mine.all = share == self.total
        try:
            yield
        finally:
            self._mine.all = False
            with self._change:
                self._used -= share
                self._change.notify_all()

    def hold_encoded(self, size: int) -> AbstractContextManager[None]:
        """``take`` for encoded bytes that are about to be read: all of it unless they are few."""
        return self.take(self.total if size > FREE else 0)


ROOM = Room(TOGETHER)
"""The room of this process."""
