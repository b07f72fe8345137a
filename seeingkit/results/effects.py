"""The records of what edits of units do to every class: effects, controls, single units.

Areas are percent of the image, shares lie in [0, 1]; a difference is with the edit − without it,
in the same images. An interval has 95 % confidence by itself; a claim is corrected for the number
of classes, so an interval may leave out 0 without a claim.
"""

from __future__ import annotations

from pydantic import Field

from .records import AreaClaim, ImagesClaim, Record


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


class UnitEffect(Record):
    """One unit alone and one class.

    Attributes:
        ablated: mean difference of the class's area with the unit set to 0.
        inserted: the same with the unit set to the class's mean of it; None: it was not done.
        value: average causal effect: area with insertion − with ablation; where nothing was
            inserted, area without an edit − with ablation: what the unit draws.
        low, high: interval of ``value``.
        p: of "``value`` is 0" (sign flips); q: Benjamini-Hochberg over all units and classes in
            which enough images differ, else 1. claimed: q is at most the level.
    """

    NAMED_BY = ("label",)

    unit: int
    label: str
    ablated: float
    inserted: float | None
    value: float
    low: float | None
    high: float | None
    p: float
    q: float
    claimed: bool


class SingleUnits(Record):
    """The effect of each unit of a layer alone.

    Attributes:
        label: the class; None: all classes, by ablation alone.
        n, seed: of the images, which are none of those of the effect of all units together.
        units: of the layer; tested: pairs of a unit and a class that took part in the correction.
        effects: of one class all units, strongest first; of all classes those that are claimed.
        ranking: units by ``value`` of the class, largest first; empty for all classes.
    """

    label: str | None
    n: int
    seed: int
    level: float
    units: int
    tested: int
    effects: list[UnitEffect] = Field(default_factory=list)
    ranking: list[int] = Field(default_factory=list)
