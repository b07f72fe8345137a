"""Reading chunks and whole tallies from disk: every byte and every number is checked first.

Guarantees: a file whose content is not what was written is refused before it is parsed; a chunk has
the identity, the range and the rows that its place promises; labels are in the vocabulary, and the
pixels of an image sum up to its pixels. Many chunks take the memory of their numbers, once, and of
one chunk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import sparse

from seeingkit.contracts import Label, Skipped, Vocabulary
from seeingkit.errors import TallyError, one_line
from seeingkit.system.addresses import Place
from seeingkit.system.seals import check_seal, read_whole

from .chunks import Chunk, Span, read_table
from .identity import TallyIdentity
from .record import TallyRecord


@dataclass(frozen=True, eq=False)
class StoredRows:
    """The checked content of one file.

    Attributes:
        index: (M,) places in the source of the images that have a row.
        ids: of those images.
        pixels: (M,) int32 or float64.
        lengths: (M,) how many labels each has.
        labels, counts: of all of them, one after the other; labels are columns of the tally.
        conditions: (M,) classes of a conditional generator or a data set; -1: it has none.
        skipped: images without a row, and why.
        places: all indices in the file, in its order.
        span: of a chunk; None for a whole tally.
    """

    vocabulary: Vocabulary
    identity: TallyIdentity | None
    record: TallyRecord
    span: Span | None
    places: NDArray[np.int64]
    index: NDArray[np.int64]
    ids: list[str]
    pixels: NDArray[Any]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int32]
    counts: NDArray[Any]
    conditions: NDArray[np.int64]
    skipped: list[Skipped]

    @property
    def columns(self) -> int:
        """Planes times labels."""
        return len(self.vocabulary) * len(self.vocabulary.planes)


def read_tally_file(path: Place) -> StoredRows:
    """The content of a chunk or of a whole tally.

    Raises:
        TallyError: missing, damaged, not a tally, or of another version; the message says which.
        StorageError: the system does not let it be read.
    """
    try:
        data = read_whole(path)
    except FileNotFoundError as error:
        raise TallyError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        if not data.startswith(b"PAR1"):
            raise ValueError("not a Parquet file")
        check_seal(data)
        table = read_table(data)
        found = _rows(table, json.loads((table.schema.metadata or {})[b"seeingkit"]))
        _check_numbers(found)
    except (OSError, pa.ArrowException, LookupError, ValueError, TypeError) as error:
        reason = one_line(error, 200)
        raise TallyError(f"{path}: not a readable tally ({reason}); delete it") from error
    return found


def read_chunk(chunk: Chunk) -> StoredRows:
    """The rows of a chunk.

    Raises:
        TallyError: as ``read_tally_file``, or the file is of another identity or range, or has
            other rows than its range says.
    """
    found = read_tally_file(chunk.path)
    if found.identity != chunk.identity:
        raise TallyError(f"{chunk.path}: it is of another tally than its name says")
    if found.span is None or (found.span.start, found.span.stop) != (chunk.start, chunk.stop):
        raise TallyError(f"{chunk.path}: it is of other images than its name says")
    if not np.array_equal(found.places, np.arange(chunk.start, chunk.stop)):
        raise TallyError(f"{chunk.path}: its rows are not those of its range")
    return found


def _rows(table: pa.Table, about: dict[str, Any]) -> StoredRows:
    """The columns of a table as they are, without their numbers being checked."""
    reasons, ids = table["skipped"].to_pylist(), table["id"].to_pylist()
    good = np.array([reason is None for reason in reasons], dtype=bool)
    kept = table.filter(pa.array(good)).combine_chunks()
    labels, counts = (kept[name].combine_chunks() for name in ("labels", "counts"))
    lengths = labels.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    if not np.array_equal(lengths, counts.value_lengths().to_numpy(zero_copy_only=False)):
        raise ValueError("an image has other numbers than labels")
    conditions = kept["condition"]
    span = about["span"]
    return StoredRows(
        vocabulary=Vocabulary(
            tuple(Label(*label) for label in about["labels"]),
            tuple(about["planes"]),
            about["has_background"],
            about["unit"],
        ),
        identity=TallyIdentity.model_validate(about["identity"]) if about["identity"] else None,
        record=_record(about["record"]),
        span=None if span is None else Span(*span),
        places=table["index"].to_numpy(),
        index=kept["index"].to_numpy(),
        ids=kept["id"].to_pylist(),
        pixels=kept["pixels"].to_numpy(),
        lengths=lengths,
        labels=labels.flatten().to_numpy(zero_copy_only=False),
        counts=counts.flatten().to_numpy(zero_copy_only=False),
        conditions=conditions.fill_null(-1).to_numpy().astype(np.int64),
        skipped=[Skipped(i, r) for i, r in zip(ids, reasons, strict=True) if r is not None],
    )


def _record(stored: Any) -> TallyRecord:
    try:
        return TallyRecord.model_validate(stored)
    except ValidationError as error:
        raise ValueError(f"its record is not one of this version: {one_line(error)}") from error


def _check_numbers(rows: StoredRows) -> None:
    """Labels are columns of the vocabulary, and numbers are what the unit says.

    Raises:
        ValueError: they are not.
    """
    if (np.diff(rows.places) <= 0).any():
        raise ValueError("an image that occurs twice")
    if len(rows.labels) and not 0 <= rows.labels.min() <= rows.labels.max() < rows.columns:
        raise ValueError(f"a label outside the {rows.columns} of its vocabulary")
    if not np.isfinite(rows.counts).all() or (rows.counts < 0).any():
        raise ValueError("a number that is negative or not finite")
    if (rows.pixels <= 0).any():
        raise ValueError("an image without pixels")
    if rows.vocabulary.unit == "class" and not (
        (rows.counts == 1).all() and (rows.lengths <= 1).all()
    ):  # labels may have been left out since: then an image has none
        raise ValueError("an image of two classes, or of a part of one")
    if rows.vocabulary.unit != "pixels" or not len(rows.ids):
        return
    ends = np.cumsum(rows.lengths)
    total = np.concatenate([[0], np.cumsum(rows.counts, dtype=np.float64)])
    sums = total[ends] - total[ends - rows.lengths]
    planes = len(rows.vocabulary.planes)
    if rows.span is None:  # labels may have been merged or left out since they were counted
        wrong = sums > planes * rows.pixels * (1 + 1e-6)
    else:
        wrong = sums != planes * rows.pixels
    if wrong.any():
        raise ValueError("labels whose pixels do not sum up to those of their image")


def joined(parts: Iterable[StoredRows]) -> dict[str, Any]:
    """The rows of some files by the fields of a ``Tally``, in the order of the files.

    Raises:
        TallyError: no file, or files of different vocabularies or of overlapping ranges.
    """
    first: StoredRows | None = None
    ids: list[str] = []
    skipped: list[Skipped] = []
    columns: dict[str, _Column] = {}
    last = -1
    for part in parts:
        first = first or part
        if part.vocabulary != first.vocabulary:
            raise TallyError("files of one tally have different labels")
        if len(part.places) and int(part.places[0]) <= last:
            raise TallyError("files of one tally overlap: an image occurs twice")
        last = max(last, int(part.places.max(initial=-1)))
        ids += part.ids
        skipped += part.skipped
        for name in ("pixels", "lengths", "labels", "counts", "conditions"):
            columns.setdefault(name, _Column()).add(getattr(part, name))
    if first is None:
        raise TallyError("a tally needs at least one image")
    pixels, lengths, labels, counts, conditions = (each.whole() for each in columns.values())
    ends = np.zeros(len(lengths) + 1, np.int32 if len(labels) < 2**31 else np.int64)
    np.cumsum(lengths, out=ends[1:])
    return {
        "ids": tuple(ids),
        "counts": sparse.csr_array((counts, labels, ends), shape=(len(ids), first.columns)),
        "pixels": pixels.astype(np.float64),
        "vocabulary": first.vocabulary,
        "identity": first.identity,
        "skipped": tuple(skipped),
        "record": first.record,
        "conditions": conditions if (conditions >= 0).any() else None,
    }


class _Column:
    """Numbers of many files, one after the other, in memory that grows where it lies.

    Lists of parts that are joined at last would need the memory of all numbers twice.
    """

    def __init__(self) -> None:
        self._held: NDArray[Any] = np.empty(0)
        self._size = 0

    def add(self, part: NDArray[Any]) -> None:
        """Append the numbers of one file."""
        end = self._size + len(part)
        if not self._size:
            self._held = np.array(part)
        else:
            kind = np.result_type(self._held, part)
            if kind != self._held.dtype:
                self._held = self._held.astype(kind)
            if end > len(self._held):
                self._held.resize(end + end // 2, refcheck=False)
            self._held[self._size : end] = part
        self._size = end

    def whole(self) -> NDArray[Any]:
        """All numbers; nothing may be added after."""
        self._held.resize(self._size, refcheck=False)
        return self._held
