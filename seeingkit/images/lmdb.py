"""Data sets in LSUN's format: an lmdb of encoded pictures (https://github.com/fyu/lsun).

Guarantees: keys in the order in which they are stored, each value one encoded picture (LSUN's are
WebP); opened for reading only, without locks, so that a data set on a read-only disk works. Keys
that count or describe (``length``, ``num-samples``) are no pictures. Where each picture is stored
at several sizes (``16-00000``, ``32-00000``, … with ``length``, the layout of StyleGAN's and
ProGAN's data preparation in PyTorch), it is taken once, at its largest size. Needs the extra
``lmdb``.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from seeingkit.contracts import Skipped
from seeingkit.errors import ImageError, SourceError
from seeingkit.system.digests import file_stamp

from .decode import check_bytes
from .formats import HEAD, is_image_name, kind_by_content
from .stored import PackedImages

_COUNTS = re.compile(rb"(length|len|__len__|__keys__|num[-_]samples|num[-_]images|meta|metadata)")
_SIZED = re.compile(rb"(\d{1,5})-(\d{5,})")
_LABEL = re.compile(rb"(?:label|mask)(s?[-_:]?\d+)")


class LmdbImages(PackedImages):
    """The pictures of an lmdb: a folder that holds ``data.mdb``, or a file.

    Raises:
        SourceError: the extra is missing, no ``data.mdb``, damaged, or empty.

    >>> LmdbImages("church_train_lmdb")
    Traceback (most recent call last):
    seeingkit.errors.SourceError: church_train_lmdb: ...
    """

    kind = "lmdb"
    form = "an lmdb"

    def open(self, where: str) -> Sequence[str]:
        """Open the folder or file; the keys of its pictures as text."""
        single = os.path.isfile(where)
        file = where if single else os.path.join(where, "data.mdb")
        try:
            import lmdb
        except ImportError as error:
            raise SourceError(
                f"{where}: reading an lmdb needs the package lmdb: pip install 'seeingkit[lmdb]'"
            ) from error
        if not os.path.isfile(file):
            raise SourceError(f"{where}: no data.mdb in it, so it is no lmdb data set")
        self._stamp = file_stamp(file)
        self._damage = (lmdb.Error,)
        self._environment: Any = lmdb.open(
            where,
            subdir=not single,
            readonly=True,
            lock=False,
            readahead=False,
            meminit=False,
            max_readers=1024,
        )
        with self._environment.begin(buffers=True) as transaction:
            with transaction.cursor() as cursor:
                keys = [bytes(key) for key in cursor.iternext(keys=True, values=False)]
            self._keys, notes = picture_keys(
                keys, lambda key: bytes(transaction.get(key) or b"")[:HEAD]
            )
        if not self._keys:
            self._environment.close()
            raise SourceError(
                f"{where}: no pictures in the lmdb ({'; '.join(notes) or 'it is empty'})"
            )
        beside = [] if single else [n for n in sorted(os.listdir(where)) if is_image_name(n)]
        self.left_out = tuple(Skipped(n, "a picture beside data.mdb, not in it") for n in beside)
        self.notes = tuple(notes)
        return [key.decode("utf-8", "backslashreplace") for key in self._keys]

    def fetch(self, index: int) -> bytes:
        """The value of one key."""
        item = self.ids[index]
        try:
            with self._environment.begin(buffers=True) as transaction:
                value = transaction.get(self._keys[index])
                if value is None:
                    raise ImageError(item, "no longer in the lmdb")
                check_bytes(len(value), item, self.limits)
                return bytes(value)
        except self._damage as error:
            raise ImageError(item, f"cannot be read from the lmdb ({error})") from error

    def encoded_size(self, index: int) -> int:
        """See ``StoredImages.encoded_size``."""
        try:
            with self._environment.begin(buffers=True) as transaction:
                return len(transaction.get(self._keys[index]) or b"")
        except self._damage:  # ``fetch`` says why
            return 0

    def close(self) -> None:
        """Close the lmdb."""
        self._environment.close()


def picture_keys(
    keys: Sequence[bytes], head: Callable[[bytes], bytes]
) -> tuple[tuple[bytes, ...], list[str]]:
    """The keys that hold one picture each, and sentences on the others.

    Args:
        keys: all keys, in order.
        head: gives the first bytes of a value.

    >>> picture_keys([b"16-00000", b"32-00000", b"length"], lambda key: b"1")[0]
    (b'32-00000',)
    """

    def describes(key: bytes) -> bool:
        if (numbered := _LABEL.fullmatch(key)) and b"image" + numbered[1] in known:
            return True  # a word, or a label map
        return _COUNTS.fullmatch(key) is not None and kind_by_content(head(key)) is None

    known = set(keys)
    others = [key for key in keys if describes(key)]
    left = set(others)
    kept = [key for key in keys if key not in left]
    notes = []
    if others:
        first, more = others[0].decode(), " and the like" if len(others) > 1 else ""
        notes.append(
            f"left out, no photos: {len(others):,} of {len(keys):,} keys ({first!r}{more})"
        )
    sizes: dict[bytes, dict[int, bytes]] = defaultdict(dict)
    for key in kept:
        if match := _SIZED.fullmatch(key):
            sizes[match[2]][int(match[1])] = key
    different = sorted({size for group in sizes.values() for size in group})
    several = sum(map(len, sizes.values())) == len(kept) and len(different) > 1
    if several and (b"length" in left or _all_powers(different)):
        chosen = {group[max(group)] for group in sizes.values()}
        notes.append(
            f"each picture is there at several sizes ({', '.join(map(str, different))}); "
            f"{len(chosen):,} are taken once each, at the largest, and {len(kept) - len(chosen):,} "
            "smaller ones are left out"
        )
        kept = [key for key in kept if key in chosen]
    return tuple(kept), notes


def _all_powers(sizes: Sequence[int]) -> bool:
    return all(size >= 8 and size & (size - 1) == 0 for size in sizes)
