"""Checks files against their published hashes.

Guarantees: everything that was published of a file (size, SHA-256, its first digits, MD5) is
checked. Where no full SHA-256 was published, the one found on first use is written to
``<name>.sha256`` beside the file, in the format of ``sha256sum``, and checked ever after: trust on
first use. A file that was hashed is not read again until its size, times or inode change.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from seeingkit.errors import CorruptFileError, StorageError, WeightsError, printable
from seeingkit.specs import WeightFile
from seeingkit.system.digests import DigestStore, file_stamp
from seeingkit.system.writing import write_text


def published(file: WeightFile) -> str:
    """The published hashes of a file, for messages: ``sha256 begins 7e701dd5``."""
    if file.sha256:
        return f"sha256 {file.sha256}"
    begins = f"sha256 begins {file.sha256_prefix}" if file.sha256_prefix else ""
    md5 = f"md5 {file.md5}" if file.md5 else ""
    return ", ".join(filter(None, (begins, md5))) or "no published hash"


def difference(path: Path, file: WeightFile, *, remember: bool = True) -> tuple[str | None, str]:
    """The difference of a file from its published size and hashes, and its SHA-256.

    Args:
        remember: whether hashes are remembered in the cache, and taken from there.

    Returns:
        (None or the difference in words, sha256 in hex; empty if the size alone differs).

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        size = path.stat().st_size
        if file.size is not None and size != file.size:
            return f"it has {size} bytes, published are {file.size}", ""
        digest = _digest if remember else file_digest
        sha256 = digest(path, "sha256")
        for start, most in ((file.sha256, 16), (file.sha256_prefix, 63)):
            if start and not sha256.startswith(start):
                return f"sha256 is {sha256[:16]}…, published is {start[:most]}…", sha256
        if file.md5 and (md5 := digest(path, "md5")) != file.md5:
            return f"md5 is {md5}, published is {file.md5}", sha256
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error
    return None, sha256


def verify_file(path: Path, file: WeightFile, owner: str) -> str:
    """Check a file that is in its place; the first time, record its hash if none was published.

    Returns:
        its SHA-256.

    Raises:
        CorruptFileError: it is not the published file, or not the one of the first use.
    """
    wrong, sha256 = difference(path, file)
    if wrong:
        raise CorruptFileError(
            f"{path}: this is not {owner}: {wrong}; delete the file and get it again"
        )
    if file.sha256 or file.resource:
        return sha256
    record = record_path(path)
    known = _recorded(record)
    if known is None:
        kept = _write_record(record, sha256, path.name)
        what = f"is checked from now on ({record})" if kept else f"cannot be kept in {record}"
        line = f"{owner}: {published(file)} for {path.name}; its sha256 {sha256} {what}"
        print(printable(line), file=sys.stderr)
    elif known != sha256:
        raise CorruptFileError(
            f"{path}: this is not the file of its first use: sha256 is {sha256[:16]}…, "
            f"{record.name} says {known[:16]}…; delete the file and get it again, or delete "
            f"{record.name} if the change was meant"
        )
    return sha256


def record_path(path: Path) -> Path:
    """The file that keeps the SHA-256 of a file's first use."""
    return path.with_name(path.name + ".sha256")


def _recorded(record: Path) -> str | None:
    try:
        text = record.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{record}: cannot be read; delete it ({error})") from error
    found = re.match(r"([0-9a-fA-F]{64})\b", text)
    if not found:
        raise CorruptFileError(f"{record}: holds no SHA-256; delete it")
    return found[1].lower()


def _write_record(record: Path, sha256: str, name: str) -> bool:
    """Write a record; False where it cannot be: a shared cache may be read-only."""
    try:
        write_text(record, f"{sha256}  {name}\n")
    except StorageError:
        return False
    return True


def _digest(path: Path, algorithm: str) -> str:
    """Hash of a file's content, remembered in the cache by size, times and inode."""
    store, item = DigestStore(path.parent), f"{algorithm}:{path.name}"
    found = store.remembered(item, lambda: file_stamp(path), lambda: file_digest(path, algorithm))
    store.save()
    return found


def file_digest(path: Path, algorithm: str) -> str:
    """Hash of a file's content in lower-case hex, read now."""
    with path.open("rb") as stream:
        made = hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return made.hexdigest()
