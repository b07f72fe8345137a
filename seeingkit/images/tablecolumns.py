"""Which column of Parquet files holds pictures, and which their classes.

Guarantees: what the metadata of Hugging Face data sets declares is taken; a column without a
declaration is taken for pictures by its content alone, and that is said; among several nobody
chooses but the user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from seeingkit.errors import ImageError, SourceError, UnknownNameError, UsageError

from .formats import HEAD, POINTED, POINTER, kind_by_content
from .rowgroups import DAMAGE, ColumnReader

LOOKED_AT = 64
"""Rows at the start of a file that are looked at for pictures."""
MOST_ROWS = 20_000_000
"""Rows of one file, at most: a few bytes can claim any number."""
USUAL_LABEL = "label"
"""The column of classes where nothing declares one."""

Features = Mapping[str, Mapping[str, Any]]


class PictureColumn(NamedTuple):
    """A column of encoded pictures.

    Attributes:
        name: of the column.
        field: of its structs that holds the bytes, or None for a plain column.
        path: whether the structs have a field ``path``.
        declared: its metadata says that it holds pictures.
    """

    name: str
    field: str | None
    path: bool
    declared: bool


class ParquetHead(NamedTuple):
    """What the end of a Parquet file says of it."""

    path: str
    rows: int
    schema: pa.Schema

    @property
    def is_tally(self) -> bool:
        """Whether it is a tally of ours."""
        return b"seeingkit" in (self.schema.metadata or {})

    @property
    def features(self) -> Features:
        """The declared columns of a Hugging Face data set; empty where there are none."""
        return declared_features(self.schema)


def read_head(path: str) -> ParquetHead:
    """Read the schema and the number of rows of a Parquet file.

    Raises:
        SourceError: missing or damaged.
    """
    try:
        metadata = pq.read_metadata(path)
        rows = sum(metadata.row_group(g).num_rows for g in range(metadata.num_row_groups))
        head = ParquetHead(path, metadata.num_rows, metadata.schema.to_arrow_schema())
    except FileNotFoundError:
        raise SourceError(f"no such file: {path}") from None
    except (*DAMAGE, MemoryError) as error:
        if _begins(path).startswith(POINTER):
            raise SourceError(f"{path}: {POINTED}") from error
        raise SourceError(
            f"{path}: not a Parquet file that can be read ({error}); fetch it again"
        ) from error
    if rows != head.rows or not 0 <= rows <= MOST_ROWS:
        raise SourceError(
            f"{path}: claims {head.rows:,} rows, and {rows:,} in its row groups; at most "
            f"{MOST_ROWS:,} of one file are read"
        )
    return head


def _begins(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(HEAD)
    except OSError:
        return b""


def declared_features(schema: pa.Schema) -> Features:
    """The features of a Hugging Face data set by column, from the metadata of its schema."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: one for name, one in found.items() if isinstance(one, dict)}


def picture_columns(head: ParquetHead) -> list[PictureColumn]:
    """All columns that hold pictures, by declaration or by content; of an empty file none."""
    if head.is_tally:
        return []
    return [
        found
        for name in dict.fromkeys(head.schema.names)
        if (found := as_pictures(head, name)) is not None
        and (found.declared or _begins_with_pictures(head.path, found, head.rows))
    ]


def as_pictures(head: ParquetHead, name: str) -> PictureColumn | None:
    """A column as one of pictures, if its type allows it; its content is not looked at.

    Raises:
        SourceError: two columns have this name.
    """
    places = head.schema.get_all_field_indices(name)
    if len(places) > 1:
        raise SourceError(f"{head.path}: two columns are called {name!r}; rename one")
    kind, declared = head.schema.field(places[0]).type, head.features.get(name, {}).get("_type")
    if declared not in (None, "Image", "Value"):
        return None  # sounds, films
    if pa.types.is_struct(kind):
        fields = {kind.field(k).name: kind.field(k).type for k in range(kind.num_fields)}
        if "bytes" not in fields or not _is_binary(fields["bytes"]):
            return None
        path = "path" in fields and _is_text(fields["path"])
        return PictureColumn(name, "bytes", path, declared == "Image")
    if _is_binary(kind):
        return PictureColumn(name, None, False, declared == "Image")
    return None


