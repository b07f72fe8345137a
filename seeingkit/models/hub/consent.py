"""Consent to large downloads, asked for on a terminal.

Library calls, jobs and pipes are never asked; they get a line on stderr that names file, size and
host. The command line switches asking on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.filesize import decimal

LARGE = 100_000_000
"""Bytes above which a download is asked for; so is one of unknown size."""

Ask = Callable[[str], bool]

_ask: Ask | None = None


def ask_before_large_downloads(ask: Ask | None) -> None:
    """Set the function that answers for large downloads of this process; None: nobody is asked."""
    global _ask
    _ask = ask


def allowed(question: str, size: int | None) -> bool:
    """Whether a file of this size may be fetched; asks only on a terminal and if told to."""
    small = size is not None and size <= LARGE
    if _ask is None or small or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return _ask(question)


def readable_size(size: int | None) -> str:
    """Bytes in powers of ten, for messages: ``73.2 MB``."""
    return "size unknown" if size is None else decimal(size)
