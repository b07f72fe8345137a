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
import pickletools
import warnings
from collections.abc import Callable, Mapping
from functools import partial
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
    """Run one pickle program: a tree of plain data and of objects that the constructors made.

    Args:
        reader: stands at the first byte of the program; afterwards just behind its ``STOP``.
        constructors: the globals that the file may name, by dotted name.
        budget: steps left.
        persistent: looks up a persistent id; without it they are refused.

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


def _line(decode: Callable[[str], Any], u: Unpickler) -> None:
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


def _popped(u: Unpickler, count: int) -> tuple[Any, ...]:
    return tuple([u.pop() for _ in range(count)][::-1])


def _dict(u: Unpickler) -> None:
    items = u.unmark()
    u.push({})
    u.set_items(items)


def _extend(u: Unpickler, items: list[Any]) -> None:
    u.top_of(list).extend(items)


def _add(u: Unpickler, items: list[Any]) -> None:
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


_NUMBERED: dict[Callable[[Unpickler, Any], Any], dict[str, str]] = {
    Unpickler.push: {"BININT": "<i", "BININT1": "<B", "BININT2": "<H", "BINFLOAT": ">d"},
    Unpickler.put: {"BINPUT": "<B", "LONG_BINPUT": "<I"},
    Unpickler.get: {"BINGET": "<B", "LONG_BINGET": "<I"},
    _long: {"LONG1": "<B", "LONG4": "<i"},
    _old_text: {"BINSTRING": "<i", "SHORT_BINSTRING": "<B"},
    _text: {"BINUNICODE": "<I", "SHORT_BINUNICODE": "<B", "BINUNICODE8": "<Q"},
    _bytes: {"BINBYTES": "<I", "SHORT_BINBYTES": "<B", "BINBYTES8": "<Q", "BYTEARRAY8": "<Q"},
}
"""Opcodes with a number behind them: the function that takes it, and its ``struct`` format."""

_OTHERS: dict[str, Callable[[Unpickler], Any]] = {
    "PROTO": lambda u: u.reader.take(1),
    "FRAME": lambda u: u.reader.take(8),  # frames are only a hint for buffered reading
    "MARK": Unpickler.mark,
    "POP": _pop,
    "POP_MARK": Unpickler.unmark,
    "DUP": lambda u: u.push(u.top()),
    "NONE": lambda u: u.push(None),
    "NEWTRUE": lambda u: u.push(True),
    "NEWFALSE": lambda u: u.push(False),
    "INT": partial(_line, _whole),
    "LONG": partial(_line, lambda text: int(text.removesuffix("L"))),
    "FLOAT": partial(_line, float),
    "STRING": partial(_line, _quoted),
    "UNICODE": partial(_line, _unicode),
    "EMPTY_DICT": lambda u: u.push({}),
    "DICT": _dict,
    "SETITEM": lambda u: u.set_items(_popped(u, 2)),
    "SETITEMS": lambda u: u.set_items(u.unmark()),
    "EMPTY_LIST": lambda u: u.push([]),
    "LIST": lambda u: u.push(u.unmark()),
    "APPEND": lambda u: _extend(u, [u.pop()]),
    "APPENDS": lambda u: _extend(u, u.unmark()),
    "EMPTY_TUPLE": lambda u: u.push(()),
    "TUPLE": lambda u: u.push(tuple(u.unmark())),
    "TUPLE1": lambda u: u.push(_popped(u, 1)),
    "TUPLE2": lambda u: u.push(_popped(u, 2)),
    "TUPLE3": lambda u: u.push(_popped(u, 3)),
    "EMPTY_SET": lambda u: u.push(set()),
    "ADDITEMS": lambda u: _add(u, u.unmark()),
    "FROZENSET": lambda u: u.push({scalar(item) for item in u.unmark()}),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": lambda u: u.call(u.pop()),
    "NEWOBJ": lambda u: u.call(u.pop()),
    "NEWOBJ_EX": _new_with_names,
    "BUILD": Unpickler.build,
    "PUT": lambda u: u.put(_index(u)),
    "GET": lambda u: u.get(_index(u)),
    "MEMOIZE": lambda u: u.put(len(u.memo)),
    "PERSID": lambda u: _persistent(u, u.reader.line().decode("latin-1")),
    "BINPERSID": lambda u: _persistent(u, u.pop()),
}


def _with_number(act: Callable[[Unpickler, Any], Any], form: str, u: Unpickler) -> None:
    act(u, u.reader.number(form))


_CODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
OPERATIONS = {_CODES[name]: operation for name, operation in _OTHERS.items()} | {
    _CODES[name]: partial(_with_number, act, form)
    for act, forms in _NUMBERED.items()
    for name, form in forms.items()
}
"""The operation of each opcode that is allowed."""
