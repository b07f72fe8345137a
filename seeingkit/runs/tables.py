"""Tables of a run as Parquet, for people's own questions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy import sparse

from seeingkit.analyses.comparison.conditions import class_names_of
from seeingkit.results import Frame, Results
from seeingkit.statistics.neighbourhoods import Neighbourhoods
from seeingkit.tallies import Tally
from seeingkit.tallies.chunks import describe, write_table


def write_classes(path: Path, results: Results) -> None:
    """``classes.parquet``: one row per class, the keys of ``results.json``."""
    rows = [c.model_dump(mode="json") for c in results.classes]
    write_table(path, pa.Table.from_pylist(rows))


def write_conditions(path: Path, generated: Tally) -> Path | None:
    """``conditions.parquet``: mean area and presence of each label in each class drawn.

    Returns:
        None, and no file, for a generator without classes.
    """
    drawn = generated.conditions
    if drawn is None:
        return None
    names = class_names_of(generated)
    rows = []
    for label in np.unique(drawn[drawn >= 0]).tolist():
        areas = generated.sparse_percent(0)[np.flatnonzero(drawn == label)]
        mean = np.asarray(areas.mean(axis=0)).ravel()
        present = np.diff(sparse.csc_array(areas).indptr) / areas.shape[0]
        for k in np.flatnonzero(mean):
            rows.append(
                {
                    "label": label,
                    "name": names[label] if label < len(names) else str(label),
                    "images": areas.shape[0],
                    "class": generated.vocabulary.labels[k].name,
                    "index": int(k),
                    "area": float(mean[k]),
                    "presence": float(present[k]),
                }
            )
    write_table(path, pa.Table.from_pylist(rows))
    return path


def write_images(
    path: Path, real: Tally, generated: Tally, around: Neighbourhoods | None = None
) -> None:
    """``images.parquet``: one row per image: side, id, pixels, label numbers and their pixels.

    ``coverage_ratio`` of a real image is its distance to the nearest generated one over the radius
    of its neighbourhood; null where it was not measured, and for generated images.
    """
    tables = []
    ratios = np.full(len(real), np.nan)
    if around is not None:
        ratios[around.rows_real] = around.ratio
    for side, tally in (("real", real), ("generated", generated)):
        own = ratios if side == "real" else np.full(len(tally), np.nan)
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
                    "coverage_ratio": pa.array(own, pa.float64(), from_pandas=True),
                }
            )
        )
    table = pa.concat_tables(tables)
    write_table(path, table.replace_schema_metadata(describe(real.vocabulary, None)))


def write_frame(path: Path, frame: Frame) -> None:
    """A table for Python, as Parquet.

    ::

        write_frame(folder / "counts.parquet", found.counts)
    """
    columns = {name: pa.array(list(frame[name])) for name in frame.columns}
    write_table(path, pa.table(columns))
