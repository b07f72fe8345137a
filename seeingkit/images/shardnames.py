"""Names of tar shards and Parquet files: braces that stand for many, and what names give away.

Guarantees: ``{0000..0009}`` and ``{a,b}`` stand for exactly the names that they list, in order;
braces inside braces are not read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from seeingkit.errors import UsageError

from .files import stable_id
from .formats import suffix

MOST_NAMES = 1_000_000
"""Most files that braces may name."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_COUNTS = re.compile(r"(\d{3,})")
_PART = re.compile(r"^(.*?)-?(\d{3,})-of-(\d{3,})(.*)$")
_SPLIT = re.compile(r"^(train|training|val|valid|validation|dev|test|testing|eval)(?![a-z])", re.I)


def has_braces(pattern: str) -> bool:
    """Whether a pattern has ``{0..9}`` or ``{a,b}`` in it.

    >>> has_braces("train-{00..11}.tar"), has_braces("{draft}.tar")
    (True, False)
    """
    return any(_alternatives(match[1]) is not None for match in _BRACES.finditer(pattern))


def expand_braces(pattern: str) -> list[str]:
    """The patterns that braces stand for, in order; braces inside braces are not read.

    Raises:
        UsageError: they name too many.

    >>> expand_braces("{a,b}-{08..10}.tar")[:4]
    ['a-08.tar', 'a-09.tar', 'a-10.tar', 'b-08.tar']
    """
    found = [""]
    end = 0
    for match in _BRACES.finditer(pattern):
        parts = _alternatives(match[1])
        if parts is None:
            continue
        if len(found) * len(parts) > MOST_NAMES:
            raise UsageError(f"{pattern!r} names more than {MOST_NAMES:,} files")
        between = pattern[end : match.start()]
        found = [f"{before}{between}{part}" for before in found for part in parts]
        end = match.end()
    return [f"{before}{pattern[end:]}" for before in found]


class _Range(Sequence[str]):
    """The numbers of ``{0008..0011}``, as wide as the first one; not in memory."""

    def __init__(self, first: str, last: str) -> None:
        self._width = len(first)
        step = 1 if int(first) <= int(last) else -1
        self._numbers = range(int(first), int(last) + step, step)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: Any) -> Any:
        return f"{self._numbers[place]:0{self._width}d}"

    def __iter__(self) -> Iterator[str]:
        return (f"{number:0{self._width}d}" for number in self._numbers)


def _alternatives(text: str) -> Sequence[str] | None:
    """What ``a,b`` or ``0..9`` between braces stands for; None for other text."""
    if match := _RANGE.fullmatch(text):
        if max(map(len, match.groups())) > 18:
            return None
        return _Range(*match.groups())
    return text.split(",") if "," in text else None


def is_shard(path: str) -> bool:
    """Whether a file is called like a tar archive or a Parquet file.

    >>> is_shard("train-00.TAR"), is_shard("train.tgz")
    (True, False)
    """
    return suffix(path) in (".tar", ".parquet")


def in_sequence(paths: Sequence[str]) -> tuple[str, str] | None:
    """Two shards whose names count on (``train-0003.tar``, ``train-0004.tar``), if there are any.

    >>> in_sequence(["a-0003.tar", "b.tar", "a-0004.tar"])
    ('a-0003.tar', 'a-0004.tar')
    """
    known: dict[tuple[str, ...], str] = {}
    for path in paths:
        parts = _COUNTS.split(path)  # numbers of three digits and more at the odd places
        if not is_shard(path) or len(parts) < 3:
            continue
        for place in range(1, len(parts), 2):
            before = f"{int(parts[place]) - 1:0{len(parts[place])}d}"
            earlier = known.get((*parts[:place], before, *parts[place + 1 :]))
            if earlier is not None:
                return earlier, path
        known[tuple(parts)] = path
    return None


def missing_parts(paths: Sequence[str]) -> list[str]:
    """Notes on names like ``train-00001-of-00005`` of which some are not there."""
    numbers: dict[tuple[str, str, int], set[int]] = {}
    for path in paths:
        if match := _PART.match(stable_id(path)):
            before, number, many, behind = match.groups()
            ending = os.path.splitext(behind)[1]  # a hash may stand before it
            numbers.setdefault((before, ending, int(many)), set()).add(int(number))
    notes = []
    for (before, _, many), there in numbers.items():
        missing = many - len({number for number in there if number < many})
        if missing > 0:
            notes.append(f"{missing:,} of the {many:,} shards {before}-… are not here")
    return notes


def several_splits(paths: Sequence[str]) -> list[str]:
    """A note where names tell training from test data, and both are read."""
    splits = Counter(
        match[1].lower()
        for path in paths
        if (match := _SPLIT.match(stable_id(path).rpartition("/")[2]))
    )
    if len(splits) < 2:
        return []
    shown = ", ".join(f"{number} of {split}" for split, number in sorted(splits.items()))
    return [f"shards of several splits are read together ({shown}); a pattern would take one"]
