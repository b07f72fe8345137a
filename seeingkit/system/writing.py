"""Writing files so that they appear whole or not at all, and only in place of a regular file.

Guarantees: a device, a pipe, a folder or a link to one of them is never replaced; the temporary
file of a killed write is recognised by its name and belongs to no living process.
"""

from __future__ import annotations

import json
import os
import platform
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from seeingkit.errors import RunError, printable

from .failures import told

_TEMPORARY = re.compile(r"\..+\.(?P<host>[^.]+)\.(?P<process>\d+)\.\d+\.tmp")
_UNTOUCHED = 3600.0  # seconds after which nobody is still writing on another machine


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary stream to a temporary file beside ``path``, which replaces it at the end.

    The folder is made if it is not there. Where writing fails or is interrupted, ``path`` keeps
    its content and the temporary file is removed::

        with atomic_write(path) as stream:
            stream.write(data)

    Raises:
        RunError: something is there that is no regular file.
        StorageError: the folder or the file cannot be written; an ``OSError`` inside counts as one.
    """
    writer = f"{_host()}.{os.getpid()}.{threading.get_ident()}"  # two of them never share a file
    temporary = path.with_name(f".{path.name}.{writer}.tmp")
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


def write_text(path: Path, text: str) -> Path:
    """Write a UTF-8 text file, whole or not at all; returns its path."""
    with atomic_write(path) as stream:
        stream.write(text.encode())
    return path


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


def is_temporary(path: Path) -> bool:
    """Whether a file has the name of a temporary file of ``atomic_write``.

    >>> is_temporary(Path(".tally.parquet.host.12.34.tmp")), is_temporary(Path("notes.tmp"))
    (True, False)
    """
    return _TEMPORARY.fullmatch(path.name) is not None


def is_abandoned(path: Path) -> bool:
    """Whether a temporary file is the leftover of a killed write.

    Its process is gone from this machine; of another machine's, whose processes cannot be seen,
    nothing was written for an hour.
    """
    found = _TEMPORARY.fullmatch(path.name)
    if found is None:
        return False
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > _UNTOUCHED:
            return True
    if found["host"] != _host():
        return False
    try:
        os.kill(int(found["process"]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it lives, and belongs to another user
        return False
    return False


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:20] or "-"


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
