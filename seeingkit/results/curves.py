"""The records of effects against the number of units, and by the place where units are inserted.

Areas are percent of the image, shares lie in [0, 1]; intervals have 95 % confidence.
"""

from __future__ import annotations

from pydantic import Field

from .records import Record


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


class ClassUnder(Record):
    """Insertions at cells of which class ``under`` stands below the middle, and class ``label``.

    Attributes:
        under: the class that stood there; empty: outside of what the image shows.
        label: the class of which the area changes.
        places, images, effect, low, high, p, q, claimed: as of ``ContextEffect``; q is corrected
            over all pairs of classes of the table.
    """

    NAMED_BY = ("under", "label")

    under: str
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
        window: the part of the image that the map covers: top, left, bottom, right.
        mean: PNG of the mean image in the run directory; empty where there is none.
        cells: effects by cell, in percent of the image.
        contexts: effects by the class that stood there, strongest first.
        matrix: the same for every class that an insertion changes, largest first; empty where it
            was not asked for.
    """

    label: str
    units: list[int]
    n: int
    extent: tuple[int, int]
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    mean: str = ""
    level: float
    cells: list[CellEffect]
    contexts: list[ContextEffect]
    matrix: list[ClassUnder] = Field(default_factory=list)
