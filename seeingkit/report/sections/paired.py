"""The section of a paired comparison: each class by its pairs, and pairs of the worst class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seeingkit.results import ClassResult, PairedClass, PairedImages, PairedResult, Results

from ..pictures.encoding import ScenePictures
from ..selection import is_judged
from ..templates import Section, render
from ..words.numbers import area, count, listing
from ..words.paired import MATCHED, claims, difference_ends, interval_name, relative_ends


@dataclass(frozen=True)
class PairedRow:
    """One class of the table.

    Attributes:
        record: its numbers.
        judged: the class in the results.
        relative, points: intervals of the relative and of the mean difference, in words.
    """

    record: PairedClass
    judged: ClassResult
    relative: str
    points: str


@dataclass(frozen=True)
class ShownPair:
    """A pair of images with its areas of one class, and its pictures if there are any."""

    record: PairedImages
    pictures: ScenePictures | None

    @property
    def areas(self) -> str:
        """``5.40 % → 0.01 %``."""
        return f"{area(self.record.real_area)} → {area(self.record.generated_area)}"


def paired_section(results: Results, pictures: Sequence[ScenePictures] = ()) -> Section | None:
    """Table of classes and pairs to look at; None where the comparison is not paired."""
    paired = results.paired
    if paired is None:
        return None
    shown = {entry.real.id: entry for entry in pictures}
    pairs = [ShownPair(pair, shown.get(pair.real)) for pair in paired.images]
    body = render(
        "paired.html.j2",
        paired=paired,
        rows=_rows(results, paired),
        matched=MATCHED[paired.matched],
        words=[word for word in paired.words if word],
        interval_name=interval_name(paired),
        pictured=[pair for pair in pairs if pair.pictures is not None],
        listed=[pair for pair in pairs if pair.pictures is None],
    )
    return Section("pairs", "Within pairs", body, "Pairs", _answer(results, paired), False, False)


def _rows(results: Results, paired: PairedResult) -> list[PairedRow]:
    """Claims first, then by real area."""
    judged = {record.index: record for record in results.classes if is_judged(record)}
    rows = [
        PairedRow(record, judged[record.index], relative_ends(record), difference_ends(record))
        for record in paired.classes
        if record.index in judged
    ]
    return sorted(rows, key=lambda row: claims(row.record) == "no evidence")


def _answer(results: Results, paired: PairedResult) -> str:
    judged = {record.index for record in results.classes if is_judged(record)}
    claimed = [c for c in paired.classes if c.index in judged and claims(c) != "no evidence"]
    if not claimed:
        return f"No class differs within the {count(paired.pairs, 'pair')} by more than chance."
    named = listing([f"{record.label}: {claims(record)}" for record in claimed], limit=6)
    return f"Within {count(paired.pairs, 'pair')}, {named}."
