"""The lines of a TOML file that its keys stand in, for messages about mistakes.

The parser of the standard library keeps no places, so the text is read once more: its tables
(``[x]``, ``[[x]]``) and the keys at the beginning of lines. A key within an inline table or a value
of several lines is at the line of the key that holds it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from seeingkit.errors import Faults, UsageError, one_line

_TABLE = re.compile(r"\s*\[(\[?)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[\w-]+)*)\s*=""")
_QUOTES = ('"""', "'''")


class Lines:
    """Where the keys of a file stand.

    >>> lines = Lines(Path("s.toml"), 'n = 1\\n[[data]]\\nname = "a"')
    >>> lines.number("data.0.name"), lines.number("n"), lines.number("other")
    (3, 1, None)
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._found: dict[str, int] = {}
        inside, quote = "", ""
        seen: Counter[str] = Counter()
        for number, line in enumerate(text.splitlines(), 1):
            if quote:
                quote = "" if line.count(quote) % 2 else quote
                continue
            table, key = _TABLE.match(line), _KEY.match(line)
            if table:
                inside = _dotted(table[2])
                if table[1]:
                    inside, name = f"{inside}.{seen[inside]}", inside
                    self._found.setdefault(name, number)
                    seen[name] += 1
                self._found.setdefault(inside, number)
            elif key:
                where = _dotted(key[1])
                self._found.setdefault(f"{inside}.{where}" if inside else where, number)
                quote = next((q for q in _QUOTES if line.count(q) % 2), "")

    def number(self, where: str) -> int | None:
        """The line of a dotted key, or of what holds it; None for a key of the whole file."""
        parts = where.split(".")
        while parts:
            if (found := self._found.get(".".join(parts))) is not None:
                return found
            parts.pop()
        return None

    def mistakes(self, faults: Sequence[tuple[str, str]]) -> UsageError:
        """One error of all mistakes, by line: ``(key, what is wrong)`` of each."""
        numbered = [(self.number(where) or 0, where, reason) for where, reason in faults]
        found = Faults()
        for line, where, reason in sorted(numbered):
            place = f"{self.path}, line {line}" if line else str(self.path)
            found.add(UsageError(f"{place}: {_counted(where)}: {one_line(reason)}"))
        return UsageError(str(found))

    def raise_if_any(self, faults: Sequence[tuple[str, str]]) -> None:
        """Raise one error of all mistakes, if there are any."""
        if faults:
            raise self.mistakes(faults)


def _dotted(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def _counted(where: str) -> str:
    """A dotted key for a reader: the entries of a list are counted from 1."""
    return ".".join(str(int(part) + 1) if part.isdigit() else part for part in where.split("."))
