"""The generator's class of each real image: as its data set lists it, or by the names of folders.

Guarantees: folders are classes only where they are. Folders around all images, and those of a split
(``train``, ``val``, ``test``), are looked into; folders that only divide many files (``00000``,
hash prefixes) are no classes; names match names (whatever their case), numbers match by value, and
what matches in part is refused by name; archives that hold images, and rows of tables, are no
folders. What was found, or why nothing was, is a record that every
run shows.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from seeingkit.errors import UsageError
from seeingkit.images.classfiles import CLASS_FILE
from seeingkit.images.containers import without_container
from seeingkit.results import FolderClass, RealClasses

_SPLIT = re.compile(
    r"(train|training|trainval|val|valid|validation|minival|test|testing|testdev|dev|eval|"
    r"evaluation|holdout|split|fold)([ _-]?(set|data|images|imgs|split))?[ _-]?\d*",
    re.IGNORECASE,
)
_WORDNET = re.compile(r"n\d{8}")
_HASH = re.compile(r"[0-9a-f]{1,4}")
_NUMBERS_IN_A_BUCKET = (100, 1000, 10000)


class FoundClasses(NamedTuple):
    """The class of each real image.

    Attributes:
        labels: of each image, None for one without a class; or None where there are no classes.
        record: how they were found.
    """

    labels: tuple[int | None, ...] | None
    record: RealClasses


def real_classes(
    ids: Sequence[str],
    names: Sequence[str],
    listed: Sequence[int | None] | None = None,
    *,
    by: str = CLASS_FILE,
    called: Sequence[str] = (),
) -> FoundClasses:
    """Which of a generator's classes each real image is of.

    Args:
        ids: of the images, paths with forward slashes.
        names: of the generator's classes.
        listed: the class of each image that its data set lists, if it does.
        by: what lists them.
        called: names of the listed classes, by number, if they have any.

    >>> real_classes(["train/cat/1.png", "val/dog/2.png"], ("cat", "dog")).labels
    (0, 1)
    """
    try:
        if listed is not None and any(label is not None for label in listed):
            return _by_list(listed, names, by, called)
        ids = [without_container(item) for item in ids]
        folders = class_folders(ids, names)
        by, places = match_folders(folders, names, ids)
    except UsageError as error:
        return FoundClasses(None, RealClasses(by="none", why=str(error)))
    numbers = Counter(folders)
    return FoundClasses(
        tuple(places[folder] for folder in folders),
        RealClasses(
            by=by,
            why=_GUESS if by == "order" else "",
            folders=[
                FolderClass(folder=folder, label=k, name=names[k], images=numbers[folder])
                for folder, k in sorted(places.items(), key=lambda pair: (pair[1], pair[0]))
            ],
        ),
    )


_GUESS = (
    "the generator's classes have no names, so folders were taken in alphabetical order, as is "
    "usual for class folders: a guess"
)


def _by_list(
    listed: Sequence[int | None], names: Sequence[str], by: str, called: Sequence[str]
) -> FoundClasses:
    """By the names of the listed classes where they and the generator's have names, else by number.

    Raises:
        UsageError: a class that is none of the generator's.
    """
    numbers = Counter(label for label in listed if label is not None)
    where = by if by == CLASS_FILE else f"the data set ({by})"
    named = any(called) and not _unnamed(called) and not _unnamed(names)
    places = {k: k for k in numbers}
    if named:
        places = _by_called(numbers, called, names, where)
    elif max(numbers) >= len(names):
        raise UsageError(
            f"{where} has class {max(numbers)}, but the generator's are 0 to {len(names) - 1}"
        )
    record = RealClasses(
        by="label names" if named else "dataset.json" if by == CLASS_FILE else "labels",
        listed="" if by == CLASS_FILE else by,
        folders=[
            FolderClass(
                folder=called[k] if named else str(k),
                label=places[k],
                name=names[places[k]],
                images=numbers[k],
            )
            for k in sorted(numbers, key=lambda k: (places[k], k))
        ],
        without=sum(label is None for label in listed),
    )
    return FoundClasses(tuple(None if k is None else places[k] for k in listed), record)


def _by_called(
    numbers: Counter[int], called: Sequence[str], names: Sequence[str], where: str
) -> dict[int, int]:
    """The generator's class of each listed one, by their names."""
    known, places = _spellings(names), {}
    for k in sorted(numbers):
        if k >= len(called):
            raise UsageError(f"{where} has class {k}, but names {len(called)} classes")
        classes = known.get(_spelling(called[k]), set())
        if not classes:  # of several names, parted by commas, one will do
            classes = set().union(*(known.get(_spelling(p), ()) for p in called[k].split(",")))
        if not classes:
            raise UsageError(
                f"class {called[k]!r} of {where} is none of the generator's {len(names)} classes; "
                "give both the same names"
            )
        if len(classes) > 1:
            both = " and ".join(str(one) for one in sorted(classes))
            raise UsageError(f"class {called[k]!r} of {where} names classes {both} alike")
        (places[k],) = classes
    return places


def class_folders(ids: Sequence[str], names: Sequence[str]) -> list[str]:
    """The folder in each id that may be its class: the first whose names are the classes' names,
    else the first that is not the same for all images and no split.

    Raises:
        UsageError: there is none.
    """
    paths = [item.split("/")[:-1] for item in ids]
    depth = min((len(path) for path in paths), default=0)
    columns = [[path[k] for path in paths] for k in range(depth)]
    known = _spellings(names)
    unnamed = _unnamed(names)
    named = [c for c in columns if not unnamed and all(_spelling(f) in known for f in set(c))]
    if named:
        return max(named, key=lambda column: len(set(column)) > 1)  # the first of several folders
    for column in columns:
        folders = set(column)
        if len(folders) > 1 and not all(_SPLIT.fullmatch(folder) for folder in folders):
            return column
    if max((len(path) for path in paths), default=0) > depth:
        stray = next(item for item, path in zip(ids, paths, strict=True) if len(path) == depth)
        raise UsageError(f"{stray!r} lies in no folder that could be its class")
    raise UsageError("the real images do not lie in one folder for each class")


