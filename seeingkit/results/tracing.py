"""The records of ``seeingkit trace``: units behind the classes that a comparison claims.

Areas and their differences are percent of the image, distances percent², strengths and IoU in
[0, 1]. They stand in ``results.json`` of the comparison, under ``tracing``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .interventions import ClassEffect
from .records import Record

Direction = Literal["nearer", "farther", "no evidence"]


class ClassUnits(Record):
    """How the units of the layer agree with a class (``seeingkit.analyses.dissection``).

    Attributes:
        units: numbers of the units whose label it is.
        claimed: units whose agreement with it is claimed, whatever their label.
        best: the unit of the greatest IoU over chance, with its ``iou`` and ``chance``; None where
            the class is too small in these images to be looked at.
    """

    units: list[int] = Field(default_factory=list)
    claimed: int = 0
    best: int | None = None
    iou: float | None = None
    chance: float | None = None


class RandomControl(Record):
    """The same edit of as many random units.

    Attributes:
        sets: how many sets.
        lowest, highest: change of the class's area of these sets.
        against: change by the chosen units less the mean change by the random ones; low, high: its
            interval; p: of "it is 0".
    """

    sets: int
    lowest: float
    highest: float
    against: float
    low: float | None
    high: float | None
    p: float


class MissingClass(Record):
    """A class that the generator omits or shows too rarely: is there a unit for it?

    Attributes:
        label: the class; real_area, generated_area: of the comparison.
        agreement: units of the layer that agree with it.
        searched, seen: images that units were searched in, and those of them that show the class.
        values: inserted: ``mean`` of each unit where the class is, or its quantile ``0.99`` over
            all cells.
        units: inserted, strongest first.
        before, after, difference, low, high: its area without and with the insertion, in images
            that nothing was chosen with, and its interval.
        p: of "the insertion adds nothing, or no more than random units do"; q: Benjamini-Hochberg
            over all tests of the tracing.
        random: as many random units, inserted at the same places.
        draws: the inserted units are claimed to draw the class.
        pictures: PNG in the run directory: images before, and after, side by side.
    """

    NAMED_BY = ("label",)

    label: str
    verdict: str
    real_area: float
    generated_area: float
    agreement: ClassUnits
    searched: int
    seen: int
    values: Literal["mean", "0.99"]
    units: list[int]
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    p: float
    q: float = 1.0
    random: RandomControl
    draws: bool = False
    pictures: tuple[str, str] | None = None


class StrengthPoint(Record):
    """Area of the class in the searched images at a strength of ablation."""

    strength: float
    area: float


class DistanceChange(Record):
    """Distance from the real images before and after an edit of the same images.

    Attributes:
        before, after: plug-in FSD; difference: bias-reduced, after − before; low, high: interval.
        p: of "the edit changes nothing"; q: over all tests of the tracing.
        random: mean plug-in FSD after the same edit of random units, for each set.
        direction: the claim.
    """

    before: float
    after: float
    difference: float
    low: float
    high: float
    p: float
    q: float = 1.0
    random: list[float] = Field(default_factory=list)
    direction: Direction = "no evidence"


class ExcessClass(Record):
    """A class that the generator shows too much: which units make it, and does less of them help?

    Attributes:
        label, real_area, generated_area, agreement: as of ``MissingClass``.
        units: chosen by their causal effect, strongest first.
        strength: of the ablation, at which the searched images have the real area; 1: even
            without the units they have more.
        strengths: areas by which it was found.
        before, after: area in images that nothing was chosen with; difference, low, high: of the
            same images.
        to_real: after − real area; to_real_low, to_real_high: its interval.
        p, q, random: as of ``MissingClass``.
        lowers: the units are claimed to make the class: less of them, less of it.
        distance: FSD before and after; classes: all classes that change, largest change first.
        moved: share of the pixels that have another class.
        pictures: as of ``MissingClass``.
    """

    NAMED_BY = ("label",)

    label: str
    verdict: str
    real_area: float
    generated_area: float
    agreement: ClassUnits
    units: list[int]
    strength: float
    strengths: list[StrengthPoint] = Field(default_factory=list)
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    to_real: float
    to_real_low: float
    to_real_high: float
    p: float
    q: float = 1.0
    random: RandomControl
    lowers: bool = False
    distance: DistanceChange
    classes: list[ClassEffect] = Field(default_factory=list)
    moved: float
    pictures: tuple[str, str] | None = None

    @property
    def met(self) -> bool:
        """Whether the area is lower and cannot be told from the real one."""
        return self.lowers and self.to_real_low <= 0 <= self.to_real_high


class TracingResult(Record):
    """What units of a layer have to do with the classes of the comparison.

    Attributes:
        layer: where; units: how many were chosen for each class.
        n, seed: images that effects are measured on, and their seed.
        searched, search_seeds: images of each series that units and strengths were searched in.
        dissected: images of the agreement.
        level: false discovery rate of all claims together.
        patch: cells a side of an insertion; places: insertions in each image.
        missing, excess: classes, largest difference first.
        untraced: classes that could not be traced, with the reason.
    """

    layer: str
    units: int
    n: int
    seed: int
    searched: int
    search_seeds: tuple[int, ...]
    dissected: int
    level: float
    patch: int
    places: int
    missing: list[MissingClass] = Field(default_factory=list)
    excess: list[ExcessClass] = Field(default_factory=list)
    untraced: list[tuple[str, str]] = Field(default_factory=list)
