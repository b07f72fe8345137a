"""Writing files so that they appear whole or not at all, and only in place of a regular file.

Guarantees: a device, a pipe, a folder or a link to one of them is never replaced; the temporary
file of a killed write is recognised by its name and belongs to no living process.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from seeingkit.errors import RunError, printable

from .addresses import Place, RemotePath
from .failures import told
from .processes import host_name, temporary_name

_TEMPORARY = re.compile(r"\..+\.(?P<host>[^.]+)\.(?P<process>\d+)\.\d+\.tmp")
UNTOUCHED = 3600.0
"""Seconds after which nobody is still at work on another machine, whatever its clock says."""

P = TypeVar("P", bound=Place)


@contextmanager
def atomic_write(path: Place) -> Iterator[BinaryIO]:
    """A binary stream to a temporary file beside ``path``, which replaces it at the end.

    What is written to an address is kept in memory until then. The folder is made if it is not
    there. Where writing fails or is interrupted, ``path`` keeps its content and the temporary file
    is removed::

        with atomic_write(path) as stream:
            stream.write(data)

    Raises:
        RunError: something is there that is no regular file.
        StorageError: the folder or the file cannot be written; an ``OSError`` inside counts as one.
    """
    if isinstance(path, RemotePath):
        kept = io.BytesIO()
        yield kept
        path.write_whole(kept.getvalue())
        return
    temporary = path.with_name(temporary_name(path.name))
    with told(path):
        refuse_special(path)
        make_folder(path.parent)
        try:
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())  # else a crash can leave a name without its content
            temporary.replace(path)
        finally:
            with suppress(OSError):  # where there is no such folder, or no such name
                temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> Path:
    """Make a folder and those above it, where they are not there; returns it.

    Raises:
        StorageError: it cannot be made, or a file has its name.
    """
    with told(folder, "cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_text(path: P, text: str) -> P:
    """Write a UTF-8 text file, whole or not at all; returns its path."""
    with atomic_write(path) as stream:
        stream.write(text.encode())
    return path


def is_begun(folder: Path, mark: str, what: str) -> bool:
    """Whether a folder of output is ours, which a file in it tells; False of a new or empty one.

    Args:
        mark: name of that file.
        what: the noun of what it marks: ``run``.

    Raises:
        RunError: something else is there.

    >>> is_begun(Path("a new folder"), "manifest.json", "run")
    False
    """
    if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
        raise RunError(f"{folder}: is no folder; name a folder with --out")
    if (folder / mark).exists():
        return True
    if folder.is_dir() and not all(is_temporary(file) for file in folder.iterdir()):
        raise RunError(f"{folder}: is not empty and holds no {what}; choose another --out")
    return False


def refuse_special(path: Path) -> None:
    """Raise a ``RunError`` where a file cannot be written because something else is there.

    >>> refuse_special(Path("a new file"))
    """
    try:
        kind = path.stat().st_mode
    except OSError:  # nothing there, which is fine, or an error that writing tells better
        if path.is_symlink():
            raise RunError(f"{path}: is a link that leads nowhere; name another file") from None
        return
    if not stat.S_ISREG(kind):
        raise RunError(f"{path}: is {_name(kind)}, which is never replaced; name a file")


def _name(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a pipe or socket"


def is_temporary(path: Place) -> bool:
    """Whether a file has the name of a temporary file of ``atomic_write``.

    >>> is_temporary(Path(".tally.parquet.host.12.34.tmp")), is_temporary(Path("notes.tmp"))
    (True, False)
    """
    return _TEMPORARY.fullmatch(path.name) is not None


def is_abandoned(path: Place, modified: float | None = None) -> bool:
    """Whether a temporary file is the leftover of a killed write; ``modified`` where it is known.

    Its process is gone from this machine; of another machine's, whose processes cannot be seen,
    nothing was written for an hour.
    """
    found = _TEMPORARY.fullmatch(path.name)
    if found is None:
        return False
    if modified is None and isinstance(path, Path):
        with suppress(OSError):
            modified = path.stat().st_mtime
    if modified and time.time() - modified > UNTOUCHED:
        return True
    if found["host"] != host_name():
        return False
    try:
        os.kill(int(found["process"]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it lives, and belongs to another user
        return False
    return False


def json_text(content: Any, **form: Any) -> str:
    """Strict JSON that can be shown: characters that are not printable stand in it as escapes.

    Reading it back gives the same content, names with controls and lone surrogates included.

    Args:
        form: of ``json.dumps``, such as ``indent``.

    >>> print(json_text({"item": "a\\u202eb.png"}))
    {"item": "a\\u202eb.png"}
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, **form)
    return text if text.isprintable() else _UNUSUAL.sub(_escaped, text)


_UNUSUAL = re.compile(r"[^\n -~]")


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if printable(character) == character:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k] << 8 | units[k + 1]:04x}" for k in range(0, len(units), 2))
