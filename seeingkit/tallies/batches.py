"""A tally of images that come in batches, such as those of a training: counted, and not kept.

Guarantees: the tally is a function of the images and their numbers alone, in whatever batches,
order and processes they came; an image that came twice counts once. Only numbers of labels are
kept, as sparse rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from seeingkit.contracts import Annotator, Skipped
from seeingkit.errors import TallyError, UsageError
from seeingkit.images.batch import NOT_FINITE, BatchImages, PixelRange, Range
from seeingkit.models.code import identity_of
from seeingkit.results import SourceRecord
from seeingkit.specs import Preset

from .counting import count_rows
from .identity import TallyIdentity
from .record import TallyRecord, model_record
from .table import Tally

ABOUT = 2
"""Columns of a row before its numbers: the image's number, and its pixels (0: not usable)."""

_WHOLE = ("pixels", "class")  # units of whole numbers


class BatchTally:
    """The rows of all images so far.

    Args:
        annotator: a segmenter or another annotator.
        preset: what happens to each picture before it is counted.
        range: of floating-point images.
        batch_size: images segmented at once.
        name: of the images, for messages and records.

    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> batches = BatchTally(segmenter, seeingkit.images.find_preset("native"))
    >>> batches.add(batches.count(torch.rand(4, 3, 64, 64) * 2 - 1, range(4)))
    >>> batches.tally().ids
    ('000000', '000001', '000002', '000003')
    """

    def __init__(
        self,
        annotator: Annotator,
        preset: Preset,
        *,
        range: Range = "-1..1",
        batch_size: int = 16,
        name: str = "images of the training",
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"the batch size must be at least 1, not {batch_size}")
        self.annotator, self.preset, self.name = annotator, preset, name
        self.batch_size = batch_size
        self.range = PixelRange(range, name)
        vocabulary = annotator.vocabulary
        self.columns = ABOUT + len(vocabulary) * len(vocabulary.planes)
        self.dtype = np.dtype(np.int64 if vocabulary.unit in _WHOLE else np.float64)
        self._size: tuple[int, ...] | None = None
        self.reset()

    def __len__(self) -> int:
        return sum(part.shape[0] for part in self._parts)

    def reset(self) -> None:
        """Forget all images; the range stays known."""
        self._parts: list[sparse.csr_array] = []

    def count(self, images: Tensor | NDArray[np.uint8], ids: Sequence[int]) -> NDArray[Any]:
        """The rows of images, which are not added yet.

        Args:
            images: a tensor (N, 3, H, W), floating point in the range or uint8, or an array
                (N, H, W, 3) of uint8.
            ids: the number of each image, none twice.

        Returns:
            (N, 2 + planes x labels): number of the image, its pixels (0 where it cannot be used),
            and the number of each label; int64, or float64 where the unit is no whole number.

        Raises:
            SourceError: no images, or of other sizes than before with a preset that keeps sizes.
            ModelError: values of another range, or numbers that do not fit the vocabulary.
            UsageError: ids that are no numbers from 0 on, or one twice.
        """
        numbers = _checked_ids(ids)
        names = [f"{number:06d}" for number in numbers]
        source = BatchImages(images, names, self.preset, self.range)
        self._check_size(tuple(source.pictures.shape[1:3]))
        found = np.zeros((len(names), self.columns), self.dtype)
        found[:, 0] = numbers
        with torch.no_grad():
            counted = count_rows(source, self.annotator, batch_size=self.batch_size)
        for index, _, pixels, labels, counts, _, reason in counted.rows:
            if reason is None:
                found[index, 1] = pixels
                found[index, ABOUT + labels] = counts
        return found

    def add(self, rows: NDArray[Any]) -> None:
        """Add rows that ``count`` gave, here or in another process.

        Args:
            rows: (N, 2 + planes x labels).

        Raises:
            TallyError: rows of another vocabulary.
        """
        if rows.ndim != 2 or rows.shape[1] != self.columns:
            raise TallyError(
                f"{self.name}: rows of shape {rows.shape} are none of this annotator, which have "
                f"{self.columns} columns"
            )
        self._parts.append(sparse.csr_array(rows.astype(self.dtype, copy=False)))

    def rows(self) -> NDArray[Any]:
        """All rows, in the order in which they came: (N, 2 + planes x labels)."""
        empty = np.zeros((0, self.columns), self.dtype)
        return np.concatenate([empty, *(part.toarray() for part in self._parts)])

    def tally(self) -> Tally:
        """The tally of all images so far, in the order of their numbers.

        Raises:
            TallyError: no image can be used, or two that differ have one number.
        """
        if not self._parts:
            raise TallyError(f"{self.name}: there are none yet; call update(images) first")
        together = sparse.csr_array(sparse.vstack(self._parts, format="csr"))
        rows = _without_repeats(together, self.name)
        names = [f"{int(number):06d}" for number in _column(rows, 0)]
        pixels = _column(rows, 1)
        good = np.flatnonzero(pixels > 0)
        skipped = tuple(Skipped(names[k], NOT_FINITE) for k in np.flatnonzero(pixels == 0))
        if not len(good):
            raise TallyError(
                f"{self.name}: none of {len(names)} can be used; the first: {names[0]}: "
                f"{NOT_FINITE}"
            )
        counts = sparse.csr_array(rows[good][:, ABOUT:])
        counts.eliminate_zeros()
        digest = hashlib.sha256(b"".join(part.tobytes() for part in (rows.data, rows.indices)))
        record = SourceRecord(
            name=self.name, kind="batches", images=len(names), fingerprint=digest.hexdigest()
        )
        return Tally(
            ids=tuple(names[k] for k in good),
            counts=counts,
            pixels=pixels[good].astype(np.float64),
            vocabulary=self.annotator.vocabulary,
            identity=TallyIdentity(
                source=record.fingerprint,
                segmenter=identity_of(self.annotator),
                preset=self.preset.identity(),
            ),
            skipped=skipped,
            record=TallyRecord(
                source=record, segmenter=model_record(self.annotator.info), preset=self.preset
            ),
        )

    def _check_size(self, size: tuple[int, ...]) -> None:
        """Sizes stay the same where the preset does not make them so."""
        if self.preset.size is not None and self.preset.crop:
            return
        self._size = self._size or size
        if size != self._size:
            raise TallyError(
                f"{self.name}: {size[1]}x{size[0]} pixels, but {self._size[1]}x{self._size[0]} "
                "before; use a preset that resizes and crops"
            )


