"""The figure of reconstruction and omission against the depth of the cut: two small panels.

One has the PSNR of photos and of generator samples, the other the mean share lost of the classes
in question. Samples are easier than photos, so a gap between the two lines proves no omission; the
verdicts on classes compare rates at equal difficulty. Importing this loads neither Altair nor
vl-convert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..words.losses import MethodRow
from .charts import Layout, colour_scale, finish

if TYPE_CHECKING:
    import altair as alt

SERIES = ("photos", "generator samples")


def depth_rows(rows: Sequence[MethodRow]) -> list[dict[str, Any]]:
    """Two rows for each cut, of photos and of samples: ``cut``, ``series``, ``psnr``, ``lost``.

    ``lost`` is in percent; None where it was not measured.
    """
    found = []
    for row in rows:
        sides = (
            (row.psnr, row.lost),
            (row.calibration.psnr if row.calibration is not None else None, row.samples_lost),
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

    panels = [_panel("psnr", "PSNR, dB")]
    if any(row["lost"] is not None for row in rows):
        panels.append(_panel("lost", "area of the class lost, %"))
    wide = layout == "wide"
    chart = finish(
        alt.hconcat(*panels, spacing=36) if wide else alt.vconcat(*panels, spacing=20),
        data={"cuts": rows},
        description="Reconstruction and lost area by depth of the cut",
        padding=6,
    )
    return cast("alt.HConcatChart | alt.VConcatChart", chart)


def _panel(field: str, title: str) -> alt.LayerChart:
    import altair as alt

    series = alt.Color(
        "series:N",
        scale=colour_scale(SERIES, ("omitted", "generated")),
        legend=alt.Legend(symbolType="circle"),
    )
    shape = alt.Shape(
        "series:N", scale=alt.Scale(domain=list(SERIES), range=["circle", "square"]), legend=None
    )
    place = alt.X(
        "cut:N",
        sort=None,
        axis=alt.Axis(title="cut", labelAngle=0, labelOverlap="greedy", ticks=False),
    )
    value = alt.Y(
        f"{field}:Q", axis=alt.Axis(title=title, tickCount=5), scale=alt.Scale(zero=field == "lost")
    )
    base = alt.Chart(alt.NamedData(name="cuts")).transform_filter(f"isValid(datum.{field})")
    line = base.mark_line(strokeWidth=1.6).encode(place, value, series)
    points = base.mark_point(filled=True, opacity=1, size=50).encode(place, value, series, shape)
    return cast("alt.LayerChart", alt.layer(line, points).properties(width=330, height=190))
