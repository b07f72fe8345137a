"""Writing files so that they appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from seeingkit.errors import printable

from .failures import told


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary stream to a temporary file beside ``path``, which replaces it at the end.

    The folder is made if it is not there. Where writing fails or is interrupted, ``path`` keeps
    its content and the temporary file is removed::

        with atomic_write(path) as stream:
            stream.write(data)

    Raises:
        StorageError: the folder or the file cannot be written; an ``OSError`` inside counts as one.
    """
    writer = f"{os.getpid()}.{threading.get_ident()}"  # two of them never share a file
    temporary = path.with_name(f".{path.name}.{writer}.tmp")
    with told(path):
        make_folder(path.parent)
        try:
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())  # else a crash can leave a name without its content
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):  # where there is no such folder, or no such name
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
