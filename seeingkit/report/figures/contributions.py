"""The contributions of classes to FSD: a figure of bars, and one sentence.

The bars of all classes and of "all others" add up to the FSD of the page. Each class has two
parts, by the two terms of FSD: its mean area differs, or its area varies otherwise from image to
image and with other classes. Importing this loads neither Altair nor vl-convert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from seeingkit.results import Results, is_background

from ..words.numbers import listing, number, share
from . import charts
from .charts import Layout

if TYPE_CHECKING:
    import altair as alt

LARGEST = 15
TERMS = ("mean area", "covariance")
_WIDTHS: Mapping[Layout, int] = {"wide": 340, "narrow": 190}


@dataclass(frozen=True)
class Contribution:
    """One bar.

    Attributes:
        label: class, or "all others (n)"; key: the same, unique in the figure.
        mean, cov: percent², parts of the two terms.
        part: mean + cov as a share of FSD; None where FSD is 0.
    """

    label: str
    key: str
    mean: float
    cov: float
    part: float | None

    @property
    def total(self) -> float:
        """Percent²."""
        return self.mean + self.cov


def contributions(results: Results, largest: int = LARGEST) -> list[Contribution]:
    """The classes that add most to FSD, largest first, then all others; empty for old runs."""
    known = [
        (record, record.fsd_mean_term, record.fsd_cov_term)
        for record in results.classes
        if record.fsd_mean_term is not None and record.fsd_cov_term is not None
    ]
    known.sort(key=lambda entry: (-(entry[1] + entry[2]), entry[0].index))
    whole = results.fsd.value
    shown = known[:largest]
    names = ["no object" if is_background(record) else record.label for record, _, _ in shown]

    def bar(label: str, key: str, mean: float, cov: float) -> Contribution:
        part = (mean + cov) / whole if whole > 0 else None
        return Contribution(label, key, mean, cov, part)

    bars = [
        bar(name, name if names.count(name) == 1 else f"{name} ({r.index})", mean, cov)
        for name, (r, mean, cov) in zip(names, shown, strict=True)
    ]
    rest = known[largest:]
    if rest:
        others = f"all others ({len(rest):,})"
        bars.append(bar(others, others, sum(m for _, m, _ in rest), sum(c for *_, c in rest)))
    return bars


def contribution_sentence(results: Results) -> str:
    """The classes with the largest part of FSD; empty for old runs."""
    bars = contributions(results, largest=len(results.classes))
    whole = results.fsd.value
    if not bars or whole <= 0:
        return ""
    enough: list[Contribution] = []
    for entry in bars[:3]:
        if enough and sum(e.total for e in enough) >= 0.5 * whole:
            break
        enough.append(entry)
    parts = share(min(1.0, sum(e.total for e in enough) / whole))
    names = [e.label for e in enough]
    if len(names) == 1:
        return f"{names[0]} alone makes {parts} of the FSD of {number(whole)}."
    return f"{listing(names)} make {parts} of the FSD of {number(whole)}."


def build_contribution_chart(
    bars: Sequence[Contribution], layout: Layout = "wide"
) -> alt.LayerChart:
    """Stacked horizontal bars, one a class, as an Altair chart.

    Args:
        bars: as ``contributions`` gives them, in this order from the top.
        layout: ``wide``, or ``narrow`` for a phone.
    """
    import altair as alt

    terms = [
        {"key": bar.key, "term": term, "order": k, "value": max(0.0, value)}
        for bar in bars
        for k, (term, value) in enumerate(zip(TERMS, (bar.mean, bar.cov), strict=True))
    ]
    totals = [
        {
            "key": bar.key,
            "total": max(0.0, bar.mean) + max(0.0, bar.cov),
            "text": "" if bar.part is None else share(bar.part),
        }
        for bar in bars
    ]
    place = alt.Y(
        "key:N",
        sort=[bar.key for bar in bars],
        axis=charts.class_axis(
            padding=6, labelLimit=170 if layout == "wide" else charts.NARROW_LABEL
        ),
        scale=alt.Scale(paddingInner=0.28, paddingOuter=0.15),
    )
    value = alt.X(
        "value:Q",
        stack="zero",
        axis=alt.Axis(title="part of FSD, percent²", tickCount=5, grid=True),
    )
    term = alt.Color(
        "term:N", scale=charts.colour_scale(TERMS, ("generated", "real")), legend=alt.Legend()
    )
    stacks = (
        alt.Chart(alt.NamedData(name="terms"))
        .mark_bar()
        .encode(place, value, term, order=alt.Order("order:Q"))
    )
    notes = (
        alt.Chart(alt.NamedData(name="totals"))
        .mark_text(align="left", dx=4, fontSize=10, color=alt.ExprRef("muted"))
        .encode(place, alt.X("total:Q"), text="text:N")
    )
    chart = charts.finish(
        alt.layer(stacks, notes).properties(width=_WIDTHS[layout], height=alt.Step(20)),
        data={"terms": terms, "totals": totals},
        description="Contribution of each class to the two terms of FSD",
    )
    return cast("alt.LayerChart", chart)
