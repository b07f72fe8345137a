"""The errors that seeingkit raises, as one tree, with their exit codes.

::

    SeeingkitError                 exit 1
    ├── UsageError                 exit 2   an invalid name, option or argument
    │   ├── UnknownNameError                unknown plugin, weights, data set, label, boundary
    │   └── DuplicateNameError              two distributions register the same name
    ├── PluginError                         a plugin could not be imported or broke its contract
    ├── WeightsError                        a weights file is missing, unreadable or does not fit
    │   ├── MissingWeightsError             not on this machine; the message names the source
    │   ├── UnsafeFileError                 holds more than tensors
    │   ├── CorruptFileError                truncated, damaged, or of another format
    │   └── StateMismatchError              keys, shapes or values that do not fit the network
    ├── ImageError                          one image that cannot be read (skippable)
    ├── SourceError                         an image source that cannot be used
    ├── ModelError                          a network gave NaN, a wrong shape, or ran out of memory
    ├── TallyError                          tallies that do not fit each other or the request
    ├── StorageError                        the operating system refuses a file or folder
    └── RunError                            a run directory or manifest that cannot be used

Each message is one line: the fault, the file or name, the remedy.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from pydantic import ValidationError

T = TypeVar("T")

_LONGEST = 4000  # characters of a message; a hostile file can hold names of any length


class ExitCode(IntEnum):
    """Exit codes of the command line (documented in the README)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SKIPPED = 3
    GATE = 4
    INTERRUPTED = 130


class SeeingkitError(Exception):
    """Base of all errors of seeingkit."""

    exit_code: ExitCode = ExitCode.FAILED
    faults: tuple[SeeingkitError, ...] = ()  # where one error stands for several (``Faults``)

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, _LONGEST))


def one_line(message: object, longest: int | None = None) -> str:
    """The message as one line of printable characters, whatever it quotes from a file.

    >>> one_line("no such\\n  file", longest=None)
    'no such file'
    """
    text = str(message)
    text = text if longest is None or len(text) <= longest else f"{text[:longest]}…"
    return printable(" ".join(text.split()))


def printable(text: object) -> str:
    """Text without characters that could steer a terminal or break a page: a name from a file.

    White space of lines becomes a space, and controls, escapes, marks of direction, characters of
    no width and lone surrogates become U+FFFD. Spaces of any width stay.

    >>> printable("wall\x1b[31m\u202egnp.exe")
    'wall\ufffd[31m\ufffdgnp.exe'
    """
    given = str(text)
    return given if given.isprintable() else "".join(map(_shown, given))


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return " " if character in "\t\n\v\f\r\x85\u2028\u2029" else "\ufffd"


class Fault(NamedTuple):
    """The first fault that a pydantic model found.

    Attributes:
        where: the field, dotted (``inversion.own``); empty where it is the whole model.
        reason: in lower case, unless a validator of ours worded it.
        kind: pydantic's name of the fault, such as ``extra_forbidden``.
        given: the value.
    """

    where: str
    reason: str
    kind: str
    given: object

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.where else self.reason


def first_fault(error: ValidationError) -> Fault:
    """The first fault of a pydantic ``ValidationError``, for a message of one line."""
    return all_faults(error)[0]


def all_faults(error: ValidationError) -> list[Fault]:
    """Every fault of a pydantic ``ValidationError``."""
    found = []
    for fault in error.errors():
        own = fault.get("ctx", {}).get("error")
        reason = fault["msg"].lower() if own is None else str(own)
        where = ".".join(str(part) for part in fault["loc"])
        found.append(Fault(where, reason, fault["type"], fault.get("input")))
    return found


class UsageError(SeeingkitError):
    """An invalid name, option or argument."""

    exit_code = ExitCode.USAGE


class UnknownNameError(UsageError):
    """A name that is not registered; the message lists near matches, else the known names.

    Args:
        kind: noun of the name, such as ``segmenter``.
        hint: last sentence of the message.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        message = f"no {kind} named {name!r}"
        if near:
            message += f"; did you mean {' or '.join(repr(n) for n in near)}?"
        elif known:
            shown = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
            message += f"; there are: {shown}"
        else:
            message += "; none is registered"
        super().__init__(f"{message} {hint}" if hint else message)
        self.name = name


class Faults:
    """Collects faults that can be known at once, so that one message names all of them.

    >>> faults = Faults()
    >>> faults.find(lambda: 1)
    1
    >>> faults.raise_if_any()
    """

    def __init__(self) -> None:
        self.errors: list[SeeingkitError] = []

    def find(self, work: Callable[[], T]) -> T | None:
        """The result of some work; None where it raises an error of ours, which is kept."""
        try:
            return work()
        except SeeingkitError as error:
            self.add(error)
        return None

    def add(self, error: SeeingkitError) -> None:
        """Keep a fault; one with the same words is kept once."""
        for one in error.faults or (error,):
            if str(one) not in map(str, self.errors):
                self.errors.append(one)

    def __str__(self) -> str:
        if len(self.errors) == 1:
            return str(self.errors[0])
        numbered = (f"({k}) {error}" for k, error in enumerate(self.errors, 1))
        return f"{len(self.errors)} faults: {'; '.join(numbered)}"

    def raise_if_any(self) -> None:
        """Raise the fault, or one error that numbers them all.

        Raises:
            SeeingkitError: the only fault itself; of several a ``UsageError`` if one is, else a
                ``MissingWeightsError`` or ``SourceError`` if one is.
        """
        if not self.errors:
            return
        if len(self.errors) == 1:
            raise self.errors[0]
        kinds = (UsageError, MissingWeightsError, SourceError)
        found = [k for k in kinds if any(isinstance(error, k) for error in self.errors)]
        raised = [*found, SeeingkitError][0](str(self))
        raised.faults = tuple(self.errors)
        raise raised


class DuplicateNameError(UsageError):
    """Two distributions register the same name."""


class PluginError(SeeingkitError):
    """A plugin could not be imported or broke its contract."""


class WeightsError(SeeingkitError):
    """A weights file is missing, unreadable or does not fit the network."""


class MissingWeightsError(WeightsError):
    """Weights that are not on this machine."""


class UnsafeFileError(WeightsError):
    """A file that holds more than tensors; it is refused before any of its code runs."""


class CorruptFileError(WeightsError):
    """A file that is truncated, damaged, or of another format than its content claims."""


class StateMismatchError(WeightsError):
    """Keys, shapes or values that do not fit the network."""


class ImageError(SeeingkitError):
    """One image that cannot be read.

    Attributes:
        item: the stable id of the image in its source.
        reason: the fault, without the id.
        temporary: the fault lay in the moment (no memory, an error of the disk), not in the image.
    """

    def __init__(self, item: str, reason: str, temporary: bool = False) -> None:
        super().__init__(f"{item}: {reason}")
        self.item = item
        self.reason = " ".join(reason.split())
        self.temporary = temporary


class SourceError(SeeingkitError):
    """An image source that cannot be used."""


class ModelError(SeeingkitError):
    """A network gave NaN, a wrong shape, or ran out of memory."""


class TallyError(SeeingkitError):
    """Tallies that do not fit each other or the request."""


class RunError(SeeingkitError):
    """A run directory or manifest that cannot be used."""


class StorageError(SeeingkitError):
    """A file or folder that the operating system does not let be read or written.

    Attributes:
        errno: its number of the fault (``errno.ENOSPC``), or None.
    """

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno
