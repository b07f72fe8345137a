"""A published file that lies inside a published zip archive: ``https://…/x.zip#member=G_ema.pth``.

Guarantees: only that one member is unpacked, under the name of our own record, whole or not at
all, with its checksum checked and no more bytes than the archive declares for it.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urldefrag

from seeingkit.errors import CorruptFileError
from seeingkit.specs import WeightFile
from seeingkit.system.writing import atomic_write

LARGEST = 1 << 35
"""Bytes a member may have: 32 GiB, far above any published network."""


class Wrapping(NamedTuple):
    """The archive that holds a published file, to be fetched, and the file's name in it."""

    file: WeightFile
    member: str


def wrapping(file: WeightFile) -> Wrapping | None:
    """The archive that a file's URL names, or None for a file published as such."""
    url, fragment = urldefrag(file.url or "")
    member = parse_qs(fragment).get("member", [""])[0]
    if not member:
        return None
    return Wrapping(WeightFile(name=f"{file.name}.zip", url=url), member)


def unpack_member(archive: Path, member: str, target: Path, owner: str) -> None:
    """Write one member of an archive to ``target`` and delete the archive.

    Raises:
        CorruptFileError: not a zip archive, or the member is missing, ambiguous or damaged.
        StorageError: it cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = {m: m.filename.replace("\\", "/") for m in opened.infolist() if not m.is_dir()}
            found = [m for m, name in names.items() if name.rpartition("/")[2] == member]
            if len(found) != 1:
                held = ", ".join(opened.namelist()[:5]) or "nothing"
                raise CorruptFileError(
                    f"{owner}: {archive} has {len(found)} files called {member} (it holds {held})"
                )
            if found[0].file_size > LARGEST:
                raise CorruptFileError(f"{owner}: {member} in {archive} claims to be too large")
            with opened.open(found[0]) as source, atomic_write(target) as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CorruptFileError(
            f"{owner}: {archive} is not an archive that can be unpacked ({error}); delete it"
        ) from error
    archive.unlink(missing_ok=True)
