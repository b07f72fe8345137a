"""Faults of the operating system as errors of ours: the path, the fault and the remedy in a line.

Guarantee: whatever a write meets (a full disk, a limit of size, no permission, a file where a
folder should be), the message names the path and says what to do.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seeingkit.errors import StorageError, one_line

from .cache import cache_folder

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the fault that there is no room."""

_ELSEWHERE = "name another place"
_REMEDIES = {
    errno.ENOSPC: "free space on that disk and run the same command again",
    errno.EDQUOT: "your quota is used up: free space and run the same command again",
    errno.EFBIG: "a limit on the size of files ends it (ulimit -f): raise it, or {elsewhere}",
    errno.EROFS: "{elsewhere} that can be written",
    errno.EACCES: "change its permissions, or {elsewhere}",
    errno.EPERM: "change its permissions, or {elsewhere}",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENOTDIR: "a file stands where a folder should be: {elsewhere}",
    errno.EEXIST: "a file stands where a folder should be: {elsewhere}",
    errno.ENOENT: "there can be no such file: {elsewhere}",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "links lead in a circle there: {elsewhere}",
    errno.EMFILE: "this process may open no more files: raise the limit (ulimit -n)",
    errno.ENFILE: "this machine may open no more files: end other programs",
    errno.EIO: "the disk or the network drive fails: check it and run the same command again",
    errno.ESTALE: "the network drive is gone: mount it and run the same command again",
    errno.ETXTBSY: "another program uses it: end it, or {elsewhere}",
    errno.EBUSY: "another program uses it: end it, or {elsewhere}",
    errno.ENOMEM: "memory is short: end other programs, or use a smaller batch",
}


def storage_error(
    error: OSError, path: str | os.PathLike[str] | None = None, doing: str = "cannot be used"
) -> StorageError:
    """One line about a fault of the operating system.

    Args:
        path: of the file that was wanted; default: the one that the fault names.
        doing: what could not be done, behind the path.

    >>> import errno
    >>> fault = OSError(errno.EISDIR, "Is a directory", "photos")
    >>> str(storage_error(fault, doing="cannot be written"))
    'photos: cannot be written (Is a directory): it is a folder: name a file'
    """
    named = path if path is not None else error.filename
    where = "a file or the output" if named is None else _text(named)
    reason = error.strerror or one_line(error, 200) or type(error).__name__
    elsewhere = _ELSEWHERE if named is None else _elsewhere(where)
    remedy = _REMEDIES.get(error.errno or 0, "check the path, or {elsewhere}")
    blocked = _file_as_folder(where) if error.errno in (errno.ENOTDIR, errno.EEXIST) else None
    if blocked is not None:
        remedy = f"{blocked} is a file and not a folder: {{elsewhere}}"
    return StorageError(
        f"{where}: {doing} ({reason}): {remedy.replace('{elsewhere}', elsewhere)}", error.errno
    )


def _text(named: object) -> str:
    return os.fsdecode(named) if isinstance(named, (bytes, os.PathLike)) else str(named)


def _elsewhere(where: str) -> str:
    cache = os.path.abspath(cache_folder())
    if os.path.abspath(where).startswith((cache + os.sep, cache)):
        return "set SEEINGKIT_CACHE to another folder"
    return _ELSEWHERE


def _file_as_folder(where: str) -> Path | None:
    """The first of the folders above a path, or itself, that is a file."""
    path = Path(where)
    return next((p for p in (*reversed(path.parents), path) if os.path.isfile(p)), None)


@contextmanager
def told(path: str | os.PathLike[str], doing: str = "cannot be written") -> Iterator[None]:
    """A fault of the operating system inside becomes a ``StorageError`` about this path.

    Raises:
        StorageError: anything inside raises an ``OSError``.

    >>> with told("notes"):
    ...     _ = Path("notes").write_text("kept")
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise storage_error(error, path, doing) from error
