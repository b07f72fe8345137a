"""The view of a comparison in a notebook: an HTML fragment without scripts."""

from __future__ import annotations

import html
from collections.abc import Sequence

from seeingkit.errors import printable
from seeingkit.results import ClassResult, GeneratorsResults, Results, images_lost

from .figures.classes import figure_svg
from .selection import judged
from .words.findings import summarise, verdict_words
from .words.generators import summarise_generators, swap_probability
from .words.numbers import area, between, change, count, interval, number, probability, share

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
    parts = [
        '<div class="seeingkit-summary">',
        f"<p><strong>{_text(words.headline)}</strong></p>",
        *(f"<p>{_text(line)}</p>" for line in (*words.details, *words.cautions)),
        "<table><thead>" + _row(_HEADS, "th") + "</thead>",
        *(_row(_cells(record), "td") for record in ranked[:rows]),
        "</table>",
    ]
    if len(ranked) > rows:
        parts.append(f"<p>… and {count(len(ranked) - rows, 'more class', 'more classes')}.</p>")
    if figure:
        parts.append(figure_svg(results))
    return "\n".join([*parts, "</div>"])


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
    parts = [
        '<div class="seeingkit-summary">',
        f"<p><strong>{_text(words.headline)}</strong></p>",
        *(f"<p>{_text(line)}</p>" for line in (*words.details, *words.cautions)),
        "<table><thead>" + _row(heads, "th") + "</thead>",
        *(_row(row, "td") for row in rows),
        "</table>",
        "</div>",
    ]
    return "\n".join(parts)


def _text(text: str) -> str:
    return html.escape(printable(text))


def _row(texts: Sequence[str], element: str) -> str:
    cells = (f"<{element}>{_text(text)}</{element}>" for text in texts)
    return "<tr>" + "".join(cells) + "</tr>"


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
