"""The members of a tar archive and their places in it, found by its headers alone.

Guarantees: nothing is unpacked, and no more than a header is in memory at a time, whatever lengths
the archive claims. An archive that is cut off, or damaged at any header, is refused whole; one
without an end mark, or with bytes behind it, is said to be so. Headers are parsed by ``tarfile``
(ustar, GNU and pax).
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from seeingkit.errors import SourceError

from .formats import POINTED, POINTER

BLOCK = tarfile.BLOCKSIZE
MOST_HEADER = 1 << 15
"""Most bytes of the headers of one member: with its long name and its extended attributes."""
_SCAN = 1 << 20

_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip --keep"),
    b"BZh": ("bzip2", "bunzip2 --keep"),
    b"\xfd7zXZ\0": ("xz", "unxz --keep"),
    b"\x28\xb5\x2f\xfd": ("zstandard", "unzstd"),
}
COMPRESSED_NAMES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
"""Endings of compressed tar archives."""


class Member(NamedTuple):
    """One member of an archive.

    Attributes:
        name: as it stands in the archive; nothing is said of its safety as a path.
        offset, size: where its bytes lie in the archive.
        other: empty for a file; else its sort, with an article (``a link``).
    """

    name: str
    offset: int
    size: int
    other: str = ""


class _Headers:
    """A stream for ``tarfile`` that reads headers only: so many bytes between two ``renew``."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._left = stream, MOST_HEADER
        self.tell, self.seek = stream.tell, stream.seek

    def renew(self) -> None:
        self._left = MOST_HEADER

    def read(self, size: int = -1) -> bytes:
        self._left -= size
        if size < 0 or self._left < 0:
            raise tarfile.ReadError(f"a header of more than {MOST_HEADER:,} bytes")
        return self._stream.read(size)


class TarWalk:
    """The members of one archive, in order.

    ``[member.name for member in TarWalk("shard.tar")]``

    Args:
        path: of a tar archive that is not compressed.

    Attributes:
        faults: after the walk: sentences on its end, where it is not what it should be.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.faults: list[str] = []
        self._stream: BinaryIO | None = None

    def __iter__(self) -> Iterator[Member]:
        if not os.path.isfile(self.path):
            there = os.path.exists(self.path)
            raise SourceError(f"{self.path}: {'not a regular file' if there else 'no such file'}")
        try:
            with open(self.path, "rb") as stream:
                self._stream = stream
                head = stream.read(BLOCK)
                refuse_compressed(self.path, head)
                if head.startswith(POINTER):
                    raise SourceError(f"{self.path}: {POINTED}")
                stream.seek(0)
                yield from self._members(stream, os.fstat(stream.fileno()).st_size)
        except OSError as error:
            raise SourceError(
                f"{self.path}: cannot be read ({error.strerror or error}); check the disk"
            ) from error
        finally:
            self._stream = None

    def read(self, member: Member) -> bytes:
        """The bytes of the member that the walk gave last."""
        assert self._stream is not None
        self._stream.seek(member.offset)
        return self._stream.read(member.size)

    def _members(self, stream: BinaryIO, length: int) -> Iterator[Member]:
        last, place = "", 0
        headers: Any = _Headers(stream)
        if length == 0:
            raise SourceError(f"{self.path}: empty (0 bytes); fetch it again")
        try:
            # not open(): never another compression, whatever the bytes are
            archive: Any = tarfile.TarFile(
                None, fileobj=headers, encoding="utf-8", errors="surrogateescape"
            )
            while (found := archive.next()) is not None:
                archive.members.clear()  # or they would all stay in memory
                end = found.offset_data + (0 if found.issparse() else max(0, found.size))
                if found.size < 0 or archive.offset <= place:
                    raise tarfile.ReadError(f"{found.name!r} has a size below 0")
                if end > length and (found.isreg() or found.issparse()):
                    raise _CutOffError(found.name)
                last, place = found.name, archive.offset
                yield Member(found.name, found.offset_data, found.size, _sort(found))
                headers.renew()
        except _CutOffError as error:
            raise SourceError(
                f"{self.path}: cut off in the middle of {str(error)!r}; fetch it again, or leave "
                "the archive out"
            ) from None
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            behind = f" behind {last!r}" if last else ""
            raise SourceError(
                f"{self.path}: not a tar archive that can be read{behind} ({error}); fetch it "
                "again, or leave the archive out"
            ) from error
        self._look_at_end(stream, archive.offset, last)

    def _look_at_end(self, stream: BinaryIO, place: int, last: str) -> None:
        """``tarfile`` ends silently at a bad header, and before whatever follows the end mark."""
        stream.seek(place)
        block = stream.read(BLOCK)
        if not block:
            self.faults.append(
                f"the archive has no end mark: it may have been cut off behind {last!r}"
            )
        elif any(block) or len(block) < BLOCK:
            raise SourceError(
                f"{self.path}: cut off or damaged behind {last!r}, at byte {place:,}; fetch it "
                "again, or leave the archive out"
            )
        while block := stream.read(_SCAN):
            if any(block):
                self.faults.append(
                    "bytes follow the end mark of the archive, which are not read (archives "
                    "joined by cat?): give the archives one by one"
                )
                return


class _CutOffError(Exception):
    """The archive ends before a member does."""


def _sort(found: tarfile.TarInfo) -> str:
    """The sort of a member that is no plain file."""
    if found.isdir():
        return "a folder"
    if found.issym() or found.islnk():
        return f"a link to {found.linkname!r}, which is not followed"
    if found.issparse():
        return "a sparse file, which is not read; pack it without --sparse"
    return "" if found.isreg() else "a device, or a member of an unknown sort"


def refuse_compressed(path: str, head: bytes) -> None:
    """Refuse an archive that would have to be unpacked from its start for each picture.

    Raises:
        SourceError: names the program that unpacks it.

    >>> refuse_compressed("shard.tar", b"cat.jpg")
    """
    for signature, (name, program) in _COMPRESSED.items():
        if head.startswith(signature):
            raise SourceError(
                f"{path}: compressed by {name}, so that no picture in it can be reached by itself; "
                f"unpack it to a plain .tar first ({program} {os.path.basename(path)}): pictures "
                "are compressed already, so it hardly grows"
            )


def is_tar(path: str) -> bool:
    """Whether a file begins as a tar archive does (ustar, GNU or pax), or is called like one."""
    if path.lower().endswith((".tar", *COMPRESSED_NAMES)):
        return True
    try:
        with open(path, "rb") as stream:
            return stream.read(BLOCK)[257:262] == b"ustar"
    except OSError:
        return False
