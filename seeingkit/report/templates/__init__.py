"""Templates of the page, and the sections that stages add to it: all text escaped on its way in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
        body: safe markup; whoever makes it escapes the names in it.
        link: what the list of sections calls it; empty = its title.
        answer: what the section says in one sentence, shown also when it is folded; plain text.
        folded: whether it is folded at first; None = it cannot be folded.
    """

    id: str
    title: str
    body: Markup
    link: str = ""
    answer: str = ""
    folded: bool | None = None


def environment() -> jinja2.Environment:
    """Jinja with the page's templates and its words; what a template does not know is an error."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        area=area, change=change, number=number, probability=probability, share=share,
        exact=repr, decibels=decibels, plain=plain, loss=loss, seconds=seconds,
        calibration_note=calibration_note, loss_verdict=verdict, text=plain_text,
        listing=listing, at_least=at_least, level=level, ordinal=ordinal,
    )  # fmt: skip
    made.globals.update(interval=interval, between=between, count=count, share=share)
    return made
