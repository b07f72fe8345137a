"""How reconstruction and omission change with the depth of the cut: two small panels.

One has the PSNR of photos and of the generator's own images, the other the mean share lost of the
classes in question. A gap between the two lines is what the generator leaves out; where own
images lose as much, it is the inversion that loses. Importing this loads neither Altair nor
vl-convert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..words.losses import MethodRow
from .classes import PRINT_COLOURS, Layout, chart_config, chart_svg

if TYPE_CHECKING:
    import altair as alt

SERIES = ("photos", "the generator's own images")


def depth_rows(rows: Sequence[MethodRow]) -> list[dict[str, Any]]:
    """Two rows for each cut, of photos and of own images: ``cut``, ``series``, ``psnr``, ``lost``.

    ``lost`` is in percent; None where it was not measured.
    """
    found = []
    for row in rows:
        sides = (
            (row.psnr, row.lost),
            (row.own.psnr if row.own is not None else None, row.own_lost),
        )
        for series, (psnr, lost) in zip(SERIES, sides, strict=True):
            percent = None if lost is None else 100 * lost
            found.append({"cut": row.key[1], "series": series, "psnr": psnr, "lost": percent})
    return found


def build_depth_chart(
    rows: Sequence[Mapping[str, Any]], layout: Layout = "wide"
) -> alt.HConcatChart | alt.VConcatChart:
    """The figure as an Altair chart: panels side by side, or on top of each other (narrow).

    Args:
        rows: as ``depth_rows`` gives them, in the order of the horizontal axis.
        layout: ``wide``, or ``narrow`` for a phone.
    """
    import altair as alt

    params = [alt.param(name=name, value=value) for name, value in PRINT_COLOURS.items()]
    base = alt.Chart(alt.NamedData(name="cuts"))
    panels = [_panel(alt, base, "psnr", "PSNR, dB")]
    if any(row["lost"] is not None for row in rows):
        panels.append(_panel(alt, base, "lost", "area of the class lost, %"))
    wide = layout == "wide"
    chart: Any = alt.hconcat(*panels, spacing=36) if wide else alt.vconcat(*panels, spacing=20)
    chart = (
        chart.add_params(*params)
        .properties(
            padding=6,
            datasets={"cuts": [dict(row) for row in rows]},
            description="Reconstruction and lost area by depth of the cut",
        )
        .configure(**chart_config(alt))
    )
    return cast("alt.HConcatChart | alt.VConcatChart", chart)


def _panel(alt: Any, base: Any, field: str, title: str) -> Any:
    colour = alt.Color(
        "series:N",
        scale=alt.Scale(
            domain=list(SERIES), range=[alt.ExprRef("omitted"), alt.ExprRef("generated")]
        ),
        legend=alt.Legend(symbolType="circle"),
    )
    shape = alt.Shape(
        "series:N", scale=alt.Scale(domain=list(SERIES), range=["circle", "square"]), legend=None
    )
    place = alt.X(
        "cut:N", sort=None,
        axis=alt.Axis(title="cut", labelAngle=0, labelOverlap="greedy", ticks=False),
    )  # fmt: skip
    value = alt.Y(
        f"{field}:Q", axis=alt.Axis(title=title, tickCount=5), scale=alt.Scale(zero=field == "lost")
    )
    drawn = base.transform_filter(f"isValid(datum.{field})")
    line = drawn.mark_line(strokeWidth=1.6).encode(place, value, colour)
    points = drawn.mark_point(filled=True, opacity=1, size=50).encode(place, value, colour, shape)
    return alt.layer(line, points).properties(width=330, height=190)


def depth_svg(rows: Sequence[Mapping[str, Any]], layout: Layout = "wide") -> str:
    """The static figure as SVG text."""
    return chart_svg(build_depth_chart(rows, layout))


def write_depth_figure(rows: Sequence[Mapping[str, Any]], folder: Path) -> tuple[Path, Path]:
    """Write ``inversion-depth.svg`` and ``.png`` (two pixels per point) into the folder."""
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    svg = depth_svg(rows)
    paths = folder / "inversion-depth.svg", folder / "inversion-depth.png"
    paths[0].write_text(svg, encoding="utf-8", newline="\n")
    paths[1].write_bytes(vl_convert.svg_to_png(svg, scale=2))
    return paths
