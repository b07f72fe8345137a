"""Ids of images that lie in a file with others: what of an id is the file, and what the image."""

from __future__ import annotations

import re

_CONTAINER = re.compile(
    # a shard; a table and a row of it
    r"^(?:[^/]+/)*?[^/]+\.(?:tar/|(?:parquet|arrow)/(?:\d{6,}(?:/|$))?)",
    re.IGNORECASE,
)


def without_container(item: str) -> str:
    """An image's id without the archive or table that holds it, and without its row.

    So that archives, which divide many images, are never taken for folders that mean something.

    >>> without_container("train/00.tar/cat/1.jpg"), without_container("a.parquet/000012/1.jpg")
    ('cat/1.jpg', '1.jpg')
    """
    return _CONTAINER.sub("", item, count=1)
