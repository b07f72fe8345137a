"""Pictures in Parquet files, one a row, as Hugging Face data sets are stored.

Guarantees: rows are read from their row groups with bounded memory (``rowgroups``), fast where they
are asked for in order; an id is ``file.parquet/000012``, and the path that the row states behind
it; a row without bytes is a picture that is refused, with the reason. Classes come from the column
that the metadata declares, else from one called ``label``. A tally of ours is no source of
pictures, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seeingkit.contracts import Skipped
from seeingkit.errors import ImageError, SourceError
from seeingkit.specs import Preset
from seeingkit.system.digests import Stamp, file_stamp

from .archive import member_id
from .decode import Limits
from .files import stable_id
from .listedfiles import ListedFiles
from .rowgroups import DAMAGE, ColumnReader
from .samplelabels import GivenClasses, Label, numbered
from .stored import StoredImages
from .tablecolumns import (
    ParquetHead,
    as_pictures,
    choose_label,
    choose_pictures,
    class_names,
    picture_columns,
    read_head,
)

_LONGEST = 500  # characters of a path in an id


class ParquetImages(StoredImages):
    """The pictures of Parquet files.

    Args:
        name: for people.
        root: folder that the files are relative to.
        files: the files, relative to ``root``; all have the same columns of pictures and classes.
        column: of the pictures; needed where several hold some.
        label: column of the classes; ``none`` for no classes.

    Raises:
        SourceError: a file is missing or damaged, holds no pictures, or differs from the others.
        UsageError: several columns hold pictures, or an unknown column.

    >>> ParquetImages("photos", ".", ["photos.parquet"]).ids
    ('photos.parquet/000000/1.png', 'photos.parquet/000001/2.png')
    """

    kind = "Parquet"

    def __init__(
        self,
        name: str,
        root: str | os.PathLike[str],
        files: Sequence[str],
        *,
        column: str | None = None,
        label: str | None = None,
        preset: Preset | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.root = os.fspath(root)
        self._reader = ColumnReader([], "")  # so that it can be closed whatever happens
        where = f"the Parquet files {name}"
        listed = {path: ListedFiles([path]) for path in (os.path.join(self.root, f) for f in files)}
        heads = [read_head(path) for path in listed]
        tallies = sum(head.is_tally for head in heads)
        if tallies < len(heads):  # of a tally alone it is said why it is refused
            files = [file for file, head in zip(files, heads, strict=True) if not head.is_tally]
            heads = [head for head in heads if not head.is_tally]
        heads, first, self.left_out = _with_pictures(heads, files, where, column)
        self.column = choose_pictures(first, column)
        ids: list[str] = []
        for head in heads:
            ids.extend(_ids(head, self.root, self.column.name, self.column.path))
        if not ids:
            raise SourceError(f"{where}: no rows in them")
        self._listed = [listed[head.path] for head in heads]
        self._ends = np.cumsum([head.rows for head in heads])
        self._reader = ColumnReader(
            [head.path for head in heads], self.column.name, self.column.field
        )
        chosen, note = choose_label(first, label)
        given = _classes(heads, chosen, ids, where)
        self.classes, self.class_names, self.classes_by = given.classes, given.names, given.by
        aside = f"left out, no pictures: {tallies:,} tallies of seeingkit" if tallies else ""
        self.notes = tuple(filter(None, (self._guess(), aside, note, *given.notes)))
        super().__init__(name, ids, preset=preset, limits=limits, place=root or ".")

    def _guess(self) -> str:
        if self.column.declared:
            return ""
        return f"the column {self.column.name!r} is taken for the pictures, by its content"

    def place(self, index: int) -> tuple[int, int]:
        """The number of the file that holds a picture, and the row in it."""
        file = int(np.searchsorted(self._ends, index, side="right"))
        return file, index - (int(self._ends[file - 1]) if file else 0)

    def fetch(self, index: int) -> bytes:
        """The bytes in one row."""
        item, (file, row) = self.ids[index], self.place(index)
        if not self.is_hashed(index):
            self._listed[file].check(0)
        data = self._reader.read(file, row, item, self.limits.max_bytes)
        if data is None:
            raise ImageError(item, "the row has no bytes of a picture" + self._only_path(item))
        return data

    def _only_path(self, item: str) -> str:
        path = item.rpartition(".parquet/")[2].partition("/")[2]
        told = f", only the path {path!r}: embed the files when the data set is written"
        return told if self.column.path and path else " (null)"

    def encoded_size(self, index: int) -> int:
        """See ``StoredImages.encoded_size``."""
        try:
            return self._reader.size(*self.place(index))
        except ImageError:  # ``fetch`` says why
            return 0

    def reading_order(self, indices: Sequence[int]) -> Sequence[int]:
        """Ascending: rows in order are read once."""
        ascending = sorted(indices)
        return indices if list(indices) == ascending else ascending

    def stamp(self, index: int) -> Stamp | None:
        """The file's size, times and inode, and the row."""
        file, row = self.place(index)
        stamp = file_stamp(self._reader.paths[file])
        return stamp and (*stamp, row)

    def close(self) -> None:
        """Close the files."""
        self._reader.close()


