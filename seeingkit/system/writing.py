"""Writing files so that they appear whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary stream to a temporary file beside ``path``, which replaces it at the end.

    The folder is made if it is not there. Where writing fails or is interrupted, ``path`` keeps
    its content and the temporary file is removed::

        with atomic_write(path) as stream:
            stream.write(data)

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f"{os.getpid()}.{threading.get_ident()}"  # two of them never share a file
    temporary = path.with_name(f".{path.name}.{writer}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())  # else a crash can leave a name without its content
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a UTF-8 text file, whole or not at all; returns its path."""
    with atomic_write(path) as stream:
        stream.write(text.encode())
    return path
