"""Every error that seeingkit raises on purpose, as one tree, and the exit code each one ends with.

::

    SeeingkitError                 exit 1
    ├── UsageError                 exit 2   a name, option or argument that cannot be right
    │   ├── UnknownNameError                no such plugin, weights, data set, label, boundary
    │   └── DuplicateNameError              two distributions register the same name
    ├── PluginError                         a plugin could not be imported or broke its contract
    ├── WeightsError                        a weights file is missing, unreadable or does not fit
    │   ├── MissingWeightsError             not on this machine; says where to get it
    │   ├── UnsafeFileError                 asks for more than tensors
    │   ├── CorruptFileError                truncated, damaged, or not what it claims
    │   └── StateMismatchError              keys, shapes or values that the network cannot take
    ├── ImageError                          one image that cannot be read (skippable)
    ├── SourceError                         a whole image source that cannot be used
    ├── ModelError                          a network gave NaN, a wrong shape, ran out of memory
    ├── TallyError                          tallies that do not fit each other or the request
    └── RunError                            a run directory or manifest that cannot be used

Each message is one line: what is wrong, with what, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pydantic import ValidationError

_LONGEST = 4000  # characters of a message; names in a hostile file can be of any length


class ExitCode(IntEnum):
    """Exit codes of the command line (documented in the README)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SKIPPED = 3
    GATE = 4
    INTERRUPTED = 130


class SeeingkitError(Exception):
    """Base of all errors raised on purpose."""

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, _LONGEST))


def one_line(message: object, longest: int | None = None) -> str:
    """One line of printable characters: what it quotes of a file may be anything at all."""
    text = str(message)
    text = text if longest is None or len(text) <= longest else f"{text[:longest]}…"
    text = " ".join(text.split())
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


class Fault(NamedTuple):
    """The first fault that a pydantic model found.

    Attributes:
        where: the field, dotted (``inversion.own``); empty where it is the whole.
        reason: what is wrong with it, in lower case unless the model's own words.
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
    first = error.errors()[0]
    own = first.get("ctx", {}).get("error")
    reason = first["msg"].lower() if own is None else str(own)
    where = ".".join(str(part) for part in first["loc"])
    return Fault(where, reason, first["type"], first.get("input"))


class UsageError(SeeingkitError):
    """A name, option or argument that cannot be right."""

    exit_code = ExitCode.USAGE


class UnknownNameError(UsageError):
    """A name that nobody registered; the message lists near matches and what exists."""

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        message = f"no {what} named {name!r}"
        if near:
            message += f"; did you mean {' or '.join(repr(n) for n in near)}?"
        elif known:
            shown = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
            message += f"; there are: {shown}"
        else:
            message += "; none is registered"
        super().__init__(f"{message} {hint}" if hint else message)
        self.name = name


class DuplicateNameError(UsageError):
    """Two distributions register the same name."""


class PluginError(SeeingkitError):
    """A plugin could not be imported or broke its contract."""


class WeightsError(SeeingkitError):
    """A weights file is missing, unreadable or does not fit the network."""


class MissingWeightsError(WeightsError):
    """Weights that are not on this machine."""


class UnsafeFileError(WeightsError):
    """A file that asks for more than tensors, and was refused before anything ran."""


class CorruptFileError(WeightsError):
    """A file that is truncated, damaged, or not what it claims to be."""


class StateMismatchError(WeightsError):
    """Keys, shapes or values that the network cannot take."""


class ImageError(SeeingkitError):
    """One image that cannot be read.

    Attributes:
        item: the stable id of the image in its source.
        reason: why, without the id.
    """

    def __init__(self, item: str, reason: str) -> None:
        super().__init__(f"{item}: {reason}")
        self.item = item
        self.reason = " ".join(reason.split())


class SourceError(SeeingkitError):
    """A whole image source that cannot be used."""


class ModelError(SeeingkitError):
    """A network gave NaN, a wrong shape, or ran out of memory."""


class TallyError(SeeingkitError):
    """Tallies that do not fit each other or the request."""


class RunError(SeeingkitError):
    """A run directory or manifest that cannot be used."""
