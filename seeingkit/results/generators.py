"""The records of several generators against the same real images: ``results.json`` of such a run.

Areas are percent of the image, shares of images lie in [0, 1], distances are percent². "First" and
"second" are the generators of a pair, by their names.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .comparison import FSDResult
from .records import (
    SCHEMA_VERSION,
    ClassResult,
    ModelRecord,
    Record,
    SkippedItem,
    SourceRecord,
)


class GeneratorResult(Record):
    """One generator against the real images; its whole comparison lies in ``folder``.

    Attributes:
        name: unique within the run.
        folder: of its own ``results.json``, below the run's; empty where nothing was written.
        n: images that were used.
        generator: None for a set of images.
        fsd, classes: as in its own results.
    """

    NAMED_BY = ("name",)

    name: str
    folder: str = ""
    n: int
    generator: ModelRecord | None = None
    source: SourceRecord
    fsd: FSDResult
    classes: list[ClassResult]


class RealControl(Record):
    """Two disjoint halves of the real images compared as if one of them were generated.

    Attributes:
        n: images of each half.
        fsd: at n images a side; 0 should lie in its interval.
        claimed: classes with a verdict, all of them false.
    """

    n: int
    fsd: FSDResult
    claimed: list[str] = Field(default_factory=list)


class DistanceDifference(Record):
    """How much farther the first generator is from the real images than the second.

    Attributes:
        value: FSD of the first − FSD of the second, bias-reduced.
        ci_low, ci_high: interval at ``confidence``, which is corrected for the number of pairs;
            extended to 0 where the swap test does not reject at that level. Of more than six
            generators all intervals hold their truths together at 1 − level, and ``confidence`` is
            that of one of them.
        standard_error: of the value.
        p_swap: of "both generators draw from one distribution"; None without permutations.
        permutations: how many that p-value rests on; 0: on none (``statistics.exchange``), as with
            more than six generators.
        nearer: the generator that is surely nearer: 0 is outside the interval; None: neither is.
    """

    NAMED_BY = ("first", "second")

    first: str
    second: str
    value: float
    ci_low: float
    ci_high: float
    confidence: float
    standard_error: float
    p_swap: float | None = None
    permutations: int = 0
    nearer: str | None = None
    unit: Literal["percent^2"] = "percent^2"


class ClassQuestion(Record):
    """One question about a class and two generators: its mean area, or the share of images.

    Attributes:
        real, first, second: mean areas, or shares of images that show it above ``speck_area``.
        p_more, q_more: of "both generators draw equally much"; q: Benjamini-Hochberg over all
            classes and pairs.
        more: the generator that draws more, if q is at most half the level.
        p_closer, q_closer: of "both are equally far from the real images"; closer: the generator
            that is surely closer.
    """

    real: float
    first: float
    second: float
    p_more: float
    q_more: float
    more: str | None = None
    p_closer: float
    q_closer: float
    closer: str | None = None


class ClassDifference(Record):
    """One class in the images of two generators.

    Attributes:
        speck_area: the area threshold, percent, over the images of the whole run.
        area: question of the mean area; images: of the share of images that show the class.
    """

    NAMED_BY = ("first", "second", "label")

    first: str
    second: str
    label: str
    category: str
    index: int
    speck_area: float
    area: ClassQuestion
    images: ClassQuestion


class GeneratorsResults(Record):
    """Everything found of several generators: ``results.json`` of ``compare`` with three sources.

    Attributes:
        n_real: the real images, the same for all generators.
        level: false discovery rate of the verdicts of each generator and of each kind of claim
            about classes, which both questions share; and family-wise error rate of "nearer".
        control: real images against real images; None where there are too few.
        differences: one entry a pair of generators.
        classes: one entry a pair and class, by real area.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["generators"] = "generators"
    data: SourceRecord
    n_real: int
    segmenter: ModelRecord
    preset: dict[str, Any]
    level: float = 0.05
    generators: list[GeneratorResult]
    control: RealControl | None = None
    differences: list[DistanceDifference]
    classes: list[ClassDifference]
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    cautions: list[str] = Field(default_factory=list)
