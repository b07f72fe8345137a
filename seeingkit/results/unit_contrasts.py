"""The records of layers compared by the labels of their units; ``results.json`` of
``compare-units``.

Differences are shares of the units of a layer in [-1, 1], or numbers of classes (``distinct``).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .records import SCHEMA_VERSION, ModelRecord, Record, SkippedItem

CountKind = Literal["labelled", "distinct", "category", "class"]
"""Units with a label; classes with a unit; units of a category; units of a class."""


class UnitNumber(Record):
    """A number of one layer.

    Attributes:
        count: units, or classes, in the images.
        low, high: 95 % interval of its mean over dissections of as many other images.
        letters: two layers that share none differ surely; empty where nothing is compared.
    """

    count: int
    low: float
    high: float
    letters: str = ""


class UnitQuantity(Record):
    """A number that layers are compared by.

    Attributes:
        label, plane: of a class, else empty; category: of a class or category, else empty.
        numbers: of the layers, in their order.
    """

    kind: CountKind
    label: str = ""
    plane: str = ""
    category: str = ""
    numbers: list[UnitNumber] = Field(default_factory=list)


class UnitDifference(Record):
    """Two layers in one quantity.

    Attributes:
        first, second: names of the layers.
        difference: first less second.
        low, high: its interval, simultaneous over the comparison; it leaves out 0 exactly where the
            difference is claimed. None: unbounded.
        p: of "on average over images as many"; adjusted: after Holm, over the comparison.
        claimed: the first has surely more (or surely fewer) units of the class.
    """

    first: str
    second: str
    kind: CountKind
    label: str = ""
    plane: str = ""
    category: str = ""
    difference: float
    low: float | None
    high: float | None
    p: float
    adjusted: float
    claimed: bool


class ComparedLayer(Record):
    """A layer of a comparison.

    Attributes:
        name: in the comparison; run: directory of its dissection, empty: this one.
        generator: of it; layer: the boundary, with the basis where that is not its channels.
    """

    NAMED_BY = ("name",)

    name: str
    run: str = ""
    generator: str
    layer: str
    units: int


class UnitPanel(Record):
    """Layers that are compared with each other, all pairs.

    Attributes:
        title: the layer that several runs have, or the generator whose layers these are.
        groups, images: that were counted of each layer.
        tests: differences in the panel.
    """

    NAMED_BY = ("title",)

    title: str
    groups: int
    images: int
    tests: int
    layers: list[ComparedLayer]
    quantities: list[UnitQuantity]
    differences: list[UnitDifference]


class UnitContrastsResults(Record):
    """``results.json`` of the command ``compare-units``.

    Attributes:
        level: probability of any wrong claim in a panel, at most.
        draws: of groups of images, for intervals and claims.
        group: images in a group.
        networks: the generators of the runs, in their order.
        panels: each of layers that are compared with each other.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["unit contrasts"] = "unit contrasts"
    segmenter: ModelRecord
    networks: list[ModelRecord]
    n: int
    level: float
    draws: int
    group: int
    rule: str
    preset: str
    panels: list[UnitPanel]
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    cautions: list[str] = Field(default_factory=list)
