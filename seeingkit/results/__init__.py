"""The shape of ``results.json`` and ``manifest.json``: the contract with whoever reads a run.

Field names and units are stable within one ``schema_version``; areas are percent of an image,
presences are shares in [0, 1], FSD is percent². ``None`` means "not defined here", never zero.
Importing this never imports torch.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .evidence import (
    FidelityResult,
    Interval,
    PairsResult,
    PowerResult,
    Record,
    ResolutionResult,
    ScenesResult,
    SegmenterShare,
)

SCHEMA_VERSION = 1

OMITTED_BELOW = -0.5
"""A significant loss of at least half of a class's area or presence is called an omission."""

BACKGROUND_NAMES = frozenset(
    {"", "-", "background", "bg", "nothing", "none", "unlabeled", "unlabelled", "void", "ignore"}
)
"""What label 0 may be called in its role of "no object", in lower case."""

Verdict = Literal["omitted", "reduced", "excess", "no evidence"]


class FSDResult(Record):
    """Fréchet Segmentation Distance and what is needed to read it.

    Attributes:
        value: the plug-in distance, as published (percent²) = mean_term + cov_term.
        floor: what two disjoint samples of the real images would give at these sample sizes.
        bias_reduced: half-sample Richardson value, less what that leaves where there is no
            difference (``statistics.distance``); can be slightly negative.
        p_value: permutation test of "real and generated are the same distribution".
        permutations: how many permutations that p-value rests on.
        floor_halves: n of each disjoint half from which the floor was measured.
        ci_low, ci_high: interval of the distance of the two distributions (what ``bias_reduced``
            estimates), at ``confidence``; never below 0.
        standard_error: of ``bias_reduced``.
    """

    value: float
    mean_term: float
    cov_term: float
    unit: Literal["percent^2"] = "percent^2"
    floor: float | None = None
    bias_reduced: float | None = None
    p_value: float | None = None
    permutations: int = 0
    floor_halves: int | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    standard_error: float | None = None
    confidence: float = 0.95


class ClassResult(Record):
    """One label: how much of it the real and the generated images show.

    Attributes:
        real_area, generated_area: mean share of the image, in percent.
        relative_difference: (generated - real) / real, or None where real is 0.
        ci_low, ci_high: 95 % interval of the relative difference, None if unbounded.
        real_presence, generated_presence: share of images with at least one pixel, in [0, 1].
        p_value: of no difference in amount, the smallest of the three tests below among those of
            relabelled images (``statistics.amounts``); q_value: after Benjamini-Hochberg over the
            labels.
        omitted: verdict is ``omitted``.
        verdict, because: what is claimed at the level, and whether the test of area or of presence
            is the stronger reason (None without evidence).
        real_area_ci, generated_area_ci, real_presence_ci, generated_presence_ci: 95 % intervals.
        presence_change: (generated - real) / real presence, presence_ci: its 95 % interval.
        real_area_if_present, generated_area_if_present: mean area in the images that show it.
        given_change: relative difference of these, given_ci: its 95 % interval.
        p_presence, p_given, p_area: tests of presence, of area given presence, of mean area;
            None where there is nothing to test.
        speck_area: areas up to this, percent, are specks (``statistics.products.Pool``);
            real_seen, generated_seen: share of images that show more than a speck; p_seen: test.
        fsd_mean_term, fsd_cov_term: what this label adds to the two terms of FSD (percent²);
            over all labels they sum to the terms.
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
    """Shares of real and of generated images on which a verdict by presence rests, and of which.

    A verdict counts images with more than a speck of the class; presence of any pixel may have gone
    the other way. Runs of before that was so know presence alone.
    """
    if record.real_seen is None or record.generated_seen is None:
        return record.real_presence, record.generated_presence, "in"
    return record.real_seen, record.generated_seen, "above the area threshold in"


class SkippedItem(Record):
    """An image that was not used."""

    source: Literal["real", "generated", "photo", "own"]
    item: str
    reason: str


class SourceRecord(Record):
    """Where one side's images came from."""

    name: str
    kind: str
    images: int
    fingerprint: str
    seed: int | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class ModelRecord(Record):
    """A generator or segmenter, as far as a reader needs it."""

    name: str
    family: str
    weights_sha256: str | None = None
    licence: str = "unknown"
    parameters: int = 0
    resolution: int | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class LostClass(Record):
    """How much of one class of a photo its reconstruction has lost.

    Attributes:
        photo_area, reconstruction_area: percent of the image.
        lost: (photo - reconstruction) / photo, so 1 = gone, below 0 = grown.
        calibrated: the share that inversion alone loses: on images that the generator itself made,
            19 of 20 lose at most this much of the class (never below 0); None without calibration.
        pairs: how many (own image, class) pairs that rests on.
        pooled: those pairs are of all classes of about this area, not of this class alone.
        beyond: area lost beyond the calibration, in percent of the image, at least 0.
        omitted: at least half is lost, and more than ``calibrated`` (less than half: reduced).
    """

    label: str
    photo_area: float
    reconstruction_area: float
    lost: float
    calibrated: float | None = None
    pairs: int = 0
    pooled: bool = False
    beyond: float | None = None
    omitted: bool = False


