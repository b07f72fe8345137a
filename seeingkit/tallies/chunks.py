"""Chunks of a tally on disk: Parquet, named by what they hold, written whole or not at all.

Guarantees: a chunk file that exists is complete (temporary name, flush, rename); its name is the
hash of everything that changes its numbers, so it is never stale; reading is independent of the
order and the number of processes that wrote.

Columns: ``index`` int64 (place in the source), ``id`` string, ``pixels`` int32, ``labels`` list of
int32 (plane * L + label), ``counts`` list (pixels of each), ``skipped`` string or null (why).
File metadata: vocabulary, identity and record as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from seeingkit.contracts import Label, Skipped, Vocabulary
from seeingkit.errors import TallyError

from .table import Tally, TallyIdentity

CHUNK = 1024
"""Consecutive indices in one chunk: the unit of resuming and of sharing work."""


@dataclass
class ChunkRows:
    """Rows of one chunk while they are being counted."""

    index: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    pixels: list[float] = field(default_factory=list)
    labels: list[NDArray[np.int32]] = field(default_factory=list)
    counts: list[NDArray[Any]] = field(default_factory=list)
    skipped: list[str | None] = field(default_factory=list)

    def add(self, index: int, item: str, pixels: float, row: NDArray[Any]) -> None:
        """One counted image: ``row`` holds pixels per column."""
        live = np.flatnonzero(row)
        self._append(index, item, pixels, live.astype(np.int32), row[live], None)

    def skip(self, index: int, item: str, reason: str) -> None:
        """One image that could not be used."""
        nothing = np.empty(0, np.int32)
        self._append(index, item, 0, nothing, nothing, reason)

    def _append(
        self,
        index: int,
        item: str,
        pixels: float,
        labels: NDArray[np.int32],
        counts: NDArray[Any],
        reason: str | None,
    ) -> None:
        self.index.append(index)
        self.ids.append(item)
        self.pixels.append(pixels)
        self.labels.append(labels)
        self.counts.append(counts)
        self.skipped.append(reason)

    def table(self, metadata: dict[str, str], *, whole: bool = True) -> pa.Table:
        """The rows in the order of their index."""
        order = np.argsort(np.asarray(self.index), kind="stable")
        number = pa.int32() if whole else pa.float64()
        return pa.table(
            {
                "index": pa.array([self.index[k] for k in order], pa.int64()),
                "id": pa.array([self.ids[k] for k in order], pa.string()),
                "pixels": pa.array([self.pixels[k] for k in order], number),
                "labels": pa.array([self.labels[k] for k in order], pa.list_(pa.int32())),
                "counts": pa.array([self.counts[k] for k in order], pa.list_(number)),
                "skipped": pa.array([self.skipped[k] for k in order], pa.string()),
            }
        ).replace_schema_metadata(metadata)


class ChunkStore:
    """A folder of chunks. Many runs, sources and processes may share one."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, identity: TallyIdentity, start: int, stop: int) -> Path:
        """Where the chunk of images start..stop-1 lies, or would lie."""
        key = identity.key(start, stop)
        return self.folder / key[:2] / f"{key}.parquet"

    def write(self, path: Path, rows: ChunkRows, metadata: dict[str, str]) -> None:
        """Write a chunk so that it appears whole or not at all."""
        write_table(path, rows.table(metadata))


def write_table(path: Path, table: pa.Table) -> None:
    """Parquet through a temporary name, flushed, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            pq.write_table(table, stream, compression="zstd")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def describe(
    vocabulary: Vocabulary, identity: TallyIdentity | None, record: dict[str, Any]
) -> dict[str, str]:
    """File metadata of a chunk or tally."""
    return {
        "seeingkit": json.dumps(
            {
                "labels": [list(label) for label in vocabulary],
                "planes": list(vocabulary.planes),
                "has_background": vocabulary.has_background,
                "identity": identity.model_dump(mode="json") if identity else None,
                "record": record,
            },
            sort_keys=True,
        )
    }


def read_rows(paths: Sequence[Path]) -> Tally:
    """The tally of some chunk files, in the order of the images' indices.

    Raises:
        TallyError: a file is missing or damaged, an index occurs twice, files do not fit.
    """
    tables: list[pa.Table] = []
    meta: dict[str, Any] | None = None
    for path in paths:
        try:
            table = pq.read_table(path)
            found = json.loads((table.schema.metadata or {})[b"seeingkit"])
        except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
            raise TallyError(f"{path}: not a readable tally ({error}); delete it") from error
        if meta is not None and found["labels"] != meta["labels"]:
            raise TallyError(f"{path}: its labels differ from the other chunks'")
        meta = meta or found
        tables.append(table.replace_schema_metadata(None))
    if meta is None:
        raise TallyError("a tally needs at least one image")
    table = pa.concat_tables(tables).sort_by("index").combine_chunks()
    index = table["index"].to_numpy()
    if len(np.unique(index)) != len(index):
        raise TallyError("chunks overlap: an image occurs twice")
    reasons, ids = table["skipped"].to_pylist(), table["id"].to_pylist()
    good = np.array([reason is None for reason in reasons], dtype=bool)
    kept = table.filter(pa.array(good))
    labels = kept["labels"].combine_chunks()
    vocabulary = Vocabulary(
        tuple(Label(*label) for label in meta["labels"]),
        tuple(meta["planes"]),
        meta["has_background"],
    )
    indptr = np.concatenate([[0], np.cumsum(labels.value_lengths().to_numpy())])
    counts = sparse.csr_array(
        (
            kept["counts"].combine_chunks().flatten().to_numpy(zero_copy_only=False),
            labels.flatten().to_numpy(zero_copy_only=False),
            indptr.astype(np.int64),
        ),
        shape=(kept.num_rows, len(vocabulary) * len(vocabulary.planes)),
    )
    identity = TallyIdentity.model_validate(meta["identity"]) if meta["identity"] else None
    return Tally(
        tuple(kept["id"].to_pylist()),
        counts,
        kept["pixels"].to_numpy().astype(np.float64),
        vocabulary,
        identity,
        tuple(Skipped(i, r) for i, r in zip(ids, reasons, strict=True) if r is not None),
        meta["record"],
    )


def write_rows(path: Path, tally: Tally) -> Path:
    """Write a whole tally in the format of a chunk."""
    rows = ChunkRows()
    for k, item in enumerate(tally.ids):
        row = slice(tally.counts.indptr[k], tally.counts.indptr[k + 1])
        rows._append(
            k,
            item,
            float(tally.pixels[k]),
            tally.counts.indices[row].astype(np.int32),
            tally.counts.data[row],
            None,
        )
    for k, skipped in enumerate(tally.skipped):
        rows.skip(len(tally) + k, skipped.item, skipped.reason)
    metadata = describe(tally.vocabulary, tally.identity, tally.record)
    whole = bool(np.issubdtype(tally.counts.dtype, np.integer))
    write_table(path, rows.table(metadata, whole=whole))
    return path
