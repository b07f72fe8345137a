"""Folders, lists and globs of picture files.

Guarantees: the pictures of a folder are the files below it whose name ends like a picture's
(``SUFFIXES``), in natural order of their relative path (``img2`` before ``img10``); hidden names
and ``__MACOSX`` are left out, every real folder is visited once however many links lead to it,
and a broken link or an unreadable file is a picture that is refused, not one that is forgotten.
Ids are relative paths with forward slashes, the same on every machine.
"""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from seeingkit.errors import SourceError, UsageError
from seeingkit.specs import Preset
from seeingkit.system.digests import Stamp, file_stamp

from .decode import SUFFIXES, Limits, is_image_name, read_file
from .stored import StoredImages

_DIGITS = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[tuple[object, ...], str]:
    """Sort key in which numbers inside names count as numbers."""

    # digit runs sit at the odd places; length then text orders them without int(), whose input
    # Python limits to 4,300 digits
    def key(place: int, part: str) -> object:
        return (len(digits := part.lstrip("0")), digits) if place % 2 else part

    return tuple(key(*part) for part in enumerate(_DIGITS.split(name))), name


def stable_id(name: str) -> str:
    """A file's relative path as an id: forward slashes, composed accents, valid text."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    if os.sep != "/":
        text = text.replace(os.sep, "/")
    return unicodedata.normalize("NFC", text)


def is_hidden(relative: str) -> bool:
    """Whether a relative path with forward slashes is hidden or macOS's archive litter."""
    return any(part.startswith(".") or part == "__MACOSX" for part in relative.split("/"))


class FileImages(StoredImages):
    """Picture files on disk.

    Args:
        name: for people.
        root: folder that the paths are relative to.
        paths: the files, relative to ``root`` or absolute.
        ids: their ids; by default made from the paths.

    >>> FileImages("mine", "photos", ["2.png", "1.png"]).read([0, 1]).shape
    torch.Size([2, 3, 256, 256])
    """

    kind = "files"

    def __init__(
        self,
        name: str,
        root: str | os.PathLike[str],
        paths: Sequence[str],
        *,
        ids: Sequence[str] | None = None,
        preset: Preset | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.root = os.fspath(root)
        self._paths = tuple(paths)
        given = [stable_id(p) for p in paths] if ids is None else ids
        super().__init__(name, given, preset=preset, limits=limits, place=root)

    def path(self, index: int) -> str:
        """Where one picture lies."""
        return os.path.join(self.root, self._paths[index])

    def fetch(self, index: int) -> bytes:
        """The bytes of one file."""
        return read_file(self.path(index), self.ids[index], self.limits)

    def stamp(self, index: int) -> Stamp | None:
        """Size, times and inode of one file."""
        return file_stamp(self.path(index))


def open_folder(
    path: str | os.PathLike[str], *, preset: Preset | None = None, limits: Limits | None = None
) -> FileImages:
    """All pictures below a folder.

    Raises:
        SourceError: no such folder, a folder that cannot be listed, or no pictures in it.

    >>> open_folder("photos").ids
    ('1.png', '2.png')
    """
    root = os.fspath(path)
    if not os.path.isdir(root):
        raise SourceError(f"no such folder: {root}")
    names, others = _walk(root)
    if not names:
        raise SourceError(nothing_in(f"the folder {root}", others))
    return FileImages(root, root, names, preset=preset, limits=limits)


def open_file(
    path: str | os.PathLike[str], *, preset: Preset | None = None, limits: Limits | None = None
) -> FileImages:
    """One picture file.

    Raises:
        SourceError: no such file.

    >>> open_file("photos/1.png").read([0]).shape
    torch.Size([1, 3, 256, 256])
    """
    if not os.path.isfile(path):
        raise SourceError(f"no such file: {os.fspath(path)}")
    folder, name = os.path.split(os.fspath(path))
    return FileImages(os.fspath(path), folder or ".", [name], preset=preset, limits=limits)


def open_list(
    path: str | os.PathLike[str], *, preset: Preset | None = None, limits: Limits | None = None
) -> FileImages:
    """The pictures named by a text file: one path a line, relative to the list's own folder.

    Empty lines and lines that begin with ``#`` are ignored. The order is the list's. Files are
    looked for when they are read, so that a missing one is refused by name.

    Raises:
        SourceError: not UTF-8 text, nothing listed, or a path listed twice.

    >>> open_list("photos.txt").ids
    ('photos/2.png', 'photos/1.png')
    """
    where = os.fspath(path)
    try:
        text = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{where}: a list of images is UTF-8 text, one path a line") from error
    except OSError as error:
        raise SourceError(f"{where}: cannot be read ({error.strerror})") from error
    names: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if "\0" in entry:
            raise SourceError(f"{where}: line {number} is not a path")
        normal = os.path.normpath(entry)
        if normal in names:
            lines = f"lines {names[normal]} and {number}"
            raise SourceError(f"{where}: {lines} both list {entry!r}; remove one")
        names[normal] = number
    if not names:
        raise SourceError(f"{where}: lists no images; give one path a line")
    root = os.path.dirname(where) or "."
    return FileImages(where, root, list(names), preset=preset, limits=limits)


def open_glob(
    pattern: str, *, preset: Preset | None = None, limits: Limits | None = None
) -> FileImages:
    """The picture files that match a pattern; ``**`` matches folders at any depth.

    Ids are relative to the part of the pattern before the first wildcard.

    Raises:
        SourceError: nothing matches, or nothing that matches is called like a picture.
        UsageError: an empty pattern.

    >>> open_glob("photos/*.png").ids
    ('1.png', '2.png')
    """
    if not pattern:
        raise UsageError("an empty pattern matches nothing; give a path or a pattern")
    parts = pattern.replace("\\", "/").split("/") if os.sep == "\\" else pattern.split("/")
    fixed = 0
    while fixed < len(parts) - 1 and not glob.has_magic(parts[fixed]):
        fixed += 1
    root = "/".join(parts[:fixed]) or ("/" if fixed else ".")
    found = glob.glob("/".join(parts[fixed:]), root_dir=root, recursive=True)
    matches = sorted(
        (m for m in set(found) if not os.path.isdir(os.path.join(root, m))),
        key=lambda m: natural_key(stable_id(m)),
    )
    names = [m for m in matches if is_image_name(m) and not is_hidden(stable_id(m))]
    if not matches:
        raise SourceError(f"no file matches {pattern!r}")
    if not names:
        raise SourceError(nothing_in(f"what {pattern!r} matches", len(matches)))
    return FileImages(pattern, root, names, preset=preset, limits=limits)


def _walk(root: str) -> tuple[list[str], int]:
    """Relative paths of the pictures below a folder, in order, and how many other files."""
    names: list[str] = []
    others = 0
    visited: set[tuple[int, int]] = set()
    waiting = [(root, "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: natural_key(stable_id(e.name)))
        except OSError as error:
            raise SourceError(f"cannot list the folder {folder} ({error.strerror})") from error
        below: list[tuple[str, str]] = []
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if os.path.isdir(entry.path):  # unlike entry.is_dir(), quiet about looping links
                below.append((entry.path, f"{prefix}{entry.name}/"))
            elif is_image_name(entry.name):
                names.append(prefix + entry.name)
            else:
                others += 1
        waiting.extend(reversed(below))
    return sorted(names, key=lambda n: natural_key(stable_id(n))), others


def nothing_in(where: str, others: int) -> str:
    """The message for a place without pictures."""
    return f"no images in {where} ({others} other files); looked for {', '.join(SUFFIXES)}"
