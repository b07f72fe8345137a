"""Names of classes in a checkpoint's config: checked against each other, and made different.

Guarantees that names which contradict each other or leave an output without one are refused with
the number, before anything heavy is loaded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seeingkit.errors import StateMismatchError

_PLACEHOLDER = re.compile(r"LABEL_\d+")
_REMEDY = "correct config.json"


def check_names(path: Path, config: Mapping[str, Any]) -> None:
    """Check ``id2label`` and ``label2id`` of a config, as far as it has them.

    Raises:
        StateMismatchError: numbers that are not 0, 1, 2, …; an empty name; or a name that the two
            give different numbers, or only the second.
    """
    stated = config.get("id2label")
    if stated is None:
        return
    names = _numbered(path, stated)
    numbers = sorted(names)
    if numbers != list(range(len(numbers))):
        missing = next(k for k in range(len(numbers)) if k not in names)
        what = f"has {len(numbers)} names and none for {missing}"
        if numbers == list(range(1, len(numbers) + 1)):
            what = f"counts from 1 to {len(numbers)}"
        raise StateMismatchError(
            f"{path}: id2label {what}; outputs are counted from 0 without gaps; {_REMEDY}"
        )
    for number, name in names.items():
        if not name:
            raise StateMismatchError(f"{path}: id2label has an empty name for {number}; {_REMEDY}")
    backwards = config.get("label2id")
    if not isinstance(backwards, Mapping) or not backwards:
        return
    for label, number in backwards.items():
        found = [k for k, name in names.items() if name == _clean(label)]
        if not found and not _PLACEHOLDER.fullmatch(_clean(label)):
            raise StateMismatchError(
                f"{path}: label2id names {label!r} ({number}), id2label does not; {_REMEDY}"
            )
        if found and number not in (*found, *map(str, found)):
            raise StateMismatchError(
                f"{path}: {label!r} is output {found[0]} by id2label and {number} by label2id; "
                f"{_REMEDY}"
            )


def _numbered(path: Path, stated: Any) -> dict[int, str]:
    """Names by number.

    Raises:
        StateMismatchError: a key that is no number, or twice the same.
    """
    found: dict[int, str] = {}
    for key, name in stated.items() if isinstance(stated, Mapping) else enumerate(stated):
        text = str(key)
        if not text.isdecimal() or int(text) in found:
            raise StateMismatchError(f"{path}: id2label: {text[:40]!r} is no number of an output")
        found[int(text)] = _clean(name)
    return found


def _clean(name: Any) -> str:
    return " ".join(str(name).split())


def unique_names(id2label: Mapping[int, Any]) -> list[str]:
    """The names by output; those that several outputs share get their number.

    >>> unique_names({0: "tree", 1: "sky", 2: "tree"})
    ['tree (0)', 'sky', 'tree (2)']
    """
    names = [_clean(id2label[number]) for number in range(len(id2label))]
    seen = Counter(names)
    return [f"{name} ({k})" if seen[name] > 1 else name for k, name in enumerate(names)]


def read_as(id2label: Mapping[int, Any]) -> list[str]:
    """How names that say too little are read, in words."""
    names = [_clean(name) for name in id2label.values()]
    said = []
    if all(_PLACEHOLDER.fullmatch(name) for name in names):
        said.append("config.json names no classes; they are called LABEL_0, LABEL_1, …")
    said += [
        f"{count} outputs are named {name!r} and are counted apart"
        for name, count in Counter(names).items()
        if count > 1
    ]
    return said
