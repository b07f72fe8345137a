"""Folders, lists and globs of picture files.

Guarantees: the pictures of a folder are the files below it that end like pictures (``SUFFIXES``)
or, under an ending that says nothing, begin like one, in natural order of their relative path
(``img2`` before ``img10``); what else lies there is named or counted (``listing``), but for hidden
names and ``__MACOSX``. Every real folder is visited once however many links lead to it, and a
broken link or an unreadable file is a picture that is refused, not one that is forgotten.
Ids are relative paths with forward slashes, the same on every machine.
"""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from seeingkit.errors import ImageError, SourceError, UsageError
from seeingkit.specs import Preset
from seeingkit.system.digests import Stamp, file_stamp

from .classfiles import CLASS_FILE, read_class_files
from .decode import Limits, read_file
from .formats import HEAD, is_image_name
from .listing import list_pictures, nothing_in
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

    def encoded_size(self, index: int) -> int:
        """See ``StoredImages.encoded_size``."""
        try:
            return os.stat(self.path(index)).st_size
        except OSError:  # ``fetch`` says why
            return 0

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
    return open_listed(root, root, walk(root), f"the folder {root}", preset, limits)


def open_listed(
    name: str,
    root: str,
    paths: Sequence[str],
    where: str,
    preset: Preset | None,
    limits: Limits | None,
) -> FileImages:
    """The pictures among some files below ``root``, and their classes where a file gives them.

    Args:
        where: the place, for messages.

    Raises:
        SourceError: there are none, or a file of classes that cannot be read.

    >>> open_listed("mine", "photos", ["1.png"], "the folder photos", None, None).ids
    ('1.png',)
    """
    files: dict[str, str] = {}
    for path in paths:
        if files.setdefault(stable_id(path), path) != path and is_image_name(path):
            raise SourceError(
                f"{where}: two images are both called {stable_id(path)!r}; rename one"
            )

    def head(item: str) -> bytes:
        try:
            with open(os.path.join(root, files[item]), "rb") as stream:
                return stream.read(HEAD)
        except OSError:  # then nothing is known of it, as of any other file
            return b""

    def whole(item: str) -> bytes:
        return read_file(os.path.join(root, files[item]), item)

    listing = list_pictures(list(files), head)
    if not listing.pictures:
        raise SourceError(nothing_in(where, listing))
    chosen = [files[item] for item in listing.pictures]
    found = FileImages(name, root, chosen, preset=preset, limits=limits)
    try:
        classes, notes = read_class_files(list(files), listing.pictures, whole, where)
    except ImageError as error:
        raise SourceError(f"{where}: {error}") from error
    found.left_out, found.notes = listing.left_out, (*listing.notes, *notes)
    found.classes, found.classes_by = classes, "" if classes is None else CLASS_FILE
    return found


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
    root, rest = split_pattern(pattern, glob.has_magic)
    seen = matches(root, rest)
    return open_listed(pattern, root, seen, f"what {pattern!r} matches", preset, limits)


def split_pattern(pattern: str, varies: Callable[[str], bool]) -> tuple[str, str]:
    """The folder before the first part of a path that varies, and the rest.

    Raises:
        UsageError: an empty pattern.

    >>> split_pattern("data/train-*.tar", glob.has_magic)
    ('data', 'train-*.tar')
    """
    if not pattern:
        raise UsageError("an empty pattern matches nothing; give a path or a pattern")
    parts = pattern.replace("\\", "/").split("/") if os.sep == "\\" else pattern.split("/")
    fixed = 0
    while fixed < len(parts) - 1 and not varies(parts[fixed]):
        fixed += 1
    root = "/".join(parts[:fixed]) or ("/" if fixed else ".")
    return root, "/".join(parts[fixed:])


def matches(root: str, pattern: str) -> list[str]:
    """Files below a folder that match a pattern and are not hidden, in natural order.

    Raises:
        SourceError: nothing matches.

    >>> matches("photos", "*.png")
    ['1.png', '2.png']
    """
    found = glob.glob(pattern, root_dir=root, recursive=True)
    files = sorted(
        (m for m in set(found) if not os.path.isdir(os.path.join(root, m))),
        key=lambda m: natural_key(stable_id(m)),
    )
    if not files:
        shown = pattern if root == "." else os.path.join(root, pattern)
        raise SourceError(f"no file matches {shown!r}")
    return [m for m in files if not is_hidden(stable_id(m))]


def walk(root: str) -> list[str]:
    """Relative paths of the files below a folder that are not hidden, in natural order.

    Raises:
        SourceError: a folder that cannot be listed.

    >>> walk("photos")
    ['1.png', '2.png']
    """
    names: list[str] = []
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
            else:
                names.append(prefix + entry.name)
        waiting.extend(reversed(below))
    return sorted(names, key=lambda n: natural_key(stable_id(n)))
