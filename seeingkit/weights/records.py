"""Objects in a checkpoint's tree that stand for pickled classes, and the keys a tree may have.

``Opaque`` holds the data of an object whose class is unknown here; ``Constructor`` is an
allow-listed global; ``Unfinished`` is an object still waiting for its state. Guarantees that none
of them runs code of the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seeingkit.errors import UnsafeFileError

_LARGEST_KEY = (1 << 61) - 2  # below the modulus of Python's integer hash: no two keys collide
_LONGEST_KEY = 2000  # characters; a number in a name stays short enough to be converted
_MOST_KEY_PARTS = 8

UNFIT = (TypeError, ValueError, OverflowError, LookupError, RuntimeError)
"""Exceptions of Python, numpy and torch for arguments that make no sense."""


@dataclass(eq=False, repr=False)
class Opaque:
    """The data of an object of a foreign class, or a class itself. Its code is never run.

    Attributes:
        kind: the dotted name of its class; ``persistent:NAME`` for a module of an NVIDIA pickle.
        args: the arguments of its construction.
        state: the state it was to be given, usually its ``__dict__``.
    """

    kind: str
    args: tuple[Any, ...] = ()
    state: Any = None

    def __repr__(self) -> str:
        return f"Opaque({self.kind[:80]!r})"  # its data can be of any size


class Constructor(Opaque):
    """An allow-listed constructor ``make`` of ours that replaces a pickled global.

    One that stays in the tree, uncalled, is a mere name, as every ``Opaque`` is.
    """

    def __init__(self, kind: str, make: Callable[..., Any]) -> None:
        super().__init__(kind)
        self.make = make


class Unfinished(Opaque, ABC):
    """An object that is whole only after ``BUILD``, which replaces it by ``finish(state)``."""

    @abstractmethod
    def finish(self, state: Any) -> Any:
        """The finished object."""


def scalar(key: Any) -> Any:
    """A dictionary key or set member: a short plain value with a cheap, collision-free hash, or
    else an ``UnsafeFileError``.

    Numbers in a tuple beside other numbers can be chosen so that all tuples have one hash, and
    every look-up compares them all; a tuple may hold one number at most.
    """
    if type(key) is str and len(key) > _LONGEST_KEY:
        raise UnsafeFileError(f"refused, a dictionary key of {len(key)} characters")
    if type(key) is int and abs(key) <= _LARGEST_KEY:
        return key
    if isinstance(key, memoryview):
        raise UnsafeFileError("refused, a dictionary key of thousands of bytes")
    if key is None or type(key) in (str, bytes, bool):
        return key
    if type(key) is tuple and len(key) <= _MOST_KEY_PARTS:
        kinds: list[type] = [type(part) for part in key]
        if {*kinds} <= {str, int} and kinds.count(int) <= 1:
            return tuple(scalar(part) for part in key)
    raise UnsafeFileError(f"refused, a {type(key).__name__} as dictionary key")


def reason(error: BaseException) -> str:
    """The first line of an error's message, or the name of its type."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
