"""The records of ``seeingkit intervene``: what was edited, how units were chosen, what came of it.

Areas are percent of the image, shares lie in [0, 1]; all images are a generator's own.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .curves import (
    Band,
    CellEffect,
    ClassUnder,
    ContextEffect,
    ContextMap,
    Curve,
    CurveGap,
    CurveLine,
    CurvePoint,
)
from .effects import (
    CausalEffect,
    Change,
    ClassEffect,
    Control,
    Effect,
    RandomUnits,
    SingleUnits,
    UnitEffect,
)
from .records import SCHEMA_VERSION, ModelRecord, Record, SkippedItem

__all__ = [
    "AgreementRanking",
    "Band",
    "CausalEffect",
    "CellEffect",
    "Change",
    "ChosenBy",
    "ClassEffect",
    "ClassUnder",
    "ContextEffect",
    "ContextMap",
    "Control",
    "Curve",
    "CurveGap",
    "CurveLine",
    "CurvePoint",
    "EditedImage",
    "Effect",
    "InterventionResults",
    "Kind",
    "RandomUnits",
    "SingleUnits",
    "UnitChoice",
    "UnitEffect",
]

Kind = Literal["ablation", "insertion"]
ChosenBy = Literal["given", "optimised", "single", "iou"]
"""How units were found: named, by optimisation, by the effect of each alone, by a dissection."""


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


class AgreementRanking(Record):
    """Units ranked by their IoU with the class in a run of ``dissect``.

    Attributes:
        label: the class.
        ranking: units, greatest IoU first; ious: theirs.
        seed, images: evaluated there; level_seed, level_images: of its levels. No effect is
            measured on either.
    """

    label: str
    ranking: list[int]
    ious: list[float]
    seed: int
    images: int
    level_seed: int
    level_images: int


class EditedImage(Record):
    """One image without and with the edit, as pictures in the run directory.

    Attributes:
        image: its number.
        group: why it is shown: ``largest``: the class changes most in it; ``first``: it is among
            the first images, which nothing was chosen by.
        before, after: area of the class; None where no class is shown.
        moved: share of its pixels that change their class.
        files: PNG of the image before and after.
        masks: PNG of where the class is before and after, white; of no class: the pixels that
            change theirs, twice.
    """

    image: int
    group: Literal["largest", "first"]
    before: float | None
    after: float | None
    moved: float
    files: tuple[str, str]
    masks: tuple[str, str]


class InterventionResults(Record):
    """Everything that an intervention showed: ``results.json`` of ``seeingkit intervene``.

    Attributes:
        layer: name of the boundary; units: changed there.
        edit: what was done to them; chosen_by: how they were found.
        label: the class that was asked for; None: all alike.
        values: what was inserted, one for each unit; empty for an ablation.
        n, seed: images 0 to n − 1 of the seed, which is that of a series of its own; seeds that
            units, values or cells were searched with are others (``choice``).
        eight_bits, preset: how pictures were made before they were segmented.
        box: part of the image where the layer is changed: top, left, bottom, right in heights and
            widths of the image; None: everywhere.
        effect: of the edit; random: of random units; causal: ACE, with an insertion alone.
        choice: of an optimisation, where units were chosen or ranked by one.
        agreement: of a dissection, where units were chosen or ranked by IoU.
        single: of each unit alone, where that was asked for.
        shown: the class that pictures mark; None: none was named and none is claimed to change.
        pictures: images without and with the edit.
        skipped: always empty: an image that cannot be counted ends the run.
        warnings: about models; cautions: all that the page says, most important first.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["intervention"] = "intervention"
    seeingkit: str
    generator: ModelRecord
    segmenter: ModelRecord
    layer: str
    units: list[int]
    edit: Kind
    chosen_by: ChosenBy = "given"
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
    agreement: AgreementRanking | None = None
    single: SingleUnits | None = None
    curve: Curve | None = None
    context: ContextMap | None = None
    shown: str | None = None
    pictures: list[EditedImage] = Field(default_factory=list)
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    cautions: list[str] = Field(default_factory=list)
