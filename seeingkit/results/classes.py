"""The record of one class in a comparison, and its verdict.

Areas are percent of an image, presences are shares in [0, 1].
"""

from __future__ import annotations

from typing import Literal

from .records import Interval, Record

OMITTED_BELOW = -0.5
"""A significant loss of at least half of a class's area or presence is called an omission."""

BACKGROUND_NAMES = frozenset(
    {"", "-", "background", "bg", "nothing", "none", "unlabeled", "unlabelled", "void", "ignore"}
)
"""Names of label 0 that mean "no object", in lower case."""

Verdict = Literal["omitted", "reduced", "excess", "no evidence"]


class ClassResult(Record):
    """One label: how much of it the real and the generated images show.

    Attributes:
        real_area, generated_area: mean share of the image, in percent.
        relative_difference: (generated - real) / real, or None where real is 0.
        ci_low, ci_high: 95 % interval of the relative difference, None if unbounded.
        real_presence, generated_presence: share of images with at least one pixel, in [0, 1].
        p_value: of no difference in amount, the smallest of the three tests below among those of
            permuted images (``statistics.amounts``); q_value: after Benjamini-Hochberg over the
            labels.
        omitted: verdict is ``omitted``.
        verdict, because: the claim at the level, and whether the test of area or of presence is
            the stronger reason (None without evidence).
        real_area_ci, generated_area_ci, real_presence_ci, generated_presence_ci: 95 % intervals.
        presence_change: (generated - real) / real presence, presence_ci: its 95 % interval.
        real_area_if_present, generated_area_if_present: mean area in the images that show it.
        given_change: relative difference of these, given_ci: its 95 % interval.
        p_presence, p_given, p_area: tests of presence, of area given presence, of mean area;
            None where there is nothing to test.
        speck_area: the area threshold, percent (``statistics.products.Pool``); real_seen,
            generated_seen: share of images that show the label above it; p_seen: test of these.
        fsd_mean_term, fsd_cov_term: contributions of this label to the two terms of FSD
            (percent²); over all labels they sum to the terms.
    """

    label: str
    category: str
    index: int
    real_area: float
    generated_area: float
    relative_difference: float | None
    ci_low: float | None
    ci_high: float | None
    real_presence: float
    generated_presence: float
    p_value: float
    q_value: float
    omitted: bool
    verdict: Verdict
    because: Literal["area", "presence"] | None = None
    real_area_ci: Interval | None = None
    generated_area_ci: Interval | None = None
    real_presence_ci: Interval | None = None
    generated_presence_ci: Interval | None = None
    presence_change: float | None = None
    presence_ci: Interval | None = None
    real_area_if_present: float | None = None
    generated_area_if_present: float | None = None
    given_change: float | None = None
    given_ci: Interval | None = None
    p_presence: float | None = None
    p_given: float | None = None
    p_area: float | None = None
    speck_area: float | None = None
    real_seen: float | None = None
    generated_seen: float | None = None
    p_seen: float | None = None
    fsd_mean_term: float | None = None
    fsd_cov_term: float | None = None


def is_background(record: ClassResult) -> bool:
    """Whether the record is label 0 in its role of "no object"."""
    return record.index == 0 and (
        record.category == "background" or record.label.strip().lower() in BACKGROUND_NAMES
    )


def images_lost(record: ClassResult) -> tuple[float, float, str]:
    """Shares of real and of generated images on which a verdict by presence rests, and their name.

    A verdict counts images that show the class above the area threshold (``speck_area``); presence
    of any pixel may have gone the other way. Older runs have presence alone.

    Returns:
        real and generated share in [0, 1]; the words that join "80 % of the images" to the class.
    """
    if record.real_seen is None or record.generated_seen is None:
        return record.real_presence, record.generated_presence, "in"
    return record.real_seen, record.generated_seen, "above the area threshold in"
