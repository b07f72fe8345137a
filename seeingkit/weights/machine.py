"""A pickle machine that can build data and nothing else.

Guarantees: no name is ever imported and no code of a file is ever run. An opcode outside the table
of ``opcodes`` is refused; so is a global that is not, to the letter, in the table of ``Maker``
objects given by the caller, a call of anything that is not a ``Maker``, a dictionary key that is
not a plain scalar, and a program of more than ``reading.MOST_OPERATIONS`` steps. Lengths are
checked against the bytes that are there before anything is allocated, so memory stays within a
small multiple of the file; long byte strings are views of the file, not copies.

The opcodes are those of Python's ``pickletools`` (protocols 0 to 5). ``INST``, ``OBJ``, the
extension registry and out-of-band buffers occur in no published weights and are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seeingkit.errors import CorruptFileError, UnsafeFileError

from .opcodes import OPERATIONS
from .reading import UNFIT, Budget, Inert, LongText, Maker, Reader, Shell, Unread, reason, scalar


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
    return Machine(reader, makers, budget, persistent).run()


class Machine:
    """A stack, marks and a memo; ``opcodes`` says what each opcode does to them."""

    reader: Reader
    makers: Mapping[str, Maker]
    budget: Budget
    persistent: Callable[[Any], Any] | None

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
        self.long_text: tuple[str, LongText] | None = None  # the last one

    def run(self) -> Any:
        take, table, spend = self.reader.take, OPERATIONS, self.budget.spend
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
                value = Unread(lies)
            elif type(value) is tuple and len(value) == 2 and value[0] is text:
                value = Unread(lies, value[1:])
        self.memo[index] = value

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise CorruptFileError(f"damaged pickle: value {index} was never remembered")
        value = self.memo[index]
        if isinstance(value, Unread):
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
        except UNFIT as error:
            raise CorruptFileError(f"damaged pickle: {maker.kind}: {reason(error)}") from error

    def build(self) -> None:
        state = self.pop()
        value = self.top()
        if isinstance(value, Shell):
            places = self.shells.pop(id(value), [])
            try:
                finished = value.finish(state)
            except UNFIT as error:
                raise CorruptFileError(f"damaged pickle: {reason(error)}") from error
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
