"""Classes of pictures by the label files of their samples, as WebDataset stores them.

Guarantees: files of one sample share a key, their path up to the first dot of the base name.
``.cls`` holds a class number or a name; of ``.json`` the field ``label`` does. What gives the
classes, and which pictures have none, is said; labels that contradict each other are refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from seeingkit.errors import SourceError

from .classfiles import Classes

FIELDS = ("cls", "json")
"""Endings of label files, in the order of preference."""
MOST_TEXT = 1 << 20
"""Largest label file that is read, in bytes."""
MOST_NAMES = 10_000
"""Most different names of classes: beyond, they are captions."""
MOST_CLASSES = 1 << 31

Label = int | str


class GivenClasses(NamedTuple):
    """Classes of pictures.

    Attributes:
        classes: the number of each picture's class, or None; None altogether where there are none.
        names: of the classes by number, where they have names.
        by: what gives them, for people.
        notes: sentences on what was found.
    """

    classes: Classes | None = None
    names: tuple[str, ...] = ()
    by: str = ""
    notes: tuple[str, ...] = ()


def sample_key(item: str) -> tuple[str, str]:
    """The key of a file's sample, and the file's ending in it, in lower case.

    >>> sample_key("00.tar/cat/0001.seg.png")
    ('00.tar/cat/0001', 'seg.png')
    """
    folder, slash, base = item.rpartition("/")
    stem, _, ending = base.partition(".")
    return folder + slash + stem, ending.lower()


class SampleLabels:
    """Collects the labels of samples while an archive is read.

    Args:
        where: the place, for messages.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._found: dict[str, dict[str, Label]] = {field: {} for field in FIELDS}
        self._odd: dict[str, list[str]] = {field: [] for field in FIELDS}

    def add(self, item: str, data: bytes | None) -> None:
        """A label file's content, or None where it is too large to be read."""
        key, field = sample_key(item)
        label = odd = None
        if data is None:
            odd = True
        elif field == "cls":
            label = _read(data.decode("utf-8", "replace").strip())
        else:
            label, odd = _json_label(data)
        if label is not None:
            self._found[field][key] = label
        elif odd:
            self._odd[field].append(item)

    def classes(self, pictures: Sequence[str]) -> GivenClasses:
        """The class of each picture, by the key of its sample.

        Raises:
            SourceError: labels of one sample differ, or some are numbers and some names.
        """
        keys = [sample_key(item)[0] for item in pictures]
        wanted = set(keys)
        notes = [
            f"{len(odd):,} .{field} files hold no label that can be read: {odd[0]} …"
            for field, odd in self._odd.items()
            if odd
        ]
        found = {
            field: {key: label for key, label in labels.items() if key in wanted}
            for field, labels in self._found.items()
        }
        field = next((field for field in FIELDS if found[field]), None)
        if field is None:
            return GivenClasses(notes=tuple(notes))
        if field == "cls":
            self._refuse_contradictions(found["cls"], found["json"])
        by = "the .cls files" if field == "cls" else "the field “label” of the .json files"
        labels = [found[field].get(key) for key in keys]
        given = numbered(labels, pictures, by, self.where)
        return given._replace(notes=(*notes, *given.notes))

    def _refuse_contradictions(self, numbers: dict[str, Label], others: dict[str, Label]) -> None:
        for key, label in numbers.items():
            other = others.get(key, label)
            if type(other) is type(label) and other != label:
                raise SourceError(
                    f"{self.where}: sample {key!r} has class {label!r} in .cls and {other!r} in "
                    ".json; mend one of them"
                )


def numbered(
    labels: Sequence[Label | None], pictures: Sequence[str], by: str, where: str
) -> GivenClasses:
    """Classes by labels that are all numbers (negative: no class), or all names.

    Raises:
        SourceError: some are numbers and some names, or a number that can be no class.

    >>> numbered(["dog", "cat", None], ["1", "2", "3"], "the .cls files", "a.tar").classes
    (1, 0, None)
    """
    known = {label for label in labels if label is not None}
    names = sorted(label for label in known if isinstance(label, str))
    if names and len(names) < len(known):
        number = next(label for label in known if not isinstance(label, str))
        raise SourceError(
            f"{where}: the classes by {by} are numbers ({number}) and names ({names[0]!r}); use "
            "one of the two"
        )
    if len(names) > MOST_NAMES:
        note = f"the {len(names):,} different texts in {by} are taken for captions, not for classes"
        return GivenClasses(notes=(note,))
    if names:
        places = {name: k for k, name in enumerate(names)}
        classes: Classes = tuple(None if x is None else places[str(x)] for x in labels)
    else:
        classes = tuple(x if isinstance(x, int) and x >= 0 else None for x in labels)
    beyond = next((x for x in classes if x is not None and x >= MOST_CLASSES), None)
    if beyond is not None:
        raise SourceError(f"{where}: {beyond} in {by} is too large for the number of a class")
    without = [item for item, x in zip(pictures, classes, strict=True) if x is None]
    if len(without) == len(classes):
        return GivenClasses(notes=(f"no picture has a class by {by}",))
    notes = [f"{len(classes) - len(without):,} pictures have their class by {by}"]
    if without:
        some = f"{len(without):,} of {len(classes):,} pictures"
        notes.append(f"{some} have no class by {by}: {without[0]} …")
    return GivenClasses(classes, tuple(names), by, tuple(notes))


def _read(text: str) -> Label | None:
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) < 19:
        return int(text)
    return text or None


def _json_label(data: bytes) -> tuple[Label | None, bool]:
    """The label of a ``.json`` file, and whether there is something that is none."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None, True
    label = content.get("label") if isinstance(content, dict) else None
    if isinstance(label, str):
        return _read(label.strip()), not label.strip()
    if isinstance(label, int) and not isinstance(label, bool):
        return label, False
    return None, label is not None
