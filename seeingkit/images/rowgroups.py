"""Reads single values of one column of Parquet files, with bounded memory.

Guarantees: of each file the pages of one row group at a time are decoded, in batches of about
``BATCH`` bytes, of which the last few are kept: rows in order are read once, and a row is at most
one row group away. A row group of any size fits, but for the page that is decoded: writers make
pages of about 1 MiB, or of some hundred rows where rows are large. Several threads may ask.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seeingkit.errors import ImageError

BATCH = 4 << 20
"""Bytes of values that are decoded at once, about."""
KEPT = 4
"""Batches of a file that are kept, as far as they have ``KEPT * BATCH`` bytes: one for each thread
that decodes."""
OPEN = 4
"""Files that are open at once."""
_MOST_ROWS = 1024

DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError, EOFError)
"""What reading a damaged file raises."""


class _Window(NamedTuple):
    """Values of consecutive rows."""

    start: int
    values: pa.Array

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and self.start <= row < self.start + len(self.values)


class _OpenFile:
    """One file, the batches of a row group that follow, and the last few of them.

    Attributes:
        ends: of each row group, the number of the row behind it.
    """

    def __init__(self, path: str, leaf: str, field: str | None) -> None:
        self.leaf, self.field = leaf, field
        # streams: without a buffer size the whole column of a row group would be read at once
        self.file = pq.ParquetFile(path, buffer_size=1 << 16, pre_buffer=False)
        metadata = self.file.metadata
        groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
        self.ends = np.cumsum([group.num_rows for group in groups])
        self._windows: list[_Window] = []
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._group = self._next = -1
        self._broken: dict[int, tuple[int, Exception]] = {}

    def value(self, row: int) -> Any:
        """The value of a row: an Arrow scalar."""
        group = int(np.searchsorted(self.ends, row, side="right"))
        if group >= len(self.ends):
            raise EOFError("the file has fewer rows now")
        bad, error = self._broken.get(group, (row + 1, None))
        if error is not None and row >= bad:
            raise error
        for window in self._windows:
            if row in window:
                return window.values[row - window.start]
        if group != self._group or row < self._next:
            self._start(group)
        try:
            while row >= self._next:
                self._advance()
        except DAMAGE as error:
            if getattr(error, "errno", None) is None:  # else the disk may do better next time
                self._broken[group] = self._next, error
            self._group, self._batches = -1, iter(())
            raise
        return self.value(row)

    def _start(self, group: int) -> None:
        self._group = group
        self._next = 0 if group == 0 else int(self.ends[group - 1])
        self._batches = self.file.iter_batches(
            batch_size=self._rows(group), row_groups=[group], columns=[self.leaf], use_threads=False
        )

    def _rows(self, group: int) -> int:
        """Rows of a batch: as many as have ``BATCH`` bytes on average."""
        found = self.file.metadata.row_group(group)
        # of all columns: the metadata of one ends the process where it is damaged (pyarrow 26)
        average = max(1, found.total_byte_size // max(1, found.num_rows))
        return int(min(_MOST_ROWS, max(1, BATCH // average)))

    def _advance(self) -> None:
        batch = next(self._batches, None)
        if batch is None or not len(batch):
            raise EOFError("its row group ends early")
        values = batch.column(0)
        if self.field is not None:
            # a missing struct is a missing value: flatten() keeps its nulls, field() does not
            values = dict(zip(values.type.names, values.flatten(), strict=True))[self.field]
        self._windows.append(_Window(self._next, values))
        while len(self._windows) > 1 and (
            len(self._windows) > KEPT
            or sum(window.values.nbytes for window in self._windows) > KEPT * BATCH
        ):
            self._windows.pop(0)
        self._next += len(values)


class ColumnReader:
    """Single values of one column of several files.

    ``ColumnReader(["a.parquet"], "image", "bytes").read(0, 12)`` gives bytes, or None.

    Args:
        paths: of the files.
        column: name of the column.
        field: of the column's structs, if it holds some.
    """

    def __init__(self, paths: Sequence[str], column: str, field: str | None = None) -> None:
        self.paths, self.field = paths, field
        self.leaf = column if field is None else f"{column}.{field}"
        self._open: OrderedDict[int, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, file: int, row: int, item: str = "", most: int | None = None) -> bytes | None:
        """The value of a row; None where it is null.

        Args:
            file: its number in ``paths``.
            row: of the file.
            item: id of the image, for the error.
            most: largest size that is read.

        Raises:
            ImageError: the row cannot be read.
        """
        with self._lock:
            value = self._value(file, row, item)
            if not value.is_valid:
                return None
            size = value.as_buffer().size
            if most is not None and size > most:
                raise ImageError(item, f"{size:,} bytes, more than {most:,}")
            return bytes(value.as_py())

    def size(self, file: int, row: int) -> int:
        """Bytes of a value; 0 where it is null. Errors as ``read``."""
        with self._lock:
            value = self._value(file, row, "")
            return int(value.as_buffer().size) if value.is_valid else 0

    def _value(self, file: int, row: int, item: str) -> Any:
        try:
            return self._opened(file).value(row)
        except FileNotFoundError:
            raise ImageError(item, "its Parquet file is no longer there") from None
        except MemoryError as error:
            raise ImageError(item, "not enough memory to read it", temporary=True) from error
        except DAMAGE as error:
            reason = getattr(error, "strerror", None) or error
            raise ImageError(item, f"damaged in the Parquet file ({reason})") from error

    def _opened(self, file: int) -> _OpenFile:
        if file not in self._open:
            while len(self._open) >= OPEN:
                self._open.popitem(last=False)[1].file.close()
            self._open[file] = _OpenFile(self.paths[file], self.leaf, self.field)
        self._open.move_to_end(file)
        return self._open[file]

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].file.close()
