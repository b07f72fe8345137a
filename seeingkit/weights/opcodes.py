"""What each pickle opcode does to the machine: the opcodes of data, and no other.

Names and meanings are those of Python's ``pickletools``.
"""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seeingkit.errors import CorruptFileError, UnsafeFileError

from .reading import LONG, UNFIT, LongText, decoded, reason, scalar

if TYPE_CHECKING:
    from .machine import Machine


def _bytes(m: Machine, count: int) -> None:
    view = m.reader.take(count)
    m.push(view if count >= LONG else bytes(view))


def _text(m: Machine, count: int) -> None:
    view = m.reader.take(count)
    text = decoded(view)
    m.push(text)
    if count >= LONG:
        m.long_text = text, LongText(view)


def _old_text(m: Machine, count: int) -> None:
    """Python 2 strings: bytes and text alike; long ones are the bytes of arrays."""
    view = m.reader.take(count)
    m.push(view if count >= LONG else str(view, "latin-1"))


def _line(m: Machine, decode: Callable[[str], Any]) -> None:
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


def _long(m: Machine, count: int) -> None:
    m.push(int.from_bytes(m.reader.take(count), "little", signed=True))


def _index(m: Machine) -> int:
    line = m.reader.line()
    if not line.isdigit() or len(line) > 18:
        raise CorruptFileError(f"damaged pickle: {line[:20]!r} is no index")
    return int(line)


def _tuple(m: Machine, count: int) -> None:
    items = [m.pop() for _ in range(count)]
    m.push(tuple(reversed(items)))


def _dict(m: Machine) -> None:
    items = m.unmark()
    m.push({})
    m.set_items(items)


def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    m.set_items([key, value])


def _append(m: Machine) -> None:
    value = m.pop()
    m.top_of(list).append(value)


def _extend(m: Machine) -> None:
    items = m.unmark()
    m.top_of(list).extend(items)


def _add(m: Machine) -> None:
    items = m.unmark()
    m.top_of(set).update(scalar(item) for item in items)


def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.unmark()


def _global(m: Machine) -> None:
    module, name = m.reader.line(), m.reader.line()
    m.find(module.decode("latin-1"), name.decode("latin-1"))


def _stack_global(m: Machine) -> None:
    name, module = m.popped(str), m.popped(str)
    m.find(module, name)


def _new_with_names(m: Machine) -> None:
    named, args = m.popped(dict), m.pop()
    if not all(isinstance(key, str) for key in named):
        raise CorruptFileError("damaged pickle: an argument name is not text")
    m.call(args, named)


def _persistent(m: Machine, key: Any) -> None:
    if m.persistent is None:
        raise UnsafeFileError("refused, a persistent id outside a torch file")
    try:
        m.push(m.persistent(key))
    except UNFIT as error:
        raise CorruptFileError(f"damaged pickle: a persistent id: {reason(error)}") from error


def _frame(m: Machine) -> None:
    m.reader.number("<Q")  # frames are only a hint for buffered reading


_TABLE: dict[int | str, Callable[[Machine], Any]] = {
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
OPERATIONS = {
    ord(code) if isinstance(code, str) else code: operation for code, operation in _TABLE.items()
}
