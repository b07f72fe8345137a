"""Content hashes of files, remembered so that an unchanged folder is not read twice.

Guarantees: a remembered hash is used only for the same size, modification and change time and
inode, and only when those times lay well in the past when the hash was taken (a file rewritten
within the clock's resolution is hashed again). A store that cannot be read or written is as if it
were empty. Writing is atomic; of two writers the last wins, and nothing but time is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from seeingkit.errors import StorageError

from .cache import cache_folder
from .writing import write_text

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


class DigestStore:
    """The remembered hashes of one place (a folder, an archive)."""

    def __init__(self, place: str | os.PathLike[str], folder: Path | None = None) -> None:
        key = hashlib.sha256(os.fsencode(os.path.realpath(place))).hexdigest()
        self.path = (folder or cache_folder()) / "digests" / f"{key}.json"
        self._known: dict[str, list[object]] = {}
        self._changed = False
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(self.path.read_text("utf-8"))
            if isinstance(read, dict):
                self._known = read

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
        with contextlib.suppress(StorageError):
            write_text(self.path, json.dumps(self._known, separators=(",", ":")))
            self._changed = False
