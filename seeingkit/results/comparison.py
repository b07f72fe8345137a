"""The records of a comparison of real and generated images: ``results.json`` of ``analyze``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .inversion import CalibrationRecord, ClassVanishing, InversionRecord, InversionSettings
from .modes import ModesResult
from .paired import PairedResult
from .records import (
    SCHEMA_VERSION,
    ClassResult,
    FidelityResult,
    Interval,
    ModelRecord,
    Record,
    ResolutionResult,
    SegmenterShare,
    SkippedItem,
    SourceRecord,
)
from .repairs import RepairResult
from .tracing import TracingResult


class FSDResult(Record):
    """Fréchet Segmentation Distance with its floor, bias-reduced value, interval and test.

    Attributes:
        value: the plug-in distance, as published (percent²) = mean_term + cov_term.
        floor: expected distance of two disjoint samples of the real images at these sample sizes;
            floor_error: its standard deviation over the splits.
        bias_reduced: half-sample Richardson value, less its mean where there is no difference
            (``statistics.distance``); can be slightly negative.
        p_value: permutation test of "real and generated are the same distribution".
        permutations: how many permutations that p-value rests on.
        block: images (or groups of images) that changed sides together in permutations, halves and
            splits: 1, each by itself; more: random blocks of so many, of very many images
            (``statistics.blocks``).
        floor_halves: n of each disjoint half from which the floor was measured.
        ci_low, ci_high: interval of the distance of the two distributions (the quantity that
            ``bias_reduced`` estimates), at ``confidence``; never below 0.
        standard_error: of ``bias_reduced``.

    ``float(record)`` is ``value``.

    >>> float(FSDResult(value=25.0, mean_term=9.0, cov_term=16.0))
    25.0
    """

    value: float
    mean_term: float
    cov_term: float
    unit: Literal["percent^2"] = "percent^2"
    floor: float | None = None
    floor_error: float | None = None
    bias_reduced: float | None = None
    p_value: float | None = None
    permutations: int = 0
    block: int = 1
    floor_halves: int | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    standard_error: float | None = None
    confidence: float = 0.95

    def __float__(self) -> float:
        return self.value


PairVerdict = Literal["apart", "together", "no evidence"]


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

    NAMED_BY = ("first", "second")

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
    """Power of the comparison: the smallest presence of a class whose loss would be found.

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
    """Of runs made before ``CompositionTest``: squared maximum mean discrepancy of compositions.

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


class CompositionTest(Record):
    """Permutation test of "real and generated compositions have one distribution".

    Attributes:
        p_value: at least 1 / (permutations + 1).
        images_real, images_generated: how many were used, chosen by a hash of id and seed.
        strongest: the statistic that is farthest from its permutations: ``energy``, ``means`` of
            the classes, or ``neighbours`` among so many of all images
            (``statistics.compositions``).
    """

    p_value: float
    permutations: int
    images_real: int
    images_generated: int
    strongest: str


class UncoveredImage(Record):
    """A real image with no generated image near it.

    Attributes:
        image: stable id; nearest: id of the nearest generated image.
        ratio: distance to the nearest generated image ÷ distance to the k-th nearest real image.
        classes: its largest classes, percent of the image.
    """

    NAMED_BY = ("image",)

    image: str
    nearest: str
    ratio: float
    classes: dict[str, float]


class ScenesResult(Record):
    """Which scenes (whole compositions of classes) the generator reaches.

    Attributes:
        kernel: of older runs only; test: of whole compositions, which replaces it.
        k: of the neighbourhoods (Naeem et al. 2020).
        coverage: share of real images with a generated image within their k-th neighbour.
        images_real, images_generated: how many were used, chosen by a hash of id and seed.
        coverage_expected, density_expected: those of a second sample of real images: the exact
            mean over disjoint halves of the real images, carried to these numbers.
        coverage_ci: interval of ``coverage``.
        density: mean number of real neighbourhoods that hold a generated image, divided by k.
        least_covered: real images that are not covered, by ratio, largest first.
    """

    kernel: KernelDistance | None = None
    test: CompositionTest | None = None
    k: int
    images_real: int
    images_generated: int
    coverage: float
    coverage_ci: Interval | None
    coverage_expected: float | None
    density: float
    density_expected: float | None
    least_covered: list[UncoveredImage] = Field(default_factory=list)


class ConditionResult(Record):
    """One class of a class-conditional generator against real images.

    Attributes:
        label, name: the generator's class.
        against: ``class``: real images of the same class; ``all``: all real images, because they
            carry no classes.
        fsd: as for the whole, without a permutation test.
        classes: labels whose verdict is not "no evidence", tested at the level within this class.
    """

    NAMED_BY = ("name",)

    label: int
    name: str
    n_real: int
    n_generated: int
    against: Literal["class", "all"]
    fsd: FSDResult
    classes: list[ClassResult] = Field(default_factory=list)


class FolderClass(Record):
    """Real images of one class: their folder (or name or number in the data set), and the class."""

    NAMED_BY = ("folder",)

    folder: str
    label: int
    name: str
    images: int


class RealClasses(Record):
    """How the real images were matched to the classes of a conditional generator.

    Attributes:
        by: ``name`` or ``number``: of the folders; ``order``: alphabetical, a guess;
            ``dataset.json``: the numbers in that file; ``labels``, ``label names``: numbers or
            names that the data set gives in another way; ``none``: they were not.
        why: the reason, for ``order`` and ``none``.
        listed: what gives them, for ``labels`` and ``label names``.
        folders: each with its class.
        without: images to which the data set gives no class.
    """

    by: Literal["dataset.json", "labels", "label names", "name", "number", "order", "none"]
    why: str = ""
    listed: str = ""
    folders: list[FolderClass] = Field(default_factory=list)
    without: int = 0


class GroupsResult(Record):
    """Images that belong together, and stay together in permutations and variances.

    Attributes:
        rule: as it was asked for (``analyses.comparison.dependence``).
        real, generated: how many groups each side has.
    """

    rule: str
    real: int
    generated: int


class Results(Record):
    """Everything that a comparison found: ``results.json``.

    Attributes:
        paired: of a paired comparison; then the verdicts of ``classes`` and the p-value of ``fsd``
            are those of the tests within pairs.
        modes: of a classifier: which classes are drawn at all.
        tracing: units behind the missing and the excess classes, after ``seeingkit trace``.
        repair: whether edits bring missing classes back, after ``seeingkit repair``.
        warnings: of the run; cautions: all reasons to read the results with care, as the page has
            them, the warnings among them.
    """

    schema_version: int = SCHEMA_VERSION
    fsd: FSDResult
    n_real: int
    n_generated: int
    segmenter: ModelRecord
    generator: ModelRecord | None
    data: SourceRecord
    generated: SourceRecord
    preset: dict[str, Any]
    level: float = 0.05
    groups: GroupsResult | None = None
    classes: list[ClassResult]
    pairs: PairsResult | None = None
    power: PowerResult | None = None
    scenes: ScenesResult | None = None
    paired: PairedResult | None = None
    segmenter_share: SegmenterShare | None = None
    resolution: ResolutionResult | None = None
    fidelity: FidelityResult | None = None
    conditions: list[ConditionResult] = Field(default_factory=list)
    real_classes: RealClasses | None = None
    modes: ModesResult | None = None
    inversion: InversionSettings | None = None
    calibrations: list[CalibrationRecord] = Field(default_factory=list)
    inversions: list[InversionRecord] = Field(default_factory=list)
    vanishing: list[ClassVanishing] = Field(default_factory=list)
    tracing: TracingResult | None = None
    repair: RepairResult | None = None
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    cautions: list[str] = Field(default_factory=list)
