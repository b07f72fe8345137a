"""Lines, tables and JSON on stdout, for every command.

Guarantees: one JSON document, or plain text that can be piped and searched.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import typer

from seeingkit.errors import ExitCode, printable
from seeingkit.system.failures import told
from seeingkit.system.writing import json_text


def print_json(content: object) -> None:
    """One JSON document on stdout; what is not printable in a name is an escape."""
    _print(json_text(content, indent=2))


def say(line: str = "", *, error: bool = False) -> None:
    """Print a line on stdout or stderr, with no character that could steer a terminal."""
    if error:
        print(printable(line), file=sys.stderr, flush=True)
    else:
        _print(printable(line))


def _print(text: str) -> None:
    try:
        with told("the output"):
            print(text)
    except BrokenPipeError:  # its reader has seen enough
        raise typer.Exit(ExitCode.DONE) from None


def print_text(text: str) -> None:
    """Print text of several lines that is ready to be shown."""
    _print(text.removesuffix("\n"))


def print_listing(
    json: bool, records: Sequence[Any], header: Sequence[str], row: Callable[[Any], Sequence[str]]
) -> None:
    """Print records as JSON, or as a table of words; ``row``: the cells of a record."""
    if json:
        print_json(records)
    else:
        print_table([row(record) for record in records], header, words=True)


def print_table(
    rows: Sequence[Sequence[str]],
    header: Sequence[str],
    *,
    words: bool = False,
    last_words: bool = False,
) -> None:
    """Print columns as wide as their widest cell.

    Args:
        words: all columns are text, aligned left; else all but the first are numbers.
        last_words: the last column is text too.

    >>> print_table([("tree", "12.5 %")], ("class", "area"))
    class    area
    tree   12.5 %
    """
    shown = [[printable(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[k]) for row in shown) for k in range(len(header))]
    left = {0, len(header) - 1} if last_words else {0}
    for row in shown:
        cells = [
            cell.ljust(w) if words or k in left else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())


def print_sentence(text: str, start: str = "") -> None:
    """Print a sentence after ``start``, wrapped in a terminal, as one line in a pipe."""
    text = start + plain(text)
    text = printable(text)
    if sys.stdout.isatty():
        width = max(40, min(shutil.get_terminal_size().columns, 100))
        hanging = " " * len(start)
        text = textwrap.fill(text, width, subsequent_indent=hanging, break_on_hyphens=False)
    _print(text)


def plain(text: str) -> str:
    """The text with ordinary spaces, so that it can be searched."""
    return text.replace("\u00a0", " ")


def searchable(cells: Sequence[str]) -> list[str]:
    """Cells with the spaces and the minus that programs read."""
    return [plain(cell).replace("\u2212", "-") for cell in cells]
