"""What a run found, in words: what is missing, how sure that is, and what could mislead.

Every sentence is plain text; whoever puts it into a page escapes it. Names of classes and files
come from outside and are never treated as markup.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..results import ClassResult, Results, SkippedItem
from .wording import NBSP, area, change, count, interval, listing, number, probability

BACKGROUND_NAMES = frozenset(
    {"", "-", "background", "bg", "nothing", "none", "unlabeled", "unlabelled", "void", "ignore"}
)
FEW_IMAGES = 100
"""Below this many images a side, only large losses are visible."""
FEW_FOR_FSD = 5000
"""Below this many images a side, a good generator's FSD is mostly sampling noise."""


@dataclass(frozen=True)
class Summary:
    """The words of a report.

    Attributes:
        headline: one sentence on what is missing.
        details: further findings, one sentence or two each.
        cautions: what could mislead a reader of the numbers, the run's own warnings last.
    """

    headline: str
    details: tuple[str, ...]
    cautions: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, one paragraph a line."""
        return "\n".join([self.headline, *self.details, *self.cautions])


def is_background(record: ClassResult) -> bool:
    """Whether the record is label 0 in its role of "no object"."""
    return record.index == 0 and (
        record.category == "background" or record.label.strip().lower() in BACKGROUND_NAMES
    )


def judged(results: Results) -> list[ClassResult]:
    """The classes that findings speak of, in the order of the results.

    "No object" and materials are left out, as in the figure; materials stay in the table.
    """
    return [
        record
        for record in results.classes
        if record.category != "material" and not is_background(record)
    ]


def summarise(results: Results) -> Summary:
    """Put the findings of a comparison into words."""
    classes = judged(results)
    return Summary(
        headline=_headline(results, classes),
        details=(*_other_changes(classes), _distance(results)),
        cautions=tuple(dict.fromkeys([*_cautions(results), *results.warnings])),
    )


def _findings(records: list[ClassResult]) -> str:
    """Names with change and interval; what the interval is, is said once."""
    texts: list[str] = []
    for record in records:
        bounds = interval(record.ci_low, record.ci_high)
        if not texts:
            bounds = f"95{NBSP}% interval {bounds}"
        texts.append(f"{record.label} ({change(record.relative_difference)}, {bounds})")
    return listing(texts, limit=6)


def _headline(results: Results, classes: list[ClassResult]) -> str:
    shown = [record for record in classes if record.real_area > 0]
    omitted = [record for record in shown if record.omitted]
    subject = "The generator" if results.generator else "The set of generated images"
    if not shown:
        return (
            "The real images show none of the classes that the segmenter knows, "
            "so nothing can be said of what is missing."
        )
    level = f"false discovery rate of {100 * results.level:g}{NBSP}%"
    if not omitted:
        if len(shown) == 1:
            return (
                f"Nothing is found to be left out: the one class that the real images show, "
                f"{shown[0].label}, has not lost half of its area at a {level}."
            )
        return (
            f"Nothing is found to be left out: of the {len(shown):,} classes that the real images "
            f"show, none has lost at least half of its area at a {level}."
        )
    findings = _findings(omitted)
    if len(shown) == 1:
        return f"{subject} leaves out the only class that the real images show: {findings}."
    of = (
        f"all {len(shown):,}"
        if len(omitted) == len(shown)
        else f"{len(omitted):,} of {len(shown):,}"
    )
    return f"{subject} leaves out {of} classes that the real images show: {findings}."


def _other_changes(classes: list[ClassResult]) -> Iterable[str]:
    def named(records: list[ClassResult]) -> str:
        return listing([f"{r.label} ({change(r.relative_difference)})" for r in records], limit=6)

    reduced = [r for r in classes if r.verdict == "reduced"]
    excess = [r for r in classes if r.verdict == "excess" and r.relative_difference is not None]
    new = [r for r in classes if r.verdict == "excess" and r.relative_difference is None]
    if reduced:
        further = " further" if any(r.omitted for r in classes) else ""
        start = f"{len(reduced):,}{further} classes are"
        if len(reduced) == 1:
            start = f"{'A' if further else 'One'}{further} class is"
        yield f"{start} reduced, by less than half: {named(reduced)}."
    if excess:
        start = "One class takes" if len(excess) == 1 else f"{len(excess):,} classes take"
        yield f"{start} more room than in the real images: {named(excess)}."
    if new:
        start = (
            "One class that no real image has is"
            if len(new) == 1
            else f"{len(new):,} classes that no real image has are"
        )
        names = listing([f"{r.label} ({area(r.generated_area)})" for r in new], limit=6)
        yield f"{start} drawn: {names}."


def _distance(results: Results) -> str:
    fsd = results.fsd
    text = (
        f"FSD {number(fsd.value)} percent² "
        f"(mean {number(fsd.mean_term)} + covariance {number(fsd.cov_term)})"
    )
    if fsd.floor is not None:
        text += f" against a floor of {number(fsd.floor)} for two real samples of this size"
        if fsd.floor_halves is not None and fsd.floor_halves < min(
            results.n_real, results.n_generated
        ):
            text += f" (measured on disjoint halves of {count(fsd.floor_halves, 'image')})"
    if fsd.p_value is not None:
        text += f", permutation p = {probability(fsd.p_value)}"
        if fsd.permutations and fsd.p_value <= 1.000001 / (fsd.permutations + 1):
            times = count(fsd.permutations, "permutation")
            text += f", the smallest that {times} can give"
    if fsd.bias_reduced is not None:
        text += f"; with the sampling bias reduced, {number(fsd.bias_reduced)}"
    return text + "."


def _sides(results: Results) -> str:
    n, m = results.n_real, results.n_generated
    if n == m:
        return f"{count(n, 'image')} per side"
    return f"{n:,} real and {m:,} generated {'image' if m == 1 else 'images'}"


def _cautions(results: Results) -> Iterable[str]:
    fsd = results.fsd
    n = min(results.n_real, results.n_generated)
    if n < FEW_IMAGES:
        yield (
            f"With {_sides(results)} only large losses can be seen: "
            "a class that is not named here may still be missing."
        )
    if fsd.floor is not None and fsd.value > 0 and fsd.floor >= fsd.value:
        yield (
            f"The FSD of {number(fsd.value)} is no larger than its floor of {number(fsd.floor)}: "
            "two samples of the real images lie as far apart."
        )
    elif fsd.floor is not None and fsd.floor > 0.5 * fsd.value:
        yield (
            f"More than half of the FSD ({number(fsd.floor)} of {number(fsd.value)}) is what two "
            "samples of the real images give at this size: the value says more of the sample "
            "size than of the generator."
        )
    elif fsd.floor is None:
        yield (
            "The floor of the FSD is not known here: without it the value cannot be told "
            "apart from sampling noise."
        )
    if FEW_IMAGES <= n < FEW_FOR_FSD:
        yield (
            f"With {_sides(results)} the FSD is biased upwards; compare it only with values at "
            "the same number of images, with the same segmenter and the same preset."
        )
    if fsd.p_value is not None and fsd.p_value > results.level:
        yield (
            f"The permutation test (p = {probability(fsd.p_value)}) does not tell the generated "
            "images from the real ones by their class areas as a whole."
        )
    if results.skipped:
        sides = skipped_sides(results.skipped)
        were = "was" if len(results.skipped) == 1 else "were"
        yield (
            f"{count(len(results.skipped), 'image')} could not be used and {were} skipped "
            f"({listing(sides)})."
        )


def skipped_sides(skipped: Sequence[SkippedItem]) -> list[str]:
    """``2 real``, ``1 photo to invert``, …: how many images of each side were skipped."""
    names = {
        "real": ("real", "real"),
        "generated": ("generated", "generated"),
        "photo": ("photo to invert", "photos to invert"),
        "own": ("own image to invert", "own images to invert"),
    }
    numbers = {side: sum(item.source == side for item in skipped) for side in names}
    return [count(n, *names[side]) for side, n in numbers.items() if n]


def summary_html(results: Results, *, figure: bool = False, rows: int = 10) -> str:
    """A fragment for notebooks: the words and a small table, every name escaped.

    Args:
        results: what the comparison found.
        figure: also show the figure, as inline SVG (imports Altair and vl-convert).
        rows: how many classes the table has: those that changed first, then by real area.

    Returns:
        HTML of one ``<div>``, without scripts.
    """
    order = {"omitted": 0, "reduced": 1, "excess": 2, "no evidence": 3}
    ranked = sorted(judged(results), key=lambda r: (order[r.verdict], -r.real_area))
    words = summarise(results)
    parts = ['<div class="seeingkit-summary">']
    parts.append(f"<p><strong>{html.escape(words.headline)}</strong></p>")
    parts += [f"<p>{html.escape(line)}</p>" for line in (*words.details, *words.cautions)]
    heads = ["class", "real area", "generated area", "relative difference", "95 % interval"]
    heads += ["q", "verdict"]
    parts.append("<table><thead><tr>" + "".join(f"<th>{h}</th>" for h in heads) + "</tr></thead>")
    for r in ranked[:rows]:
        cells = [r.label, area(r.real_area), area(r.generated_area), change(r.relative_difference)]
        cells += [interval(r.ci_low, r.ci_high), probability(r.q_value), r.verdict]
        parts.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>")
    parts.append("</table>")
    if len(ranked) > rows:
        parts.append(f"<p>… and {count(len(ranked) - rows, 'more class', 'more classes')}.</p>")
    if figure:
        from .figure import figure_svg

        parts.append(figure_svg(results))
    return "\n".join([*parts, "</div>"])
