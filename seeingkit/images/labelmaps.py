"""Label maps: pictures whose numbers are the true labels of another picture's pixels.

Guarantees that labels are never mixed nor shifted (the preset's geometry with nearest neighbour),
that the numbers are those in the file (palette or grey, 1 to 16 bits), and that a file which is no
label map is an error that names it.
"""

from __future__ import annotations

import io
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import ImageSource
from seeingkit.errors import ImageError, SourceError
from seeingkit.specs import Preset
from seeingkit.system.cache import file_sha256
from seeingkit.system.digests import DigestStore, file_stamp, key_of

from .decode import Limits, quiet, read_file
from .files import stable_id, walk
from .formats import is_image_name
from .preprocess import framed
from .selection import Selection
from .stored import StoredImages

UNKNOWN = -1
"""Number of a pixel whose true label is not known."""
NAME_FILES = ("labels.txt", "classes.json")
_LARGEST_NAMES = 1 << 20


class LabelFolder:
    """The label maps of a folder that belong to images of a source.

    Args:
        path: the folder; maps may lie in folders below it.
        source: the images; the maps are prepared with its preset.
        own: names of the numbers where the folder has no file that says them.

    Attributes:
        names: of the numbers.
        indices: places of the images that have a label map.
        beyond: the number just beyond the last name means unlabelled, as 11 of CamVid's 11 classes
            does; it is so where no file says the names.

    Raises:
        SourceError: no such folder, no PNG in it, none that belongs to an image, or a file of names
            that cannot be used.
    """

    def __init__(
        self, path: str | os.PathLike[str], source: ImageSource, own: Sequence[str]
    ) -> None:
        root = os.fspath(path)
        if not os.path.isdir(root):
            raise SourceError(f"no such folder: {root}")
        files = [file for file in walk(root) if file.lower().endswith(".png")]
        if not files:
            raise SourceError(f"{root}: label maps are PNG files of numbers; there is none")
        if source.preset is None:
            unknown = f"{source.name}: its preprocessing is unknown"
            raise SourceError(f"{unknown}, so label maps cannot be aligned with its images")
        self.name, self.source, self.preset = root, source, source.preset
        self._whole, self._places = _unwrapped(source)
        maps = {stem(stable_id(file)): k for k, file in enumerate(files)}
        found = matched(source.ids, maps, self.name)
        self._paths = {image: os.path.join(root, files[place]) for image, place in found.items()}
        self.indices = tuple(found)
        said = names_in(Path(path))
        self.names = tuple(own) if said is None else said
        self.beyond = said is None

    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, H, W) int64 numbers, ``UNKNOWN`` where a pixel has no known label.

        The number just beyond the last name stays, where ``beyond`` is true: in label maps whose
        numbers are all one too high it is the last label.

        Raises:
            SourceError: a map that cannot be read, does not fit its picture, holds an unknown
                number, or has another size than the first of ``indices``.
        """
        maps = [preset_labels(self._numbers(k), self.preset) for k in indices]
        for index, found in zip(indices, maps, strict=True):
            if found.shape != maps[0].shape:
                differ = f"{self._paths[index]}: another size than {self._paths[indices[0]]}"
                raise SourceError(f"{differ}; use a preset that resizes and crops")
        return torch.from_numpy(np.stack(maps))

    def fingerprint(self, indices: Sequence[int]) -> str | None:
        """Hash of what ``read`` reads: the maps of these images, and names; None: unreadable."""
        store, paths = DigestStore(self.name), [self._paths[index] for index in indices]
        try:
            hashes = [
                store.remembered(p, partial(file_stamp, p), partial(file_sha256, Path(p)))
                for p in paths
            ]
        except OSError:
            return None  # whoever reads it says which
        store.save()
        return key_of(paths, hashes, self.names, self.beyond)

    def _numbers(self, index: int) -> NDArray[np.int64]:
        path = self._paths[index]
        numbers = read_label_map(path)
        if len(self.names) <= 255:
            numbers[numbers == 255] = UNKNOWN
        largest = int(numbers.max(initial=0))
        if largest >= len(self.names) + self.beyond:
            whose = "the segmenter's list has" if self.beyond else "there are"
            raise SourceError(
                f"{path}: number {largest}, but {whose} {len(self.names)} names; name the "
                f"numbers in {NAME_FILES[0]} in the folder, one a line (unlabelled ones: void)"
            )
        if isinstance(self._whole, StoredImages):
            width, height = self._whole.size(self._places[index])
            rows, columns = numbers.shape
            if abs(rows * width - columns * height) >= max(width, height):
                raise SourceError(
                    f"{path}: {columns}x{rows} pixels, but its picture {self.source.ids[index]} "
                    f"has {width}x{height}; a label map has its picture's shape"
                )
        return numbers


def _unwrapped(source: ImageSource) -> tuple[ImageSource, Sequence[int]]:
    """The source that a selection selects from, and the place there of each image."""
    places: Sequence[int] = range(len(source))
    while isinstance(source, Selection):
        places = [source.indices[k] for k in places]
        source = source.source
    return source, places


def preset_labels(labels: NDArray[np.integer[Any]], preset: Preset) -> NDArray[np.int64]:
    """A label map on the pixels of its picture after the preset: (H', W') int64.

    The geometry is ``images.preprocess.apply``'s, with nearest neighbour instead of a filter.
    ``labels`` are (H, W) numbers, of the picture's size or a scaled copy's.
    """
    if preset.size is None:
        return labels.astype(np.int64)
    image = Image.fromarray(labels.astype(np.int32))
    image = framed(image, preset.size, Image.Resampling.NEAREST, preset.crop)
    return np.asarray(image).astype(np.int64)


def read_label_map(path: str | os.PathLike[str]) -> NDArray[np.int64]:
    """The numbers in a grey or palette PNG of 1 to 16 bits: (H, W) int64.

    The largest number of 8 or 16 bits (255, 65535) becomes ``UNKNOWN``.

    Raises:
        SourceError: not readable, not a PNG, or in colour.
    """
    where = os.fspath(path)
    limits = Limits()
    try:
        data = read_file(path, where, limits)
        with quiet(), Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.width * image.height > limits.max_pixels:
                raise SourceError(f"{where}: more than {limits.max_pixels:,} pixels")
            if data[25] not in (0, 3):  # colour type in the header: grey, palette
                wanted = "a label map holds numbers, as grey or palette"
                raise SourceError(f"{where}: is in colour; {wanted}")
            image.load()
            numbers = np.asarray(image).astype(np.int64)
    except ImageError as error:
        raise SourceError(f"{where}: {error.reason}") from error
    except SourceError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly every type there is on bad data
        raise SourceError(f"{where}: not a PNG file that can be read ({error})") from error
    depth = data[24]
    if data[25] == 0 and depth in (2, 4):  # which Pillow stretches to 0..255
        numbers //= 255 // (2**depth - 1)
    if depth >= 8:
        numbers[numbers == 2**depth - 1] = UNKNOWN
    return numbers


def stem(item: str) -> str:
    """An image's id without the ending of its file."""
    return item.rsplit(".", 1)[0] if is_image_name(item) else item


