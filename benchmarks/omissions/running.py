"""Runs the parts of all cells that are not there yet, in several processes.

Guarantees: a part is run once for one state of the code; a run that was stopped goes on where it
stopped; findings are the same whether they were run now or before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from .grid import PART, Cell
from .planting import Plant
from .sources import Source
from .trials import Found, code_digest, load_arrays, run_part, save_arrays
from .truths import Truth, truths

Truths = dict[tuple[str, Plant | None], Truth]


@dataclass(frozen=True)
class Finding:
    """All repeats of one cell that have been run.

    Attributes:
        arrays: as ``trials.run_part`` gives them, over all repeats.
    """

    cell: Cell
    source: Source
    truth: Truth
    arrays: Found

    @property
    def repeats(self) -> int:
        """How many repeats there are."""
        return len(self.arrays["distance"])


def say(text: str) -> None:
    """A line for whoever watches."""
    print(text, file=sys.stderr, flush=True)


def known_truths(
    source: Source, plants: Sequence[Plant | None], draws: int, folder: Path
) -> Truths:
    """The truth of each plant, computed once and kept."""
    home = folder / "truths" / code_digest(truths_only=True)
    paths = {}
    for what in plants:
        text = f"{source.identity} {None if what is None else sorted(asdict(what).items())} {draws}"
        paths[what] = home / f"{source.name}-{sha256(text.encode()).hexdigest()[:16]}.npz"
    missing = [what for what, path in paths.items() if not path.exists()]
    if missing:
        say(f"{source.name}: {len(missing)} true values")
        for what, truth in zip(missing, truths(source, missing, draws), strict=True):
            save_arrays(paths[what], truth.arrays())
    return {
        (source.name, what): Truth.from_arrays(load_arrays(path)) for what, path in paths.items()
    }


def part_path(folder: Path, source: Source, cell: Cell, part: int) -> Path:
    """The file of one part; the last, shorter part is named by its length."""
    length = min(PART, cell.repeats - part * PART)
    name = f"{part:03d}" + ("" if length == PART else f"-{length}")
    return (
        folder / "trials" / code_digest() / source.name / cell.key(source.identity) / f"{name}.npz"
    )


_sources: dict[str, Source] = {}
_truths: Truths = {}


def _prepare(sources: dict[str, Source], known: Truths) -> None:
    _sources.update(sources)
    _truths.update(known)


def _work(cell: Cell, part: int, path: Path) -> None:
    save_arrays(path, run_part(_sources[cell.source], cell, _truths[cell.source, cell.plant], part))


def run(
    cells: Sequence[Cell],
    sources: Mapping[str, Source],
    known: Truths,
    folder: Path,
    processes: int,
) -> None:
    """Run every part of every cell that has no file yet."""
    paths = {
        (cell, part): part_path(folder, sources[cell.source], cell, part)
        for cell in cells
        for part in range(cell.part_count)
    }
    # Nulls first, small n first: a run that is stopped early has them for every source.
    order = sorted(paths, key=lambda task: (task[0].plant is not None, task[0].n))
    todo = {task: paths[task] for task in order if not paths[task].exists()}
    say(f"{len(cells)} cells, {len(paths) - len(todo)} of {len(paths)} parts are there")
    if not todo:
        return
    left = {cell: sum(1 for other, _ in todo if other == cell) for cell in cells}
    started = time.perf_counter()
    initial = (dict(sources), known)
    with ProcessPoolExecutor(processes, get_context("spawn"), _prepare, initial) as executor:
        waiting = {
            executor.submit(_work, cell, part, path): cell for (cell, part), path in todo.items()
        }
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            cell = waiting[future]
            left[cell] -= 1
            if not left[cell]:
                minutes = (time.perf_counter() - started) / 60
                classes = sources[cell.source].classes
                say(f"{minutes:6.1f} min, part {done} of {len(todo)}: {cell.words(classes)}")


def findings(
    cells: Sequence[Cell], sources: Mapping[str, Source], known: Truths, folder: Path
) -> list[Finding]:
    """What has been run of these cells; cells without any part are left out."""
    found = []
    for cell in cells:
        source = sources[cell.source]
        paths = [part_path(folder, source, cell, part) for part in range(cell.part_count)]
        parts = [load_arrays(path) for path in paths if path.exists()]
        if parts:
            arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            found.append(Finding(cell, source, known[cell.source, cell.plant], arrays))
    return found


def plan(cells: Sequence[Cell], sources: Mapping[str, Source], known: Truths) -> None:
    """Print what each cell costs in one process (processor time of one repeat of each kind)."""
    timed: dict[tuple[str, int, int], float] = {}
    total = 0.0
    for cell in cells:
        kind = (cell.source, cell.n, cell.permutations)
        source, truth = sources[cell.source], known[cell.source, cell.plant]
        if kind not in timed:
            started = time.process_time()
            run_part(source, replace(cell, repeats=1), truth, 0)
            timed[kind] = time.process_time() - started
        seconds = timed[kind] * cell.repeats
        total += seconds
        print(f"{seconds:8.0f} s  {cell.repeats:4d} repeats  {cell.words(source.classes)}")
    print(f"{total / 3600:.2f} hours in one process, {len(cells)} cells")
