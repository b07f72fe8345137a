"""Names from files and models, as they may stand in a figure, a title, or the data of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from seeingkit.errors import printable


def with_printable_names(content: Any) -> Any:
    """JSON-able content in which every text is ``printable``, keys included.

    A control character in a name ends the library that draws figures, and a mark of direction
    turns the words behind it round.

    >>> with_printable_names({"rows": [{"label": "wall\\x1b"}]})
    {'rows': [{'label': 'wall\ufffd'}]}
    """
    if isinstance(content, str):
        return printable(content)
    if isinstance(content, dict):
        return {printable(key): with_printable_names(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [with_printable_names(value) for value in content]
    return content


LONGEST_ID = 8
"""Characters of an image's id below its picture."""


def file_name(text: str) -> str:
    """The last part of a path, or a name that is no path, as it is.

    >>> file_name("/photos/night/church 1.png"), file_name("progan:minichurches?psi=0.7/2")
    ('church 1.png', 'progan:minichurches?psi=0.7/2')
    """
    return _parts(text)[-1]


def titles(texts: Sequence[str]) -> list[str]:
    """Names for a title: of paths the last part, or as many as make them differ.

    >>> titles(["/data/a/real/*.png", "/data/a/fake/*.png"])
    ['real/*.png', 'fake/*.png']
    >>> titles(["minichurches", "/data/fake/*.png", "photos/"])
    ['minichurches', '*.png', 'photos']
    """
    parts = [_parts(text) for text in texts]
    names = [found[-1] for found in parts]
    for length in range(2, max(map(len, parts), default=1) + 1):
        if len(set(names)) == len(set(map(tuple, parts))):
            break
        names = [
            "/".join(found[-length:]) if names.count(name) > 1 else name
            for found, name in zip(parts, names, strict=True)
        ]
    return names


def _parts(text: str) -> list[str]:
    """The parts of a path on disk; a name with options or of an address stays whole."""
    if not re.match(r"(~|\.{0,2})[/\\]|[A-Za-z]:[/\\]|[^:?]*[/\\][^:?]*[*]?[^:?]*$", text):
        return [text]
    return [part for part in re.split(r"[/\\]+", text) if part not in ("", ".", "..")] or [text]


def short_id(text: str) -> str:
    """The end of a long id, for ids of one source begin alike.

    >>> short_id("scene2-000000000000017.png"), short_id("12")
    ('…017.png', '12')
    """
    return text if len(text) <= LONGEST_ID else "…" + text[1 - LONGEST_ID :]