def matched(ids: Sequence[str], maps: Mapping[str, int], where: str) -> dict[int, int]:
    """The place of its label map, for the place of each image that has one, in order.

    The map has the image's id, apart from the ending; else its file name, if it is the only one.
    ``maps`` are the places of the label maps by id, without the ending.

    Raises:
        SourceError: none belongs to an image, or it is not clear which one does.
    """
    by_name, same_name = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for item, place in maps.items():
        by_name[PurePosixPath(item).name].append(place)
    stems = [stem(item) for item in ids]
    found = {index: maps[item] for index, item in enumerate(stems) if item in maps}
    for index, item in enumerate(stems):
        if index not in found:
            same_name[PurePosixPath(item).name].append(index)
    taken = set(found.values())
    for name, images in same_name.items():
        free = [place for place in by_name.get(name, ()) if place not in taken]
        if free and (len(images) > 1 or len(free) > 1):
            raise SourceError(
                f"{where}: {len(free)} label maps and {len(images)} images are called {name!r}; "
                "lay the maps in the same folders as the images"
            )
        if free:
            found[images[0]] = free[0]
    if not found:
        raise SourceError(
            f"{where}: no label map belongs to an image; the first are "
            f"{', '.join(repr(f'{m}.png') for m in list(maps)[:3])}, the first images "
            f"{', '.join(map(repr, ids[:3]))}; give both the same names"
        )
    return dict(sorted(found.items()))


def names_in(folder: Path) -> tuple[str, ...] | None:
    """The names that a file in the folder gives the numbers, or None without such a file.

    ``labels.txt`` has one name a line, the first is number 0; ``classes.json`` is a list of names,
    or an object ``{"0": name}`` or ``{name: 0}``.

    Raises:
        SourceError: a file that is no list of names, or two files.
    """
    there = [folder / name for name in NAME_FILES if (folder / name).is_file()]
    if not there:
        return None
    if len(there) > 1:
        raise SourceError(f"{folder}: {' and '.join(NAME_FILES)} both name the numbers; keep one")
    path = there[0]
    try:
        if path.stat().st_size > _LARGEST_NAMES:
            raise SourceError(f"{path}: too large for a file of names")
        text = path.read_text("utf-8-sig")
        names = _json_names(json.loads(text)) if path.suffix == ".json" else text.splitlines()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: no list of names ({error})") from error
    if not any(name.strip() for name in names):
        raise SourceError(f"{path}: names no label")
    return tuple(names)


def _json_names(content: object) -> list[str]:
    """Names by number.

    Raises:
        ValueError: neither a list of names nor an object of names and numbers.
    """
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return list(content)
    if not isinstance(content, dict) or not content:
        raise ValueError("give a list of names, or an object with numbers and names")
    if all(isinstance(value, str) and key.isdecimal() for key, value in content.items()):
        pairs = {int(key): value for key, value in content.items()}
    elif all(type(value) is int for value in content.values()):
        pairs = {value: key for key, value in content.items()}
        if len(pairs) != len(content):
            raise ValueError("two names have one number")
    else:
        raise ValueError("give a list of names, or an object with numbers and names")
    if not 0 <= min(pairs) <= max(pairs) <= 65535:
        raise ValueError("numbers run from 0 to 65535")
    return [pairs.get(k, "") for k in range(max(pairs) + 1)]
