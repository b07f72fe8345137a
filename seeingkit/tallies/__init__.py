"""Class areas of every image of a source: counted once, stored, and asked many questions.

The names below are imported on first use: ``vocabularies``, which lies in this package, is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chunks import ChunkStore
    from .counting import tally
    from .identity import TallyIdentity
    from .table import Tally

__all__ = ["ChunkStore", "Tally", "TallyIdentity", "tally"]

_WHERE = {
    "ChunkStore": "chunks",
    "Tally": "table",
    "TallyIdentity": "identity",
    "tally": "counting",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
