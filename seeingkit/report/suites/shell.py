"""What all pages of a site share: script, style, and the policy that forbids all else."""

from __future__ import annotations

import functools
from typing import Any

from ..templates import asset, json_data, policy, render


@functools.lru_cache(maxsize=1)
def _shell() -> dict[str, Any]:
    """Script, style and policy, which all pages have."""
    from markupsafe import Markup

    script = asset("page.js") + asset("suite/site.js")
    style = asset("style.css") + asset("suite/site.css")
    # Pictures are files of the site: beside a page that is a file, or on the server it came from.
    rules = policy(script).replace("img-src data:", "img-src 'self' file: data:")
    return {"policy": rules, "script": Markup(script), "style": Markup(style)}


def page(template: str, data: dict[str, Any], **values: Any) -> str:
    """A page as text; ``data``: for its script, ``values``: of its template."""
    from markupsafe import Markup

    return str(render(template, data=Markup(json_data(data)), **_shell(), **values))
