"""The records of the checks of a comparison: segmenter, resolution, fidelity by other features.

Areas are percent of an image, shares lie in [0, 1].
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .records import Record


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