class InversionRecord(Record):
    """One photo and its reconstruction by one method at one cut.

    Attributes:
        image: stable id of the photo in its source.
        psnr: peak signal-to-noise ratio in dB, of values clamped to [-1, 1]; 100 at most.
        lost: share of the photo's area of each class that is gone in the reconstruction.
        reconstruction: path of the reconstruction (PNG), relative to the run directory; so are
            ``photo``, the label maps (8- or 16-bit PNG of label numbers), ``frames`` (pictures of
            the optimisation, side by side from left to right, at ``frame_steps``), ``state``.
        picked_for: the omitted class for which this photo was chosen, if any.
        classes: lost area of each class, calibrated; most area beyond calibration first.
        perceptual: mean absolute difference of perceptual features, if there were any.
        loss: what the optimiser minimised, at the end; steps: how many steps it took.
        converged: the loss fell no more: it stopped early, or fell by less than 1 % in the last
            tenth of the steps.
        unfamiliar: distance to the nearest reference image over what is usual among these;
            ``unlike`` is true above 1: the photo is unlike the training set.
    """

    image: str
    method: str
    psnr: float
    lost: dict[str, float]
    reconstruction: str
    cut: str = ""
    photo: str = ""
    photo_labels: str | None = None
    reconstruction_labels: str | None = None
    frames: str | None = None
    frame_steps: list[int] = Field(default_factory=list)
    state: str | None = None
    picked_for: str | None = None
    classes: list[LostClass] = Field(default_factory=list)
    perceptual: float | None = None
    loss: float = 0.0
    steps: int = 0
    converged: bool = False
    unfamiliar: float | None = None
    unlike: bool = False


class ClassCalibration(Record):
    """What inversion alone does to a class, on images that the generator itself made.

    Attributes:
        pairs: own images in which the class covers at least the smallest area that counts.
        lost_mean: mean share of its area lost; lost_high: 19 of 20 lose at most this much.
    """

    label: str
    pairs: int
    lost_mean: float
    lost_high: float


class CalibrationRecord(Record):
    """One method at one cut, on n images that the generator itself made (z and r are known).

    Attributes:
        psnr: mean in dB; psnr_low: 19 of 20 images are at least this good.
        perceptual: mean absolute difference of perceptual features, if there were any.
        z_correlation, r_correlation, pixel_correlation: of all coordinates of truth and estimate
            together, as in the paper; None where the method has no estimate.
        steps: mean number of optimisation steps.
        seconds: wall time per image.
        classes: what each class loses by inversion alone.
    """

    method: str
    cut: str
    n: int
    psnr: float
    psnr_low: float
    perceptual: float | None = None
    z_correlation: float | None = None
    r_correlation: float | None = None
    pixel_correlation: float
    steps: float = 0.0
    seconds: float = 0.0
    classes: list[ClassCalibration] = Field(default_factory=list)


class InversionSettings(Record):
    """How photos were inverted.

    Attributes:
        preset: ``fast`` or ``paper``.
        perceptual: name of the perceptual features, ``none`` for pixels only.
        encoders: the trained encoders used: kind, cut, sha256, training record.
        labels: the segmenter's label names by number; empty without segmenter.
        has_background: label 0 means "nothing".
        reference: which images tell a photo unlike the training set.
        options: everything else that the inverters were told.
    """

    preset: str
    perceptual: str = "none"
    encoders: list[dict[str, Any]] = Field(default_factory=list)
    labels: list[str] = Field(default_factory=list)
    has_background: bool = True
    reference: str | None = None
    seed: int = 0
    options: dict[str, Any] = Field(default_factory=dict)


class InversionResults(Record):
    """``results.json`` of the command ``invert``: photos, without a comparison of distributions."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["inversion"] = "inversion"
    generator: ModelRecord
    segmenter: ModelRecord | None = None
    data: SourceRecord
    inversion: InversionSettings
    calibrations: list[CalibrationRecord] = Field(default_factory=list)
    inversions: list[InversionRecord] = Field(default_factory=list)
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)


class ConditionResult(Record):
    """One class of a class-conditional generator against real images.

    Attributes:
        label, name: the generator's class.
        against: ``class``: real images of the same class; ``all``: all real images, because they
            carry no classes.
        fsd: as for the whole, without a permutation test.
        classes: labels whose verdict is not "no evidence", tested at the level within this class.
    """

    label: int
    name: str
    n_real: int
    n_generated: int
    against: Literal["class", "all"]
    fsd: FSDResult
    classes: list[ClassResult] = Field(default_factory=list)


class Results(Record):
    """Everything that a comparison found: ``results.json``."""

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
    classes: list[ClassResult]
    pairs: PairsResult | None = None
    power: PowerResult | None = None
    scenes: ScenesResult | None = None
    segmenter_share: SegmenterShare | None = None
    resolution: ResolutionResult | None = None
    fidelity: FidelityResult | None = None
    conditions: list[ConditionResult] = Field(default_factory=list)
    inversion: InversionSettings | None = None
    calibrations: list[CalibrationRecord] = Field(default_factory=list)
    inversions: list[InversionRecord] = Field(default_factory=list)
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)


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
