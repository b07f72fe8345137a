"""Pictures inside a zip archive, read in place: nothing is ever written to disk.

Guarantees: the same pictures, ids, order and fingerprint as the folder that the archive unpacks
to; an encrypted, damaged or over-large member is one refused picture; an archive that cannot be
opened is a ``SourceError``. Of two members with one name the later counts, as when unpacking.
"""

from __future__ import annotations

import posixpath
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from functools import partial

from seeingkit.errors import ImageError, SourceError
from seeingkit.system.digests import Stamp

from .classfiles import CLASS_FILE, LARGEST, read_class_files
from .decode import check_bytes
from .files import is_hidden, natural_key
from .formats import HEAD
from .listing import list_pictures, nothing_in
from .stored import PackedImages


class ZipImages(PackedImages):
    """The pictures of a zip archive.

    Raises:
        SourceError: missing, not a zip archive, damaged, or without pictures.

    >>> ZipImages("photos.zip").ids
    ('1.png', '2.png')
    """

    kind = "zip"
    form = "a zip archive"

    def open(self, where: str) -> Sequence[str]:
        """Open the archive; its pictures in natural order."""
        self._archive = zipfile.ZipFile(where)
        members: dict[str, zipfile.ZipInfo] = {}
        replaced = 0
        for member in self._archive.infolist():
            item = member_id(member.filename)
            if member.is_dir() or is_hidden(item):
                continue
            replaced += item in members
            members[item] = member

        def start(item: str, most: int = HEAD) -> bytes:
            try:
                with self._archive.open(members[item]) as stream:
                    return stream.read(most)
            except self._damage:
                return b""
            except RuntimeError:  # encrypted
                return b""

        try:
            listing = list_pictures(sorted(members, key=natural_key), start)
            ids = listing.pictures
            if not ids:
                raise SourceError(nothing_in(f"the archive {where}", listing))
            read = partial(start, most=LARGEST + 1)
            self.classes, said = read_class_files(list(members), ids, read, where)
            self.classes_by = "" if self.classes is None else CLASS_FILE
        except BaseException:
            self._archive.close()
            raise
        if replaced:
            said.append(f"{replaced} members have the name of a later one, which counts alone")
        self.left_out, self.notes = listing.left_out, (*listing.notes, *said)
        self._members = [members[item] for item in ids]
        return ids

    def fetch(self, index: int) -> bytes:
        """The unpacked bytes of one member, whose checksum was right."""
        member, item = self._members[index], self.ids[index]
        if member.flag_bits & 1:
            raise ImageError(item, "encrypted in the archive")
        check_bytes(member.file_size, item, self.limits)
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise ImageError(item, f"damaged in the archive ({error})") from error
        except (NotImplementedError, RuntimeError) as error:
            raise ImageError(item, f"cannot be unpacked ({error})") from error

    def encoded_size(self, index: int) -> int:
        """See ``StoredImages.encoded_size``."""
        return self._members[index].file_size

    def stamp(self, index: int) -> Stamp | None:
        """The archive's size, times and inode, and the member's place and checksum."""
        member = self._members[index]
        return self._stamp and (*self._stamp, member.header_offset, member.CRC)

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()


def member_id(name: str) -> str:
    """A member's name as an id: forward slashes, composed accents, nothing outside the archive."""
    path = posixpath.normpath("/" + name.replace("\\", "/").lstrip("/")).lstrip("/")
    return unicodedata.normalize("NFC", path)
