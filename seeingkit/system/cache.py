"""The cache folder, and the hash of a file. Never imports torch."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """``SEEINGKIT_CACHE``, or the user's cache folder for seeingkit; all in it can be remade."""
    named = os.environ.get("SEEINGKIT_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("seeingkit", False))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
