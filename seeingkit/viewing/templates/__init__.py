"""Templates, style and script of the pages; all text is escaped and printable on its way in."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeingkit.report.templates import new_environment
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


@functools.lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Jinja with the templates of this room; an unknown name in a template is an error."""
    made = new_environment(FOLDER)
    made.filters.update(number=numbers.number, listing=numbers.listing, level=numbers.level)
    made.globals.update(count=numbers.count, between=numbers.between)
    return made


def render(template: str, **values: Any) -> str:
    """A template filled in, every value escaped."""
    return environment().get_template(template).render(**values)


def asset(name: str) -> bytes:
    """The bytes of a style sheet or script; ``name``: one of ``ASSETS``."""
    return (FOLDER / name).read_bytes()
