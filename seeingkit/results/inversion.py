"""The records of inverted photos: losses, calibration, settings; ``results.json`` of ``invert``.

Areas are percent of an image, losses are shares of a class's area in the photo.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .records import SCHEMA_VERSION, ModelRecord, Record, SkippedItem, SourceRecord


class LostClass(Record):
    """How much of one class of a photo its reconstruction has lost.

    Attributes:
        photo_area, reconstruction_area: percent of the image.
        lost: (photo - reconstruction) / photo, so 1 = gone, below 0 = grown.
        calibrated: the share that inversion alone loses: of generator samples, 19 of 20 lose at
            most this much of the class (never below 0); None without calibration.
        pairs: how many (sample, class) pairs that rests on.
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
        loss: final value of the optimiser's objective; steps: how many steps it took.
        converged: the loss fell no more: it stopped early, or fell by less than 1 % in the last
            tenth of the steps.
        unfamiliar: out-of-distribution distance: to the nearest reference image, over the usual
            distance among these; ``unlike`` is true above 1: the photo is out of distribution.
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
    """The loss of a class by inversion alone, on generator samples.

    Attributes:
        pairs: samples in which the class covers at least the smallest area that counts.
        lost_mean: mean share of its area lost; lost_high: 19 of 20 lose at most this much.
    """

    label: str
    pairs: int
    lost_mean: float
    lost_high: float


class CalibrationRecord(Record):
    """One method at one cut, on n generator samples (whose z and r are known).

    Attributes:
        psnr: mean in dB; psnr_low: 19 of 20 images are at least this good.
        perceptual: mean absolute difference of perceptual features, if there were any.
        z_correlation, r_correlation, pixel_correlation: of all coordinates of ground truth and
            estimate together, as in the paper; None where the method has no estimate.
        steps: mean number of optimisation steps.
        seconds: wall time per image.
        classes: the loss of each class by inversion alone.
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
        reference: the reference images of the out-of-distribution distance.
        options: all other options of the inverters.
        differences: of preset ``paper``: each way in which the run is not the published method.
    """

    preset: str
    perceptual: str = "none"
    encoders: list[dict[str, Any]] = Field(default_factory=list)
    labels: list[str] = Field(default_factory=list)
    has_background: bool = True
    reference: str | None = None
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
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
