"""The runs of a folder as they are now, each with the secret of its files.

A run is read again where its files have changed; so a listing is always true, and a page that is
loaded again shows new runs.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from .access import Secrets
from .files import MANIFEST, RESULTS
from .folders import Folders, find_folders, is_run
from .records import Run, parts_of, read_run

_Signature = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Listing:
    """The runs by the secrets of their files, and what else the folder holds."""

    runs: dict[str, Run]
    folders: Folders


class Library:
    """The runs below a folder; may be asked by several threads.

    Args:
        root: the folder, or a run itself.
        secrets: the source of keys.
    """

    def __init__(self, root: Path, secrets: Secrets) -> None:
        self.root = root.resolve(strict=True)
        self.secrets = secrets
        self._read: dict[Path, tuple[_Signature, Run]] = {}
        self._lock = threading.Lock()

    def listing(self) -> Listing:
        """All runs as they are now."""
        folders = find_folders(self.root)
        with self._lock:
            runs = {self._key(folder): self._run(folder) for folder in folders.runs}
        return Listing(runs, folders)

    def parts(self, run: Run) -> dict[str, Run]:
        """The generators of a run that have a folder of their own there, each as a run."""
        if run.kind != "several generators":
            return {}
        folders = [folder for folder in parts_of(run.folder, self.root) if is_run(folder)]
        with self._lock:
            return {self._key(folder): self._run(folder) for folder in folders}

    def everything(self) -> dict[str, Run]:
        """All runs as they are now, and their parts, by the secrets of their files."""
        runs = self.listing().runs
        parts = [self.parts(run) for run in runs.values()]
        return {key: run for found in (runs, *parts) for key, run in found.items()}

    def find(self, *given: str) -> dict[str, Run]:
        """The runs, or parts of runs, of which some texts are the secrets; each once, in order."""
        everything = self.everything()
        keys = [self.secrets.find(text, everything) for text in given]
        return {key: everything[key] for key in keys if key is not None}

    def _key(self, folder: Path) -> str:
        return self.secrets.key_of(folder.relative_to(self.root).as_posix())

    def _run(self, folder: Path) -> Run:
        signature = tuple(_state(folder / name) for name in (RESULTS, MANIFEST))
        kept = self._read.get(folder)
        if kept is not None and kept[0] == signature:
            return kept[1]
        run = read_run(folder, self.root)
        self._read[folder] = signature, run
        return run


def _state(path: Path) -> tuple[int, ...]:
    """What changes where a file does: it, its size, its time."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
