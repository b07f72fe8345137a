"""The section on the segmenter: its errors, or a difference in resolution, as explanations."""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.results import ClassResult, Results, SegmenterClass

from ..selection import judged
from ..templates import Section, render
from ..words.cautions import against, mismatch_words, segmenter_checks
from ..words.numbers import count, listing

_LABEL_COLUMNS = (
    ("precision", "precision", "share"),
    ("recall", "recall", "share"),
    ("area misjudged", "error_area", "area"),
    ("difference corrected", "relative_corrected", "change"),
    ("explained", "explained", "share"),
)
_VIEW_COLUMNS = (
    ("real area, second", "other_real_area", "area"),
    ("generated area, second", "other_generated_area", "area"),
    ("difference, second", "other_relative", "change"),
    ("shift on real images", "shift", "change"),
    ("explained", "explained", "share"),
)
_COLUMNS = {"labels": _LABEL_COLUMNS, "scale": _VIEW_COLUMNS, "segmenter": _VIEW_COLUMNS}
"""Heading, field of the record, and filter of each column, by the kind of check."""


_REASONS = {
    "labels": "the segmenter's errors are large enough",
    "scale": "the difference changes too much at another scale",
    "segmenter": "a second segmenter does not agree",
}


def segmenter_section(results: Results) -> Section | None:
    """The differences that segmentation error, or a difference in resolution, could explain."""
    share_of, resolution = results.segmenter_share, results.resolution
    if share_of is None and resolution is None:
        return None
    records = {record.index: record for record in results.classes}
    rows = [(records[k], check) for k, check in segmenter_checks(results).items()]
    # Flagged first; among these, those on which the report claims something.
    claimed = [row for row in rows if row[1].flagged and row[0].verdict != "no evidence"]
    flagged = claimed + [row for row in rows if row[1].flagged and row not in claimed]
    body = render(
        "segmenter.html.j2",
        check=share_of,
        against=against(results),
        flagged=flagged,
        others=[row for row in rows if not row[1].flagged],
        columns=_COLUMNS[share_of.kind] if share_of is not None else (),
        resolution=resolution,
        detail=mismatch_words(results),
    )
    answer = _segmenter_answer(results, [record for record, _ in claimed], rows)
    folded = not claimed and not (resolution is not None and resolution.mismatch)
    return Section("segmenter", "Segmentation error", body, "Segmenter", answer, folded)


def _segmenter_answer(
    results: Results,
    claimed: Sequence[ClassResult],
    rows: Sequence[tuple[ClassResult, SegmenterClass]],
) -> str:
    findings = {r.index for r in judged(results) if r.verdict != "no evidence"}
    checked = sum(record.index in findings for record, _ in rows)
    check = results.segmenter_share
    if check is None:
        text = "The segmenter's errors were not measured in this run."
    elif claimed:
        named = listing([record.label for record in claimed], limit=5)
        text = f"It may explain the difference in {named}: {_REASONS[check.kind]}."
    elif not findings:
        text = "No class has a verdict that it could explain."
    elif not checked:
        text = "No class with a verdict could be checked."
    else:
        of = count(checked, "class", "classes")
        text = f"No sign of it, in {of} with a verdict that could be checked."
    if results.resolution is not None and results.resolution.mismatch:
        text += " The two sides differ in resolution."
    return text