def match_folders(
    found: Sequence[str], names: Sequence[str], ids: Sequence[str] = ()
) -> tuple[str, dict[str, int]]:
    """Which class of a generator each folder stands for, and by what: name, number or order.

    Args:
        found: the folder of each image.
        names: of the classes.
        ids: of the images, whose file names tell buckets from classes.

    Raises:
        UsageError: the folders are no classes, or not these; says which and what to do.

    >>> match_folders(["Dog", "cat"], ("cat", "dog"))
    ('name', {'Dog': 1, 'cat': 0})
    """
    folders, known = sorted(set(found)), _spellings(names)
    if all(folder.isdecimal() for folder in folders) and _unnamed(names):
        return "number", _by_number(folders, len(names), found, ids)
    places = {folder: known[_spelling(folder)] for folder in folders if _spelling(folder) in known}
    for folder, classes in places.items():
        if len(classes) > 1:
            both = " and ".join(str(k) for k in sorted(classes))
            raise UsageError(f"folder {folder!r} names classes {both} alike; call it by its number")
    if len(places) == len(folders):
        return "name", {folder: min(classes) for folder, classes in places.items()}
    if not places and all(folder.isdecimal() for folder in folders):
        return "number", _by_number(folders, len(names), found, ids)
    if not places and _ordered(folders, names, found, ids):
        return "order", {folder: k for k, folder in enumerate(folders)}
    stray = next(folder for folder in folders if folder not in places)
    if all(_WORDNET.fullmatch(folder) for folder in folders):
        cure = "name the classes by WordNet ids, one a line: --gan-option classes=FILE"
    else:
        cure = "name folders by class name or number"
    raise UsageError(
        f"folder {stray!r} of the real images is none of the generator's {len(names)} classes; "
        + cure
    )


def _by_number(
    folders: Sequence[str], classes: int, found: Sequence[str], ids: Sequence[str]
) -> dict[str, int]:
    values = {folder: int(folder) for folder in folders}
    some = ", ".join(folders[:3]) + (" …" if len(folders) > 3 else "")
    padded = any(folder != str(value) for folder, value in values.items())
    whole = sorted(values.values()) == list(range(classes))
    if padded and not (whole and {len(f) for f in folders} == {len(str(classes - 1))}):
        raise UsageError(
            f"folders {some} look like buckets of files, not like classes; if they are classes, "
            f"call them by numbers as they are: 0 to {classes - 1}"
        )
    if _buckets(found, ids):
        raise UsageError(
            f"folders {some} are buckets of files by the numbers of the files in them, no classes; "
            "if they are classes, name them by class name, or list them in dataset.json"
        )
    least, most = min(values.values()), max(values.values())
    if least >= 1 and most == classes:
        raise UsageError(
            f"folders {some} end at {most}, as if classes were numbered from 1; the generator's "
            f"are 0 to {classes - 1}: rename the folders"
        )
    if most >= classes:
        raise UsageError(f"folder {most} is no class; the generator's are 0 to {classes - 1}")
    return values


def _ordered(
    folders: Sequence[str], names: Sequence[str], found: Sequence[str], ids: Sequence[str]
) -> bool:
    """Whether folders may be taken in their order: as many as classes, which have no names."""
    wordnet = all(_WORDNET.fullmatch(folder) for folder in folders)
    if len(folders) != len(names) or not (_unnamed(names) or (wordnet and len(names) == 1000)):
        return False
    hashes = all(_HASH.fullmatch(f) for f in folders) and len({len(f) for f in folders}) == 1
    one_order = sorted(folders, key=_natural) == sorted(folders, key=str.casefold) == list(folders)
    split = any(_SPLIT.fullmatch(folder) for folder in folders)
    return one_order and not hashes and not split and not _buckets(found, ids)


def _natural(folder: str) -> tuple[object, ...]:
    parts = re.split(r"(\d+)", folder.casefold())
    return tuple(int(part) if k % 2 else part for k, part in enumerate(parts))


def _buckets(found: Sequence[str], ids: Sequence[str]) -> bool:
    """Whether folders only divide many files: by the number in a file's name, or by its start."""
    files = [item.rsplit("/", 1)[-1].rsplit(".", 1)[0] for item in ids]
    if not files or len(set(found)) < 2:
        return False
    if all(
        name.lower().startswith(folder.lower()) and name[len(folder) : len(folder) + 1].isalnum()
        for folder, name in zip(found, files, strict=True)
    ):
        return True
    numbers = [re.search(r"(\d+)$", name) for name in files]
    if not all(folder.isdecimal() for folder in found) or not all(numbers):
        return False
    pairs = [(int(f), int(n[1])) for f, n in zip(found, numbers, strict=True) if n]
    return any(
        all(number // size == folder for folder, number in pairs) for size in _NUMBERS_IN_A_BUCKET
    )


def _unnamed(names: Sequence[str]) -> bool:
    """Whether classes are called by their own numbers, because nothing names them."""
    return all(name == str(k) for k, name in enumerate(names))


def _spelling(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _spellings(names: Sequence[str]) -> dict[str, set[int]]:
    """The classes that go by each name: whole, or one of several parted by commas."""
    known: dict[str, set[int]] = defaultdict(set)
    for k, name in enumerate(names):
        for part in {_spelling(name), *(_spelling(part) for part in name.split(","))}:
            known[part].add(k)
    return {part: classes for part, classes in known.items() if part}
