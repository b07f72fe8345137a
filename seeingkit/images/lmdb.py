"""Data sets in LSUN's format: an lmdb of encoded pictures (https://github.com/fyu/lsun).

Guarantees: keys in the order in which they are stored, each value one encoded picture (LSUN's are
WebP); opened for reading only, without locks, so that a data set on a read-only disk works.
Needs the extra ``lmdb``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from seeingkit.errors import ImageError, SourceError
from seeingkit.system.digests import file_stamp

from .decode import check_bytes
from .stored import PackedImages


class LmdbImages(PackedImages):
    """The pictures of an lmdb folder (the one that holds ``data.mdb``).

    Raises:
        SourceError: the extra is missing, no ``data.mdb``, damaged, or empty.

    >>> LmdbImages("church_train_lmdb")
    Traceback (most recent call last):
    seeingkit.errors.SourceError: church_train_lmdb: ...
    """

    kind = "lmdb"
    form = "an lmdb"

    def open(self, where: str) -> Sequence[str]:
        """Open the folder; its keys as text."""
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
        self._damage = (lmdb.Error,)
        self._environment: Any = lmdb.open(
            where, readonly=True, lock=False, readahead=False, meminit=False, max_readers=1024
        )
        with self._environment.begin() as transaction, transaction.cursor() as cursor:
            self._keys = tuple(bytes(k) for k in cursor.iternext(keys=True, values=False))
        if not self._keys:
            self._environment.close()
            raise SourceError(f"{where}: the lmdb is empty")
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

    def close(self) -> None:
        """Close the lmdb."""
        self._environment.close()