def holds_pictures(path: str) -> bool:
    """Whether a Parquet file has a column of pictures.

    Raises:
        SourceError: it cannot be read.

    >>> holds_pictures("photos.parquet")
    True
    """
    return bool(picture_columns(read_head(path)))


def _with_pictures(
    heads: list[ParquetHead], files: Sequence[str], where: str, column: str | None
) -> tuple[list[ParquetHead], ParquetHead, tuple[Skipped, ...]]:
    """The files that have the pictures' column, the one that tells it, and the other files.

    Raises:
        SourceError: files hold pictures in different columns.
    """
    full = [head for head in heads if head.rows] or heads
    if column is None:
        first = next((head for head in full if picture_columns(head)), full[0])
    else:
        first = next((head for head in full if column in head.schema.names), full[0])
    chosen = choose_pictures(first, column)
    kept, left_out = [], []
    for head, file in zip(heads, files, strict=True):
        there = chosen.name in head.schema.names and as_pictures(head, chosen.name)
        if there and there.field == chosen.field:
            kept.append(head)
            continue
        if (others := picture_columns(head)) and column is None:
            raise SourceError(
                f"{where}: pictures of {first.path} are in the column {chosen.name!r}, those of "
                f"{head.path} in {others[0].name!r}; give them one at a time"
            )
        reason = f"a Parquet file without a column {chosen.name!r} of pictures"
        left_out.append(Skipped(stable_id(file), reason))
    return kept, first, tuple(left_out)


def _ids(head: ParquetHead, root: str, column: str, has_path: bool) -> Iterator[str]:
    file = stable_id(os.path.relpath(head.path, root or "."))
    has_path = has_path and bool((found := as_pictures(head, column)) and found.path)
    if not has_path:
        yield from (f"{file}/{row:06d}" for row in range(head.rows))
        return
    row = 0
    for paths in _columns(head, f"{column}.path", texts):
        for path in paths:
            inside = member_id(path) if path and len(path) <= _LONGEST else ""
            yield f"{file}/{row:06d}/{inside}" if inside else f"{file}/{row:06d}"
            row += 1
    if row != head.rows:
        raise SourceError(f"{head.path}: {head.rows:,} rows are claimed, and {row:,} are there")


def texts(column: pa.Array) -> list[str | None]:
    """The only field of structs, or a column, as texts; what is no UTF-8 is escaped.

    >>> texts(pa.array([{"path": "1.png"}, None]))
    ['1.png', None]
    """
    if pa.types.is_struct(column.type):
        (column,) = column.flatten()
    found = column.cast(pa.binary()).to_pylist()
    return [None if x is None else x.decode("utf-8", "backslashreplace") for x in found]


def _columns(
    head: ParquetHead, column: str, convert: Callable[[pa.Array], list[Any]]
) -> Iterator[list[Any]]:
    """The values of one column of a file, in batches.

    Raises:
        SourceError: damaged.
    """
    try:
        with pq.ParquetFile(head.path, buffer_size=1 << 16, pre_buffer=False) as file:
            for batch in file.iter_batches(columns=[column], use_threads=False, batch_size=4096):
                yield convert(batch.column(0))
    except DAMAGE as error:
        raise SourceError(
            f"{head.path}: column {column!r} cannot be read ({error}); fetch the file again"
        ) from error


def _classes(
    heads: Sequence[ParquetHead], column: str | None, ids: Sequence[str], where: str
) -> GivenClasses:
    """The classes of all rows by one column.

    Raises:
        SourceError: a file lacks the column, or files call their classes differently.
    """
    if column is None:
        return GivenClasses()
    labels: list[Label | None] = []
    names = class_names(heads[0], column)
    for head in heads:
        if column not in head.schema.names or class_names(head, column) != names:
            raise SourceError(
                f"{where}: {heads[0].path} and {head.path} differ in the classes of the column "
                f"{column!r}; give them one at a time, or take no classes: --data-option label=none"
            )
        for values in _columns(head, column, pa.Array.to_pylist):
            labels.extend(values)
    if len(labels) != len(ids):
        raise SourceError(
            f"{where}: the column {column!r} has {len(labels):,} of {len(ids):,} rows; fetch the "
            "files again"
        )
    given = numbered(labels, ids, f"the column “{column}”", where)
    if given.classes is None or not names:
        return given
    most = max(label for label in given.classes if label is not None)
    if most >= len(names) or given.names:
        shown = given.names[0] if given.names else most
        raise SourceError(
            f"{where}: the column {column!r} holds the class {shown!r}, but its metadata names "
            f"{len(names)} classes; the file contradicts itself"
        )
    return given._replace(names=names)
