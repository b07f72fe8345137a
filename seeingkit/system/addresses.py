"""Places of stored work: a folder of this machine, or an address that fsspec knows.

``s3://bucket/work``, ``gs://…``, ``sftp://host/work``, ``memory://work``: a ``RemotePath`` has
those methods of ``pathlib.Path`` that a store needs, so that it is the same code for both.

Guarantees: a file there appears whole or not at all. Object stores (``_OBJECTS``) put an object in
one step, which their interfaces promise; elsewhere a file gets a temporary name and is then moved
by the server, and a server that cannot move files is refused. A fault of the network, of
permissions or of credentials is a ``StorageError`` with the address; only an answer that there is
no such file counts as one. Nothing is remembered of listings: other processes write there, too.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import total_ordering
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from seeingkit.errors import PluginError, StorageError, UsageError, one_line, printable

from .processes import temporary_name

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_OBJECTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
"""Protocols of which one put makes a whole object, also on the condition that there is none."""

_PASSWORD = re.compile(r"(//[^:/@]+):[^/]*@")
_WRITTEN = "cannot be written"
_EXTRAS = {"s3": "s3", "s3a": "s3"}
_REMEDY = "check the address, the network and your credentials, and run the same command again"


@total_ordering
class RemotePath:
    """A file or folder at an address. Compared and hashed by address.

    Args:
        files: the file system.
        path: in it.
        prefix: before the path, in the address; a password in it is not shown.

    >>> file = place("memory://work") / "ab" / "cd.parquet"
    >>> file.write_whole(b"content")
    >>> file.parent.name, file.stem, file.read_bytes(), str(file)
    ('ab', 'cd', b'content', 'memory://work/ab/cd.parquet')
    """

    def __init__(self, files: AbstractFileSystem, path: str, prefix: str) -> None:
        self._files, self._path = files, PurePosixPath(path)
        self._prefix, self._protocol = prefix, prefix.partition(":")[0]

    # ---------------------------------------------------------------------------------- names

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._path.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._path.stem

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return self._path.suffix

    @property
    def parent(self) -> RemotePath:
        """The folder of it."""
        return self._at(self._path.parent)

    def __truediv__(self, name: str) -> RemotePath:
        return self._at(self._path / name)

    def with_name(self, name: str) -> RemotePath:
        """Another file in the same folder."""
        return self._at(self._path.with_name(name))

    def with_suffix(self, suffix: str) -> RemotePath:
        """The file of the same stem with this suffix."""
        return self._at(self._path.with_suffix(suffix))

    def relative_to(self, folder: RemotePath) -> PurePosixPath:
        """The path from a folder on."""
        return self._path.relative_to(folder._path)

    def _at(self, path: PurePosixPath) -> RemotePath:
        return RemotePath(self._files, str(path), self._prefix)

    def __str__(self) -> str:
        return _PASSWORD.sub(r"\1:***@", self._prefix) + str(self._path)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __lt__(self, other: RemotePath) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    # -------------------------------------------------------------------------------- content

    @property
    def is_exclusive(self) -> bool:
        """Whether ``create`` fails for all processes but one."""
        return self._protocol in _OBJECTS

    def exists(self) -> bool:
        """Whether there is such a file or folder."""
        with self._told("cannot be looked for"):
            try:
                self._files.info(str(self._path))
            except FileNotFoundError:
                return False
        return True

    def read_bytes(self) -> bytes:
        """All bytes of the file.

        Raises:
            FileNotFoundError: there is none.
            StorageError: it cannot be read now.
        """
        with self._told("cannot be read"):
            return bytes(self._files.cat_file(str(self._path)))

    def changed(self) -> str:
        """When the file was written last, as the server says; to be compared with itself alone.

        Raises:
            FileNotFoundError, StorageError: as ``read_bytes``.
        """
        with self._told("cannot be looked for"):
            return str(self._files.modified(str(self._path)))

    def write_whole(self, data: bytes) -> None:
        """Write the file so that it appears whole or not at all.

        Raises:
            StorageError: it cannot be written, or the server cannot move files.
        """
        with self._told(_WRITTEN):
            if self._protocol in _OBJECTS:
                self._files.pipe_file(str(self._path), data)
            else:
                self._write_and_move(data)

    def create(self, data: bytes) -> bool:
        """Write a new file; whether there was none.

        Raises:
            StorageError: it cannot be written.
        """
        with self._told(_WRITTEN):
            try:
                self._files.pipe_file(str(self._path), data, mode="create")
            except FileExistsError:
                return False
            except Exception:  # whatever else a refused condition is in this file system
                if not self.exists():
                    raise
                return False
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file.

        Raises:
            FileNotFoundError: there is none, and the server says so.
            StorageError: it cannot be removed.
        """
        with self._told("cannot be removed"):
            try:
                self._files.rm_file(str(self._path))
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def replace(self, target: RemotePath) -> None:
        """Move the file to another place in the same file system.

        Raises:
            FileNotFoundError: there is none.
            StorageError: it cannot be moved.
        """
        with self._told("cannot be moved"):
            if self._protocol not in _OBJECTS:
                self._files.makedirs(str(target._path.parent), exist_ok=True)
            self._files.mv(str(self._path), str(target._path))

    def below(self) -> Iterator[tuple[RemotePath, int, float]]:
        """All files below this folder by path: each with its size and its time of change, or 0.

        Raises:
            StorageError: they cannot be listed.
        """
        with self._told("cannot be listed"):
            try:
                found: dict[str, Any] = self._files.find(str(self._path), detail=True)
            except FileNotFoundError:
                found = {}
        for path in sorted(found):
            about, file = found[path], self._at(PurePosixPath(path))
            if about.get("type") == "file" and file != self:
                yield file, int(about.get("size") or 0), _seconds(about)

    def _write_and_move(self, data: bytes) -> None:
        from fsspec import AbstractFileSystem

        if type(self._files).mv is AbstractFileSystem.mv:  # it would copy, and show half a file
            raise UsageError(
                f"{self}: a server of {self._protocol} cannot move files, so that none would "
                "appear whole; name a folder, or an address of s3, gs, abfs, sftp or ftp"
            )
        temporary = self.with_name(temporary_name(self.name))
        self._files.makedirs(str(self._path.parent), exist_ok=True)
        try:
            self._files.pipe_file(str(temporary._path), data)
            self._files.mv(str(temporary._path), str(self._path))
        finally:
            with suppress(Exception):  # where it was moved, or never came to be
                self._files.rm_file(str(temporary._path))

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Any fault inside becomes a ``StorageError`` about this address.

        That there is no such file stays a ``FileNotFoundError``, unless it was to be written.
        """
        try:
            yield
        except (UsageError, StorageError):
            raise
        except Exception as error:  # each file system has faults of its own
            if doing != _WRITTEN and self._is_missing(error):
                raise FileNotFoundError(errno.ENOENT, "no such file", str(self)) from error
            reason = one_line(error, 200) or type(error).__name__
            number = error.errno if isinstance(error, OSError) else None
            raise StorageError(
                f"{printable(self)}: {doing} ({reason}): {_REMEDY}", number
            ) from error

    def _is_missing(self, error: Exception) -> bool:
        if isinstance(error, FileNotFoundError) or self._protocol in _OBJECTS:
            return isinstance(error, FileNotFoundError)
        with suppress(Exception):  # an old protocol has one word for all faults, so it is asked
            return not self._files.exists(str(self._path))
        return False


Place = Path | RemotePath
"""A place of stored work."""


def place(named: str | Path | RemotePath) -> Place:
    """The place of that name: an address if it says ``protocol://``, else a path.

    Raises:
        UsageError: nothing knows such a protocol, or the address is none.
        PluginError: the package that knows it is not installed.

    >>> place("work"), place("memory://work")
    (PosixPath('work'), RemotePath('memory://work'))
    """
    if isinstance(named, Path | RemotePath):
        return named
    protocol, separator, rest = named.partition("://")
    if not separator:
        return Path(named)
    if protocol in ("file", "local"):
        return Path(rest)
    if "::" in protocol or not rest.strip("/"):
        raise UsageError(f"{_shown(named)}: not the address of a folder, such as s3://bucket/work")
    import fsspec

    try:
        # Another process may have written since a listing was made.
        files, path = fsspec.core.url_to_fs(named, use_listings_cache=False)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        install = f"pip install 'seeingkit[{extra}]'" if extra else one_line(error, 200)
        raise PluginError(f"{_shown(named)}: needs a package more: {install}") from error
    except ValueError as error:
        raise UsageError(f"{_shown(named)}: {one_line(error, 200)}") from error
    except Exception as error:  # some connect at once
        reason = one_line(error, 200) or type(error).__name__
        raise StorageError(f"{_shown(named)}: cannot be reached ({reason}): {_REMEDY}") from error
    path, prefix = path.rstrip("/"), f"{protocol}://"
    if named.rstrip("/").endswith(path):  # there may be a host before it
        prefix = named.rstrip("/").removesuffix(path)
    return RemotePath(files, path, prefix)


def _shown(named: str) -> str:
    return printable(_PASSWORD.sub(r"\1:***@", named))


def _seconds(about: dict[str, Any]) -> float:
    """The time of change that a listing gives, in seconds; 0 where it gives none."""
    for key in (
        "LastModified",
        "mtime",
        "modified",
        "modify",
        "last_modified",
        "updated",
        "created",
    ):
        found = about.get(key)
        if isinstance(found, (int, float)):
            return float(found)
        if isinstance(found, datetime):
            return found.timestamp()
    return 0.0
