"""Which files of a folder, glob or archive are its pictures.

Guarantees: a file is a picture by its ending; where the ending says nothing, by its content. Every
other file is accounted for: pictures that are not read are named (``Listing.left_out``), label maps
that lie beside their photos and the rest are counted in ``Listing.notes``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from seeingkit.contracts import Skipped

from .classfiles import CLASS_FILE
from .formats import (
    COPIES,
    SUFFIXES,
    TEXTS,
    Kind,
    is_image_name,
    kind_by_content,
    kind_by_name,
    suffix,
)

SHOWN = 8
"""At most so many files are named in a note."""

Head = Callable[[str], bytes]
"""The first bytes of a file, by its id; empty where it cannot be read."""


class Listing(NamedTuple):
    """The files of one place.

    Attributes:
        pictures: ids, in the order given.
        left_out: pictures that are not read, and files that may hold pictures, with the reasons.
        notes: sentences on what else was decided about the files.
    """

    pictures: list[str]
    left_out: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def list_pictures(ids: Sequence[str], head: Head) -> Listing:
    """Sort files into pictures, pictures that are not read, label maps, and others.

    Args:
        ids: relative paths with forward slashes, in order.
        head: gives the first ``formats.HEAD`` bytes of one.

    >>> list_pictures(["1.png", "1_seg.png", "notes.txt"], lambda item: b"").pictures
    ['1.png']
    """
    found: list[str] = []
    left_out: list[Skipped] = []
    by_content: list[str] = []
    others: Counter[str] = Counter()
    for item in ids:
        kind = kind_by_name(item)
        if kind == Kind("HEIF"):  # which some phones write as JPEG
            kind = kind_by_content(head(item)) or kind
        if kind is None and is_image_name(item):
            found.append(item)
            continue
        if kind is None and suffix(item) not in TEXTS:
            kind = kind_by_content(head(item))
            if kind is not None and COPIES.search(item):
                left_out.append(Skipped(item, f"looks like a copy or part of a {kind.name} file"))
                continue
        if kind is None and PurePosixPath(item).name.lower() != CLASS_FILE:
            others[suffix(item) or "without an ending"] += 1
        elif kind is None:
            continue  # ``classfiles`` says what it gives
        elif kind.why_unread is not None:
            left_out.append(Skipped(item, kind.why_unread))
        else:
            found.append(item)
            if not is_image_name(item):
                by_content.append(f"{item} ({kind.name})")
    maps = label_maps(found, head)
    notes = []
    if by_content:
        notes.append(
            f"{_count(by_content)} called like no picture {_are(by_content)} read, being "
            f"{'one' if len(by_content) == 1 else 'pictures'} by content: {_some(by_content)}"
        )
    if maps:
        names = [item for item in found if item in maps]
        notes.append(
            f"{_count(names)} {_are(names)} left out as being no photos but label maps, by the "
            f"names of the photos beside: {_some(names)}"
        )
    if others:
        notes.append(f"left out, no pictures: {counted(others)}")
    return Listing([item for item in found if item not in maps], tuple(left_out), tuple(notes))


def counted(others: Counter[str]) -> str:
    """``3 .txt, 1 .json``."""
    return ", ".join(f"{number} {ending}" for ending, number in sorted(others.items()))


def nothing_in(where: str, listing: Listing) -> str:
    """The message for a place without pictures."""
    reasons = [f"{skipped.item}: {skipped.reason}" for skipped in listing.left_out]
    why = [*(["; ".join(reasons[:SHOWN])] if reasons else []), *listing.notes]
    more = f" ({'; '.join(why)})" if why else " (it is empty)"
    return f"no images in {where}{more}; looked for {', '.join(SUFFIXES)}"


def _count(items: Sequence[str]) -> str:
    return "1 file" if len(items) == 1 else f"{len(items):,} files"


def _are(items: Sequence[str]) -> str:
    return "is" if len(items) == 1 else "are"


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more


# ------------------------------------------------------------------------------------- label maps

_WORDS = (
    "alpha anno annotation annotations color colors colour depth depthmap disparity gt gtcoarse "
    "gtfine groundtruth instance instanceids instances label labelids labelmap labels "
    "labeltrainids mask masks matte normal normals panoptic part parts sem semantic seg segm "
    "segmap segmentation trainids trimap"
)
_MAP_WORDS = frozenset(_WORDS.split())
_END = re.compile(r"[_.-]([a-z]+)(?:[_.-]?\d{1,2})?$")
_PHOTO = re.compile(
    r"^(image|img|photo|rgb)[_.-]|[_.-](leftimg8bit|rightimg8bit|rgb|image|img|photo|sat|orig)$"
)
_MAP_FOLDER = re.compile(
    r"(^|[ _.-])(annotations?|gt|gtfine|gtcoarse|groundtruth|label_?maps?|labels?|masks?|seg|"
    r"segmaps?|segmentations?|segmentationclass|segmentationobject|stuffthingmaps|trimaps?)"
    r"($|[ _.-]|\d)"
)


def label_maps(pictures: Sequence[str], head: Head) -> set[str]:
    """The pictures that are label maps of others. Where there is a photo ``x.jpg``, these are

    * ``x_seg.png``, ``x_gtFine_labelIds.png``, ``x_parts_1.png``, ``mask_x.png``, of any format
      (the photo may be called ``x_leftImg8bit`` or the like);
    * ``x.png``, grey or with a palette, in the same folder as the JPEG;
    * where it lies outside of them, the grey and palette PNGs in folders ``masks``, ``labels`` ….
    """
    photos: dict[str, set[str]] = defaultdict(set)  # by what a label map of theirs may be called
    for item in pictures:
        for key in {_stem(item), _PHOTO.sub("", _stem(item))}:
            photos[key].add(item)
    mapped = {item for item in pictures if _in_map_folder(item)}
    found = set()
    for item in pictures:
        stem = _stem(item)
        named = any(photos.get(base, set()) - {item} for base in _without_words(stem))
        if named or (
            suffix(item) == ".png"
            and (
                _beside_a_jpeg(item, photos[stem])
                or (item in mapped and len(mapped) < len(pictures))
            )
            and _holds_numbers(head(item))
        ):
            found.add(item)
    return found


def _stem(item: str) -> str:
    return PurePosixPath(item).stem.lower()


def _in_map_folder(item: str) -> bool:
    return any(_MAP_FOLDER.search(part.lower()) for part in PurePosixPath(item).parts[:-1])


def _beside_a_jpeg(item: str, same_name: Iterable[str]) -> bool:
    folder = PurePosixPath(item).parent
    others = (o for o in same_name if suffix(o) in (".jpg", ".jpeg"))
    return any(PurePosixPath(other).parent == folder for other in others)


def _without_words(stem: str) -> list[str]:
    """A stem without the words of label maps at its end, and without one at its start."""
    base = stem
    while (match := _END.search(base)) and match[1] in _MAP_WORDS:
        base = base[: match.start()]
    start, _, rest = stem.partition("_")
    return [*([base] if base != stem else []), *([rest] if start in _MAP_WORDS else [])]


def _holds_numbers(head: bytes) -> bool:
    """Whether a file begins as a grey or palette PNG, as label maps do."""
    return len(head) > 25 and kind_by_content(head) == Kind("PNG") and head[25] in (0, 3)
