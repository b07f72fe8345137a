"""Records of the parts of a run: sources, models, skipped images, classes, checks, the manifest.

A record is frozen, and unknown keys are refused; units and ``None`` are as for the whole room.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from .tables import grid

SCHEMA_VERSION = 1

Interval = tuple[float, float]
"""Lower and upper end of a confidence interval."""

OMITTED_BELOW = -0.5
"""A significant loss of at least half of a class's area or presence is called an omission."""

BACKGROUND_NAMES = frozenset(
    {
        *("", "-", "background", "__background__", "bg", "nothing", "none", "no object"),
        *("unlabeled", "unlabelled", "void", "ignore"),
    }
)
"""Names of label 0 that mean "no object", in lower case."""

AreaClaim = Literal["less area", "more area", "no evidence"]
ImagesClaim = Literal["in fewer images", "in more images", "no evidence"]
Verdict = Literal[
    "omitted", "reduced", "in fewer images", "excess", "in more images", "no evidence"
]


class Record(BaseModel):
    """Base of all records of a run: frozen, no unknown keys.

    Attributes:
        NAMED_BY: text fields by which a record is found in a list of its kind (``paths``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    NAMED_BY: ClassVar[tuple[str, ...]] = ()

    def _repr_html_(self) -> str:
        rows = [[name, _shown(getattr(self, name))] for name in type(self).model_fields]
        return grid([["field", "value"], *rows], caption=type(self).__name__)


def _shown(value: Any) -> str:
    """A field of a record for a notebook; of lists and records within it, what and how many."""
    if isinstance(value, Record):
        return type(value).__name__
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None:
        return "–"
    if isinstance(value, (list, tuple, dict)) and len(str(value)) > 80:
        return f"{len(value):,} entries"
    return str(value)


class SkippedItem(Record):
    """An image that was not used."""

    source: Literal["real", "generated", "photo", "own", "levels"]
    item: str
    reason: str


class SourceRecord(Record):
    """Where one side's images came from.

    Attributes:
        left_out: files that are pictures, or may hold some, and were not used: name and reason.
        notes: sentences on how the images were found.
    """

    name: str
    kind: str
    images: int
    fingerprint: str
    seed: int | None = None
    left_out: list[tuple[str, str]] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    details: dict[str, Any] = Field(default_factory=dict)


class ModelRecord(Record):
    """A generator or segmenter, as far as a reader needs it.

    Attributes:
        assumptions: what was taken to be so without finding it in the weights file.
    """

    name: str
    family: str
    weights_sha256: str | None = None
    licence: str = "unknown"
    parameters: int = 0
    resolution: int | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    assumptions: tuple[str, ...] = ()


class LabelAgreement(Record):
    """How often a segmenter that computes in another precision gives the label of float32.

    Attributes:
        computing: how it computes, for people.
        images: the first ones of the source, on which it was measured.
        share: of their pixels (in all planes of labels) that have the same label.
    """

    computing: str
    images: int
    share: float


class Manifest(Record):
    """How a run was made: ``manifest.json``. ``config`` alone is enough to repeat it."""

    schema_version: int = SCHEMA_VERSION
    seeingkit: str
    command: str
    config: dict[str, Any]
    versions: dict[str, str] = Field(default_factory=dict)
    hashes: dict[str, str] = Field(default_factory=dict)
    timings: dict[str, float] = Field(default_factory=dict)
    started: str
    finished: str | None = None


class ClassResult(Record):
    """One label: how much of it the real and the generated images show.

    Attributes:
        real_area, generated_area: mean share of the image, in percent.
        relative_difference: (generated - real) / real, or None where real is 0.
        ci_low, ci_high: interval of the relative difference, None if unbounded, at
            ``ci_confidence``: corrected for the number of classes, so that it leaves out 0 exactly
            where there is an ``area_claim``.
        real_presence, generated_presence: share of images with at least one pixel, in [0, 1].
        area_claim: "less area" or "more area" at the level, from ``p_area``, of the same mean area,
            and ``q_area``, after Benjamini-Hochberg over the labels at half of the level.
        images_claim: "in fewer images" or "in more images", from ``p_seen``, of the same share of
            images above the area threshold, and ``q_images``, likewise.
        p_value, q_value: of the stronger of the two, with the other counted in.
        verdict, because: the two claims in one word (``statistics.classes``), and whether area or
            the images (``presence``) are the reason (None without evidence); omitted: it is that.
        composition: a difference in area that is not shown in the image without the classes that
            changed the other way; rest_change, rest_ci, p_rest: relative difference of the class's
            share of that rest, its 95 % interval and its p.
        real_area_ci, generated_area_ci, real_presence_ci, generated_presence_ci: 95 % intervals.
        presence_change: (generated - real) / real presence, presence_ci: its 95 % interval.
        real_area_if_present, generated_area_if_present: mean area in the images that show it.
        given_change: relative difference of these, given_ci: its 95 % interval.
        p_presence, p_given: tests of presence of any pixel and of area if present, which describe;
            None where there is nothing to test.
        speck_area: the area threshold, percent (``statistics.products.Pool``); real_seen,
            generated_seen: share of images that show the label above it; images_change: relative
            difference of these, images_ci: its interval at ``images_confidence``, which leaves out
            0 exactly where there is an ``images_claim``.
        one_class: every image has one class and nothing else (a classifier's), so areas are shares
            of images in percent, and both claims are one.
        fsd_mean_term, fsd_cov_term: contributions of this label to the two terms of FSD
            (percent²); over all labels they sum to the terms.
    """

    NAMED_BY = ("label",)

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
    area_claim: AreaClaim | None = None
    images_claim: ImagesClaim | None = None
    q_area: float | None = None
    q_images: float | None = None
    ci_confidence: float = 0.95
    images_change: float | None = None
    images_ci: Interval | None = None
    images_confidence: float | None = None
    composition: bool = False
    rest_change: float | None = None
    rest_ci: Interval | None = None
    p_rest: float | None = None
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
    one_class: bool = False
    fsd_mean_term: float | None = None
    fsd_cov_term: float | None = None


def is_background(record: ClassResult) -> bool:
    """Whether the record is label 0 in its role of "no object"."""
    return record.index == 0 and (
        record.category == "background" or record.label.strip().lower() in BACKGROUND_NAMES
    )


def claims_of(record: ClassResult) -> tuple[str, ...]:
    """The claims about a class in their own words: ``("less area", "in fewer images")``.

    Empty without evidence. A difference of composition says so with its claim about area.
    """
    area_words: str = record.area_claim or "no evidence"
    if record.composition:
        area_words += ", but no change shown in the rest"
    if record.one_class:  # the same claim in other words
        area_words = "no evidence"
    claims = (area_words, record.images_claim or "no evidence")
    return tuple(claim for claim in claims if claim != "no evidence")


def only_composition(record: ClassResult) -> bool:
    """Whether a difference of composition is shown to be no more than that.

    The share of the rest changed by at most half of the claimed change (on logarithms), by its
    interval; else the mark means that more images are needed.
    """
    change, ends = record.relative_difference, record.rest_ci
    if not record.composition or change is None or ends is None or change <= -1:
        return False
    most = abs(math.log1p(change)) / 2
    return all(end > -1 and abs(math.log1p(end)) <= most for end in ends)


def images_lost(record: ClassResult) -> tuple[float, float, str]:
    """Shares of real and of generated images on which a verdict by presence rests, and their name.

    A verdict counts images that show the class above the area threshold (``speck_area``); presence
    of any pixel may have gone the other way. Older runs have presence alone.

    Returns:
        real and generated share in [0, 1]; the words that join "80 % of the images" to the class.
    """
    if record.real_seen is None or record.generated_seen is None:
        return record.real_presence, record.generated_presence, "in"
    if record.one_class:
        return record.real_seen, record.generated_seen, "in"
    return record.real_seen, record.generated_seen, "above the area threshold in"


class SegmenterClass(Record):
    """How much of a class's difference may be segmentation error.

    Attributes:
        precision, recall: of the class's pixels on labelled real images, in [0, 1].
        error_area: area of the class misjudged on real images (missed + invented), percent.
        real_corrected, generated_corrected: areas with the known confusion undone, percent.
        relative_corrected: relative difference of these.
        other_real_area, other_generated_area, other_relative: areas and relative difference by the
            second segmenter or at the second scale.
        shift: relative change of the class on the same real images from the first to the second.
        explained: share of the difference in area that may be segmentation error, in [0, 1]: by
            its error rates (labels), or the change from the first view to the second; None where
            there is no difference.
        flagged: the verdict should not be trusted without looking; why: in one sentence.
    """

    NAMED_BY = ("label",)

    label: str
    precision: float | None = None
    recall: float | None = None
    error_area: float | None = None
    real_corrected: float | None = None
    generated_corrected: float | None = None
    relative_corrected: float | None = None
    other_real_area: float | None = None
    other_generated_area: float | None = None
    other_relative: float | None = None
    shift: float | None = None
    explained: float | None = None
    flagged: bool = False
    why: str = ""


class SegmenterShare(Record):
    """Check of the differences against segmentation error.

    Attributes:
        kind: ``labels``: against true labels of real images; ``scale``: the same segmenter on
            images of less detail; ``segmenter``: a second segmenter.
        against: in words: which labels, scale or segmenter.
        images: how many real images this rests on.
        pixel_accuracy, mean_iou: on labelled real images.
        classes: classes that occur, in the order of the comparison.
    """

    kind: Literal["labels", "scale", "segmenter"]
    against: str
    images: int
    pixel_accuracy: float | None = None
    mean_iou: float | None = None
    classes: list[SegmenterClass] = Field(default_factory=list)


class SideResolution(Record):
    """How much detail the images of one side have.

    Attributes:
        stored: shorter side in pixels as stored or drawn, median; None where unknown.
        detail: shorter side at which images of this size lose almost nothing (median).
    """

    stored: int | None
    detail: int | None
    images: int


class ResolutionResult(Record):
    """Whether both sides have the same resolution; a segmenter reads texture by its scale."""

    real: SideResolution
    generated: SideResolution
    mismatch: bool
    reason: str = ""


class FidelityResult(Record):
    """Distances by features of a classifier, computed by another library on the same images.

    Attributes:
        library: name and version; values: metric by name, as that library defines it.
    """

    library: str
    features: str
    n_real: int
    n_generated: int
    values: dict[str, float] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
