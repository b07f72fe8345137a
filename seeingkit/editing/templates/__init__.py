"""The page and its files: scripts are modules, and nothing comes from elsewhere.

The brush, PNG files and the style are those of the page to paint on (``report.templates``).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from seeingkit.report.templates import asset as report_asset
from seeingkit.report.templates import json_data, new_environment
from seeingkit.viewing.templates import asset as viewer_asset

from ..files import plain_name
from ..records import site_record

if TYPE_CHECKING:
    import jinja2

    from ..desk import Desk

FOLDER = Path(__file__).parent
_STYLE, _SCRIPT = "text/css; charset=utf-8", "text/javascript; charset=utf-8"
_OWN = ("page.js", "easel.js", "server.js", "pictures.js", "regions.js", "units.js")
_SHARED = {
    "png.js": ("painting_png.js", "pngOf, pngUri"),
    "brush.js": ("painting_brush.js", "brushLine"),
}
ASSETS = dict.fromkeys((*_OWN, *_SHARED), _SCRIPT) | {
    "edit.css": _STYLE,
    "icon.svg": "image/svg+xml",
}
"""Files that the page asks for, with their types."""


@functools.lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Jinja with the template; an unknown name in it is an error."""
    return new_environment(FOLDER)


@functools.lru_cache
def asset(name: str) -> bytes:
    """The bytes of a script or style sheet; ``name``: one of ``ASSETS``.

    >>> asset("png.js").endswith(b"export { pngOf, pngUri };\\n")
    True
    """
    if name == "icon.svg":
        return viewer_asset(name)
    if name in _SHARED:
        file, names = _SHARED[name]
        return f"{report_asset(file)}\nexport {{ {names} }};\n".encode()
    own = (FOLDER / name).read_text(encoding="utf-8")
    if name == "edit.css":
        own = report_asset("style.css") + report_asset("painting.css") + own
    return own.encode()


def page(desk: Desk) -> str:
    """The page of a desk, without the state that changes."""
    data: dict[str, Any] = {
        "size": desk.size,
        "classes": list(desk.session.base.info.class_names),
        "sites": [site_record(desk.session.base, site) for site in desk.sites],
        "site": desk.site,
        "units": {layer: dict(found) for layer, found in desk.units.items()},
        "file": plain_name(desk.name),
    }
    text = environment().get_template("edit.html.j2")
    return text.render(desk=desk, sites=desk.sites, data=Markup(json_data(data)))
