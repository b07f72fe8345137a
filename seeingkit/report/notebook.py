"""What a notebook shows of results: an HTML fragment without scripts, and the figure as a chart."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seeingkit.errors import printable
from seeingkit.results import (
    ArtifactResults,
    AssessmentResults,
    ClassResult,
    DissectionResults,
    GeneratorsResults,
    InterventionResults,
    InversionResults,
    Results,
    UnitContrastsResults,
    UnitPanel,
    images_lost,
)
from seeingkit.results.tables import grid

from .figures.charts import Layout
from .figures.classes import build_chart, figure_rows, figure_svg
from .figures.generators import build_generators_chart, generator_rows
from .figures.interventions import build_effect_chart
from .figures.unit_counts import build_unit_counts_chart
from .figures.units import build_units_chart
from .selection import LABELS, judged
from .words.artifacts import summarise_artifacts
from .words.dissection import summarise_dissection
from .words.findings import summarise, verdict_words
from .words.generators import summarise_generators, swap_probability
from .words.interventions import summarise_intervention
from .words.inversions import summarise_inversions
from .words.names import with_printable_names
from .words.numbers import area, between, change, count, interval, number, probability, share
from .words.rewriting import summarise_assessment
from .words.unit_contrasts import summarise_unit_contrasts

if TYPE_CHECKING:
    import altair as alt

_RANKS = {
    "omitted": 0,
    "reduced": 1,
    "in fewer images": 2,
    "excess": 3,
    "in more images": 4,
    "no evidence": 5,
}
_HEADS = (
    "class",
    "real area",
    "generated area",
    "relative difference",
    "interval",
    "images, real → generated",
    "q",
    "verdict",
)


def summary_html(results: Results, *, figure: bool = False, rows: int = 10) -> str:
    """The words of a comparison and a small table, every name escaped.

    Args:
        results: of the comparison.
        figure: also show the figure, as inline SVG (imports Altair and vl-convert).
        rows: how many classes the table has: those that changed first, then by real area.

    Returns:
        HTML of one ``<div>``, without scripts.
    """
    ranked = sorted(judged(results), key=lambda r: (_RANKS[r.verdict], -r.real_area))
    words = summarise(results)
    parts = [grid([_HEADS, *map(_cells, ranked[:rows])])]
    if len(ranked) > rows:
        parts.append(f"<p>… and {count(len(ranked) - rows, 'more class', 'more classes')}.</p>")
    if figure:
        parts.append(figure_svg(results))
    return _fragment([words.headline, *words.details, *words.cautions], parts)


def generators_html(results: GeneratorsResults) -> str:
    """The words of a comparison of several generators and the table of their differences.

    Returns:
        HTML of one ``<div>``, every name escaped, without scripts.
    """
    words = summarise_generators(results)
    heads = ("first", "second", "FSD, first − second", "interval", "swap test p", "surely nearer")
    rows = [
        [
            d.first,
            d.second,
            number(d.value),
            between((d.ci_low, d.ci_high)),
            swap_probability(d),
            d.nearer or "neither",
        ]
        for d in results.differences
    ]
    lines = [words.headline, *words.details, *words.cautions]
    return _fragment(lines, [grid([heads, *rows])])


def inversions_html(results: InversionResults | Results) -> str:
    """The words about inverted photos.

    Returns:
        HTML of one ``<div>``, every name escaped, without scripts.
    """
    lines = summarise_inversions(results.inversions, results.calibrations, results.vanishing)
    return _fragment([*lines, *results.warnings], [])


def dissection_html(results: DissectionResults) -> str:
    """The words about a dissection.

    Returns:
        HTML of one ``<div>``, every name escaped, without scripts.
    """
    words = summarise_dissection(results)
    return _fragment([words.headline, *words.details, *words.cautions], [])


def artifacts_html(results: ArtifactResults) -> str:
    """The words about a search for artifact units.

    Returns:
        HTML of one ``<div>``, every name escaped, without scripts.
    """
    words = summarise_artifacts(results)
    return _fragment([words.headline, *words.details, *words.cautions], [])


def assessment_html(results: AssessmentResults) -> str:
    """The words about an assessment of edits.

    Returns:
        HTML of one ``<div>``, every name escaped, without scripts.
    """
    words = summarise_assessment(results)
    return _fragment([words.headline, *words.details, *words.cautions], [])


def intervention_html(results: InterventionResults, rows: int = 10) -> str:
    """The words about an intervention and the table of the classes that change most.

    Args:
        results: of the intervention.
        rows: how many classes the table has.

    Returns:
        HTML of one ``<div>``, every name escaped, without scripts.
    """
    words = summarise_intervention(results)
    heads = ("class", "before", "after", "change", "interval", "area", "images")
    cells = [
        [
            one.label,
            area(one.before),
            area(one.after),
            "new" if one.relative is None else change(one.relative),
            interval(one.relative_low, one.relative_high),
            one.area_claim,
            one.images_claim,
        ]
        for one in results.effect.classes[:rows]
    ]
    parts = [grid([heads, *cells])]
    return _fragment([words.headline, *words.details, *words.cautions], parts)


def intervention_chart(results: InterventionResults, layout: Layout = "wide") -> alt.TopLevelMixin:
    """The report's figure of the effect on every class, as an Altair chart."""
    return build_effect_chart(results, layout)


def dissection_chart(results: DissectionResults, layout: Layout = "wide") -> alt.TopLevelMixin:
    """The report's figure of units by layer and class, as an Altair chart."""
    return build_units_chart(results, layout)


def unit_contrasts_html(results: UnitContrastsResults) -> str:
    """The words about layers that were compared by the labels of their units.

    Returns:
        HTML of one ``<div>``, every name escaped, without scripts.
    """
    words = summarise_unit_contrasts(results)
    return _fragment([words.headline, *words.details, *words.cautions], [])


def unit_counts_chart(panel: UnitPanel, layout: Layout = "wide") -> alt.TopLevelMixin:
    """The report's figure of units by class and layer, as an Altair chart."""
    return build_unit_counts_chart(panel, layout)


def comparison_chart(results: Results, layout: Layout = "wide") -> alt.TopLevelMixin:
    """The report's figure of class areas as an Altair chart with its data in it.

    Args:
        layout: ``wide`` = classes along x; ``narrow`` = classes along y.
    """
    return build_chart(with_printable_names(figure_rows(results)[:LABELS]), layout=layout)


def generators_chart(results: GeneratorsResults, layout: Layout = "wide") -> alt.TopLevelMixin:
    """As ``comparison_chart``, with a line for each generator."""
    return build_generators_chart(with_printable_names(generator_rows(results)), layout)


def _fragment(lines: Sequence[str], parts: Sequence[str]) -> str:
    """Sentences, the first one strong, and HTML below them."""
    head, *rest = lines
    texts = [f"<p><strong>{_text(head)}</strong></p>", *(f"<p>{_text(line)}</p>" for line in rest)]
    return "\n".join(['<div class="seeingkit-summary">', *texts, *parts, "</div>"])


def _text(text: str) -> str:
    return html.escape(printable(text))


def _cells(record: ClassResult) -> list[str]:
    return [
        record.label,
        area(record.real_area),
        area(record.generated_area),
        change(record.relative_difference),
        interval(record.ci_low, record.ci_high),
        " → ".join(share(seen) for seen in images_lost(record)[:2]),
        probability(record.q_value),
        verdict_words(record),
    ]
