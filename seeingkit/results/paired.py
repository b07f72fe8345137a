"""The records of a paired comparison, where image k of one side belongs to image k of the other."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .records import AreaClaim, ImagesClaim, Record

VANISHED = 0.5
"""A class has vanished from an image that has kept at most this share of its area."""

Matched = Literal["names", "words", "order"]


class PairedClass(Record):
    """One label in all pairs: its two questions, and the counts of its images.

    A difference is generated − real. An end of an interval is None where it is unbounded; an
    interval leaves out 0 exactly where ``area_claim`` is a claim.

    Attributes:
        differing: pairs whose areas differ; the others say nothing about the mean difference.
        tested_area, tested_images: enough pairs differ for a claim to be possible; else q is 1.
        mean_difference: of the areas, percentage points of the image; difference_low,
            difference_high: its interval.
        relative_difference: of the mean areas, None where no real image shows the label;
            relative_low, relative_high: its interval.
        p_area: of "the mean difference is 0" (sign flips), exact_area: all flips were enumerated;
            q_area: after Benjamini-Hochberg over the labels tested, for half of the level.
        only_real, only_generated: pairs in which only that image shows the label above the area
            threshold (``ClassResult.speck_area``).
        p_images: of "as many pairs show it on the one side only as on the other" (exact);
            q_images: likewise.
        shown: real images above the area threshold; vanished: of these, those whose partner has at
            most half of the area; shown_generated, appeared: the same with the sides exchanged.
        p_vanished: of "it vanishes as often as it appears" (exact), not corrected for the number of
            labels; no claim rests on it.
    """

    NAMED_BY = ("label",)

    label: str
    category: str
    index: int
    differing: int
    tested_area: bool
    tested_images: bool
    mean_difference: float
    difference_low: float | None
    difference_high: float | None
    relative_difference: float | None
    relative_low: float | None
    relative_high: float | None
    p_area: float
    q_area: float
    exact_area: bool
    area_claim: AreaClaim
    only_real: int
    only_generated: int
    p_images: float
    q_images: float
    images_claim: ImagesClaim
    shown: int
    vanished: int
    shown_generated: int
    appeared: int
    p_vanished: float


class PairedImages(Record):
    """A pair of images by their stable ids, with the areas of one class, percent."""

    NAMED_BY = ("real", "generated")

    real: str
    generated: str
    real_area: float
    generated_area: float


class PairedResult(Record):
    """A paired comparison: what belongs together, and what differs within pairs.

    Attributes:
        pairs: how many.
        matched: ``names``: images of the same name; ``words``: of the same name but for a word
            that all names of a side have (``words``); ``order``: by order, because the names do
            not match.
        words: those words of the real and of the generated side.
        left_out_real, left_out_generated: images without a usable partner.
        level: false discovery rate of both questions together; each has half of it.
        tested_area, tested_images: labels in which enough pairs differ for a claim to be possible.
        confidence_area: of the intervals of differences.
        flips: random sign flips, where they were not enumerated.
        fsd_swapped: mean FSD after swapping the images of pairs at random; p_fsd: share of swaps
            with an FSD of at least the observed one, which is counted in; None without swaps;
            swaps: how many, beside the pairs as they are; exact_fsd: all of them.
        shown_class: the label that ``images`` are of, None where no label differs.
        images: pairs to look at, largest loss (or gain) first.
        classes: in the order of the comparison's.
    """

    pairs: int
    matched: Matched
    words: tuple[str, str] = ("", "")
    left_out_real: int = 0
    left_out_generated: int = 0
    level: float
    tested_area: int
    tested_images: int
    confidence_area: float
    flips: int
    fsd_swapped: float | None = None
    p_fsd: float | None = None
    swaps: int = 0
    exact_fsd: bool = False
    shown_class: str | None = None
    images: list[PairedImages] = Field(default_factory=list)
    classes: list[PairedClass] = Field(default_factory=list)
