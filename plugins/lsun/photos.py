"""The photos of one scene in ``minilsun.zip``, read in place.

The archive unpacks to ``minilsun/<scene>_<split>/…``: the code of ganseeing unpacks it into a
folder ``datasets`` and then opens ``datasets/minilsun/church_train`` and its like. Here a folder is
taken by that name at any depth, so that an archive without the outer folder serves as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from seeingkit.errors import SourceError, WeightsError
from seeingkit.images.archive import ZipImages
from seeingkit.images.selection import Selection
from seeingkit.models.hub import data_file
from seeingkit.specs import Preset

from .catalog import PhotoOptions, data_files

_FOLDERS = {
    "churches": re.compile(r"(?:lsun[_-]?)?church(?:es)?(?:_?outdoor)?(?:_(train|val))?"),
    "bedrooms": re.compile(r"(?:lsun[_-]?)?bedrooms?(?:_(train|val))?"),
}


def churches(options: PhotoOptions, preset: Preset) -> Selection:
    """Church photos, as the registry calls it."""
    return _photos("churches", options, preset)


def bedrooms(options: PhotoOptions, preset: Preset) -> Selection:
    """Bedroom photos, as the registry calls it."""
    return _photos("bedrooms", options, preset)


def _photos(name: str, options: PhotoOptions, preset: Preset) -> Selection:
    """The pictures of one scene and split.

    Raises:
        SourceError: the archive cannot be fetched, is not the published one, or holds no such
            folder.
    """
    (archive,) = data_files("minilsun")
    try:
        path = data_file(archive, "minilsun")
    except WeightsError as error:
        raise SourceError(str(error)) from error
    whole = ZipImages(path, preset=preset)
    chosen = pictures_of(whole.ids, name, options.split)
    if not chosen:
        folders = sorted({item.rpartition("/")[0] or "." for item in whole.ids})
        whole.close()
        raise SourceError(
            f"{path}: no folder of {name} ({options.split}) in it; there are: "
            f"{', '.join(folders[:6])}{' …' if len(folders) > 6 else ''}"
        )
    source = Selection(whole, chosen)
    source.name = name if options.split == "train" else f"{name} ({options.split})"
    return source


def pictures_of(ids: Sequence[str], name: str, split: str) -> list[int]:
    """The members of the archive that lie in a folder of the scene and split.

    A folder without a split in its name counts as ``train``.

    Args:
        ids: paths in the archive.
        name: ``churches`` or ``bedrooms``.
        split: ``train`` or ``val``.

    Returns:
        Positions in ``ids``, ascending.
    """
    found = []
    for index, item in enumerate(ids):
        for part in item.split("/")[:-1]:
            match = _FOLDERS[name].fullmatch(part)
            if match:
                if (match[1] or "train") == split:
                    found.append(index)
                break
    return found
