"""Vega, Vega-Lite and vega-embed as one script, made once and kept in the cache folder.

Guarantee: what is kept is checked when it is read, and made again where it is not what was
written; a cache that cannot be written costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
from pathlib import Path

from seeingkit.errors import SeeingkitError
from seeingkit.system.cache import cache_folder
from seeingkit.system.seals import BLANK, BrokenSealError, check_seal, read_whole, seal
from seeingkit.system.writing import atomic_write

FOLDER = "charts"
"""Of the cache."""


def chart_library() -> str:
    """The script, which needs no network.

    >>> chart_library().startswith("/* ")
    True
    """
    return _library(cache_folder() / FOLDER)


@functools.lru_cache(maxsize=1)
def _library(folder: Path) -> str:
    path = folder / f"vega-of-vl-convert-{importlib.metadata.version('vl-convert-python')}.js"
    with contextlib.suppress(FileNotFoundError, BrokenSealError, SeeingkitError):
        data = read_whole(path)
        check_seal(data)
        return data.decode("utf-8")
    import vl_convert  # which takes seconds to put it together

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    data = seal(f"/* {BLANK} */\n(function () {{\n{bundle}\n}})();".encode())
    with contextlib.suppress(SeeingkitError), atomic_write(path) as stream:
        stream.write(data)
    return data.decode("utf-8")
