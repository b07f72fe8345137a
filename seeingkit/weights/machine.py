"""A pickle machine that can build data and nothing else.

Guarantees: no name is ever imported and no code of a file is ever run. An opcode outside the table
below is refused; so is a global that is not, to the letter, in the table of ``Maker`` objects given
by the caller, a call of anything that is not a ``Maker``, a dictionary key that is not a plain
scalar, and a program of more than ``MOST_OPERATIONS`` steps. Lengths are checked against the bytes
that are there before anything is allocated, so memory stays within a small multiple of the file;
long byte strings are views of the file, not copies.

The opcodes are those of Python's ``pickletools`` (protocols 0 to 5). ``INST``, ``OBJ``, the
extension registry and out-of-band buffers occur in no published weights and are refused.
"""

from __future__ import annotations

import codecs
import re
import struct
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CorruptFileError, UnsafeFileError

MOST_OPERATIONS = 1_000_000
"""Steps of one program and all it nests. The largest published pickles have about 100,000."""

_WINDOW = 1 << 12
LONG = 4096
"""Byte strings from this length on are views: of the file, if they lie there as they are."""

_LARGEST_KEY = (1 << 61) - 2  # below the modulus of Python's integer hash: no two keys collide
_LONGEST_KEY = 2000  # characters; a number in a name stays short enough to be converted
_WIDE = 1 << 20  # text from this length on is bytes in disguise: no character beyond Latin-1
_BEYOND_LATIN = re.compile(rb"[\xc4-\xff]")  # leading bytes, in UTF-8
_UNFIT = (TypeError, ValueError, OverflowError, LookupError, RuntimeError)
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


class _LongText:
    """Where long text lies in the file, and the text once the memo was asked for it."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.text: str | None = None

    def read(self) -> str:
        if self.text is None:
            self.text = _decoded(self.view)
        return self.text


@dataclass(frozen=True, eq=False)
class _Unread:
    """Long text in the memo, or a pair that begins with it; the memo alone keeps neither alive.

    Protocol 2 writes bytes as such a pair for ``_codecs.encode``, and never asks for it again.
    """

    text: _LongText
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


def run(
    reader: Reader,
    makers: Mapping[str, Maker],
    budget: Budget,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Run one pickle program, up to its ``STOP``.

    Args:
        reader: stands at the first byte of the program; afterwards just behind ``STOP``.
        makers: what the file may name, by dotted name.
        budget: steps left.
        persistent: what a persistent id stands for; without it they are refused.

    Returns:
        a tree of plain data and whatever the makers made.

    Raises:
        UnsafeFileError: the program asks for more than data (names what).
        CorruptFileError: it is truncated or makes no sense.
    """
    return _Machine(reader, makers, budget, persistent).run()


