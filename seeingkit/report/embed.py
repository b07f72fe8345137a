"""Scripts, styles and data inside the page, and the policy that allows no others.

The page's content security policy forbids every request; a script runs only if its hash is in the
policy, so that no name of a class or file can become code. Data inside scripts is JSON without
``<``, ``>`` and ``&``.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from typing import Any

from seeingkit.errors import RunError

from .templates import FOLDER


def asset(name: str) -> str:
    """The text of a script or style sheet, as it may stand in a ``script`` or ``style`` element."""
    element = "script" if name.endswith(".js") else "style"
    return _checked((FOLDER / name).read_text(encoding="utf-8"), element)


@functools.lru_cache(maxsize=1)
def chart_library() -> str:
    """Vega, Vega-Lite and vega-embed as one classic script that needs no network."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return _checked("(function () {\n" + bundle + "\n})();", "script")


def _checked(text: str, element: str) -> str:
    """Text with line ends of the page, checked that it cannot end its element early."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if f"</{element}" in text.lower() or "<!--" in text or "\0" in text:
        raise RunError(f"the {element} of the report page cannot be embedded: it closes itself")
    return text


def data(value: Any) -> str:
    """JSON that cannot end the script element it stands in.

    Raises:
        RunError: a number is not finite.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
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
