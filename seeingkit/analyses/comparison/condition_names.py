"""Classes of pictures, as the folders they lie in say them.

Guarantees: either every picture has a class or none has; a folder stands for one class of the
generator by name or by number, or for the k-th by order where there are as many of each.
"""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.errors import UsageError


def image_classes(ids: Sequence[str]) -> list[str] | None:
    """The class of each picture: the first folder in its id; None unless all have one.

    Args:
        ids: stable ids, such as ``n01440764/0001.jpg``.
    """
    found = []
    for item in ids:
        folder, slash, _ = item.replace("\\", "/").lstrip("./").partition("/")
        if not slash:
            return None
        found.append(folder)
    return found if len(set(found)) > 1 else None


def match_classes(found: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Which class of a generator each folder stands for.

    Folders match by name (case ignored) or by number; if none does and there are as many folders as
    classes, by alphabetical order, the usual convention of class folders.

    Raises:
        UsageError: some folders match and some do not, or none does (names the first).
    """
    folders = sorted(set(found))
    lower = {name.lower(): k for k, name in enumerate(names)}
    places: dict[str, int] = {}
    for folder in folders:
        if folder.lower() in lower:
            places[folder] = lower[folder.lower()]
        elif folder.isdigit() and int(folder) < len(names):
            places[folder] = int(folder)
    if len(places) == len(folders):
        return places
    if not places and len(folders) == len(names):
        return {folder: k for k, folder in enumerate(folders)}
    stray = next(folder for folder in folders if folder not in places)
    raise UsageError(
        f"folder {stray!r} of the real images is none of the generator's {len(names)} classes; "
        "name folders by class name or number, or give --labels uniform"
    )
