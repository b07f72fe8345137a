"""Content hashes of files, remembered so that an unchanged folder is not read twice.

Guarantees: a remembered hash is used only for the same size, modification and change time and
inode, and only when those times lay well in the past when the hash was taken (a file rewritten
within the clock's resolution is hashed again). A store that is damaged is set aside; one that
cannot be read or written is as if it were empty. Writing is atomic; of two writers the last wins,
and nothing but time is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from seeingkit.errors import SeeingkitError

from . import seals
from .cache import cache_folder
from .writing import atomic_write

SETTLED = 2.0
"""Seconds a file must have been left alone before its hash is remembered."""

Stamp = tuple[int, ...]
"""(size, mtime ns, ctime ns, inode), and more numbers that tell one content from another."""


def file_stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """Size, times and inode, which change with the file; None when there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def key_of(*identity: object) -> str:
    """Hash of an identity, 32 hex digits.

    >>> len(key_of({"n": 1}, "part"))
    32
    """
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class DigestStore:
    """The remembered hashes of one place (a folder, an archive)."""

    def __init__(self, place: str | os.PathLike[str], folder: Path | None = None) -> None:
        key = hashlib.sha256(os.fsencode(os.path.realpath(place))).hexdigest()
        self.path = (folder or cache_folder()) / "digests" / f"{key}.json"
        self._known: dict[str, list[object]] = {}
        self._changed = False
        self._place = os.fsdecode(os.path.realpath(place))
        with contextlib.suppress(OSError, ValueError):
            self._known = read_digests(self.path)

    def get(self, item: str, stamp: Stamp) -> str | None:
        """The hash of an item that has not changed since, or None."""
        entry = self._known.get(item)
        if isinstance(entry, list) and len(entry) == 2 and entry[0] == list(stamp):
            return str(entry[1])
        return None

    def put(self, item: str, stamp: Stamp, digest: str) -> None:
        """Remember a hash, if the file had come to rest before it was taken."""
        if max(stamp[1:3], default=0) < time.time_ns() - int(SETTLED * 1e9):
            self._known[item] = [list(stamp), digest]
            self._changed = True

    def forget(self, item: str) -> None:
        """Forget the hash of an item that turned out to be another one; as ``save``."""
        if self._known.pop(item, None) is not None:
            self._changed = True
            self.save()

    def remembered(
        self, item: str, stamp: Callable[[], Stamp | None], digest: Callable[[], str]
    ) -> str:
        """The hash of an item: the remembered one, else ``digest()``, which is remembered.

        Args:
            item: name of the item.
            stamp: gives its stamp; it must be the same after ``digest``.
            digest: reads the item.
        """
        before = stamp()
        known = self.get(item, before) if before else None
        if known is not None:
            return known
        found = digest()
        if before and before == stamp():
            self.put(item, before, found)
        return found

    def save(self) -> None:
        """Write new hashes; a cache that cannot be written is no error."""
        if not self._changed:
            return
        with contextlib.suppress(SeeingkitError, OSError):
            content = {"seal": seals.BLANK, "place": self._place, "hashes": self._known}
            data = seals.seal(json.dumps(content, separators=(",", ":")).encode())
            with atomic_write(self.path) as stream:
                stream.write(data)
            self._changed = False


def read_digests(path: Path) -> dict[str, list[object]]:
    """The hashes in a file of a ``DigestStore``; one that is damaged is set aside.

    Raises:
        OSError: there is no such file.
        ValueError: it is damaged.
    """
    data = path.read_bytes()
    try:
        seals.check_seal(data)
    except seals.BrokenSealError as error:
        seals.set_aside(path, error)
        raise
    found: dict[str, list[object]] = json.loads(data)["hashes"]
    return found
