"""Templates of the page, and the sections that stages add to it: all text escaped on its way in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..words.inversions import calibration_note, decibels, loss, plain, seconds, verdict
from ..words.numbers import (
    area,
    at_least,
    between,
    change,
    count,
    interval,
    level,
    listing,
    number,
    ordinal,
    plain_text,
    probability,
    share,
)

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A further section of the page, from a stage that has one to show.

    Attributes:
        id: anchor of the section.
        title: its heading, plain text.
        body: safe markup, with escaped names.
        link: its name in the list of sections; empty = its title.
        answer: the section in one sentence, shown also when it is folded; plain text.
        folded: whether it is folded at first; None = it cannot be folded.
    """

    id: str
    title: str
    body: Markup
    link: str = ""
    answer: str = ""
    folded: bool | None = None


FILTERS: dict[str, Callable[..., str]] = {
    "area": area,
    "at_least": at_least,
    "calibration_note": calibration_note,
    "change": change,
    "decibels": decibels,
    "exact": repr,
    "level": level,
    "listing": listing,
    "loss": loss,
    "loss_verdict": verdict,
    "number": number,
    "ordinal": ordinal,
    "plain": plain,
    "probability": probability,
    "seconds": seconds,
    "share": share,
    "text": plain_text,
}
MARKS = {"omitted": "▼", "reduced": "↓", "excess": "↑", "no evidence": "·"}
"""Signs of the verdicts, for those who see no colours."""


@functools.lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Jinja with the page's templates and words; an unknown name in a template is an error."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals.update(between=between, count=count, interval=interval, marks=MARKS, share=share)
    return made


def render(template: str, **values: Any) -> Markup:
    """A template filled in: safe markup, every value escaped unless it is ``Markup`` itself."""
    from markupsafe import Markup

    return Markup(environment().get_template(template).render(**values))
