"""The bytes of a pickle program, read from front to back, and the limits on reading them.

Guarantees: nothing here takes more bytes than a file has, or copies more than its budget allows.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seeingkit.errors import CorruptFileError, UnsafeFileError

MOST_OPERATIONS = 1_000_000
"""Steps of one program and all it nests. The largest published pickles have about 100,000."""

LONG = 4096
"""Byte strings from this length on are views: of the file, if they lie there as they are."""

_WINDOW = 1 << 12
_WIDE = 1 << 20  # text from this length on is bytes in disguise: no character beyond Latin-1
_BEYOND_LATIN = re.compile(rb"[\xc4-\xff]")  # leading bytes, in UTF-8


class Budget:
    """The steps and copies left to a file of ``size`` bytes, shared with the pickles nested in it.

    Steps are operations, and entries copied from one container to another. Copies are bytes: a
    remembered value costs a file nothing to name again, and may not be copied again each time.
    """

    def __init__(self, steps: int = MOST_OPERATIONS, size: int = 0) -> None:
        self.steps = steps
        self.copies = 4 * size + (1 << 24)

    def spend(self, steps: int) -> None:
        """Take off steps, or refuse the file."""
        self.steps -= steps
        if self.steps < 0:
            raise UnsafeFileError(f"refused, more than {MOST_OPERATIONS} pickle operations")

    def copy(self, count: int) -> None:
        """Take off bytes about to be copied, or refuse the file."""
        self.copies -= count
        if self.copies < 0:
            raise UnsafeFileError("refused, it makes far more values of its bytes than it stores")


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


class LongText:
    """The place of long text in the file; decoded once, when the memo is first asked for it."""

    def __init__(self, view: memoryview) -> None:
        self.view = view

    @cached_property
    def text(self) -> str:
        """The text."""
        return decoded(self.view)


@dataclass(frozen=True, eq=False)
class Unread:
    """Long text in the memo, or a pair that begins with it; the memo alone keeps neither alive.

    Protocol 2 writes bytes as such a pair for ``_codecs.encode``, and never asks for it again.
    """

    long: LongText
    second: tuple[Any, ...] = ()

    def read(self) -> Any:
        """The text, or the pair."""
        return (self.long.text, *self.second) if self.second else self.long.text


def decoded(view: memoryview) -> str:
    """UTF-8 text of a program.

    Raises:
        CorruptFileError: not UTF-8.
        UnsafeFileError: long text beyond Latin-1, which would take four times its bytes.
    """
    if len(view) >= _WIDE and _BEYOND_LATIN.search(view):
        raise UnsafeFileError(f"refused, a text of {len(view)} bytes that is no encoded array")
    try:
        return str(view, "utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise CorruptFileError("damaged pickle: text is not UTF-8") from error
