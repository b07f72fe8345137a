"""Templates, style and script of the pages; all text is escaped and printable on its way in."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeingkit.errors import printable
from seeingkit.report.words import numbers

if TYPE_CHECKING:
    import jinja2

FOLDER = Path(__file__).parent
ASSETS = {
    "icon.svg": "image/svg+xml",
    "view.css": "text/css; charset=utf-8",
    "view.js": "text/javascript; charset=utf-8",
}
"""Files that pages ask for, with their types."""

MARKS = {
    "omitted": "▼",
    "reduced": "↓",
    "in fewer images": "↓",
    "excess": "↑",
    "in more images": "↑",
    "no evidence": "·",
}
"""Signs of the verdicts, as in reports, for those who see no colours."""


@functools.lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Jinja with the templates of this room; an unknown name in a template is an error."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=numbers.number, listing=numbers.listing, level=numbers.level)
    made.globals.update(count=numbers.count, between=numbers.between, marks=MARKS)
    return made


def _printable(value: Any) -> Any:
    """A value without controls and marks of direction, which no escaping removes."""
    return printable(value) if type(value) is str else value


def render(template: str, **values: Any) -> str:
    """A template filled in, every value escaped."""
    return environment().get_template(template).render(**values)


def asset(name: str) -> bytes:
    """The bytes of a style sheet or script; ``name``: one of ``ASSETS``."""
    return (FOLDER / name).read_bytes()
