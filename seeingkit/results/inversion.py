"""The records of inverted photos: losses, calibration, settings; ``results.json`` of ``invert``.

Areas are percent of an image, losses are shares of a class's area in the photo.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from .records import SCHEMA_VERSION, ModelRecord, Record, SkippedItem, SourceRecord

VANISHED = 0.5
"""Share of a class's area in an image that must be gone for the class to have vanished from it."""

RateVerdict = Literal["more often", "no evidence", "too few", "not compared"]
"""Whether a class vanishes more often than drawn ones; too few: no numbers could have shown it."""


class LostClass(Record):
    """How much of one class of a photo its reconstruction has lost.

    A loss in one photo is no omission: see ``ClassVanishing``.

    Attributes:
        photo_area, reconstruction_area: percent of the image.
        lost: (photo - reconstruction) / photo, so 1 = gone, below 0 = grown.
        usual: share of (photo, class) pairs that vanish, of other classes of like area that the
            generator draws, in the photos of this run; None without such pairs.
        usual_pairs: how many pairs that are.
    """

    NAMED_BY = ("label",)

    label: str
    photo_area: float
    reconstruction_area: float
    lost: float
    usual: float | None = None
    usual_pairs: int = 0

    @property
    def vanished(self) -> bool:
        """At least half of the area is gone."""
        return self.lost >= VANISHED

    @property
    def gone(self) -> float:
        """Area lost, percent of the image, at least 0."""
        return max(0.0, self.photo_area - self.reconstruction_area)

    @model_validator(mode="before")
    @classmethod
    def _without_bounds(cls, values: Any) -> Any:
        """Leave out the bounds that older runs took from samples alone: they were too low."""
        old = ("calibrated", "pairs", "pooled", "beyond", "omitted")
        return (
            {k: v for k, v in values.items() if k not in old}
            if isinstance(values, dict)
            else values
        )


class ReferenceRate(Record):
    """How often classes that the generator draws vanish, beside a class in question.

    Attributes:
        same_class: the reference is the class itself (else other classes of like area).
        vanished, pairs: (image, class) pairs of the reference, and those that vanish.
        rate: share that vanishes, at the areas of the class in question (direct standardisation);
            None where no band of areas has both.
        p_value: one-sided and exact: that the class vanishes so often, if as often as these.
    """

    same_class: bool = False
    vanished: int
    pairs: int
    rate: float | None
    p_value: float


class ClassVanishing(Record):
    """How often a class vanishes from photos, beside classes that the generator draws.

    Attributes:
        photos: inverted photos that show the class; vanished: those that lose at least half of it.
        in_photos: reference: other drawn classes of like area in the same photos.
        in_samples: reference: generator samples with a foreign patch, which are as hard to reach:
            the class itself if the generator draws it, else drawn classes of like area; None
            without such samples.
        p_value: of the null that the class vanishes as often as one of the two: the larger of
            theirs (Berger 1982); q_value: adjusted over the classes of a method and cut that could
            be tested (Benjamini and Hochberg 1995).
    """

    NAMED_BY = ("method", "cut", "label")

    method: str
    cut: str = ""
    label: str
    photos: int
    vanished: int
    in_photos: ReferenceRate
    in_samples: ReferenceRate | None = None
    p_value: float | None = None
    q_value: float | None = None
    verdict: RateVerdict = "not compared"


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
        classes: lost area of each class; most area first.
        perceptual: mean absolute difference of perceptual features, if there were any.
        loss: final value of the optimiser's objective; steps: how many steps it took.
        converged: the loss fell no more: it stopped early, or fell by less than 1 % in the last
            tenth of the steps.
        unfamiliar: out-of-distribution distance: to the nearest reference image, over the usual
            distance among these; ``unlike`` is true above 1: the photo is out of distribution.
    """

    NAMED_BY = ("image", "method", "cut")

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
    """The loss of a class on generator samples.

    Attributes:
        pairs: samples in which the class covers at least the smallest area that counts.
        lost_mean: mean share of its area lost.
        lost_high: the largest share lost, or with 19 pairs or more the share that 19 of 20 stay
            below (the conformal bound).
        patched, patched_vanished: samples with a foreign patch that show it, and those from which
            it vanishes.
    """

    NAMED_BY = ("label",)

    label: str
    pairs: int
    lost_mean: float
    lost_high: float
    patched: int = 0
    patched_vanished: int = 0


class CalibrationRecord(Record):
    """One method at one cut, on n generator samples (whose z and r are known).

    Attributes:
        psnr: mean in dB; psnr_low: 19 of 20 images are at least this good.
        perceptual: mean absolute difference of perceptual features, if there were any.
        z_correlation, r_correlation, pixel_correlation: of all coordinates of ground truth and
            estimate together, as in the paper; None where the method has no estimate.
        steps: mean number of optimisation steps.
        seconds: wall time per image.
        classes: the loss of each class in samples.
        patched, patched_psnr: number and mean PSNR of the samples with a foreign patch.
    """

    NAMED_BY = ("method", "cut")

    method: str
    cut: str
    n: int
    patched: int = 0
    patched_psnr: float | None = None
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
        reference: the reference images of the out-of-distribution distance.
        drawn: the classes that the generator is taken to draw, by label.
        drawn_by: from where: a comparison, its samples, or "" where none were needed.
        level: false discovery rate of the verdicts of classes.
        options: all other options of the inverters.
        differences: of preset ``paper``: each way in which the run is not the published method.
    """

    preset: str
    perceptual: str = "none"
    encoders: list[dict[str, Any]] = Field(default_factory=list)
    labels: list[str] = Field(default_factory=list)
    has_background: bool = True
    reference: str | None = None
    drawn: list[str] = Field(default_factory=list)
    drawn_by: Literal["comparison", "samples", ""] = ""
    level: float = 0.05
    seed: int = 0
    options: dict[str, Any] = Field(default_factory=dict)
    differences: list[str] = Field(default_factory=list)


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
    vanishing: list[ClassVanishing] = Field(default_factory=list)
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    cautions: list[str] = Field(default_factory=list)
