"""Static figures inside the page: one SVG for each theme and layout, as data URIs.

An SVG in an ``img`` runs no script and asks for nothing; the page shows the one that fits. A
figure is drawn once for each layout, on white; the dark one is the same with other colours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ..pictures.uris import image_uri
from .charts import PRINT_COLOURS, Layout

DARK_COLOURS: Mapping[str, str] = {
    "paper": "#14171a",
    "ink": "#e6e9ed",
    "muted": "#a4adb7",
    "grid": "#2a2f35",
    "real": "#5d6874",
    "generated": "#82b6f7",
    "omitted": "#f0703a",
}
"""Those of the page's dark theme."""

LAYOUTS: tuple[Layout, Layout] = ("wide", "narrow")
_PAINT = re.compile(r'\b(fill|stroke)="(#[0-9a-f]{6})"')


def darkened(svg: str) -> str:
    """A figure in the colours of print, as SVG text, in those of the dark theme."""
    swaps = {PRINT_COLOURS[name]: colour for name, colour in DARK_COLOURS.items()}
    return _PAINT.sub(lambda found: f'{found[1]}="{swaps.get(found[2], found[2])}"', svg)


def themed_figures(draw: Callable[[Layout], str]) -> dict[str, dict[Layout, str]]:
    """A figure as data URIs, by theme (``light``, ``dark``) and layout.

    Args:
        draw: SVG text on white, in the colours of print, in the given layout.
    """
    light = {layout: draw(layout) for layout in LAYOUTS}
    dark = {layout: darkened(svg) for layout, svg in light.items()}
    return {
        theme: {layout: image_uri("svg+xml", svg.encode()) for layout, svg in drawn.items()}
        for theme, drawn in (("light", light), ("dark", dark))
    }
