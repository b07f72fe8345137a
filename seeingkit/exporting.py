"""Tables of a run as Parquet, for people's own questions."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from .results import Results
from .tallies import Tally
from .tallies.chunks import describe, write_table


def write_classes(path: Path, results: Results) -> Path:
    """``classes.parquet``: one row per class, the keys of ``results.json``."""
    rows = [c.model_dump(mode="json") for c in results.classes]
    write_table(path, pa.Table.from_pylist(rows))
    return path


def write_images(path: Path, real: Tally, generated: Tally) -> Path:
    """``images.parquet``: one row per image: side, id, pixels, label numbers and their pixels."""
    tables = []
    for side, tally in (("real", real), ("generated", generated)):
        offsets = pa.array(tally.counts.indptr, pa.int32())
        tables.append(
            pa.table(
                {
                    "side": pa.array([side] * len(tally), pa.string()),
                    "id": pa.array(tally.ids, pa.string()),
                    "pixels": pa.array(tally.pixels, pa.float64()),
                    "labels": pa.ListArray.from_arrays(
                        offsets, pa.array(tally.counts.indices, pa.int32())
                    ),
                    "counts": pa.ListArray.from_arrays(
                        offsets, pa.array(tally.counts.data, pa.float64())
                    ),
                }
            )
        )
    table = pa.concat_tables(tables)
    write_table(path, table.replace_schema_metadata(describe(real.vocabulary, None, {})))
    return path
