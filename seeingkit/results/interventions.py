"""The records of interventions: what happens to every class when units are changed.

Areas are percent of the image, shares lie in [0, 1]; a difference is with the edit − without it,
in the same images. All images are a generator's own. An interval has 95 % confidence by itself; a
claim is corrected for the number of classes, so an interval may leave out 0 without a claim.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .records import SCHEMA_VERSION, AreaClaim, ImagesClaim, ModelRecord, Record

Kind = Literal["ablation", "insertion"]


class ClassEffect(Record):
    """One class in the same images without and with an edit.

    Attributes:
        label, plane, index: the class; plane: of the segmentation.
        before, after: mean area over the images.
        difference, low, high: of the mean areas, and its interval (sign flips inverted); an end is
            None where so few images differ that nothing bounds it.
        relative, relative_low, relative_high: difference / before; None where no image shows the
            class without the edit.
        differing: images whose area differs.
        tested_area, tested_images: enough images differ for a claim to be possible; else q is 1.
        p_area, q_area: of "the mean difference is 0"; q: Benjamini-Hochberg over the classes
            tested, for half of the level; exact_area: all sign flips were enumerated.
        shown_before, shown_after: images that show more of it than the area threshold.
        only_before, only_after: images that do so only without, only with the edit.
        p_images, q_images: of "as many images lose it as gain it" (exact), likewise.
    """

    NAMED_BY = ("label",)

    label: str
    plane: str
    index: int
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    differing: int
    tested_area: bool
    p_area: float
    q_area: float
    exact_area: bool
    area_claim: AreaClaim
    shown_before: int
    shown_after: int
    only_before: int
    only_after: int
    tested_images: bool
    p_images: float
    q_images: float
    images_claim: ImagesClaim


class Change(Record):
    """Pixels that were of one class and are of another with the edit.

    Attributes:
        area: percent of the image, mean over all images.
        share: of the pixels that the first class loses.
    """

    NAMED_BY = ("before", "after")

    before: str
    after: str
    area: float
    share: float


class Effect(Record):
    """The effect of one edit on all classes.

    Attributes:
        n: images; rows of one image at several places are averaged first.
        rows: edited pictures.
        moved, moved_low, moved_high: mean share of the pixels that change their class, and its
            interval (Student's, between images).
        level: false discovery rate of both questions together, over the classes.
        classes: those that occur, largest change first.
        changes: what grows instead, in the first plane, largest first.
    """

    n: int
    rows: int
    moved: float
    moved_low: float | None
    moved_high: float | None
    level: float
    classes: list[ClassEffect] = Field(default_factory=list)
    changes: list[Change] = Field(default_factory=list)


class Control(Record):
    """A class with the chosen units beside as many random ones, on the same images.

    Attributes:
        differences: mean difference of its area by each random set; lowest, highest: of these.
        against: difference of the chosen units − mean of the random sets; low, high: its interval
            over images, with these sets.
        p: of "the chosen units do what these random sets do on average" (sign flips), not corrected
            for the number of classes; no claim rests on it.
        as_strong: random sets whose effect has the same sign and is at least as large.
    """

    NAMED_BY = ("label",)

    label: str
    differences: list[float]
    lowest: float
    highest: float
    against: float
    low: float | None
    high: float | None
    p: float
    as_strong: int


class RandomUnits(Record):
    """The same edit of as many random units.

    Attributes:
        sets: units of each random set.
        moved: mean share of pixels that change their class, over the sets.
        classes: the class that was asked for, else those that the edit claims to change.
    """

    sets: list[list[int]]
    moved: float
    classes: list[Control]


class CausalEffect(Record):
    """Average causal effect of units on a class: its mean area with insertion − with ablation.

    Attributes:
        value: percent of the image; pixels: of the label map.
        low, high: interval of ``value``.
        p: of "it is 0" (sign flips).
        relative: value / mean area without an edit; None where no image shows the class.
    """

    label: str
    value: float
    pixels: float
    low: float | None
    high: float | None
    p: float
    relative: float | None


class CurvePoint(Record):
    """A class after the first units of a ranking were ablated everywhere.

    Attributes:
        units: how many.
        area: mean area of the class.
        remaining, remaining_low, remaining_high: share of its area without an edit that is left,
            and its interval.
        moved: mean share of the pixels that change their class.
    """

    units: int
    area: float
    remaining: float | None
    remaining_low: float | None
    remaining_high: float | None
    moved: float


class CurveLine(Record):
    """One ranking in a curve."""

    NAMED_BY = ("name",)

    name: str
    ranking: list[int]
    points: list[CurvePoint]


class CurveGap(Record):
    """Two rankings at the same number of units, on the same images.

    Attributes:
        difference: mean area left by the first − by the second; low, high: its interval.
        p: of "they leave equally much" (sign flips); q: Benjamini-Hochberg over all gaps of the
            curve. claimed: q is at most the level.
    """

    first: str
    second: str
    units: int
    difference: float
    low: float | None
    high: float | None
    p: float
    q: float
    claimed: bool


class Band(Record):
    """Random rankings at one number of units: share of the area left, over the sets."""

    units: int
    mean: float
    lowest: float
    highest: float


class Curve(Record):
    """Effect on a class against the number of units ablated.

    Attributes:
        label: the class; before: its mean area without an edit.
        n: images, none of which was used to choose a ranking.
        random: of random rankings; empty without any.
    """

    label: str
    n: int
    seed: int
    before: float
    level: float
    lines: list[CurveLine]
    random: list[Band] = Field(default_factory=list)
    gaps: list[CurveGap] = Field(default_factory=list)


class CellEffect(Record):
    """The class's area when units are inserted at one cell.

    Attributes:
        row, column: of the layer's map.
        effect, low, high: mean difference over the images and its interval (Student's).
    """

    row: int
    column: int
    effect: float
    low: float | None
    high: float | None


class ContextEffect(Record):
    """Insertions at cells of which one class stands under the middle.

    Attributes:
        label: that class; empty: outside of what the image shows.
        places: pairs of image and cell; images: how many these are of.
        effect, low, high: mean difference of the inserted class's area, and its interval with the
            places of an image as one cluster; None below six images.
        p: of "it is 0", None likewise; q: Benjamini-Hochberg over the rows with a p.
        claimed: q is at most the level.
    """

    NAMED_BY = ("label",)

    label: str
    places: int
    images: int
    effect: float
    low: float | None
    high: float | None
    p: float | None
    q: float | None
    claimed: bool


class ContextMap(Record):
    """Where inserted units make a class appear.

    Attributes:
        label: the class that is measured; units: what was inserted.
        n: images.
        extent: height and width of the layer's map.
        cells: effects by cell, in percent of the image.
        contexts: effects by the class that stood there, strongest first.
    """

    label: str
    units: list[int]
    n: int
    extent: tuple[int, int]
    level: float
    cells: list[CellEffect]
    contexts: list[ContextEffect]


class UnitChoice(Record):
    """Units chosen by optimising their strengths α (average causal effect).

    Attributes:
        label: the class.
        preset: of the optimisation.
        alpha: strength of each unit at the end; ranking: units, strongest first.
        budget: largest sum of the strengths, None without a budget.
        losses: mean loss of each update.
        present, candidates: cells of images that it rests on.
        seeds, images: of the latents that were searched; no effect is measured on them.
    """

    label: str
    preset: str
    alpha: list[float]
    ranking: list[int]
    budget: int | None
    losses: list[float]
    present: int
    candidates: int
    seeds: tuple[int, int]
    images: int


class InterventionResults(Record):
    """Everything that an intervention showed: the file of ``seeingkit intervene --out``.

    Attributes:
        layer: name of the boundary; units: changed there.
        kind: what was done to them.
        label: the class that was asked for; None: all alike.
        values: what was inserted, one for each unit; empty for an ablation.
        n, seed: images 0 to n − 1 of the seed; seeds that units, values or cells were searched with
            are others (``choice``).
        eight_bits, preset: how pictures were made before they were segmented.
        box: part of the image where the layer is changed: top, left, bottom, right in heights and
            widths of the image; None: everywhere.
        effect: of the edit; random: of random units; causal: ACE, with an insertion alone.
        choice: how the units were chosen, where they were.
    """

    schema_version: int = SCHEMA_VERSION
    seeingkit: str
    generator: ModelRecord
    segmenter: ModelRecord
    layer: str
    units: list[int]
    kind: Kind
    label: str | None
    values: list[float] = Field(default_factory=list)
    n: int
    seed: int
    preset: str
    eight_bits: bool = True
    box: tuple[float, float, float, float] | None = None
    effect: Effect
    random: RandomUnits | None = None
    causal: CausalEffect | None = None
    choice: UnitChoice | None = None
    curve: Curve | None = None
    context: ContextMap | None = None
