"""The folders of runs below a folder: every entry is a run, holds some, or is said to hold none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from seeingkit.results.suites import SUITE_FILE

from .files import MANIFEST, RESULTS

DEEPEST = 3
"""Runs are looked for in folders within folders, so many below the first."""
MOST_ENTRIES = 50_000
"""So many entries of folders are looked at: a folder of images is no folder of runs."""


@dataclass(frozen=True)
class Folders:
    """What a folder of runs holds.

    Attributes:
        runs: folders with ``results.json`` or ``manifest.json``, by name.
        without: folders right below the first that hold no run, by name.
        links: links to folders, which are not followed.
        unread: folders that the system does not let be listed.
        cut: the search ended at ``MOST_ENTRIES``.
    """

    runs: tuple[Path, ...]
    without: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    cut: bool = False


def find_folders(root: Path) -> Folders:
    """The folders of runs below ``root``, or ``root`` alone where it is a run itself.

    A folder inside a run is a part of that run, and no run of its own; the runs of a suite are its
    cells; hidden folders are skipped.

    >>> Path("runs/church").mkdir(parents=True); Path("runs/church/manifest.json").touch()
    >>> [folder.name for folder in find_folders(Path("runs")).runs]
    ['church']
    """
    if is_run(root):
        return Folders((root,))
    search, without = _Search(root), list[str]()
    if _is_suite(root):
        search.cells(root)
    else:
        without = [name for name in search.folders(root) if not search.look(root / name, 1)]
    return Folders(
        tuple(sorted(search.runs)),
        tuple(without),
        tuple(search.links),
        tuple(search.unread),
        search.cut,
    )


def is_run(folder: Path) -> bool:
    """Whether a folder has what a run leaves behind, even if that leads nowhere."""
    if _is_suite(folder):  # its results are of many runs, which lie below
        return False
    return any(os.path.lexists(folder / name) for name in (RESULTS, MANIFEST))


def _is_suite(folder: Path) -> bool:
    return os.path.lexists(folder / SUITE_FILE)


class _Search:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs: list[Path] = []
        self.links: list[str] = []
        self.unread: list[str] = []
        self.left = MOST_ENTRIES

    @property
    def cut(self) -> bool:
        return self.left <= 0

    def look(self, folder: Path, depth: int) -> bool:
        """Whether there is a run in a folder, or one that could not be looked into."""
        if is_run(folder):
            self.runs.append(folder)
            return True
        if _is_suite(folder):
            return self.cells(folder)
        if depth >= DEEPEST:
            return False
        before = len(self.unread)
        found = [self.look(folder / name, depth + 1) for name in self.folders(folder)]
        return any(found) or len(self.unread) > before or self.cut

    def cells(self, suite: Path) -> bool:
        """As ``look``, for the cells of a suite, however deep the suite lies."""
        cells, before = suite / "cells", len(self.unread)
        rankings = [cells / name for name in (self.folders(cells) if cells.is_dir() else [])]
        found = [self.look(r / name, DEEPEST) for r in rankings for name in self.folders(r)]
        return any(found) or len(self.unread) > before or self.cut

    def folders(self, folder: Path) -> list[str]:
        """Names of the folders in a folder, in order; links are noted."""
        names = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.left -= 1
                    if self.cut:
                        break
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        names.append(entry.name)
                    elif entry.is_symlink() and os.path.isdir(entry.path):
                        self.links.append(self._named(folder / entry.name))
        except OSError:
            self.unread.append(self._named(folder))
        return sorted(names)

    def _named(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()
