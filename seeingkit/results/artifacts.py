"""The records of a search for artifact units; ``results.json`` of ``seeingkit artifacts``.

Distances have the unit ``settings.unit`` (of areas of classes: FSD, percent²) and are bias-reduced.
A gain is the distance without the ablation − with it: above 0 the ablation brings the images nearer
to the real ones.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .interventions import Effect
from .records import SCHEMA_VERSION, FidelityResult, ModelRecord, Record, SkippedItem, SourceRecord

GainClaim = Literal["gain", "gain of any units", "no evidence", "loss"]
"""``gain``: surely nearer, and surely nearer than with random units; ``gain of any units``: surely
nearer, but not surely more so than with random units; ``loss``: surely farther away."""


class ArtifactUnit(Record):
    """One unit of the ranking.

    Attributes:
        unit: its number in the layer.
        score: on the images of the search; the largest of many scores, so it flatters the unit.
        round: the last round of the search it was in.
        strongest: numbers of the images of the search in which it is strongest, greatest first.
        strip: PNG in the run directory: some of these images, and below them the same with the unit
            ablated; None where no picture was made.
    """

    unit: int
    score: float
    round: int = 1
    strongest: list[int] = Field(default_factory=list)
    strip: str | None = None


class RandomSet(Record):
    """As many random units on the same images: their numbers and their gain."""

    units: list[int]
    gain: float


class ArtifactTest(Record):
    """The ablation of the first units of the ranking, on fresh images.

    Attributes:
        name: how many units; units: that were ablated together.
        before, before_error: distance without the ablation, and its standard error; after,
            after_error: with it.
        gain, low, high: before − after and its interval; error: its standard error.
        p_swap: of "images without and with the ablation can change places"; None where the interval
            has 0 inside without it.
        random: sets of as many units drawn from all of the layer.
        against, against_low, against_high: gain − mean gain of random sets, and its interval, which
            has the choice of the sets in it.
        as_good: random sets whose gain is at least as large.
        confidence: of the intervals: corrected for the number of tests.
        moved: mean share of the pixels that change their class.
        claim: see ``GainClaim``.
    """

    NAMED_BY = ("name",)

    name: str = ""
    units: list[int]
    before: float
    before_error: float
    after: float
    after_error: float
    gain: float
    low: float
    high: float
    error: float
    p_swap: float | None
    random: list[RandomSet]
    against: float
    against_low: float
    against_high: float
    as_good: int
    confidence: float
    moved: float
    claim: GainClaim


class ArtifactSettings(Record):
    """How units were ranked and tested.

    Attributes:
        ranking: ``ablation``, ``images`` or ``marks``.
        space: what distances are taken in; unit: of a distance.
        alpha: strength of the ablation.
        search_seed, search_images: images of the search; of ``marks`` the painted ones.
        search_real: real images of the search, none of which is in a test.
        passes: images that were made and looked at for the ranking.
        marks_sha256: of the file of marks.
        level: error rate of all tests together.
        preset: preprocessing of the images.
    """

    ranking: Literal["ablation", "images", "marks"]
    space: str
    unit: str
    alpha: float
    search_seed: int
    search_images: int
    search_real: int
    passes: int
    marks_sha256: str | None = None
    level: float
    preset: str


class FidelityPair(Record):
    """FID and others without and with the ablation of the pictured units; no claim rests on them.

    Attributes:
        units: that were ablated.
    """

    units: list[int]
    before: FidelityResult
    after: FidelityResult


class ArtifactPair(Record):
    """An image of the tests without and with the ablation.

    Attributes:
        image: its number.
        moved: share of its pixels that change their class.
        why: ``most changed`` or ``drawn`` at random.
        strip: PNG in the run directory: the image, and below it the same with the units ablated.
    """

    image: int
    moved: float
    why: Literal["most changed", "drawn"]
    strip: str


class ArtifactResults(Record):
    """``results.json`` of the command ``artifacts``.

    Attributes:
        data: the real images.
        layer: name of the boundary; layer_units: how many units it has.
        n: generated images of the tests, 0 to n − 1 of the seed; n_real: real images of the tests.
        units: the ranking, most suspicious first.
        tests: one for each number of units.
        pictured: units whose ablation ``effect`` and ``pairs`` are about: of the test with the best
            claim, and of equal ones that of the greatest gain.
        effect: of their ablation on every class.
        fidelity: FID and others, where they were asked for.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["artifacts"] = "artifacts"
    generator: ModelRecord
    segmenter: ModelRecord
    data: SourceRecord
    layer: str
    layer_units: int
    n: int
    n_real: int
    seed: int = 0
    settings: ArtifactSettings
    units: list[ArtifactUnit]
    tests: list[ArtifactTest]
    pictured: list[int]
    effect: Effect
    pairs: list[ArtifactPair] = Field(default_factory=list)
    fidelity: FidelityPair | None = None
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    cautions: list[str] = Field(default_factory=list)

    @property
    def best(self) -> ArtifactTest:
        """The test of the pictured units."""
        return next(test for test in self.tests if test.units == self.pictured)
