"""The pickle opcodes of data, and the loop that runs a program of them.

Guarantees: an opcode outside the table is refused, and so is a program of more than
``reader.MOST_OPERATIONS`` steps. Lengths are checked against the bytes that are there before
anything is allocated, so memory stays within a small multiple of the file; long byte strings are
views of the file, not copies.

Names and meanings are those of Python's ``pickletools`` (protocols 0 to 5). ``INST``, ``OBJ``, the
extension registry and out-of-band buffers occur in no published weights and are refused.
"""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from seeingkit.errors import CorruptFileError, UnsafeFileError

from .reader import LONG, Budget, LongText, Reader, decoded
from .records import UNFIT, Constructor, reason, scalar
from .unpickler import Unpickler

_STOP = 0x2E


def unpickle(
    reader: Reader,
    constructors: Mapping[str, Constructor],
    budget: Budget,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Run one pickle program, up to its ``STOP``.

    Args:
        reader: stands at the first byte of the program; afterwards just behind ``STOP``.
        constructors: the globals that the file may name, by dotted name.
        budget: steps left.
        persistent: looks up a persistent id; without it they are refused.

    Returns:
        a tree of plain data and of objects that the constructors made.

    Raises:
        UnsafeFileError: the program asks for more than data (the global or opcode is named).
        CorruptFileError: it is truncated or makes no sense.
    """
    unpickler = Unpickler(reader, constructors, budget, persistent)
    take, table, spend = reader.take, OPERATIONS, budget.spend
    while True:
        spend(1)
        code = take(1)[0]
        if code == _STOP:
            return unpickler.pop()
        operation = table.get(code)
        if operation is None:
            raise UnsafeFileError(f"refused, pickle opcode 0x{code:02x} is not one of data")
        operation(unpickler)


def _bytes(u: Unpickler, count: int) -> None:
    view = u.reader.take(count)
    u.push(view if count >= LONG else bytes(view))


def _text(u: Unpickler, count: int) -> None:
    view = u.reader.take(count)
    text = decoded(view)
    u.push(text)
    if count >= LONG:
        u.long_text = text, LongText(view)


def _old_text(u: Unpickler, count: int) -> None:
    """Python 2 strings: bytes and text alike; long ones are the bytes of arrays."""
    view = u.reader.take(count)
    u.push(view if count >= LONG else str(view, "latin-1"))


def _line(u: Unpickler, decode: Callable[[str], Any]) -> None:
    line = u.reader.line()
    try:
        u.push(decode(line.decode("latin-1")))
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


def _long(u: Unpickler, count: int) -> None:
    u.push(int.from_bytes(u.reader.take(count), "little", signed=True))


def _index(u: Unpickler) -> int:
    line = u.reader.line()
    if not line.isdigit() or len(line) > 18:
        raise CorruptFileError(f"damaged pickle: {line[:20]!r} is no index")
    return int(line)


def _tuple(u: Unpickler, count: int) -> None:
    items = [u.pop() for _ in range(count)]
    u.push(tuple(reversed(items)))


def _dict(u: Unpickler) -> None:
    items = u.unmark()
    u.push({})
    u.set_items(items)


def _set_item(u: Unpickler) -> None:
    value, key = u.pop(), u.pop()
    u.set_items([key, value])


def _append(u: Unpickler) -> None:
    value = u.pop()
    u.top_of(list).append(value)


def _extend(u: Unpickler) -> None:
    items = u.unmark()
    u.top_of(list).extend(items)


def _add(u: Unpickler) -> None:
    items = u.unmark()
    u.top_of(set).update(scalar(item) for item in items)


def _pop(u: Unpickler) -> None:
    if u.stack:
        u.stack.pop()
    else:
        u.unmark()


def _global(u: Unpickler) -> None:
    module, name = u.reader.line(), u.reader.line()
    u.find(module.decode("latin-1"), name.decode("latin-1"))


def _stack_global(u: Unpickler) -> None:
    name, module = u.popped(str), u.popped(str)
    u.find(module, name)


def _new_with_names(u: Unpickler) -> None:
    named, args = u.popped(dict), u.pop()
    if not all(isinstance(key, str) for key in named):
        raise CorruptFileError("damaged pickle: an argument name is not text")
    u.call(args, named)


def _persistent(u: Unpickler, key: Any) -> None:
    if u.persistent is None:
        raise UnsafeFileError("refused, a persistent id outside a torch file")
    try:
        u.push(u.persistent(key))
    except UNFIT as error:
        raise CorruptFileError(f"damaged pickle: a persistent id: {reason(error)}") from error


def _frame(u: Unpickler) -> None:
    u.reader.number("<Q")  # frames are only a hint for buffered reading


_TABLE: dict[int | str, Callable[[Unpickler], Any]] = {
    0x80: lambda u: u.reader.take(1),  # PROTO
    0x95: _frame,  # FRAME
    "(": lambda u: u.mark(),  # MARK
    "0": _pop,  # POP
    "1": lambda u: u.unmark(),  # POP_MARK
    "2": lambda u: u.push(u.top()),  # DUP
    "N": lambda u: u.push(None),  # NONE
    0x88: lambda u: u.push(True),  # NEWTRUE
    0x89: lambda u: u.push(False),  # NEWFALSE
    "I": lambda u: _line(u, _whole),  # INT
    "J": lambda u: u.push(u.reader.number("<i")),  # BININT
    "K": lambda u: u.push(u.reader.number("<B")),  # BININT1
    "M": lambda u: u.push(u.reader.number("<H")),  # BININT2
    "L": lambda u: _line(u, lambda text: int(text.removesuffix("L"))),  # LONG
    0x8A: lambda u: _long(u, u.reader.number("<B")),  # LONG1
    0x8B: lambda u: _long(u, u.reader.number("<i")),  # LONG4
    "F": lambda u: _line(u, float),  # FLOAT
    "G": lambda u: u.push(u.reader.number(">d")),  # BINFLOAT
    "S": lambda u: _line(u, _quoted),  # STRING
    "T": lambda u: _old_text(u, u.reader.number("<i")),  # BINSTRING
    "U": lambda u: _old_text(u, u.reader.number("<B")),  # SHORT_BINSTRING
    "V": lambda u: _line(u, _unicode),  # UNICODE
    "X": lambda u: _text(u, u.reader.number("<I")),  # BINUNICODE
    0x8C: lambda u: _text(u, u.reader.number("<B")),  # SHORT_BINUNICODE
    0x8D: lambda u: _text(u, u.reader.number("<Q")),  # BINUNICODE8
    "B": lambda u: _bytes(u, u.reader.number("<I")),  # BINBYTES
    "C": lambda u: _bytes(u, u.reader.number("<B")),  # SHORT_BINBYTES
    0x8E: lambda u: _bytes(u, u.reader.number("<Q")),  # BINBYTES8
    0x96: lambda u: _bytes(u, u.reader.number("<Q")),  # BYTEARRAY8
    "}": lambda u: u.push({}),  # EMPTY_DICT
    "d": _dict,  # DICT
    "s": _set_item,  # SETITEM
    "u": lambda u: u.set_items(u.unmark()),  # SETITEMS
    "]": lambda u: u.push([]),  # EMPTY_LIST
    "l": lambda u: u.push(u.unmark()),  # LIST
    "a": _append,  # APPEND
    "e": _extend,  # APPENDS
    ")": lambda u: u.push(()),  # EMPTY_TUPLE
    "t": lambda u: u.push(tuple(u.unmark())),  # TUPLE
    0x85: lambda u: _tuple(u, 1),  # TUPLE1
    0x86: lambda u: _tuple(u, 2),  # TUPLE2
    0x87: lambda u: _tuple(u, 3),  # TUPLE3
    0x8F: lambda u: u.push(set()),  # EMPTY_SET
    0x90: _add,  # ADDITEMS
    0x91: lambda u: u.push({scalar(item) for item in u.unmark()}),  # FROZENSET
    "c": _global,  # GLOBAL
    0x93: _stack_global,  # STACK_GLOBAL
    "R": lambda u: u.call(u.pop()),  # REDUCE
    0x81: lambda u: u.call(u.pop()),  # NEWOBJ
    0x92: _new_with_names,  # NEWOBJ_EX
    "b": lambda u: u.build(),  # BUILD
    "p": lambda u: u.put(_index(u)),  # PUT
    "q": lambda u: u.put(u.reader.number("<B")),  # BINPUT
    "r": lambda u: u.put(u.reader.number("<I")),  # LONG_BINPUT
    "g": lambda u: u.get(_index(u)),  # GET
    "h": lambda u: u.get(u.reader.number("<B")),  # BINGET
    "j": lambda u: u.get(u.reader.number("<I")),  # LONG_BINGET
    0x94: lambda u: u.put(len(u.memo)),  # MEMOIZE
    "P": lambda u: _persistent(u, u.reader.line().decode("latin-1")),  # PERSID
    "Q": lambda u: _persistent(u, u.pop()),  # BINPERSID
}
OPERATIONS = {
    ord(code) if isinstance(code, str) else code: operation for code, operation in _TABLE.items()
}
