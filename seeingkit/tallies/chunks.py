"""Chunks of a tally on disk: Parquet, named by their content, written whole or not at all.

Guarantees: a chunk file that exists is complete (temporary name, flush, rename); its name is the
hash of everything that changes its numbers, so it is never stale; it holds a digest of all its
bytes, its identity and its range, which ``reading`` checks.

Columns: ``index`` int64 (place in the source), ``id`` string, ``pixels`` int32, ``labels`` list of
int32 (plane * L + label), ``counts`` list (pixels of each, or another unit), ``condition`` int32 or
null (class of a conditional generator), ``skipped`` string or null (why).
File metadata: vocabulary, identity, record and range as JSON, and the seal (``system.seals``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seeingkit.contracts import Skipped, Unread, Vocabulary
from seeingkit.system import seals
from seeingkit.system.addresses import Place, place
from seeingkit.system.claims import FOLDER as CLAIMS
from seeingkit.system.claims import Claims
from seeingkit.system.writing import atomic_write

from .identity import TallyIdentity
from .record import TallyRecord

CHUNK = 1024
"""Consecutive indices in one chunk: the unit of resuming and of sharing work."""


class Span(NamedTuple):
    """Range of the images in a chunk, and those that are to be tried again on the next start.

    >>> Span(0, 1024).unread
    ()
    """

    start: int
    stop: int
    unread: tuple[int, ...] = ()


class ChunkRows:
    """Rows of one chunk while they are being counted.

    Attributes:
        unread: indices of images that could not be read for a moment.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.unread: list[int] = []

    def add(
        self, index: int, item: str, pixels: float, row: NDArray[Any], condition: int | None = None
    ) -> None:
        """One counted image: ``row`` holds the number of each column."""
        live = np.flatnonzero(row)
        self.append(index, item, pixels, live.astype(np.int32), row[live], condition)

    def skip(self, index: int, skipped: Skipped) -> None:
        """One image that could not be used."""
        nothing = np.empty(0, np.int32)
        self.append(index, skipped.item, 0, nothing, nothing, None, skipped.reason)
        if isinstance(skipped, Unread):
            self.unread.append(index)

    def append(
        self,
        index: int,
        item: str,
        pixels: float,
        labels: NDArray[np.int32],
        counts: NDArray[Any],
        condition: int | None,
        reason: str | None = None,
    ) -> None:
        """One row as it is stored: numbers of the labels there are, or why there are none."""
        self.rows.append((index, item, pixels, labels, counts, condition, reason))

    def table(self, metadata: dict[str, str], *, whole: bool = True) -> pa.Table:
        """The rows in the order of their index; ``whole`` numbers, such as pixels, or others."""
        columns = zip(*sorted(self.rows, key=lambda row: row[0]), strict=True)
        schema = rows_schema(metadata, whole=whole)
        arrays = [pa.array(list(c), t) for c, t in zip(columns, schema.types, strict=False)]
        return pa.table(arrays or [[]] * len(schema), schema=schema)


def rows_schema(metadata: dict[str, str], *, whole: bool) -> pa.Schema:
    """The columns of a file, with its metadata; ``whole`` numbers, such as pixels, or others."""
    number = pa.int32() if whole else pa.float64()
    types = {
        "index": pa.int64(),
        "id": pa.string(),
        "pixels": number,
        "labels": pa.list_(pa.int32()),
        "counts": pa.list_(number),
        "condition": pa.int32(),
        "skipped": pa.string(),
    }
    return pa.schema(types, metadata=metadata)


@dataclass(frozen=True)
class Chunk:
    """The images start..stop-1 of a tally, and the file of their rows.

    >>> Chunk(TallyIdentity(source="1f", segmenter={}, preset={}), 0, 9, place("a")).stop
    9
    """

    identity: TallyIdentity
    start: int
    stop: int
    path: Place


class ChunkStore:
    """A folder of chunks, or an address. Many runs, sources and processes may share one.

    >>> ChunkStore("chunks").folder.name
    'chunks'
    """

    def __init__(self, folder: str | Place) -> None:
        self.folder = place(folder)

    @property
    def claims(self) -> Claims:
        """The claims of processes that count chunks now."""
        return Claims(self.folder / CLAIMS)

    def path(self, identity: TallyIdentity, start: int, stop: int) -> Place:
        """Where the chunk of images start..stop-1 lies, or would lie."""
        key = identity.key(start, stop)
        return self.folder / key[:2] / f"{key}.parquet"


def write_table(path: Place, table: pa.Table) -> None:
    """Write Parquet, sealed, whole or not at all."""
    buffer = pa.BufferOutputStream()
    # The seal is to be in the file once, so without Arrow's own copy of the metadata.
    with pq.ParquetWriter(buffer, table.schema, compression="zstd", store_schema=False) as parquet:
        parquet.write_table(table)
        about = {key.decode(): text.decode() for key, text in (table.schema.metadata or {}).items()}
        parquet.add_key_value_metadata({**about, "digest": seals.BLANK})
    data = seals.seal(buffer.getvalue().to_pybytes())
    with atomic_write(path) as stream:
        stream.write(data)


def read_table(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a Parquet file, read in this thread.

    Arrow's own threads abort a process that ends soon after reading.

    Args:
        data: of the whole file.
        columns: those that are wanted; None: all.

    Raises:
        pa.ArrowException: it is no Parquet.
    """
    with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as parquet:
        return parquet.read(columns=columns, use_threads=False)


def write_chunk(
    chunk: Chunk, rows: ChunkRows, vocabulary: Vocabulary, record: TallyRecord | None = None
) -> None:
    """Write the rows of a chunk, whole or not at all."""
    span = Span(chunk.start, chunk.stop, tuple(rows.unread))
    metadata = describe(vocabulary, chunk.identity, record, span)
    write_table(chunk.path, rows.table(metadata, whole=vocabulary.unit == "pixels"))


def describe(
    vocabulary: Vocabulary,
    identity: TallyIdentity | None,
    record: TallyRecord | None = None,
    span: Span | None = None,
) -> dict[str, str]:
    """File metadata of a chunk (of this span) or of a whole tally."""
    return {
        "seeingkit": json.dumps(
            {
                **asdict(vocabulary),
                "identity": identity.model_dump(mode="json") if identity else None,
                "record": record.model_dump(mode="json", exclude_defaults=True) if record else {},
                "span": span,
            },
            sort_keys=True,
        )
    }
