"""Records of what supports a comparison's verdicts: pairs, power, scenes, the segmenter's share.

Parts of ``results.json`` (see ``results``); field names and units are stable within one
``schema_version``. Areas are percent of an image, presences are shares in [0, 1], distances
percent². ``None`` means "not defined here", never zero. Importing this never imports torch.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Interval = tuple[float, float]
"""Lower and upper end of a confidence interval."""

PairVerdict = Literal["apart", "together", "no evidence"]


class Record(BaseModel):
    """Base of all records of a run: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PairResult(Record):
    """Two classes in one image: do the generated images show them together as the real ones do?

    Attributes:
        first, second: labels; first is the one in fewer real images.
        real_together, generated_together: share of images that show both, in [0, 1].
        expected_together: share that the generated images would show, had they the presences that
            they have and the real odds ratio of the pair.
        odds_ratio_real, odds_ratio_generated: odds ratio of the two presences (1 = independent),
            with half an image added to each cell (Haldane 1955).
        p_value: two-sided, of "the odds ratio or the lift of the pair is the same" (the larger of
            both p-values); q_value: Benjamini-Hochberg over the pairs tested.
        verdict: ``apart``: significantly less together than the presences alone explain, and in at
            most half of the images; ``together``: significantly more, at least twice.
    """

    first: str
    second: str
    real_together: float
    generated_together: float
    expected_together: float
    odds_ratio_real: float
    odds_ratio_generated: float
    p_value: float
    q_value: float
    verdict: PairVerdict


class PairsResult(Record):
    """All pairs that could be tested.

    Attributes:
        tested: how many pairs; too_rare: pairs seen in real images but too seldom to be tested.
        level: false discovery rate of the verdicts.
        pairs: those with a verdict, by loss of shared images, largest first; at most ``shown``.
        found: how many have a verdict.
    """

    tested: int
    too_rare: int
    level: float
    found: int
    pairs: list[PairResult] = Field(default_factory=list)


class PowerResult(Record):
    """What could have been seen: the smallest presence of a class whose loss would be found.

    Attributes:
        power: the probability with which it would be found.
        threshold: the p-value of presence at which the weakest claim passes for certain: the level
            over the number of classes, and over the tests of each that the level is shared by.
        all_removed, half_removed: smallest share of real images that must show a class, for its
            removal from all (from half) of the generated images to be found with this power;
            None if no class could lose so much visibly at these numbers of images.
        images_needed: images per side needed to find the loss, by presence (1 %, …), as pairs.
    """

    power: float
    level: float
    classes_tested: int
    threshold: float
    all_removed: float | None
    half_removed: float | None
    images_needed: dict[str, int] = Field(default_factory=dict)


class KernelDistance(Record):
    """Unbiased squared maximum mean discrepancy of sqrt-compositions: the KID of segmentation.

    Attributes:
        value: over all pairs of images; may be slightly negative.
        standard_error: of the value; ci_low, ci_high: interval, never below 0; None where there
            are too few images.
        kernel: the kernel in words.
    """

    value: float
    standard_error: float | None
    ci_low: float | None
    ci_high: float | None
    kernel: str


class UncoveredImage(Record):
    """A real image with no generated image near it.

    Attributes:
        image: stable id; nearest: id of the nearest generated image.
        ratio: distance to the nearest generated image ÷ distance to the k-th nearest real image.
        classes: its largest classes, percent of the image.
    """

    image: str
    nearest: str
    ratio: float
    classes: dict[str, float]


class ScenesResult(Record):
    """Which scenes (whole compositions of classes) the generator reaches.

    Attributes:
        k: of the neighbourhoods (Naeem et al. 2020).
        coverage: share of real images with a generated image within their k-th neighbour.
        images_real, images_generated: how many were used, chosen by a hash of id and seed.
        coverage_expected, density_expected: what a second sample of real images would give: the
            exact mean over disjoint halves of the real images, carried to these numbers.
        coverage_ci: interval of ``coverage``.
        density: mean number of real neighbourhoods that hold a generated image, divided by k.
        least_covered: real images that are not covered, by ratio, largest first.
    """

    kernel: KernelDistance | None
    k: int
    images_real: int
    images_generated: int
    coverage: float
    coverage_ci: Interval | None
    coverage_expected: float | None
    density: float
    density_expected: float | None
    least_covered: list[UncoveredImage] = Field(default_factory=list)


class SegmenterClass(Record):
    """How far the segmenter could make a class's difference.

    Attributes:
        precision, recall: of the class's pixels on labelled real images, in [0, 1].
        error_area: area of the class misjudged on real images (missed + invented), percent.
        real_corrected, generated_corrected: areas with the known confusion undone, percent.
        relative_corrected: relative difference of these.
        other_real_area, other_generated_area, other_relative: areas and relative difference by the
            second segmenter or at the second scale.
        shift: relative change of the class on the same real images from the first to the second.
        explained: share of the difference in area that the segmenter could make, in [0, 1]: its
            errors (labels), or the change from the first view to the second; None where there is
            no difference.
        flagged: the verdict should not be trusted without looking; why: in one sentence.
    """

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
    """What part of the differences may be the segmenter's.

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
