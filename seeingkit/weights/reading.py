"""What the pickle machine is made of: its budget, its records, its reader, and what may be a key.

Guarantees: nothing here takes more bytes than a file has, or copies more than its budget allows.
"""

from __future__ import annotations

import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seeingkit.errors import CorruptFileError, UnsafeFileError

MOST_OPERATIONS = 1_000_000
"""Steps of one program and all it nests. The largest published pickles have about 100,000."""

_WINDOW = 1 << 12
LONG = 4096
"""Byte strings from this length on are views: of the file, if they lie there as they are."""

_LARGEST_KEY = (1 << 61) - 2  # below the modulus of Python's integer hash: no two keys collide
_LONGEST_KEY = 2000  # characters; a number in a name stays short enough to be converted
_WIDE = 1 << 20  # text from this length on is bytes in disguise: no character beyond Latin-1
_BEYOND_LATIN = re.compile(rb"[\xc4-\xff]")  # leading bytes, in UTF-8
UNFIT = (TypeError, ValueError, OverflowError, LookupError, RuntimeError)
"""What Python, numpy and torch raise for arguments that make no sense."""


class Budget:
    """What is left to one file, shared with the pickles nested in it.

    Attributes:
        steps: operations, and entries copied from one container to another.
        copies: bytes that may still be copied: a value that was remembered costs a file nothing to
            name again, and may not be copied again each time.

    Args:
        steps: how many.
        size: bytes of the file.
    """

    def __init__(self, steps: int = MOST_OPERATIONS, size: int = 0) -> None:
        self.steps = steps
        self.copies = 4 * size + (1 << 24)

    def spend(self, steps: int) -> None:
        """Take off steps.

        Raises:
            UnsafeFileError: that many are not left.
        """
        self.steps -= steps
        if self.steps < 0:
            raise UnsafeFileError(f"refused, more than {MOST_OPERATIONS} pickle operations")

    def copy(self, count: int) -> None:
        """Take off bytes about to be copied.

        Raises:
            UnsafeFileError: that many are not left.
        """
        self.copies -= count
        if self.copies < 0:
            raise UnsafeFileError("refused, it makes far more values of its bytes than it stores")


@dataclass(eq=False, repr=False)
class Inert:
    """What an object of a foreign class held, or a class itself. Its code is never run.

    Attributes:
        kind: the dotted name of its class; ``persistent:NAME`` for a module of an NVIDIA pickle.
        args: what it was constructed from.
        state: what it was to be filled with, usually its ``__dict__``.
    """

    kind: str
    args: tuple[Any, ...] = ()
    state: Any = None

    def __repr__(self) -> str:
        return f"Inert({self.kind[:80]!r})"  # what it held can be of any size


class Maker(Inert):
    """What a global of the file stands for: a function of ours, called with the file's arguments.

    One that stays in the tree is a mere name, as every ``Inert`` is.

    Args:
        kind: the global's dotted name.
        make: called by ``REDUCE``, and by ``NEWOBJ`` where a class is meant.
    """

    def __init__(self, kind: str, make: Callable[..., Any]) -> None:
        super().__init__(kind)
        self.make = make


class Shell(Inert, ABC):
    """An object that is whole only after ``BUILD``: replaced then by what ``finish`` gives."""

    @abstractmethod
    def finish(self, state: Any) -> Any:
        """The finished object."""


class LongText:
    """Where long text lies in the file, and the text once the memo was asked for it."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.text: str | None = None

    def read(self) -> str:
        if self.text is None:
            self.text = decoded(self.view)
        return self.text


@dataclass(frozen=True, eq=False)
class Unread:
    """Long text in the memo, or a pair that begins with it; the memo alone keeps neither alive.

    Protocol 2 writes bytes as such a pair for ``_codecs.encode``, and never asks for it again.
    """

    text: LongText
    second: tuple[Any, ...] = ()

    def read(self) -> Any:
        return (self.text.read(), *self.second) if self.second else self.text.read()


class Reader:
    """Reads a buffer from front to back; never past its end, never more than is there."""

    def __init__(self, data: memoryview, position: int = 0) -> None:
        self.data = data
        self.position = position

    def take(self, count: int) -> memoryview:
        """The next ``count`` bytes, as a view."""
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise CorruptFileError("truncated: the pickle ends in the middle of a value")
        view = self.data[self.position : end]
        self.position = end
        return view

    def number(self, form: str) -> Any:
        """One packed number (``struct`` format)."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> bytes:
        """The bytes up to the next newline, without it."""
        parts: list[bytes] = []
        for start in range(self.position, len(self.data), _WINDOW):
            window = bytes(self.data[start : start + _WINDOW])
            length = window.find(b"\n")
            if length >= 0:
                self.position = start + length + 1
                return b"".join([*parts, window[:length]])
            parts.append(window)
        raise CorruptFileError("truncated: a line of the pickle has no end")


def decoded(view: memoryview) -> str:
    if len(view) >= _WIDE and _BEYOND_LATIN.search(view):  # it would be four times as large
        raise UnsafeFileError(f"refused, a text of {len(view)} bytes that is no encoded array")
    try:
        return str(view, "utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise CorruptFileError("damaged pickle: text is not UTF-8") from error


def scalar(key: Any) -> Any:
    """A dictionary key or set member: a short plain value, whose hash is cheap and cannot collide.

    Numbers in a tuple beside other numbers can be chosen so that all tuples have one hash, and
    every look-up compares them all; a tuple may hold one number at most.

    Raises:
        UnsafeFileError: anything else.
    """
    if type(key) is str and len(key) > _LONGEST_KEY:
        raise UnsafeFileError(f"refused, a dictionary key of {len(key)} characters")
    if type(key) is int and abs(key) <= _LARGEST_KEY:
        return key
    if isinstance(key, memoryview):
        raise UnsafeFileError("refused, a dictionary key of thousands of bytes")
    if key is None or type(key) in (str, bytes, bool):
        return key
    kinds: list[type] = [type(part) for part in key[:9]] if type(key) is tuple else [tuple]
    if len(kinds) <= 8 and not {*kinds} - {str, int} and kinds.count(int) <= 1:
        return tuple(scalar(part) for part in key)
    raise UnsafeFileError(f"refused, a {type(key).__name__} as dictionary key")


def reason(error: BaseException) -> str:
    """Why, in a few words."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
