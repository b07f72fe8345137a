"""The state of a pickle program that can build data and nothing else: stack, marks and memo.

Guarantees: no name is ever imported and no code of a file is ever run. A global that is not, to the
letter, in the table of ``Constructor`` objects given by the caller is refused; so is a call of
anything that is not a ``Constructor``, and a dictionary key that is not a plain scalar. ``opcodes``
runs programs on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seeingkit.errors import CorruptFileError, UnsafeFileError

from .reader import Budget, LongText, Reader, Unread
from .records import UNFIT, Constructor, Opaque, Unfinished, reason, scalar


class Unpickler:
    """Stack, marks and memo of one program; arguments as of ``opcodes.unpickle``."""

    def __init__(
        self,
        reader: Reader,
        constructors: Mapping[str, Constructor],
        budget: Budget,
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        self.reader, self.constructors = reader, constructors
        self.budget, self.persistent = budget, persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.unfinished: dict[int, list[int]] = {}  # id of an Unfinished -> its places in the memo
        self.long_text: tuple[str, LongText] | None = None  # the last one

    # ------------------------------------------------------------------------------- the stack

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the top value."""
        if not self.stack:
            raise CorruptFileError("damaged pickle: it takes a value that is not there")
        return self.stack.pop()

    def top(self) -> Any:
        """The top value, left there."""
        if not self.stack:
            raise CorruptFileError("damaged pickle: it uses a value that is not there")
        return self.stack[-1]

    def mark(self) -> None:
        """Open a group."""
        self.marks.append(self.stack)
        self.stack = []

    def unmark(self) -> list[Any]:
        """Close a group; its values."""
        if not self.marks:
            raise CorruptFileError("damaged pickle: it closes a group that was not opened")
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def popped(self, kind: type) -> Any:
        """Take the top value, of this type."""
        return _of(self.pop(), kind)

    def top_of(self, kind: type) -> Any:
        """The top value, of this type, left there."""
        return _of(self.top(), kind)

    # ----------------------------------------------------------------------------- memo, objects

    def put(self, index: int) -> None:
        """Remember the top value; long text by its place in the file."""
        value = self.top()
        if isinstance(value, Unfinished):
            self.unfinished.setdefault(id(value), []).append(index)
        if self.long_text is not None:
            text, lies = self.long_text
            if value is text:
                value = Unread(lies)
            elif type(value) is tuple and len(value) == 2 and value[0] is text:
                value = Unread(lies, value[1:])
        self.memo[index] = value

    def get(self, index: int) -> None:
        """Push a remembered value."""
        if index not in self.memo:
            raise CorruptFileError(f"damaged pickle: value {index} was never remembered")
        value = self.memo[index]
        if isinstance(value, Unread):
            value = self.memo[index] = value.read()
        self.push(value)

    def find(self, module: Any, name: Any) -> None:
        """Push the constructor of a global."""
        full = f"{module}.{name}"
        plain = isinstance(module, str) and "." not in str(name)
        found = self.constructors.get(full) if plain else None
        if found is None:
            raise UnsafeFileError(f"refused, the file asks for {full[:80]}; only tensors are read")
        self.push(found)

    def call(self, args: Any, named: Mapping[str, Any] | None = None) -> None:
        """Replace the constructor on top by the object it makes."""
        called = self.pop()
        if not isinstance(called, Constructor):
            raise UnsafeFileError(f"refused, the file calls a {type(called).__name__}")
        if not isinstance(args, tuple):
            raise CorruptFileError(f"damaged pickle: {called.kind} is called without arguments")
        try:
            self.push(called.make(*args, **(named or {})))
        except UNFIT as error:
            raise CorruptFileError(f"damaged pickle: {called.kind}: {reason(error)}") from error

    def build(self) -> None:
        """Give the object below the top the state on top."""
        state = self.pop()
        value = self.top()
        if isinstance(value, Unfinished):
            places = self.unfinished.pop(id(value), [])
            try:
                finished = value.finish(state)
            except UNFIT as error:
                raise CorruptFileError(f"damaged pickle: {reason(error)}") from error
            self.stack[-1] = finished
            for index in places:
                self.memo[index] = finished
        elif type(value) is Opaque:
            value.state = state
        elif not isinstance(value, dict):  # attributes of a dict subclass (_metadata) are dropped
            raise UnsafeFileError(f"refused, the file sets the state of a {type(value).__name__}")

    def set_items(self, items: Sequence[Any]) -> None:
        """Put keys and values, by turns, into the dictionary on top."""
        target = self.top_of(dict)
        if len(items) % 2:
            raise CorruptFileError("damaged pickle: a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[scalar(key)] = value


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        given = type(value).__name__
        raise CorruptFileError(f"damaged pickle: a {kind.__name__} was expected, not a {given}")
    return value
