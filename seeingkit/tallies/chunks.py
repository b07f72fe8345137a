"""Chunks of a tally on disk: Parquet, named by their content, written whole or not at all.

Guarantees: a chunk file that exists is complete (temporary name, flush, rename); its name is the
hash of everything that changes its numbers, so it is never stale; reading is independent of the
order and the number of processes that wrote.

Columns: ``index`` int64 (place in the source), ``id`` string, ``pixels`` int32, ``labels`` list of
int32 (plane * L + label), ``counts`` list (pixels of each, or another unit), ``condition`` int32 or
null (class of a conditional generator), ``skipped`` string or null (why).
File metadata: vocabulary, identity and record as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import sparse

from seeingkit.contracts import Label, Skipped, Vocabulary
from seeingkit.errors import TallyError, one_line
from seeingkit.system.writing import atomic_write

from .identity import TallyIdentity
from .record import TallyRecord

CHUNK = 1024
"""Consecutive indices in one chunk: the unit of resuming and of sharing work."""


class ChunkRows:
    """Rows of one chunk while they are being counted."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def add(
        self, index: int, item: str, pixels: float, row: NDArray[Any], condition: int | None = None
    ) -> None:
        """One counted image: ``row`` holds the number of each column."""
        live = np.flatnonzero(row)
        self.append(index, item, pixels, live.astype(np.int32), row[live], condition)

    def skip(self, index: int, item: str, reason: str) -> None:
        """One image that could not be used."""
        nothing = np.empty(0, np.int32)
        self.append(index, item, 0, nothing, nothing, None, reason)

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
        columns = zip(*sorted(self.rows, key=lambda row: row[0]), strict=True)
        arrays = [pa.array(list(c), t) for c, t in zip(columns, types.values(), strict=False)]
        return pa.table(arrays or [[]] * 7, schema=pa.schema(types, metadata=metadata))


class ChunkStore:
    """A folder of chunks. Many runs, sources and processes may share one.

    >>> ChunkStore("chunks").folder.name
    'chunks'
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, identity: TallyIdentity, start: int, stop: int) -> Path:
        """Where the chunk of images start..stop-1 lies, or would lie."""
        key = identity.key(start, stop)
        return self.folder / key[:2] / f"{key}.parquet"


def write_table(path: Path, table: pa.Table) -> None:
    """Write Parquet, whole or not at all."""
    with atomic_write(path) as stream:
        pq.write_table(table, stream, compression="zstd")


def describe(
    vocabulary: Vocabulary, identity: TallyIdentity | None, record: TallyRecord | None = None
) -> dict[str, str]:
    """File metadata of a chunk or tally."""
    return {
        "seeingkit": json.dumps(
            {
                **asdict(vocabulary),
                "identity": identity.model_dump(mode="json") if identity else None,
                "record": record.model_dump(mode="json", exclude_defaults=True) if record else {},
            },
            sort_keys=True,
        )
    }


def read_rows(paths: Sequence[Path]) -> dict[str, Any]:
    """The rows of some chunk files by the fields of a ``Tally``, in the order of the indices.

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
        meta.get("unit", "pixels"),
    )
    indptr = np.concatenate([[0], np.cumsum(labels.value_lengths().to_numpy())])
    numbers = kept["counts"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    columns = labels.flatten().to_numpy(zero_copy_only=False)
    shape = kept.num_rows, len(vocabulary) * len(vocabulary.planes)
    identity = TallyIdentity.model_validate(meta["identity"]) if meta["identity"] else None
    return {
        "ids": tuple(kept["id"].to_pylist()),
        "counts": sparse.csr_array((numbers, columns, indptr.astype(np.int64)), shape=shape),
        "pixels": kept["pixels"].to_numpy().astype(np.float64),
        "vocabulary": vocabulary,
        "identity": identity,
        "skipped": tuple(Skipped(i, r) for i, r in zip(ids, reasons, strict=True) if r is not None),
        "record": _record(meta["record"], paths[0]),
        "conditions": _conditions(kept),
    }


def _record(stored: Any, path: Path) -> TallyRecord:
    try:
        return TallyRecord.read(stored)
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise TallyError(
            f"{path}: its record is not one of this version ({one_line(error, 200)}); tally again"
        ) from error


def _conditions(kept: pa.Table) -> NDArray[np.int64] | None:
    """The column ``condition``, -1 where an image has none; None where no image has one."""
    if "condition" not in kept.column_names or kept["condition"].null_count == len(kept):
        return None
    found: NDArray[np.int64] = kept["condition"].fill_null(-1).to_numpy().astype(np.int64)
    return found
