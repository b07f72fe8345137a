"""Seals: the digest of a stored file inside the file itself, checked before it is read.

A file that is to be sealed holds ``BLANK`` once, wherever its format keeps text (Parquet's and
safetensors's metadata, JSON). ``seal`` replaces the zeros by the SHA-256 of the whole file as it
was with the zeros. So every byte is covered, and the file stays one that any program reads.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re

from seeingkit.errors import one_line

from .addresses import Place, RemotePath
from .failures import storage_error

log = logging.getLogger(__name__)

MARK = "seeingkit-sha256:"
"""Text before the digest."""

BLANK = MARK + 64 * "0"
"""The mark and the place of a digest that is not known yet."""

SET_ASIDE = "damaged"
"""Name of the folder, beside them, that damaged files are moved to."""

_SEAL = re.compile(re.escape(MARK.encode()) + rb"([0-9a-f]{64})")


class BrokenSealError(ValueError):
    """The content of a file is not what was written."""


def seal(data: bytes) -> bytes:
    """The file with its digest in the place of ``BLANK``.

    Raises:
        ValueError: it does not hold exactly one mark.

    >>> data = seal(b"content " + BLANK.encode())
    >>> check_seal(data)
    >>> check_seal(data.replace(b"content", b"CONTENT"))
    Traceback (most recent call last):
    seeingkit.system.seals.BrokenSealError: its content differs from its digest
    """
    if data.count(MARK.encode()) != 1 or data.count(BLANK.encode()) != 1:
        raise ValueError(f"a file to be sealed holds {BLANK!r} once")
    return data.replace(BLANK.encode(), MARK.encode() + hashlib.sha256(data).hexdigest().encode())


def is_sealed(data: bytes) -> bool:
    """Whether the bytes of a file hold a seal; it need not be right."""
    return _SEAL.search(data) is not None


def check_seal(data: bytes) -> None:
    """Check all bytes of a sealed file.

    Raises:
        BrokenSealError: damaged, or without exactly one seal.
    """
    found = list(_SEAL.finditer(data))
    if len(found) != 1:
        raise BrokenSealError("it has no digest of its content")
    start, stop = found[0].span(1)
    view, digest = memoryview(data), hashlib.sha256()
    for part in (view[:start], b"0" * 64, view[stop:]):
        digest.update(part)
    if digest.hexdigest().encode() != found[0][1]:
        raise BrokenSealError("its content differs from its digest")


def read_whole(path: Place) -> bytes:
    """All bytes of a stored file::

        data = read_whole(path)
        check_seal(data)

    Raises:
        FileNotFoundError: there is none.
        StorageError: the system does not let it be read now (permissions, a failing drive, too many
            open files). Such a file is not damaged, and must not be set aside.
    """
    if isinstance(path, RemotePath):
        return path.read_bytes()
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_error(error, path, "cannot be read") from error


def set_aside(path: Place, reason: object) -> Place:
    """Move a damaged file of the cache away, and say so in one line; returns its new place.

    Another process may have moved it already.
    """
    aside: Place
    try:
        if isinstance(path, RemotePath):
            aside = path.parent / SET_ASIDE / path.name
            path.replace(aside)
        else:
            aside = path.parent / SET_ASIDE / path.name
            aside.parent.mkdir(exist_ok=True)
            os.replace(path, aside)
    except FileNotFoundError:
        return aside
    log.warning(
        "%s: damaged (%s); moved to %s/, to be done again",
        one_line(path),
        one_line(reason),
        SET_ASIDE,
    )
    return aside
