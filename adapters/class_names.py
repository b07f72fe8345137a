"""Names of the classes of a conditional generator.

Guarantees exactly one name for each class, no name empty or given twice, or an error that says
which file, how many names, and which line.
"""

from __future__ import annotations

import json
from pathlib import Path

from seeingkit.errors import UsageError

_LARGEST = 1 << 24  # bytes; ImageNet's longest list is under 100 kB


def class_names(count: int, file: str | Path | None = None) -> tuple[str, ...]:
    """One name a class.

    Args:
        count: number of classes; 0 = the model is unconditional, which takes no names.
        file: text with one name a line (empty lines do not count), or a JSON list of names, or a
            JSON object that maps numbers to names or to lists that end in the name (as in the
            ImageNet index). None: the names are the numbers.

    Raises:
        UsageError: unreadable, another number of names, or an empty or double one.
    """
    if file is None:
        return tuple(str(k) for k in range(count))
    if not count:
        raise UsageError(f"classes={file}: the model is unconditional and has no classes to name")
    names = _read(Path(file))
    if len(names) != count:
        raise UsageError(f"{file}: {len(names)} class names, the model has {count} classes")
    if "" in names:
        raise UsageError(f"{file}: the name of class {names.index('')} is empty")
    if len(set(names)) != count:
        double = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{file}: two classes are named {double!r}")
    return tuple(names)


def _read(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path}: too large for a list of class names")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: class names cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: class names are not UTF-8 text") from error
    if not text.lstrip().startswith(("[", "{")):
        return [line.strip() for line in text.splitlines() if line.strip()]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: class names are not JSON ({error})") from error
    if isinstance(found, dict):
        if sorted(found) != sorted(str(k) for k in range(len(found))):
            raise UsageError(f"{path}: its keys are not the numbers 0 to {len(found) - 1}")
        found = [found[str(k)] for k in range(len(found))]
        found = [name[-1] if isinstance(name, list) and name else name for name in found]
    for k, name in enumerate(found):
        if not isinstance(name, str):
            raise UsageError(f"{path}: the name of class {k} is not text")
    return [name.strip() for name in found]
