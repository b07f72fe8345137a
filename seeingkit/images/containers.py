"""Ids of images that lie in a file with others: what of an id is the file, and what the image."""

from __future__ import annotations

import re

_SHARD = re.compile(r"(^|/)[^/]+\.(?:tar/|parquet/(?:\d{6,}(?:/|$))?)", re.IGNORECASE)
_TABLE = re.compile(r"^(?:[^/]+/)*?[^/]+\.arrow/(?:\d{6,}(?:/|$))?", re.IGNORECASE)


def without_container(item: str) -> str:
    """An image's id without the archive or table that holds it, and without its row.

    So that archives, which divide many images, are never taken for folders that mean something.
    Folders that archives lie in stay; the name of a data set of a hub does not.

    >>> without_container("cat/00.tar/1.jpg"), without_container("a.parquet/000012/cat/1.jpg")
    ('cat/1.jpg', 'cat/1.jpg')
    """
    return _SHARD.sub(r"\1", _TABLE.sub("", item, count=1), count=1)
