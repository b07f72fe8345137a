"""Counts of edited pictures on disk: one edit of ``GROUP`` images a file, resumable and shared.

Guarantees: images are made ``GROUP`` at a time whatever else is asked for; a file is named by the
hash of everything that changes its numbers (generator, latents, layer, the edit to the byte,
segmenter, preset, images, rules of counting); it appears whole or not at all and holds a digest of
its bytes; one that is damaged is named, set aside and made again. Any number of processes may share
the work, and equal edits of other runs are met again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import safetensors
import torch
from torch import Tensor

from seeingkit.contracts import State
from seeingkit.contracts.annotators import label_counts
from seeingkit.errors import StorageError
from seeingkit.models.code import identity_of
from seeingkit.system.addresses import Place, place
from seeingkit.system.cache import cache_folder
from seeingkit.system.claims import FOLDER as CLAIMS
from seeingkit.system.claims import Claims
from seeingkit.system.digests import key_of
from seeingkit.system.progress import progress_bar
from seeingkit.system.sharing import Piece, shared
from seeingkit.system.tensors import (
    read_or_set_aside,
    read_sealed_tensors,
    write_sealed_tensors,
)

from .subjects import Integers, Sample, Subject

GROUP = 16
"""Images that are made at once, and in one file."""
BLOCK = 16
"""Edits of a group that one process makes while the group is at the layer."""
INTERVENTION_SCHEMA = 1
"""Version of the files and of the rules of counting."""
KEY = "seeingkit_intervention"


class Change(Protocol):
    """A change of the images of a sample, such as ``effects.Intervention``."""

    def images(self, subject: Subject, state: State, rows: range) -> Tensor:
        """The changed images of some rows, whose state at the layer is given."""

    def check(self, subject: Subject, sample: Sample) -> None:
        """Refuse what does not fit, before any image is drawn."""

    def identity(self, rows: range) -> list[object]:
        """Everything of it that changes these rows, as JSON."""


class EditCounts(NamedTuple):
    """Counts of some images with one edit.

    Attributes:
        counts: (n, planes · labels) pixels of each label, plane-major.
        moved: (n,) pixels whose label in the first plane is another one than without the edit.
        pairs: (K, 3) label before, label after, and pixels of all these images, where there are
            any, in the first plane.
        pixels: of a label map.
    """

    counts: Integers
    moved: Integers
    pairs: Integers
    pixels: int


def interventions_folder(folder: str | Place | None = None) -> Place:
    """Where counts are stored: below the cache folder, or in another folder.

    >>> interventions_folder("/data/store").name
    'store'
    """
    return place(cache_folder() / "interventions" if folder is None else folder)


def subject_identity(subject: Subject, sample: Sample) -> dict[str, Any]:
    """Everything but edits and numbers of images that changes counts.

    ``subject_identity(subject, sample)["layer"]``.
    """
    return {
        "schema": [INTERVENTION_SCHEMA, GROUP],
        "source": subject.source(sample).identity(),
        "segmenter": identity_of(subject.segmenter),
        "eight_bits": subject.eight_bits,
        "layer": subject.boundary.name,
    }


def made_by(subject: Subject) -> dict[str, str]:
    """Names and code of the models, for those who look after stored files."""
    generator, segmenter = subject.generator.info, subject.segmenter.info
    return {
        "of": f"{generator.family}, {subject.boundary.name}",
        "gan": generator.family,
        "gan_code": generator.code,
        "segmenter": segmenter.family,
        "segmenter_code": segmenter.code,
    }


def check_counts_file(path: Place) -> None:
    """Read a stored file of an intervention and check its bytes and its name.

    ::

        check_counts_file(interventions_folder() / "0a" / "0a….safetensors")

    Raises:
        ValueError, OSError: its bytes are not those that were written.
        StorageError: it is not named by what it holds.
    """
    try:
        about = read_sealed_tensors(path, KEY)[1]
    except safetensors.SafetensorError as error:
        raise StorageError(f"{path}: damaged ({error})") from error
    if about["name"] != path.stem:
        raise StorageError(f"{path}: it is of another intervention than its name says")


class _Work(NamedTuple):
    """A group of images and some edits of it: ``files`` by the number of the edit."""

    rows: range
    files: dict[int, Place]


def counted(
    subject: Subject,
    sample: Sample,
    edits: Sequence[Change | None],
    *,
    title: str,
    folder: Place | None = None,
) -> Iterator[tuple[int, range, EditCounts]]:
    """The counts of each edit and each group of rows, in any order: (edit, rows, counts).

    Args:
        edits: None is the images as they are.
        title: of the progress.
        folder: where counts are stored and met again; None: nowhere.
    """
    n = len(sample)
    groups = [range(start, min(start + GROUP, n)) for start in range(0, n, GROUP)]
    blocks = [range(k, min(k + BLOCK, len(edits))) for k in range(0, len(edits), BLOCK)]
    pairs = [(rows, block) for rows in groups for block in blocks]
    with progress_bar(title, n * len(edits), "pictures") as bar:
        if folder is None:
            for rows, block in pairs:
                for number, made in _made(subject, sample, rows, edits, block):
                    bar.advance(len(rows))
                    yield number, rows, made
            return
        identity = subject_identity(subject, sample)
        work = [_work(folder, identity, sample, edits, *pair) for pair in pairs]
        ready: list[tuple[int, range, EditCounts]] = []
        done: set[tuple[int, int]] = set()

        def is_done(k: int) -> bool:
            rows, files = work[k]
            for number, path in files.items():
                there = None if (k, number) in done else _read(path, len(rows))
                if there is not None:
                    done.add((k, number))
                    ready.append((number, rows, there))
                    bar.advance(len(rows), resumed=True)
            return all((k, number) in done for number in files)

        about = [f"{title}, images {w.rows[0] + 1:,} to {w.rows[-1] + 1:,}" for w in work]
        keys = [key_of([path.stem for path in w.files.values()]) for w in work]
        pieces = [Piece(key, text) for key, text in zip(keys, about, strict=True)]
        models = made_by(subject)
        for (k,) in shared(pieces, Claims(folder / CLAIMS), is_done):
            rows, files = work[k]
            left = [number for number in files if (k, number) not in done]
            for number, made in _made(subject, sample, rows, edits, left):
                _write(files[number], made, models, rows)
                done.add((k, number))
                bar.advance(len(rows))
                ready.append((number, rows, made))
            yield from ready
            ready.clear()
        yield from ready


def _made(
    subject: Subject,
    sample: Sample,
    rows: range,
    edits: Sequence[Change | None],
    numbers: Sequence[int],
) -> Iterator[tuple[int, EditCounts]]:
    """Make a group of images with some of the edits."""
    labels, names = subject.labels, [sample.named(row) for row in rows]
    with torch.no_grad():
        state = subject.start(sample, rows)
        plain = subject.label_maps(subject.images(state), names)
    for number in numbers:
        change = edits[number]
        with torch.no_grad():
            maps = plain
            if change is not None:
                maps = subject.label_maps(change.images(subject, state, rows), names)
        yield number, counts_of(plain, maps, labels)


@torch.no_grad()
def counts_of(plain: Tensor, maps: Tensor, labels: int) -> EditCounts:
    """The counts of label maps of some images with an edit.

    Args:
        plain, maps: (N, planes, H, W) int64, without and with it.
        labels: how many the vocabulary has.

    >>> counts_of(torch.zeros(1, 1, 2, 2).long(), torch.ones(1, 1, 2, 2).long(), 2).counts.tolist()
    [[0, 4]]
    """
    counts = label_counts(maps, labels).cpu().numpy().astype(np.int64)
    first, second = plain[:, 0].flatten(1), maps[:, 0].flatten(1)
    moved = (first != second).sum(1).cpu().numpy().astype(np.int64)
    table = torch.bincount((first * labels + second).flatten(), minlength=labels**2)
    there = table.nonzero()[:, 0]
    pairs = torch.stack([there // labels, there % labels, table[there]], 1)
    found = np.asarray(pairs.cpu().numpy(), dtype=np.int64)
    return EditCounts(counts, moved, found, int(maps.shape[-2] * maps.shape[-1]))


def _work(
    folder: Place,
    identity: dict[str, Any],
    sample: Sample,
    edits: Sequence[Change | None],
    rows: range,
    block: range,
) -> _Work:
    images = [int(sample.indices[row]) for row in rows]
    files = {}
    for number in block:
        change = edits[number]
        key = key_of(identity, images, None if change is None else change.identity(rows))
        files[number] = folder / key[:2] / f"{key}.safetensors"
    return _Work(rows, files)


def _write(path: Place, made: EditCounts, models: dict[str, str], rows: range) -> None:
    tensors = {
        "counts": torch.from_numpy(made.counts.astype(np.int32)),
        "moved": torch.from_numpy(made.moved.astype(np.int32)),
        "pairs": torch.from_numpy(made.pairs),
    }
    about = {"name": path.stem, "schema": INTERVENTION_SCHEMA, "pixels": made.pixels}
    about |= {"span": [rows.start, rows.stop], "what": "counts", "made_by": models}
    write_sealed_tensors(path, tensors, KEY, about)


def _read(path: Place, rows: int) -> EditCounts | None:
    def made_of(tensors: dict[str, Tensor], about: dict[str, Any]) -> EditCounts:
        counts, moved, pairs = (
            tensors[name].numpy().astype(np.int64) for name in ("counts", "moved", "pairs")
        )
        if len(counts) != rows or moved.shape != (rows,) or pairs.shape[1:] != (3,):
            raise ValueError("its numbers are of other images than its name says")
        return EditCounts(counts, moved, pairs, int(about["pixels"]))

    return read_or_set_aside(path, KEY, made_of)