def choose_pictures(head: ParquetHead, wanted: str | None) -> PictureColumn:
    """The column of pictures of a file: the one that was asked for, or the only one.

    Raises:
        SourceError: there is none, or the one asked for holds none.
        UnknownNameError: there is no such column.
        UsageError: there are several.
    """
    if wanted is not None and not head.is_tally:
        if wanted not in head.schema.names:
            raise UnknownNameError(f"column of {head.path}", wanted, head.schema.names)
        if (one := as_pictures(head, wanted)) is None:
            kind = head.schema.field(wanted).type
            raise SourceError(
                f"{head.path}: column {wanted!r} is {kind}, not bytes of pictures, one a row"
            )
        return one
    if head.is_tally:
        raise SourceError(
            f"{head.path}: a tally of seeingkit, which holds numbers and no pictures; compare it "
            f"in Python: seeingkit.compare(seeingkit.Tally.load({head.path!r}), …)"
        )
    found = picture_columns(head)
    if not found:
        shown = ", ".join(f"{field.name} ({field.type})" for field in list(head.schema)[:8])
        raise SourceError(f"{head.path}: no column holds encoded pictures; columns: {shown}")
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise UsageError(
            f"{head.path}: several columns hold pictures ({names}); name one: --data-option "
            f"column={found[0].name}"
        )
    return found[0]


def choose_label(head: ParquetHead, wanted: str | None) -> tuple[str | None, str]:
    """The column of classes, or None; and a sentence where somebody should know why.

    Raises:
        UnknownNameError: no such column.
        SourceError: the column that was asked for holds no whole numbers or texts.
    """
    names = head.schema.names
    if wanted == "none":
        return None, ""
    if wanted is not None:
        if wanted not in names:
            raise UnknownNameError(f"column of {head.path}", wanted, [*names, "none"])
        if not _is_label(kind := head.schema.field(wanted).type):
            raise SourceError(
                f"{head.path}: column {wanted!r} is {kind}; classes are whole numbers or texts"
            )
        return wanted, ""
    declared = [name for name in names if class_names(head, name) is not None]
    if len(declared) > 1:
        return None, (
            f"several columns hold classes ({', '.join(declared)}), of which none is taken; "
            f"label={declared[0]} would take one"
        )
    if declared:
        return declared[0], ""
    if names.count(USUAL_LABEL) == 1 and _is_label(head.schema.field(USUAL_LABEL).type):
        return USUAL_LABEL, ""
    return None, ""


def class_names(head: ParquetHead, column: str) -> tuple[str, ...] | None:
    """The names of a declared column of classes, by number; None for another column."""
    declared = head.features.get(column, {})
    if declared.get("_type") != "ClassLabel" or column not in head.schema.names:
        return None
    names = declared.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(names)


def _is_binary(kind: pa.DataType) -> bool:
    of = pa.types
    return bool(of.is_binary(kind) or of.is_large_binary(kind) or of.is_binary_view(kind))


def _is_text(kind: pa.DataType) -> bool:
    of = pa.types
    return bool(of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind))


def _is_label(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or _is_text(kind))


def _begins_with_pictures(path: str, column: PictureColumn, rows: int) -> bool:
    reader = ColumnReader([path], column.name, column.field)
    try:
        for row in range(min(rows, LOOKED_AT)):
            data = reader.read(0, row)
            if data:
                kind = kind_by_content(data[:HEAD])
                return kind is not None and not kind.holds
    except ImageError:
        pass  # whoever reads it says why it cannot be read
    finally:
        reader.close()
    return False
