"""Messages of this and other libraries on stderr: one printable line each, the same line once.

Of processes that share a run only rank 0 prints them, but for those that are of every rank.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from seeingkit.errors import one_line
from seeingkit.system.processes import rank

_LOGGERS = ("seeingkit", "seeingkit_adapters", "seeingkit_plugins")


class _Printed(logging.Handler):
    """Prints a message unless it was printed before."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._before: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of a record."""
        line = one_line(record.getMessage())
        shown = not rank() or getattr(record, "every_rank", False)
        if line not in self._before and shown:
            self._before.add(line)
            print(line, file=sys.stderr, flush=True)


@contextmanager
def messages_on_stderr(*, quiet: bool) -> Iterator[None]:
    """Print what is logged inside, of other libraries warnings alone; ``quiet``: of ours too::

    with messages_on_stderr(quiet=False):
        logging.getLogger("seeingkit.runs").info("begun")
    """
    level = logging.WARNING if quiet else logging.INFO
    printed = _Printed(level)
    root, loggers = logging.getLogger(), [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    root.addHandler(printed)
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(printed)
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)
