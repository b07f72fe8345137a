"""Work that several processes share: each does its own part, then whatever nobody living does.

Guarantees: no process talks to another; what is done is told by files alone, who is at work by
claims; a piece is done while no other process that lives is doing it; nobody waits for a process
that has ended. The processes may begin at any time, and be of any number.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .claims import Claim, Claims
from .processes import rank, world

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds between two looks
_SILENT = 10.0  # seconds after which it is said for whom this process waits


@dataclass(frozen=True)
class Piece:
    """A piece of work.

    Attributes:
        key: names it in all processes.
        about: of it, for people: ``counting images 1 to 9 of church``.

    >>> Piece("chunk 7", "counting images").key
    'chunk 7'
    """

    key: str
    about: str


def own_part(pieces: Sequence[object]) -> range:
    """The numbers of the pieces that this process does first: ``rank::world``.

    >>> own_part("abc")
    range(0, 3)
    """
    return range(len(pieces))[rank() :: world()]


def shared(
    pieces: Sequence[Piece],
    claims: Claims,
    is_done: Callable[[int], bool],
    *,
    enough: Callable[[Sequence[int]], bool] = bool,
    head_start: float = 0.0,
) -> Iterator[list[int]]:
    """The numbers of pieces that this process is to do now, a few at a time, until all are done::

        for numbers in shared(pieces, claims, is_done):
            for number in numbers:
                do(number)

    Pieces ``rank::world`` come first. Those that were begun by others come last, and backwards, so
    that two processes meet late. What was given is claimed until the next ones are asked for.

    Args:
        is_done: whether the result of a piece is there.
        enough: whether so many pieces are enough for a time; default: one is.
        head_start: seconds in which pieces are left to the process whose part they are.
    """
    started = time.monotonic()
    mine = own_part(pieces)
    left = [*mine, *(k for k in reversed(range(len(pieces))) if k not in mine)]
    watch = _Watch(claims)
    while left:
        held: dict[int, Claim] = {}
        passed: list[int] = []
        try:
            for place, number in enumerate(left):
                if enough(list(held)):
                    passed += left[place:]
                    break
                if is_done(number):
                    continue
                claim = None
                if number in mine or time.monotonic() - started >= head_start:
                    claim = claims.take(pieces[number].key, pieces[number].about)
                if claim is None:
                    passed.append(number)
                elif is_done(number):  # it was, between the two looks
                    claim.release()
                else:
                    held[number] = claim
            if held:
                watch.restart()
                yield list(held)
        finally:
            for claim in held.values():
                claim.release()
        left = passed
        if left and not held:
            watch.wait([pieces[number] for number in left])


class _Watch:
    """Waits while others work: longer and longer, and says once for whom."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._told: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """This process has had work."""
        self._pause, self._since = _FIRST_PAUSE, time.monotonic()

    def wait(self, pieces: Sequence[Piece]) -> None:
        """A moment in which these pieces are the work of others."""
        time.sleep(self._pause)
        self._pause = min(1.5 * self._pause, _LONGEST_PAUSE)
        if time.monotonic() - self._since < _SILENT:
            return
        for piece in pieces:
            holder = self._claims.holder(piece.key)
            if holder is not None and str(holder) not in self._told:
                self._told.add(str(holder))
                log.info("waiting for %s: %s", holder, holder.about)
