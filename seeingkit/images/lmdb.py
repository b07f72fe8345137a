"""Data sets in LSUN's format: an lmdb of encoded pictures (https://github.com/fyu/lsun).

Guarantees: keys in the order in which they are stored, each value one encoded picture (LSUN's are
WebP); opened for reading only, without locks, so that a data set on a read-only disk works.
Needs the extra ``lmdb``.
"""

from __future__ import annotations

import os
from typing import Any

from seeingkit.errors import ImageError, SourceError
from seeingkit.specs import Preset
from seeingkit.system.digests import Stamp, file_stamp

from .decode import Limits, check_bytes
from .stored import StoredImages


class LmdbImages(StoredImages):
    """The pictures of an lmdb folder (the one that holds ``data.mdb``).

    Raises:
        SourceError: the extra is missing, no ``data.mdb``, damaged, or empty.

    >>> LmdbImages("church_train_lmdb")
    Traceback (most recent call last):
    seeingkit.errors.SourceError: church_train_lmdb: ...
    """

    kind = "lmdb"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        preset: Preset | None = None,
        limits: Limits | None = None,
    ) -> None:
        where = os.fspath(path)
        file = os.path.join(where, "data.mdb")
        try:
            import lmdb
        except ImportError as error:
            raise SourceError(
                f"{where}: reading an lmdb needs the package lmdb: pip install 'seeingkit[lmdb]'"
            ) from error
        if not os.path.isfile(file):
            raise SourceError(f"{where}: no data.mdb in it, so it is no lmdb data set")
        self._stamp = file_stamp(file)
        self._error: type[Exception] = lmdb.Error
        try:
            self._environment: Any = lmdb.open(
                where,
                readonly=True,
                lock=False,
                readahead=False,
                meminit=False,
                max_readers=1024,
            )
            with (
                self._environment.begin() as transaction,
                transaction.cursor() as cursor,
            ):
                self._keys = tuple(bytes(k) for k in cursor.iternext(keys=True, values=False))
        except lmdb.Error as error:
            raise SourceError(f"{where}: not an lmdb that can be read ({error})") from error
        if not self._keys:
            self._environment.close()
            raise SourceError(f"{where}: the lmdb is empty")
        ids = [key.decode("utf-8", "backslashreplace") for key in self._keys]
        super().__init__(where, ids, preset=preset, limits=limits, place=where)

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
        except self._error as error:
            raise ImageError(item, f"cannot be read from the lmdb ({error})") from error

    def stamp(self, index: int) -> Stamp | None:
        """Size, times and inode of ``data.mdb``."""
        return self._stamp

    def close(self) -> None:
        """Close the lmdb."""
        self._environment.close()
