"""Files of runs that may be read and served: found by listing, regular, inside the folder.

Guarantees: no path is ever made of anything that a request says. A file is read only if it is a
regular file whose real place lies inside its run and inside the folder of runs, so a link that
leads elsewhere, a pipe or a device is refused, also where one replaces a file after it was listed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from seeingkit.errors import RunError

REPORT, RESULTS, MANIFEST = "report.html", "results.json", "manifest.json"
FIGURES = "figures"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""Types of the kinds of files that are served."""

MOST_BYTES = 512 * 2**20
"""No file of a run is so large; a larger one is not read."""
_FIGURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(svg|png)")


def served_files(run: Path, root: Path) -> dict[str, Path]:
    """The files of a run that may be opened, by their addresses below the run's.

    The report, its figures, ``results.json`` and ``manifest.json``; nothing else that lies there.

    Args:
        run: folder of the run.
        root: the folder of runs, that no file may lead out of.
    """
    names = [(name, run / name) for name in (REPORT, RESULTS, MANIFEST)]
    names += [(f"{FIGURES}/{path.name}", path) for path in _figures(run / FIGURES)]
    return {name: path for name, path in names if is_inside(path, run, root)}


def _figures(folder: Path) -> Iterator[Path]:
    if folder.is_symlink():
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # a run without figures
        return
    yield from (folder / name for name in names if _FIGURE.fullmatch(name))


def is_inside(path: Path, *folders: Path) -> bool:
    """Whether a regular file is there, and really inside each of some folders."""
    try:
        real = path.resolve(strict=True)
        return _lies_in(real, folders) and stat.S_ISREG(real.stat().st_mode)
    except (OSError, ValueError, RuntimeError):  # not there; a NUL in it; a circle of links
        return False


def _lies_in(real: Path, folders: tuple[Path, ...]) -> bool:
    return all(real.is_relative_to(folder.resolve(strict=True)) for folder in folders)


def read_inside(path: Path, *folders: Path, most: int = MOST_BYTES) -> bytes:
    """All bytes of a regular file that lies really inside each of some folders.

    >>> Path("runs").mkdir(); _ = Path("runs/results.json").write_text("{}")
    >>> read_inside(Path("runs/results.json"), Path("runs"))
    b'{}'

    Raises:
        RunError: it is not there, is no regular file, leads outside, is too large, or the system
            does not let it be read.
    """
    name = path.name
    try:
        real = path.resolve(strict=True)
        if not _lies_in(real, folders):
            raise RunError(f"{name} is a link that leads out of the folder, and is not followed")
        # Without waiting for the writer of a pipe, and without a link that came in just now.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(real, flags | getattr(os, "O_BINARY", 0)), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise RunError(f"{name} is no regular file")
            if found.st_size > most:
                raise RunError(f"{name} has {found.st_size:,} bytes, more than is read ({most:,})")
            return stream.read(most)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "no such path"
        raise RunError(f"{name} cannot be read ({reason})") from error
