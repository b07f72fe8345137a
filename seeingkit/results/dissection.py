"""The records of a dissection: layers, units, their labels; ``results.json`` of ``dissect``.

IoU, its chance value, information quality, shares of pixels and false discovery rates are in
[0, 1]; ``level`` is a value of the unit.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .records import SCHEMA_VERSION, ModelRecord, Record, SkippedItem
from .unit_contrasts import UnitPanel


class UnitClass(Record):
    """The units of a layer that have one label.

    Attributes:
        units: how many they are.
    """

    NAMED_BY = ("label",)

    label: str
    category: str
    plane: str = ""
    units: int


class UnitAgreement(Record):
    """How well a unit agrees with a class, at the level chosen for the two.

    Attributes:
        iou: intersection over union over all images; chance: with label maps of other images.
        q: false discovery rate at which the agreement would be claimed; 1 where it was not tested.
    """

    label: str
    category: str
    iou: float
    chance: float
    q: float


class UnitResult(Record):
    """One unit of a layer.

    Attributes:
        unit: its number in the layer, from 0 (a direction of another basis likewise).
        label: of its class; None: no label. The numbers below are then those of the class of the
            greatest excess of IoU over chance, ``nearest``.
        category, plane: of that class: object, part, material; and the plane of the label map.
        nearest: the class that the numbers are of.
        iou: of the mask (above ``level``) and the class, over all images.
        chance: the same with the label maps of other images: what place and area give.
        low, high: 95 % interval of ``iou``.
        q: false discovery rate at which the pair is claimed; 1: not a candidate.
        quality: information quality ratio of mask and class.
        level: the unit is active above this value; None: no level could be chosen.
        active: share of pixels above it.
        runners_up: the next classes by excess over chance, at most three.
        strongest: numbers of the images with its greatest values, greatest first.
        peaks: those values.
        step: of a channel of a style: its standard deviation, by which it was moved; ``level`` and
            ``peaks`` are then multiples of the usual change. None: of a map.
        masks: PNG in the run directory with the masks of its first images side by side, white
            where the unit is above its level; None where no picture was made.
        shown: numbers of those images.
    """

    layer: str
    unit: int
    label: str | None
    category: str
    plane: str
    nearest: str
    iou: float
    chance: float
    low: float
    high: float
    q: float
    quality: float
    level: float | None
    active: float
    runners_up: list[UnitAgreement] = Field(default_factory=list)
    strongest: list[int] = Field(default_factory=list)
    peaks: list[float] = Field(default_factory=list)
    step: float | None = None
    masks: str | None = None
    shown: list[int] = Field(default_factory=list)

    @property
    def excess(self) -> float:
        """IoU over what place and area give."""
        return self.iou - self.chance

    @property
    def name(self) -> str:
        """Layer and number."""
        return f"{self.layer} {self.unit}"


class DissectedLayer(Record):
    """One layer.

    Attributes:
        name: of the boundary; with the basis where that is not its channels.
        extent: height and width of its map in cells.
        responses: of a style: masks are where a channel changes the image; else maps of units.
        units: how many it has (of a style: how many were taken); labelled: those with a label.
        classes: units by class, most first; categories: by category.
        distinct: how many classes have a unit.
        groups: of images that were compared; images, pixels: in them.
        candidates: pairs of unit and class that were tested; claimed: those that were claimed.
        by_iou: units that a bound of 0.04 on IoU alone would label.
        by_iou_of_others: the same with the label maps of other images.
    """

    NAMED_BY = ("name",)

    name: str
    extent: tuple[int, int]
    responses: bool = False
    units: int
    labelled: int
    classes: list[UnitClass] = Field(default_factory=list)
    categories: dict[str, int] = Field(default_factory=dict)
    distinct: int
    groups: int
    images: int
    pixels: int
    candidates: int
    claimed: int
    by_iou: int
    by_iou_of_others: int


class DissectionSettings(Record):
    """How units got their labels.

    Attributes:
        rule: ``default``, ``paper`` or ``pnas``; rule_words: in a sentence.
        tested: labels are claims at a false discovery rate; else bounds on IoU.
        null: what a claim rejects, in a sentence; empty where nothing is tested.
        basis: ``units``, ``pca``, ``random``, or a file of directions.
        level_images, level_seed: the images that levels and candidates come from.
        fdr: false discovery rate in a layer.
        least_iou: bound on IoU, or on its excess over chance where labels are tested.
        side: pixels of a label map that are counted, a side at most; None: all.
        group: images generated at once, within which label maps are exchanged.
        of_class: the images of a group are of one class of a conditional generator.
        drawn: names of those classes; image k is of class k modulo their number.
        preset: preprocessing of the images.
        classes: the classes that took part.
    """

    rule: Literal["default", "paper", "pnas"]
    rule_words: str
    tested: bool
    null: str = ""
    basis: str = "units"
    level_images: int
    level_seed: int
    fdr: float
    least_iou: float
    side: int | None = None
    group: int
    of_class: bool = False
    drawn: list[str] = Field(default_factory=list)
    preset: str
    classes: list[str] = Field(default_factory=list)


class DissectionResults(Record):
    """``results.json`` of the command ``dissect``.

    Attributes:
        n: images asked for; those with NaN or Inf are in ``skipped``, and so are those of the
            sample of the levels (source ``levels``).
        layers: in the order of the generator.
        units: of all layers, layer by layer.
        pictures: PNG in the run directory by the number of the image, for the units with ``masks``.
        compared: its layers beside each other; None of one layer, or of a rule without a null.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["dissection"] = "dissection"
    generator: ModelRecord
    segmenter: ModelRecord
    n: int
    seed: int = 0
    settings: DissectionSettings
    layers: list[DissectedLayer]
    units: list[UnitResult]
    pictures: dict[str, str] = Field(default_factory=dict)
    compared: UnitPanel | None = None
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    cautions: list[str] = Field(default_factory=list)
