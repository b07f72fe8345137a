"""Names from files and models, as they may stand in a figure or in the data of a page."""

from __future__ import annotations

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
