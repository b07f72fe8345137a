"""The figures of the validation page, SVG on white; tables have all numbers but the curves of p."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seeingkit.report.figures.charts import FONT, PRINT_COLOURS, vega_lite_version

from .coverage import COVERAGE_RANGE, KINDS
from .running import Finding
from .summary import COMMON, Rate, Row, distance, nulls, randomised

PALETTE = [
    "#1d5fae",
    "#c4420f",
    "#2e8b7a",
    "#8a5fb5",
    "#b58a00",
    "#5b6570",
    "#d0648a",
    "#4aa3d9",
]
INK, MUTED = PRINT_COLOURS["ink"], PRINT_COLOURS["muted"]
Chart = Any


def _points(rows: list[Row], x: Any, y: Any, colour: Any) -> Chart:
    """Lines through points, with a bar of two standard errors each way."""
    import altair as alt

    base = alt.Chart(alt.Data(values=rows)).encode(x=x, color=colour)
    line = base.mark_line(strokeWidth=1.2, opacity=0.7).encode(y=y)
    point = base.mark_point(filled=True, size=28, opacity=1).encode(y=y)
    bar = base.mark_rule(strokeWidth=1).encode(y="low:Q", y2="high:Q")
    return line + bar + point


def _level(values: Sequence[float]) -> Chart:
    import altair as alt

    data = alt.Data(values=[{"at": value} for value in values])
    return alt.Chart(data).mark_rule(strokeDash=[4, 3], color=MUTED).encode(y="at:Q")


def _with_error(rate: Rate, **more: Any) -> Row:
    """A point for a chart."""
    low, high = rate.value - 2 * rate.error, rate.value + 2 * rate.error
    return {"value": rate.value, "low": low, "high": high, **more}


def _images(points: Sequence[Row]) -> Any:
    """Logarithmic axis of n; sources stand a little beside each other (``_beside``)."""
    import altair as alt

    sizes = sorted({point["n"] for point in points})
    ticks = alt.Axis(values=sizes, format="~s", title="images per side", labelOverlap=True)
    domain = [sizes[0] / 1.3, sizes[-1] * 1.5]
    return alt.X("at:Q", scale=alt.Scale(type="log", nice=False, domain=domain), axis=ticks)


def _beside(points: list[Row], by: str) -> list[str]:
    """Sets ``at`` so that points of different ``by`` do not hide each other; their names."""
    names = list(dict.fromkeys(point[by] for point in points))
    for point in points:
        point["at"] = point["n"] * 1.04 ** names.index(point[by])
    return names


def _colour(field: str, names: Sequence[str], title: str | None = None) -> Any:
    import altair as alt

    scale = alt.Scale(domain=list(names), range=PALETTE[: len(names)])
    return alt.Color(f"{field}:N", sort=list(names), scale=scale, title=title)


def claims_chart(rows: list[Row]) -> Chart:
    """Share of null runs with any claim, by n."""
    import altair as alt

    data = [_with_error(r["any"], n=r["n"], source=r["source"]) for r in rows]
    for point in data:
        point["low"] = max(0.0, point["low"])
    names = _beside(data, "source")
    y = alt.Y("value:Q", title="null runs with any claim", axis=alt.Axis(format="~%"))
    chart = _points(data, _images(data), y, _colour("source", names)) + _level([0.05])
    return chart.properties(width=520, height=230)


def uniform_chart(found: Sequence[Finding]) -> Chart | None:
    """Distribution of null p-values: share at most p, against p."""
    import altair as alt

    at = np.linspace(0, 1, 51)
    rows: list[Row] = []
    for finding in nulls(found):
        common = finding.truth.presence >= COMMON
        kinds = {"classes in ≥ 1 % of images": finding.arrays["p"][:, common, 0].ravel()}
        if finding.cell.permutations:
            p = distance(finding, "p_value")
            kinds["FSD, permutations"] = randomised(p, finding.cell.permutations)
        for kind, p in kinds.items():
            p = p[np.isfinite(p)]
            rows += [
                {
                    "p": float(x),
                    "share": float((p <= x).mean()),
                    "kind": kind,
                    "source": finding.cell.source,
                    "n": finding.cell.n,
                }
                for x in at
                if len(p)
            ]
    if not rows:
        return None
    data = alt.Data(values=rows)
    line = (
        alt.Chart()
        .mark_line(strokeWidth=1, opacity=0.7)
        .encode(
            x=alt.X("p:Q", title="p"),
            y=alt.Y("share:Q", title="share of p-values at most p"),
            color=_colour("source", list(dict.fromkeys(row["source"] for row in rows))),
            detail="n:N",
        )
    )
    diagonal = alt.Chart().mark_line(strokeDash=[4, 3], color=MUTED).encode(x="p:Q", y="p:Q")
    chart = alt.layer(line, diagonal, data=data).properties(width=230, height=210)
    return chart.facet(column=alt.Column("kind:N", title=None))


def coverage_chart(null_rows: list[Row], distance_rows: list[Row]) -> Chart | None:
    """Coverage of stated 95 % intervals by n: FSD, and classes in at least 1 % of the images."""
    import altair as alt

    data: list[Row] = []
    for row in distance_rows:
        if row["null"]:
            where = {"n": row["n"], "source": row["source"], "kind": "FSD, nothing planted"}
            data.append(_with_error(row["coverage"], **where))
    for row in null_rows:
        for kind in KINDS:
            if row["from"] >= COMMON and row[kind] and row[kind]["pooled"]:
                where = {"n": row["n"], "source": row["source"], "kind": kind}
                data.append(_with_error(row[kind]["pooled"], **where))
    if not data:
        return None
    names = _beside(data, "source")
    order = ["FSD, nothing planted", *KINDS]
    charts = []
    for kind in order:
        points = [point for point in data if point["kind"] == kind]
        if not points:
            continue
        least = min(0.9, *(point["low"] for point in points))
        y = alt.Y(
            "value:Q",
            title="coverage",
            scale=alt.Scale(domain=[least, 1.0], nice=False),
            axis=alt.Axis(format="~%", tickCount=5),
        )
        for point in points:
            point["high"] = min(1.0, point["high"])
        chart = _points(points, _images(points), y, _colour("source", names))
        chart += _level(COVERAGE_RANGE)
        charts.append(chart.properties(width=220, height=150, title=kind))
    return alt.concat(*charts, columns=3)


def power_chart(rows: list[Row]) -> Chart | None:
    """How often a removed class is found, by the share of its images that lost it."""
    import altair as alt

    shares: dict[str, set[float]] = {}
    for row in rows:
        if row["kind"] == "removed":
            shares.setdefault(row["source"], set()).add(row["share"])
    data = [
        _with_error(
            row["found"],
            share=row["share"],
            source=row["source"],
            panel=f"{row['source']}, n = {row['n']:,}",
            n=row["n"],
            presence=f"{100 * row['presence']:.2g} %",
        )
        for row in rows
        if row["kind"] == "removed" and len(shares[row["source"]]) > 1
    ]
    if not data:
        return None
    charts = []
    for panel in dict.fromkeys(point["panel"] for point in data):
        points = [point for point in data if point["panel"] == panel]
        names = list(dict.fromkeys(point["presence"] for point in points))
        colour = _colour("presence", names, "class is in")
        for point in points:
            point["low"], point["high"] = max(0.0, point["low"]), min(1.0, point["high"])
        ticks = alt.Axis(format="~%", values=[0, 0.25, 0.5, 0.75, 1])
        title = "removed from this share of its images"
        x = alt.X("share:Q", title=title, scale=alt.Scale(domain=[0, 1.02]), axis=ticks)
        y = alt.Y("value:Q", title="found", axis=alt.Axis(format="~%"), scale={"domain": [0, 1]})
        chart = _points(points, x, y, colour)
        charts.append(chart.properties(width=200, height=150, title=panel))
    columns = len({point["n"] for point in data})
    return alt.concat(*charts, columns=columns).resolve_scale(color="independent")


VARIANTS = {"value": "as published", "minus_floor": "minus floor", "reduced": "bias-reduced"}


def bias_chart(rows: list[Row]) -> Chart | None:
    """Mean of the FSD variants by n with nothing planted, where the truth is 0."""
    import altair as alt

    data: list[Row] = []
    for row in rows:
        if row["plant"] is None:
            for key, name in VARIANTS.items():
                if row[key] is not None:
                    where = {"n": row["n"], "source": row["source"], "variant": name}
                    data.append(_with_error(row[key], **where))
    if not data:
        return None
    names = list(VARIANTS.values())
    _beside(data, "variant")
    charts = []
    for source in dict.fromkeys(point["source"] for point in data):
        points = [point for point in data if point["source"] == source]
        y = alt.Y("value:Q", title="mean FSD, percent²", scale=alt.Scale(type="symlog"))
        chart = _points(points, _images(points), y, _colour("variant", names)) + _level([0.0])
        charts.append(chart.properties(width=200, height=150, title=source))
    return alt.concat(*charts, columns=3)


def save(chart: Chart, path: Path) -> None:
    """Write a chart as SVG."""
    import vl_convert

    axis = {"labelColor": INK, "titleColor": MUTED, "gridColor": PRINT_COLOURS["grid"]}
    config = {
        "background": PRINT_COLOURS["paper"],
        "font": FONT,
        "view": {"stroke": None},
        "axis": {**axis, "domainColor": MUTED, "tickColor": MUTED, "titleFontWeight": "normal"},
        "legend": {"orient": "right", "titleFontWeight": "normal", "titleColor": MUTED},
        "title": {"fontSize": 11, "fontWeight": "normal", "anchor": "start", "color": INK},
    }
    spec = chart.configure(**config).to_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = vl_convert.vegalite_to_svg(spec, vl_version=vega_lite_version())
    path.write_text(svg + "\n", encoding="utf-8", newline="\n")
