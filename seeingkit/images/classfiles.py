"""Classes of pictures by a file ``dataset.json`` beside them, as NVIDIA's data set tool writes it.

Guarantees: ``{"labels": [["00000/img00000000.png", 3], …]}`` gives each listed picture its number,
by its path from the file's own folder; ``null`` for the labels gives none. A file that means
something else is said to, and gives no classes; one whose labels cannot be numbers is refused.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Sequence
from typing import Any

from seeingkit.errors import SourceError

CLASS_FILE = "dataset.json"
LARGEST = 1 << 28
"""Most bytes of such a file that are read."""

Classes = tuple[int | None, ...]


def read_class_files(
    files: Sequence[str], pictures: Sequence[str], read: Callable[[str], bytes], where: str
) -> tuple[Classes | None, list[str]]:
    """The class of each picture, and sentences on what the files do not say.

    Args:
        files: ids of all files of a place; those called ``dataset.json`` are read.
        pictures: ids of its pictures.
        read: gives the bytes of a file.
        where: the place, for messages.

    Returns:
        a class or None for each picture, or None altogether where no file gives a class.

    Raises:
        SourceError: a file that cannot be read, or with labels that are no class numbers.
    """
    known: dict[str, int] = {}
    notes: list[str] = []
    for item in files:
        if posixpath.basename(item).lower() != CLASS_FILE:
            continue
        said = f"{where}: {item}"
        found = _listed(read(item), said)
        if found is None:
            notes.append(f"{item} lists no labels of files, so it gives no classes")
            continue
        folder = posixpath.dirname(item)
        for name, label in found:
            path = posixpath.normpath(posixpath.join(folder, name.replace("\\", "/")))
            if known.setdefault(path, label) != label:
                raise SourceError(f"{said}: gives {name!r} two classes, {known[path]} and {label}")
    if not known:
        return None, notes
    classes = tuple(known.get(item) for item in pictures)
    notes.append(f"{CLASS_FILE} gives {len(pictures) - classes.count(None):,} pictures their class")
    there = set(pictures)
    absent = [name for name in known if name not in there]
    if len(absent) == len(known):
        raise SourceError(
            f"{where}: {CLASS_FILE} names {len(known):,} files, none of which is a picture here "
            f"(the first: {absent[0]!r}); mend the names or take the file away"
        )
    if absent:
        notes.append(
            f"{CLASS_FILE} names {len(absent):,} files that are no pictures here: {absent[0]} …"
        )
    if missing := [item for item, label in zip(pictures, classes, strict=True) if label is None]:
        some = f"{len(missing):,} of {len(pictures):,} pictures"
        notes.append(f"{CLASS_FILE} gives no class to {some}: {missing[0]} …")
    return classes, notes


def _listed(data: bytes, said: str) -> list[tuple[str, int]] | None:
    """The (file, class) pairs of one file; None where it lists none."""
    if len(data) > LARGEST:
        raise SourceError(f"{said}: {len(data):,} bytes, more than {LARGEST:,}")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{said}: no JSON that can be read ({error}); mend it or take it away"
        ) from error
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, list) or not labels:
        return None
    if not all(isinstance(entry, list) and len(entry) == 2 for entry in labels):
        return None
    return [_pair(entry, said) for entry in labels]


def _pair(entry: list[Any], said: str) -> tuple[str, int]:
    name, label = entry
    whole = isinstance(label, int) and not isinstance(label, bool) and label >= 0
    if not isinstance(name, str) or not whole:
        shown = json.dumps(entry)[:80]
        raise SourceError(
            f"{said}: {shown} is no file with a class number from 0; labels that are vectors or "
            "names are not read"
        )
    return name, label
