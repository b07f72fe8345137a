"""The pictures of one split of a data set, row by row.

Guarantees: a row is read from the library's files as it stands, and decoded as any file is; an id
is ``owner/name/train.arrow/000012`` and the path that the row states, without folders of this
machine. A row without bytes is read from its file where the library laid it; one whose file is
elsewhere is refused, by name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from seeingkit.contracts import Skipped
from seeingkit.errors import ImageError, SourceError, UsageError
from seeingkit.images import Limits, StoredImages
from seeingkit.images.archive import member_id
from seeingkit.images.decode import check_bytes, read_file
from seeingkit.images.parquet import texts
from seeingkit.images.samplelabels import GivenClasses, numbered
from seeingkit.images.tablecolumns import (
    ParquetHead,
    PictureColumn,
    as_pictures,
    choose_label,
    choose_pictures,
    class_names,
)
from seeingkit.specs import Preset
from seeingkit.system.digests import Stamp, file_stamp

from .catalog import HubOptions
from .library import Reference, library, open_table

_LONGEST = 500  # characters of a path in an id


def open_data_set(options: HubOptions, preset: Preset) -> HubImages:
    """One split of a data set, as the registry calls it."""
    if not options.reference:
        raise UsageError("hf: say which data set, as hf:owner/name or hf:./folder")
    table, split = open_table(options.reference, options.split, options.revision)
    return HubImages(table, split, options, preset)


class HubImages(StoredImages):
    """The pictures of a ``datasets.Dataset``.

    Args:
        table: the data set.
        split: its name.
        options: name it, and may name its columns.
        preset: how a picture becomes an array.
    """

    kind = "data set of the library datasets"

    def __init__(self, table: Any, split: str, options: HubOptions, preset: Preset) -> None:
        reference = Reference.read(options.reference or "")
        name = f"hf:{options.reference}"
        if not len(table):
            raise SourceError(f"{name}: no rows in it")
        head = ParquetHead(name, len(table), table.features.arrow_schema)
        column = _pictures(head, options.column)
        self._home = os.path.abspath(reference.name) if reference.folder else ""
        self._column, self._binary = column.name, column.field is None
        self._files = [one["filename"] for one in table.cache_files]
        chosen, note = choose_label(head, options.label)
        labels = None if chosen is None else table.with_format("arrow")[chosen]
        rows = table.select_columns([column.name])
        if column.declared:
            rows = rows.cast_column(column.name, library().Image(decode=False))
        _refuse_damage(table, [column.name, *([chosen] if chosen else [])], name)
        self._rows = rows
        ids = self._ids(reference, split)
        given = _classes(head, chosen, labels, ids)
        self.classes, self.class_names, self.classes_by = given.classes, given.names, given.by
        self.notes = tuple(filter(None, (note, *given.notes)))
        self.left_out: tuple[Skipped, ...] = ()
        place = os.path.dirname(self._files[0]) if self._files else None
        self._stamp = self._stamp_of_all()
        super().__init__(name, ids, preset=preset, limits=Limits(), place=place)

    def _ids(self, reference: Reference, split: str) -> list[str]:
        """Ids of all rows; the pictures themselves are not read."""
        name = os.path.basename(self._home) if reference.folder else reference.name
        parts = [name, *([reference.configuration] if reference.configuration else [])]
        start = "/".join([*parts, f"{split}.arrow"])
        found = []
        for row, path in enumerate(self._paths()):
            inside = self._inside(path) if path and len(path) <= _LONGEST else ""
            found.append(f"{start}/{row:06d}/{inside}" if inside else f"{start}/{row:06d}")
        return found

    def _paths(self) -> list[str | None]:
        if self._binary:
            return [None] * len(self._rows)
        column = self._rows.with_format("arrow").data.column(self._column)
        if self._rows._indices is not None or not pa.types.is_struct(column.type):
            return [None] * len(self._rows)
        if column.type.get_field_index("path") < 0:
            return [None] * len(self._rows)
        return [
            path
            for chunk in column.chunks
            for path in texts(chunk.flatten()[chunk.type.get_field_index("path")])
        ]

    def _inside(self, path: str) -> str:
        """A path without the folders of this machine."""
        if not os.path.isabs(path):
            return member_id(path)
        if self._home and path.startswith(self._home + os.sep):
            return member_id(os.path.relpath(path, self._home))
        return member_id(os.path.basename(path))

    def fetch(self, index: int) -> bytes:
        """The bytes in one row, or of the file that it names."""
        item = self.ids[index]
        data, path = self._row(index)
        if data is not None:
            check_bytes(len(data), item, self.limits)
            return data
        if path is None:
            raise ImageError(item, "the row has no bytes of a picture (null)")
        if not self._is_ours(path):
            raise ImageError(
                item,
                f"the row has no bytes of a picture; its path {path!r} is not read",
            )
        return read_file(path, item, self.limits)

    def _row(self, index: int) -> tuple[bytes | None, str | None]:
        try:
            value = self._rows[index][self._column]
        except (OSError, pa.ArrowException, ValueError) as error:
            raise ImageError(self.ids[index], f"cannot be read ({error})") from error
        if self._binary:
            return value, None
        return (None, None) if value is None else (value.get("bytes"), value.get("path"))

    def _is_ours(self, path: str) -> bool:
        """Whether a file lies where the user or the library laid the data set."""
        config = library().config
        homes = [self._home] if self._home else [config.HF_CACHE_HOME, config.HF_DATASETS_CACHE]
        found = os.path.abspath(path)
        return os.path.isabs(path) and any(
            found.startswith(os.path.abspath(os.path.expanduser(home)) + os.sep) for home in homes
        )

    def _stamp_of_all(self) -> Stamp | None:
        """Of all files of the table: their sizes, times and inodes, each added up or the latest."""
        stamps = [file_stamp(file) for file in self._files]
        known = [stamp for stamp in stamps if stamp is not None]
        if not stamps or len(known) < len(stamps):
            return None
        sizes, changed, touched, inodes = zip(*known, strict=True)
        return sum(sizes), max(changed), max(touched), sum(inodes)

    def stamp(self, index: int) -> Stamp | None:
        """The stamp of the table's files, and the row; of a file of its own that file's."""
        if self._stamp is None:
            return None
        data, path = self._row(index)
        own = file_stamp(path) if data is None and path is not None else ()
        return None if own is None else (*self._stamp, index, *own)


def _refuse_damage(table: Any, columns: Sequence[str], name: str) -> None:
    """Check the places of all values, which are only mapped: a wrong one would end the process.

    Raises:
        SourceError: one is wrong.
    """
    try:
        table.select_columns(list(dict.fromkeys(columns))).data.validate(full=True)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise SourceError(
            f"{name}: its Arrow files are damaged ({error}); remove and fetch them again"
        ) from error


def _pictures(head: ParquetHead, wanted: str | None) -> PictureColumn:
    """The column that was asked for, or the only one that is declared.

    Raises:
        SourceError: there is none.
        UsageError: there are several.
    """
    if wanted is not None:
        return choose_pictures(head, wanted)
    names = [name for name, one in head.features.items() if one.get("_type") == "Image"]
    found = [one for name in names if (one := as_pictures(head, name)) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(one.name for one in found)
        raise UsageError(
            f"{head.path}: several columns hold pictures ({listed}); name one: --data-option "
            f"column={found[0].name}"
        )
    shown = ", ".join(f"{field.name} ({field.type})" for field in list(head.schema)[:8])
    raise SourceError(
        f"{head.path}: no column is declared to hold pictures; columns: {shown}; name one that "
        "does: --data-option column=NAME"
    )


def _classes(
    head: ParquetHead, column: str | None, labels: Any, ids: Sequence[str]
) -> GivenClasses:
    """The classes of all rows by one column.

    Raises:
        SourceError: they are none.
    """
    if column is None:
        return GivenClasses()
    try:
        values = labels.to_pylist()
    except ValueError as error:
        raise SourceError(f"{head.path}: column {column!r} cannot be read ({error})") from error
    given = numbered(values, ids, f"the column “{column}”", head.path)
    names = class_names(head, column)
    if given.classes is None or not names:
        return given
    most = max(label for label in given.classes if label is not None)
    if most >= len(names):
        raise SourceError(f"{head.path}: column {column!r} has class {most} of {len(names)} named")
    return given._replace(names=names)