def _checked_ids(ids: Any) -> NDArray[np.int64]:
    found = np.asarray(ids.cpu() if isinstance(ids, Tensor) else list(ids))
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise UsageError("ids are whole numbers, one for each image")
    if found.size and (found.min() < 0 or len(np.unique(found)) < len(found)):
        raise UsageError("ids are numbers from 0 on, and no two images of a batch have the same")
    return found.astype(np.int64)


def _column(rows: sparse.csr_array, number: int) -> NDArray[Any]:
    return np.asarray(rows[:, [number]].toarray()).ravel()


def _without_repeats(rows: sparse.csr_array, name: str) -> sparse.csr_array:
    """The rows in the order of their numbers, each number once.

    Raises:
        TallyError: two rows of one number differ.
    """
    numbers = _column(rows, 0)
    rows = sparse.csr_array(rows[np.argsort(numbers, kind="stable")])
    numbers = _column(rows, 0)
    again = np.flatnonzero(np.diff(numbers) == 0)
    if not len(again):
        return rows
    different = sparse.csr_array(rows[again] - rows[again + 1])
    different.eliminate_zeros()
    if different.nnz:
        k = int(np.flatnonzero(np.diff(different.indptr))[0])
        raise TallyError(
            f"{name}: two images have the number {int(numbers[again[k]])}; give each its own id, "
            "and begin each check with reset()"
        )
    return sparse.csr_array(rows[np.setdiff1d(np.arange(rows.shape[0]), again + 1)])
