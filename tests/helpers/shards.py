"""Tar shards and Parquet files made of small pictures."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(level: int, kind: str = "PNG", size: int = 16, mode: str = "RGB") -> bytes:
    """A picture of one grey level; of different levels the bytes differ."""
    stream = io.BytesIO()
    Image.new("RGB", (size, size), (level, level, level)).convert(mode).save(stream, kind)
    return stream.getvalue()


def write_tar(
    path: Path, files: Mapping[str, bytes] | Iterable[tuple[str, bytes]], form: int | None = None
) -> Path:
    """A tar archive of these members, in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    items = files.items() if isinstance(files, Mapping) else files
    with tarfile.open(path, "w", format=form or tarfile.GNU_FORMAT) as archive:
        for name, data in items:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def write_parquet(path: Path, columns: Mapping[str, Sequence[Any]], **options: Any) -> Path:
    """A Parquet file of these columns, by pyarrow alone: no metadata of Hugging Face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def image_rows(levels: Iterable[int], paths: bool = True) -> list[dict[str, Any]]:
    """Structs of bytes and path, as Hugging Face data sets hold pictures."""
    return [
        {"bytes": picture(level), "path": f"{level}.png" if paths else None} for level in levels
    ]