class _Machine:
    def __init__(
        self,
        reader: Reader,
        makers: Mapping[str, Maker],
        budget: Budget,
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        self.reader = reader
        self.makers = makers
        self.budget = budget
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.shells: dict[int, list[int]] = {}  # id of a Shell -> where the memo holds it
        self.long_text: tuple[str, _LongText] | None = None  # the last one

    def run(self) -> Any:
        take, table, spend = self.reader.take, _OPERATIONS, self.budget.spend
        while True:
            spend(1)
            code = take(1)[0]
            if code == 0x2E:  # STOP
                return self.pop()
            operation = table.get(code)
            if operation is None:
                raise UnsafeFileError(f"refused, pickle opcode 0x{code:02x} is not one of data")
            operation(self)

    # ------------------------------------------------------------------------------- the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise CorruptFileError("damaged pickle: it takes a value that is not there")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise CorruptFileError("damaged pickle: it uses a value that is not there")
        return self.stack[-1]

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def unmark(self) -> list[Any]:
        if not self.marks:
            raise CorruptFileError("damaged pickle: it closes a group that was not opened")
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def popped(self, *kinds: type) -> Any:
        value = self.pop()
        if not isinstance(value, kinds):
            raise CorruptFileError(
                f"damaged pickle: a {kinds[0].__name__} was expected, not a {type(value).__name__}"
            )
        return value

    def top_of(self, kind: type) -> Any:
        value = self.top()
        if not isinstance(value, kind):
            raise CorruptFileError(
                f"damaged pickle: a {kind.__name__} was expected, not a {type(value).__name__}"
            )
        return value

    # ----------------------------------------------------------------------------- memo, objects

    def put(self, index: int) -> None:
        value = self.top()
        if isinstance(value, Shell):
            self.shells.setdefault(id(value), []).append(index)
        if self.long_text is not None:
            text, lies = self.long_text
            if value is text:
                value = _Unread(lies)
            elif type(value) is tuple and len(value) == 2 and value[0] is text:
                value = _Unread(lies, value[1:])
        self.memo[index] = value

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise CorruptFileError(f"damaged pickle: value {index} was never remembered")
        value = self.memo[index]
        if isinstance(value, _Unread):
            value = self.memo[index] = value.read()
        self.push(value)

    def find(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}"
        maker = self.makers.get(full) if isinstance(module, str) and "." not in str(name) else None
        if maker is None:
            raise UnsafeFileError(f"refused, the file asks for {full[:80]}; only tensors are read")
        self.push(maker)

    def call(self, args: Any, named: Mapping[str, Any] | None = None) -> None:
        maker = self.pop()
        if not isinstance(maker, Maker):
            raise UnsafeFileError(f"refused, the file calls a {type(maker).__name__}")
        if not isinstance(args, tuple):
            raise CorruptFileError(f"damaged pickle: {maker.kind} is called without arguments")
        try:
            self.push(maker.make(*args, **(named or {})))
        except _UNFIT as error:
            raise CorruptFileError(f"damaged pickle: {maker.kind}: {_reason(error)}") from error

    def build(self) -> None:
        state = self.pop()
        value = self.top()
        if isinstance(value, Shell):
            places = self.shells.pop(id(value), [])
            try:
                finished = value.finish(state)
            except _UNFIT as error:
                raise CorruptFileError(f"damaged pickle: {_reason(error)}") from error
            self.stack[-1] = finished
            for index in places:
                self.memo[index] = finished
        elif type(value) is Inert:
            value.state = state
        elif not isinstance(value, dict):  # attributes of a dict subclass (_metadata) are dropped
            raise UnsafeFileError(f"refused, the file sets the state of a {type(value).__name__}")

    def set_items(self, items: list[Any]) -> None:
        target = self.top_of(dict)
        if len(items) % 2:
            raise CorruptFileError("damaged pickle: a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[scalar(key)] = value


def _reason(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


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


# ----------------------------------------------------------------------------------- the opcodes


def _bytes(m: _Machine, count: int) -> None:
    view = m.reader.take(count)
    m.push(view if count >= LONG else bytes(view))


def _text(m: _Machine, count: int) -> None:
    view = m.reader.take(count)
    text = _decoded(view)
    m.push(text)
    if count >= LONG:
        m.long_text = text, _LongText(view)


def _decoded(view: memoryview) -> str:
    if len(view) >= _WIDE and _BEYOND_LATIN.search(view):  # it would be four times as large
        raise UnsafeFileError(f"refused, a text of {len(view)} bytes that is no encoded array")
    try:
        return str(view, "utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise CorruptFileError("damaged pickle: text is not UTF-8") from error


def _old_text(m: _Machine, count: int) -> None:
    """Python 2 strings: bytes and text alike; long ones are the bytes of arrays."""
    view = m.reader.take(count)
    m.push(view if count >= LONG else str(view, "latin-1"))


def _line(m: _Machine, decode: Callable[[str], Any]) -> None:
    line = m.reader.line()
    try:
        m.push(decode(line.decode("latin-1")))
    except (ValueError, UnicodeError) as error:
        raise CorruptFileError(f"damaged pickle: {line[:20]!r} is no value") from error


def _whole(text: str) -> Any:
    return {"00": False, "01": True}[text] if text in ("00", "01") else int(text)


def _quoted(text: str) -> str:
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        raise ValueError("a string without quotes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unknown escapes, which stand for themselves
        decoded, _ = codecs.escape_decode(text[1:-1].encode("latin-1"))
    return str(decoded, "latin-1")


def _unicode(text: str) -> str:
    return text.encode("latin-1").decode("raw-unicode-escape")


def _long(m: _Machine, count: int) -> None:
    m.push(int.from_bytes(m.reader.take(count), "little", signed=True))


def _index(m: _Machine) -> int:
    line = m.reader.line()
    if not line.isdigit() or len(line) > 18:
        raise CorruptFileError(f"damaged pickle: {line[:20]!r} is no index")
    return int(line)


def _tuple(m: _Machine, count: int) -> None:
    items = [m.pop() for _ in range(count)]
    m.push(tuple(reversed(items)))


def _dict(m: _Machine) -> None:
    items = m.unmark()
    m.push({})
    m.set_items(items)


def _set_item(m: _Machine) -> None:
    value, key = m.pop(), m.pop()
    m.set_items([key, value])


def _append(m: _Machine) -> None:
    value = m.pop()
    m.top_of(list).append(value)


def _extend(m: _Machine) -> None:
    items = m.unmark()
    m.top_of(list).extend(items)


def _add(m: _Machine) -> None:
    items = m.unmark()
    m.top_of(set).update(scalar(item) for item in items)


def _pop(m: _Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.unmark()


def _global(m: _Machine) -> None:
    module, name = m.reader.line(), m.reader.line()
    m.find(module.decode("latin-1"), name.decode("latin-1"))


def _stack_global(m: _Machine) -> None:
    name, module = m.popped(str), m.popped(str)
    m.find(module, name)


def _new_with_names(m: _Machine) -> None:
    named, args = m.popped(dict), m.pop()
    if not all(isinstance(key, str) for key in named):
        raise CorruptFileError("damaged pickle: an argument name is not text")
    m.call(args, named)


def _persistent(m: _Machine, key: Any) -> None:
    if m.persistent is None:
        raise UnsafeFileError("refused, a persistent id outside a torch file")
    try:
        m.push(m.persistent(key))
    except _UNFIT as error:
        raise CorruptFileError(f"damaged pickle: a persistent id: {_reason(error)}") from error


def _frame(m: _Machine) -> None:
    m.reader.number("<Q")  # frames are only a hint for buffered reading


_TABLE: dict[int | str, Callable[[_Machine], Any]] = {
    0x80: lambda m: m.reader.take(1),  # PROTO
    0x95: _frame,
    "(": lambda m: m.mark(),
    "0": _pop,
    "1": lambda m: m.unmark(),
    "2": lambda m: m.push(m.top()),
    "N": lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    "I": lambda m: _line(m, _whole),
    "J": lambda m: m.push(m.reader.number("<i")),
    "K": lambda m: m.push(m.reader.number("<B")),
    "M": lambda m: m.push(m.reader.number("<H")),
    "L": lambda m: _line(m, lambda text: int(text.removesuffix("L"))),
    0x8A: lambda m: _long(m, m.reader.number("<B")),
    0x8B: lambda m: _long(m, m.reader.number("<i")),
    "F": lambda m: _line(m, float),
    "G": lambda m: m.push(m.reader.number(">d")),
    "S": lambda m: _line(m, _quoted),
    "T": lambda m: _old_text(m, m.reader.number("<i")),
    "U": lambda m: _old_text(m, m.reader.number("<B")),
    "V": lambda m: _line(m, _unicode),
    "X": lambda m: _text(m, m.reader.number("<I")),
    0x8C: lambda m: _text(m, m.reader.number("<B")),
    0x8D: lambda m: _text(m, m.reader.number("<Q")),
    "B": lambda m: _bytes(m, m.reader.number("<I")),
    "C": lambda m: _bytes(m, m.reader.number("<B")),
    0x8E: lambda m: _bytes(m, m.reader.number("<Q")),
    0x96: lambda m: _bytes(m, m.reader.number("<Q")),  # BYTEARRAY8
    "}": lambda m: m.push({}),
    "d": _dict,
    "s": _set_item,
    "u": lambda m: m.set_items(m.unmark()),
    "]": lambda m: m.push([]),
    "l": lambda m: m.push(m.unmark()),
    "a": _append,
    "e": _extend,
    ")": lambda m: m.push(()),
    "t": lambda m: m.push(tuple(m.unmark())),
    0x85: lambda m: _tuple(m, 1),
    0x86: lambda m: _tuple(m, 2),
    0x87: lambda m: _tuple(m, 3),
    0x8F: lambda m: m.push(set()),
    0x90: _add,
    0x91: lambda m: m.push({scalar(item) for item in m.unmark()}),  # FROZENSET
    "c": _global,
    0x93: _stack_global,
    "R": lambda m: m.call(m.pop()),
    0x81: lambda m: m.call(m.pop()),  # NEWOBJ
    0x92: _new_with_names,
    "b": lambda m: m.build(),
    "p": lambda m: m.put(_index(m)),
    "q": lambda m: m.put(m.reader.number("<B")),
    "r": lambda m: m.put(m.reader.number("<I")),
    "g": lambda m: m.get(_index(m)),
    "h": lambda m: m.get(m.reader.number("<B")),
    "j": lambda m: m.get(m.reader.number("<I")),
    0x94: lambda m: m.put(len(m.memo)),
    "P": lambda m: _persistent(m, m.reader.line().decode("latin-1")),
    "Q": lambda m: _persistent(m, m.pop()),
}
_OPERATIONS = {
    ord(code) if isinstance(code, str) else code: operation for code, operation in _TABLE.items()
}
