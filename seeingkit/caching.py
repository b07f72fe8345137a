"""Where things that can be made again are kept. Importing this never imports torch."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """``SEEINGKIT_CACHE``, or the user's cache folder for seeingkit."""
    named = os.environ.get("SEEINGKIT_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("seeingkit", False))
