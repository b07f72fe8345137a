"""Resumable inversion of the photos of a source.

Guarantees: a finished image is on disk at once and never done again; interrupting loses at most the
images in work; any number of processes (``RANK`` and ``WORLD_SIZE``) share the images without
talking to each other; an image that cannot be read, or whose inversion gives NaN, is named and the
others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from seeingkit.contracts import Generator, ImageSource, Inversion, Inverter, Prepared, Skipped
from seeingkit.contracts.inverters import check_inversion
from seeingkit.errors import ModelError
from seeingkit.system.processes import rank, wait_for, world
from seeingkit.system.progress import progress_bar

from .store import InversionStore, note_seconds, read_inversion, seconds_of, write_inversion


@dataclass(frozen=True, eq=False)
class Inverted:
    """Inversions of some images of a source, by one method at one cut.

    Attributes:
        rows: (M,) numbers of the images in the source, in the order asked for.
        ids: their stable ids.
        inversions: one ``Inversion`` of one row each.
        skipped: images that have none, and why.
        files: the file of each inversion.
        seconds: mean wall time per image, as it was when it was inverted.
        images: (M, 3, R, R) float32 in [-1, 1], the photos.
    """

    rows: tuple[int, ...]
    ids: tuple[str, ...]
    inversions: tuple[Inversion, ...]
    skipped: tuple[Skipped, ...] = ()
    files: tuple[Path, ...] = ()
    seconds: float = 0.0
    images: Tensor = field(default_factory=lambda: torch.empty(0))


def invert_source(
    generator: Generator,
    source: ImageSource,
    inverter: Inverter,
    *,
    prepared: Prepared | None = None,
    rows: Sequence[int] | None = None,
    labels: Sequence[int] | None = None,
    seed: int = 0,
    batch_size: int = 8,
    store: InversionStore | None = None,
    title: str | None = None,
) -> Inverted:
    """Invert images of a source whose size is the generator's.

    ``invert_source(generator, open_images("photos", preset=preset), load_inverter("z"))``.

    Args:
        prepared, seed, batch_size: as ``Inverter.invert``.
        rows: numbers of the images; default: all.
        labels: class of each of them, for a conditional generator.
        store: where finished ones are kept; default: the cache.
        title: of the progress bar.
    """
    rows = list(range(len(source)) if rows is None else rows)
    store = store or InversionStore()
    images, good, skipped = source.load(rows)
    if images is None:
        return Inverted((), (), (), tuple(skipped))
    label_of = {} if labels is None else dict(zip(rows, labels, strict=True))
    chosen = [label_of[row] for row in good] if label_of else None
    if prepared is None:
        prepared = inverter.prepare(generator)
    paths = [
        store.path(generator, prepared, image, label=label_of.get(row), seed=seed)
        for row, image in zip(good, images, strict=True)
    ]
    invert = partial(
        inverter.invert, generator, prepared=prepared, seed=seed, batch_size=batch_size
    )
    name, cut = f"inverter {inverter.name}", prepared.cut
    _make_absent(invert, images, chosen, paths, title or f"invert by {inverter.name}", name, cut)
    wait_for(paths, "inversions")
    found = [read_inversion(path) for path in paths]
    ids = [str(source.ids[row]) for row in good]
    fine = [k for k, inversion in enumerate(found) if not inversion.failed]
    failed = [
        Skipped(item, f"inversion by {inverter.name} gave {inversion.failed[0]}")
        for item, inversion in zip(ids, found, strict=True)
        if inversion.failed
    ]
    files = tuple(paths[k] for k in fine)
    return Inverted(
        tuple(good[k] for k in fine),
        tuple(ids[k] for k in fine),
        tuple(found[k] for k in fine),
        (*skipped, *failed),
        files,
        seconds_of(files),
        images[fine],
    )


def _make_absent(
    invert: Callable[..., Inversion],
    images: Tensor,
    labels: Sequence[int] | None,
    paths: Sequence[Path],
    title: str,
    name: str,
    cut: str,
) -> None:
    """Make this process's share of the inversions whose files do not exist."""
    todo = sum(not path.exists() for path in paths)
    # Shares are of all images: processes that start later see less to do, and must not share that.
    mine = [k for k in range(len(paths))[rank() :: world()] if not paths[k].exists()]
    started = time.perf_counter()
    with progress_bar(title, len(paths), "images") as bar:
        bar.advance(len(paths) - todo, resumed=True)
        if not mine:
            return

        def done(row: int, inversion: Inversion) -> None:
            check_inversion(inversion, images[[mine[row]]], cut, name)
            write_inversion(paths[mine[row]], inversion)
            bar.advance(1)

        chosen = None if labels is None else [labels[k] for k in mine]
        invert(images[mine], labels=chosen, done=done)
        untold = sum(not paths[k].exists() for k in mine)
        if untold:  # which nobody would ever write
            raise ModelError(f"{name} did not tell of {untold} of {len(mine)} images (done)")
        # Images share the passes, so each is given an equal part of the time.
        note_seconds([paths[k] for k in mine], (time.perf_counter() - started) / len(mine))
