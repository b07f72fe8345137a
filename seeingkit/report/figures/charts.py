"""The look that all charts of a report share, and their way into files and into the page.

Colours are parameters of the Vega-Lite specification: files and print have those of
``PRINT_COLOURS``, and the page sets those of its theme. A static figure stands in the page as one
SVG for each theme and layout: an SVG in an ``img`` runs no script and asks for nothing. Importing
this loads neither Altair nor vl-convert; a function that needs them imports them.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from seeingkit.system.writing import atomic_write, write_text

from ..pictures.uris import image_uri
from ..words.names import with_printable_names

if TYPE_CHECKING:
    import altair as alt

Layout = Literal["wide", "narrow"]
"""Of a chart: as wide as the page, or narrow for a phone."""

PRINT_COLOURS: Mapping[str, str] = {
    "paper": "#ffffff",
    "ink": "#1c2024",
    "muted": "#565d66",
    "grid": "#e3e6ea",
    "real": "#aab4c0",
    "generated": "#1d5fae",
    "omitted": "#c4420f",
    "reduced": "#e0a070",
    "excess": "#3d9a8b",
    "neutral": "#b9bfc7",
}
"""Colours on white, by the name of their parameter."""
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
_PAINT = re.compile(r'\b(fill|stroke)="(#[0-9a-f]{6})"')
FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
LABEL_SIZE = 11
"""Pixels of the text of axes and legends."""
NARROW_LABEL = 96
"""Pixels that the label of a class takes at most in a narrow chart."""
PIXELS_PER_POINT = 2
"""Resolution of PNG files."""


@contextmanager
def validated_whole() -> Iterator[None]:
    """Charts made inside are validated when they are written, and not each part as it is made.

    Parts take as long as the whole::

        with validated_whole():
            write_figure(build_chart(rows), folder, "classes")
    """
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):
        yield


def colour_scale(values: Sequence[str], names: Sequence[str]) -> alt.Scale:
    """A scale from the values of a field to the colours of these names."""
    import altair as alt

    return alt.Scale(domain=list(values), range=[alt.ExprRef(name) for name in names])


def class_axis(*, padding: int, **options: Any) -> alt.Axis:
    """An axis of class names: no title, no ticks, no line.

    Args:
        padding: pixels between a name and the bars.
        options: further ones of ``alt.Axis``.
    """
    import altair as alt

    return alt.Axis(title=None, ticks=False, domain=False, labelPadding=padding, **options)


def finish(
    chart: Any,
    *,
    data: Mapping[str, Sequence[Mapping[str, Any]]],
    description: str,
    padding: int = 4,
    numbers: Mapping[str, float] | None = None,
) -> Any:
    """A chart with its data and the look of the report.

    Args:
        chart: an Altair chart of named data sets.
        data: the rows of each data set, by its name.
        description: the chart in one sentence, for those who cannot see it.
        padding: pixels around the chart.
        numbers: parameters besides the colours, by name.
    """
    import altair as alt

    values = {**PRINT_COLOURS, **(numbers or {})}
    made = chart.properties(padding=padding, description=description).configure(**chart_config())
    # ``add_params`` copies every layer several times for each parameter; these are of the top.
    known = [] if made.params is alt.Undefined else list(made.params)
    made.params = known + [alt.param(name=name, value=v).param for name, v in values.items()]
    made.datasets = {name: [dict(row) for row in rows] for name, rows in data.items()}
    return made


def chart_config() -> dict[str, Any]:
    """Fonts, axes and legends of the report's charts, as arguments of ``configure``."""
    import altair as alt

    return {
        "background": alt.ExprRef("paper"),
        "font": FONT,
        "view": alt.ViewConfig(stroke=None),
        "axis": alt.AxisConfig(
            labelColor=alt.ExprRef("ink"),
            titleColor=alt.ExprRef("muted"),
            gridColor=alt.ExprRef("grid"),
            domainColor=alt.ExprRef("muted"),
            tickColor=alt.ExprRef("muted"),
            labelFontSize=LABEL_SIZE,
            titleFontSize=LABEL_SIZE,
            titleFontWeight="normal",
            labelLimit=130,
        ),
        "legend": alt.LegendConfig(
            labelColor=alt.ExprRef("ink"),
            labelFontSize=LABEL_SIZE,
            symbolSize=80,
            orient="top",
            title=None,
            offset=6,
            columnPadding=14,
            symbolStrokeWidth=0,
            symbolOpacity=1,
        ),
    }


@functools.lru_cache(maxsize=1)
def vega_lite_version() -> str:
    """The version of Vega-Lite that Altair writes, or the nearest that vl-convert can read."""
    import altair as alt
    import vl_convert

    wanted = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    known: list[str] = vl_convert.get_vegalite_versions()
    same = [version for version in known if version.split(".")[0] == wanted.split(".")[0]]
    return wanted if wanted in known else (same or known)[-1]


def chart_svg(chart: alt.TopLevelMixin) -> str:
    """An Altair chart as SVG text; one that a file and the page both show is converted once."""
    return _converted(json.dumps(with_printable_names(chart.to_dict())))


@functools.lru_cache(maxsize=8)
def _converted(spec: str) -> str:
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.loads(spec), vl_version=vega_lite_version())
    return svg


def write_figure(chart: alt.TopLevelMixin, folder: Path, name: str) -> tuple[Path, Path]:
    """Write ``NAME.svg`` and ``NAME.png`` into the folder; returns both paths."""
    import vl_convert

    svg = chart_svg(chart)
    path = write_text(folder / f"{name}.svg", svg)
    with atomic_write(folder / f"{name}.png") as stream:
        stream.write(vl_convert.svg_to_png(svg, scale=PIXELS_PER_POINT))
    return path, path.with_suffix(".png")


def darkened(svg: str) -> str:
    """A figure in the colours of print, as SVG text, in those of the dark theme."""
    swaps = {PRINT_COLOURS[name]: colour for name, colour in DARK_COLOURS.items()}
    return _PAINT.sub(lambda found: f'{found[1]}="{swaps.get(found[2], found[2])}"', svg)


def themed_figures(draw: Callable[[Layout], alt.TopLevelMixin]) -> dict[str, dict[Layout, str]]:
    """A figure as data URIs, by theme (``light``, ``dark``) and layout.

    Args:
        draw: the chart in the given layout.
    """
    light = {layout: chart_svg(draw(layout)) for layout in get_args(Layout)}
    dark = {layout: darkened(svg) for layout, svg in light.items()}
    return {
        theme: {layout: image_uri("svg+xml", svg.encode()) for layout, svg in drawn.items()}
        for theme, drawn in (("light", light), ("dark", dark))
    }
