"""Templates of the page, its sections, and scripts, styles and data that stand inside it.

All text is escaped on its way in, and what is not printable in it is replaced. The page's content
security policy forbids every request; a script runs only if its hash is in the policy, so that no
name of a class or file can become code. Data inside scripts is JSON without ``<``, ``>``, ``&``.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeingkit.errors import RunError, printable
from seeingkit.results import claims_of, images_lost
from seeingkit.system.writing import json_text

from ..words import inversions, losses, names, nouns, numbers
from ..words.names import with_printable_names

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
        appendix: whether it stands in the appendix.
        first: whether it stands before the findings.
    """

    id: str
    title: str
    body: Markup
    link: str = ""
    answer: str = ""
    folded: bool | None = None
    appendix: bool = True
    first: bool = False


_FILTERS = ("area", "at_least", "change", "level", "listing", "number", "ordinal", "probability")
_CALLED = ("between", "count", "interval", "share")
_INVERSIONS = ("decibels", "loss", "plain", "seconds", "usual_note")
FILTERS: dict[str, Callable[..., str]] = {
    **{name: getattr(numbers, name) for name in (*_FILTERS, "share")},
    **{name: getattr(inversions, name) for name in _INVERSIONS},
    "exact": repr,
    "file_name": names.file_name,
    "short_name": nouns.short_name,
    "photo_words": losses.photo_words,
    "text": numbers.plain_text,
}
MARKS = {
    "omitted": "▼",
    "reduced": "↓",
    "in fewer images": "↓",
    "excess": "↑",
    "in more images": "↑",
    "no evidence": "·",
}
"""Signs of the verdicts, for those who see no colours."""


def new_environment(folder: Path) -> jinja2.Environment:
    """Jinja with the templates of a folder: all text is escaped, an unknown name is an error."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(marks=MARKS)
    return made


@functools.lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Jinja with the page's templates and words."""
    made = new_environment(FOLDER)
    made.filters.update(FILTERS)
    made.globals.update({name: getattr(numbers, name) for name in _CALLED})
    made.globals.update(claims_of=claims_of, images_lost=images_lost)
    return made


def _printable(value: Any) -> Any:
    """A value of a template without controls and marks of direction, which no escaping removes."""
    return printable(value) if type(value) is str else value


def render(template: str, **values: Any) -> Markup:
    """A template filled in: safe markup, every value escaped unless it is ``Markup`` itself."""
    from markupsafe import Markup

    return Markup(environment().get_template(template).render(**values))


def asset(name: str) -> str:
    """The text of a script or style sheet, as it may stand in a ``script`` or ``style`` element."""
    element = "script" if name.endswith(".js") else "style"
    return _checked((FOLDER / name).read_text(encoding="utf-8"), element)


def embedded_script(text: str) -> str:
    """A script as it may stand in a ``script`` element."""
    return _checked(text, "script")


def _checked(text: str, element: str) -> str:
    """Text with line ends of the page, checked that it cannot end its element early."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if f"</{element}" in text.lower() or "<!--" in text or "\0" in text:
        raise RunError(f"the {element} of the report page cannot be embedded: it closes itself")
    return text


def json_data(value: Any) -> str:
    """JSON that cannot end the script element it stands in.

    Raises:
        RunError: a number is not finite.
    """
    try:
        text = json_text(with_printable_names(value), separators=(",", ":"))
    except ValueError as error:
        raise RunError("the results hold a number that is not finite: run again") from error
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def policy(*scripts: str) -> str:
    """Content security policy: nothing from outside, no script but these, no eval."""
    digests = (hashlib.sha256(text.encode()).digest() for text in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(d).decode('ascii')}'" for d in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
