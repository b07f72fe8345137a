"""Counts of images without and with edits of weights: ``GROUP`` images and one candidate a file.

Guarantees: as of ``interventions.parts``: images are made ``GROUP`` at a time, whatever is asked
for; a file is named by everything that changes its numbers, appears whole or not at all, and holds
a digest of its bytes; any number of processes share the work. Which places match is decided on the
images without the edit, which are made once for all candidates that are not stored yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seeingkit.contracts import State
from seeingkit.contracts.annotators import label_counts
from seeingkit.errors import StorageError
from seeingkit.images.preprocess import quantise
from seeingkit.system.addresses import Place
from seeingkit.system.claims import FOLDER as CLAIMS
from seeingkit.system.claims import Claims
from seeingkit.system.digests import key_of
from seeingkit.system.progress import progress_bar
from seeingkit.system.sharing import Piece, shared
from seeingkit.system.tensors import read_or_set_aside, read_sealed_tensors, write_sealed_tensors

from ..interventions.parts import GROUP, made_by, subject_identity
from ..interventions.subjects import Integers, Sample
from .effects import WeightChange, WholeSubject
from .matching import Matcher, grown
from .moments import KEY as MOMENT_KEY
from .moments import MOMENT_SCHEMA

OUTCOME_SCHEMA = 1
"""Version of the files and of the rules of counting."""
KEY = "seeingkit_outcome"
REWRITING_SCHEMAS = {KEY: OUTCOME_SCHEMA, MOMENT_KEY: MOMENT_SCHEMA}
"""Versions of stored files by the key of their metadata: outcomes, and moments of keys."""


class OutcomeRows(NamedTuple):
    """Whole numbers of n images, each (n,).

    Attributes:
        matched: pixels of the label map whose place matches.
        wanted_before, wanted_after: of these, pixels of a wanted class without and with the edit.
        gained: of these, pixels of a wanted class with the edit and of none without.
        relabelled: pixels of the whole map whose label is another one.
        relabelled_outside: of these, pixels whose place does not match.
        picture_matched: pixels of the image whose place matches.
        change, change_outside: 8-bit levels by which the image changes, summed over pixels and
            channels: of the whole image, and of pixels whose place does not match.
    """

    matched: Integers
    wanted_before: Integers
    wanted_after: Integers
    gained: Integers
    relabelled: Integers
    relabelled_outside: Integers
    picture_matched: Integers
    change: Integers
    change_outside: Integers


class Part(NamedTuple):
    """Counts of some images with one candidate; see ``OutcomeRows`` and ``Measured``."""

    rows: Integers  # (n, fields of OutcomeRows)
    before: Integers
    after: Integers
    pairs: Integers  # (K, 3): label before, label after, pixels
    pixels: int
    picture_pixels: int


@dataclass(frozen=True, eq=False)
class Counting:
    """The work of a call."""

    subject: WholeSubject
    sample: Sample
    changes: list[WeightChange]
    matcher: Matcher | None
    labels: tuple[int, ...]
    wanted: tuple[str, ...]

    @property
    def groups(self) -> list[range]:
        n = len(self.sample)
        return [range(start, min(start + GROUP, n)) for start in range(0, n, GROUP)]

    def identity(self) -> list[object]:
        """Everything but the edit and the numbers of images that changes counts."""
        about = subject_identity(self.subject, self.sample)
        del about["layer"]  # where images begin to differ changes nothing
        matching = None if self.matcher is None else self.matcher.identity()
        return [OUTCOME_SCHEMA, about, matching, sorted(self.labels)]

    def places(self, state: State) -> Tensor:
        """Matching places (N, h, w) bool of images; none without a matcher."""
        if self.matcher is None:
            return torch.zeros(len(state.x), 1, 1, dtype=torch.bool, device=state.x.device)
        return self.matcher.places(state)


def counted(count: Counting, title: str, folder: Place | None) -> Iterator[tuple[int, int, Part]]:
    """The counts of each candidate and each group, in any order: (candidate, group, counts)."""
    numbers = range(len(count.changes))
    with progress_bar(title, len(count.sample) * len(numbers), "images") as bar:
        if folder is None:
            for group, rows in enumerate(count.groups):
                for number, part in _made(count, rows, numbers):
                    bar.advance(len(rows))
                    yield number, group, part
            return
        paths = [_paths(folder, count, rows) for rows in count.groups]
        found: dict[tuple[int, int], Part] = {}

        def is_done(group: int) -> bool:
            for number in numbers:
                if (number, group) not in found:
                    there = _read(paths[group][number], len(count.groups[group]))
                    if there is not None:
                        found[number, group] = there
                        bar.advance(len(count.groups[group]), resumed=True)
            return all((number, group) in found for number in numbers)

        pieces = [
            Piece(key_of([path.stem for path in own]), f"{title}, images {r[0]} to {r[-1]}")
            for own, r in zip(paths, count.groups, strict=True)
        ]
        for (group,) in shared(pieces, Claims(folder / CLAIMS), is_done):
            rows = count.groups[group]
            left = [number for number in numbers if (number, group) not in found]
            for number, part in _made(count, rows, left):
                _write(paths[group][number], part, count, rows)
                found[number, group] = part
                bar.advance(len(rows))
    yield from ((number, group, part) for (number, group), part in found.items())


@torch.no_grad()
def _made(count: Counting, rows: range, numbers: Sequence[int]) -> Iterator[tuple[int, Part]]:
    """Make a group of images with some of the candidates."""
    subject, names = count.subject, [count.sample.named(row) for row in rows]
    state = subject.start(count.sample, rows)
    images = subject.images(state)
    plain, levels = subject.label_maps(images, names), quantise(images).int()
    places = count.places(state)
    there = grown(places, (int(plain.shape[-2]), int(plain.shape[-1])))
    picture = grown(places, (int(images.shape[-2]), int(images.shape[-1])))
    wanted = torch.tensor(count.labels, dtype=plain.dtype, device=plain.device)
    had = torch.isin(plain, wanted).any(1)
    for number in numbers:
        changed = count.changes[number].images(subject, state, rows)
        maps = subject.label_maps(changed, names)
        has, other = torch.isin(maps, wanted).any(1), maps[:, 0] != plain[:, 0]
        moved = (quantise(changed).int() - levels).abs().sum(-1)
        columns = OutcomeRows(
            *(
                each.flatten(1).sum(1).cpu().numpy().astype(np.int64)
                for each in (
                    there,
                    there & had,
                    there & has,
                    there & has & ~had,
                    other,
                    other & ~there,
                    picture,
                    moved,
                    moved * ~picture,
                )
            )
        )
        yield number, _part(np.stack(columns, 1), plain, maps, subject.labels, moved[0].numel())


def _part(rows: Integers, plain: Tensor, maps: Tensor, labels: int, picture_pixels: int) -> Part:
    before, after = (
        label_counts(each, labels).cpu().numpy().astype(np.int64) for each in (plain, maps)
    )
    pair = (plain[:, 0] * labels + maps[:, 0]).flatten()
    table = torch.bincount(pair, minlength=labels**2)
    there = table.nonzero()[:, 0]
    pairs = torch.stack([there // labels, there % labels, table[there]], 1).cpu().numpy()
    return Part(rows, before, after, pairs, int(plain[0, 0].numel()), picture_pixels)


# ------------------------------------------------------------------------------------------- files


def _paths(folder: Place, count: Counting, rows: range) -> list[Place]:
    images = [int(count.sample.indices[row]) for row in rows]
    known = count.identity()
    keys = [key_of(known, images, change.identity(rows)) for change in count.changes]
    return [folder / key[:2] / f"{key}.safetensors" for key in keys]


def _write(path: Place, part: Part, count: Counting, rows: range) -> None:
    tensors = {
        "rows": torch.from_numpy(part.rows),
        "before": torch.from_numpy(part.before.astype(np.int32)),
        "after": torch.from_numpy(part.after.astype(np.int32)),
        "pairs": torch.from_numpy(part.pairs),
    }
    about = {"name": path.stem, "schema": OUTCOME_SCHEMA, "pixels": part.pixels}
    about |= {"picture_pixels": part.picture_pixels, "span": [rows.start, rows.stop]}
    about |= {"what": "outcome of an edit", "made_by": made_by(count.subject)}
    write_sealed_tensors(path, tensors, KEY, about)


def check_rewriting_file(path: Place) -> None:
    """Read a stored file of a rewriting and check its bytes and its name.

    ::

        check_rewriting_file(cache_folder() / "rewriting" / "0a" / "0a….safetensors")

    Raises:
        ValueError, LookupError, OSError: its bytes are not those that were written.
        StorageError: it is not named by what it holds.
    """
    about: dict[str, Any] = {}
    for key in REWRITING_SCHEMAS:
        with suppress(LookupError):
            about = read_sealed_tensors(path, key)[1]
    if about.get("name") != path.stem:
        raise StorageError(f"{path}: it is of another edit than its name says")


def _read(path: Place, rows: int) -> Part | None:
    def made_of(tensors: dict[str, Tensor], about: dict[str, Any]) -> Part:
        names = ("rows", "before", "after", "pairs")
        own, before, after, pairs = (tensors[name].numpy().astype(np.int64) for name in names)
        wide = own.shape == (rows, len(OutcomeRows._fields))
        if not wide or len(before) != rows or before.shape != after.shape:
            raise ValueError("its numbers are of other images than its name says")
        sizes = int(about["pixels"]), int(about["picture_pixels"])
        return Part(own, before, after, pairs, *sizes)

    return read_or_set_aside(path, KEY, made_of)
