"""The inversions of some images by one method at one cut, kept as files.

Guarantees: a finished image is on disk at once and never done again; interrupting loses at most the
images in work, few on a CPU; a damaged file is set aside and made again; any number of processes
share the images without talking to each other (``system.sharing``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock

from torch import Tensor

from seeingkit.contracts import Inversion
from seeingkit.contracts.inverters import check_inversion
from seeingkit.errors import ModelError, RunError
from seeingkit.system.addresses import Place
from seeingkit.system.lanes import side_by_side
from seeingkit.system.processes import world
from seeingkit.system.progress import progress_bar
from seeingkit.system.seals import set_aside
from seeingkit.system.sharing import Piece, own_part, shared

from .store import InversionStore, note_seconds, read_inversion, write_inversion


@dataclass(frozen=True, eq=False)
class Session:
    """The inversions of some images, and their files.

    Attributes:
        invert: ``Inverter.invert`` with all but images, labels and ``done``.
        images, labels, paths: of each image.
        made_by: as of ``write_inversion``.
        cut: where the inversions must be.
        lanes: how many optimisations run side by side.
    """

    invert: Callable[..., Inversion]
    images: Tensor
    labels: Sequence[int] | None
    paths: Sequence[Place]
    made_by: Mapping[str, str]
    cut: str
    lanes: int = 1

    def make_absent(self, title: str, store: InversionStore, size: int) -> None:
        """Make the inversions that are not there, or damaged, and that no other process makes.

        Args:
            size: images that are optimised together; of so many are the pieces of work.
        """
        parts = [range(k, min(k + size, len(self.paths))) for k in range(0, len(self.paths), size)]
        pieces = [self._piece(part, title) for part in parts]
        mine = {k for number in own_part(parts) for k in parts[number]}
        absent = {k for k in mine if self._read(k) is None}
        # Alone, a process makes many at once: a place that is free is filled by the next image.
        most = size * (1 if world() > 1 else 16)

        def undone(number: int) -> list[int]:
            return [k for k in parts[number] if not self.paths[k].exists()]

        def enough(numbers: Sequence[int]) -> bool:
            return sum(len(undone(number)) for number in numbers) >= most

        with progress_bar(title, len(self.paths), "images") as bar:
            bar.advance(len(self.paths) - len(absent), resumed=True)
            for numbers in shared(pieces, store.claims, lambda n: not undone(n), enough=enough):
                todo = [k for number in numbers for k in undone(number)]
                self._make(todo, lambda k: bar.advance(k in mine))

    def _piece(self, part: range, title: str) -> Piece:
        key = " ".join(self.paths[k].stem for k in part)
        shown = f"{part.start + 1:,} to {part.stop:,} of {len(self.paths):,}"
        return Piece(key, f"inverting {title}: images {shown}")

    def results(self) -> list[Inversion]:
        """All of them, from the files; one that turns out to be damaged is made again."""
        found = [self._read(k) for k in range(len(self.paths))]
        again = [k for k, inversion in enumerate(found) if inversion is None]
        self._make(again)
        return [
            read_inversion(path) if inversion is None else inversion
            for path, inversion in zip(self.paths, found, strict=True)
        ]

    def _make(self, numbers: list[int], step: Callable[[int], None] = lambda k: None) -> None:
        """Make some, in lanes where these are free of each other; ``step`` is told of each."""
        if not numbers:
            return
        started, lock = time.perf_counter(), Lock()

        def told(number: int) -> None:
            with lock:  # of a progress bar
                step(number)

        if self.lanes == 1:
            self._make_in_turn(numbers, step)
        else:
            size = -(-len(numbers) // self.lanes)
            parts = [numbers[k : k + size] for k in range(0, len(numbers), size)]
            side_by_side([partial(self._make_in_turn, part, told) for part in parts])
        # Images share the passes, so each is given an equal part of the time.
        seconds = (time.perf_counter() - started) / len(numbers)
        note_seconds([self.paths[k] for k in numbers], seconds)

    def _make_in_turn(self, numbers: list[int], step: Callable[[int], None]) -> None:
        name, written = f"inverter {self.made_by['inverter']}", set[int]()

        def done(row: int, inversion: Inversion) -> None:
            check_inversion(inversion, self.images[[numbers[row]]], self.cut, name)
            write_inversion(self.paths[numbers[row]], inversion, self.made_by)
            written.add(row)
            step(numbers[row])

        chosen = None if self.labels is None else [self.labels[k] for k in numbers]
        self.invert(self.images[numbers], labels=chosen, done=done)
        untold = len(numbers) - len(written)
        if untold:  # which nobody would ever write
            raise ModelError(f"{name} did not tell of {untold} of {len(numbers)} images (done)")

    def _read(self, number: int) -> Inversion | None:
        path = self.paths[number]
        if not path.exists():
            return None
        try:
            return read_inversion(path)
        except RunError as error:
            set_aside(path, error.__cause__ or error)
            return None
