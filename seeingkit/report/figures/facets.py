"""The figure of class areas of several generators, one below the other, with one axis of classes.

Each generator has the two panels of ``figures.classes``; classes, order and axes are the same in
all of them, because the real images are. Importing this loads neither Altair nor vl-convert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from . import charts
from .classes import area_domain, area_panel, difference_end, difference_panel

if TYPE_CHECKING:
    import altair as alt

Facets = Mapping[str, Sequence[Mapping[str, Any]]]
"""The rows of ``classes.figure_rows`` of each generator, by its name."""


def build_facets(facets: Facets, *, width: float, heights: tuple[float, float]) -> alt.VConcatChart:
    """The figure as an Altair chart.

    Args:
        facets: with the same classes in the same order; a single one has no name above it.
        width: of a panel in pixels; heights: of the panel of areas, and of differences.
    """
    import altair as alt

    panels: list[Any] = []
    for place, name in enumerate(facets):
        first, last = place == 0, place == len(facets) - 1
        base = alt.Chart(alt.NamedData(name=f"classes{place}"))
        legend = alt.Legend() if first else None
        upper = area_panel(base, True, legend)
        if len(facets) > 1:
            title = alt.TitleParams(
                name,
                anchor="start",
                fontSize=charts.LABEL_SIZE,
                offset=4,
                fontWeight="normal",  # one font: svg2pdf lists several in any order
                color=alt.ExprRef("ink"),
            )
            upper = upper.properties(title=title)
        lower = difference_panel(base, True, legend, labels=last)
        panels += [
            panel.properties(width=width, height=height)
            for panel, height in zip((upper, lower), heights, strict=True)
        ]
    rows = [row for found in facets.values() for row in found]
    floor, top = area_domain(rows)
    chart = charts.finish(
        alt.vconcat(*panels, spacing=8).resolve_scale(color="independent", shape="independent"),
        data={f"classes{place}": found for place, found in enumerate(facets.values())},
        description="Class areas in real and generated images, and their relative difference",
        padding=1,
        numbers={"area_floor": floor, "area_top": top, "upper_end": difference_end(rows)},
    )
    return cast("alt.VConcatChart", chart)
