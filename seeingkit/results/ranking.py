"""The records of a ranking: many generators against the same real images, in a form that scales.

Areas are percent of the image, shares of images lie in [0, 1], distances are percent². *Members*
are the rows of a ranking: the generators, and the controls among them (real images that stand in
the place of generated ones). Lists of a class have one entry a member, in the order of
``RankingResults.members``.

*Letters* are the names of groups, joined by spaces: two members share a letter if and only if
nothing is claimed between them, so all that is claimed of pairs can be read off them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .comparison import FSDResult
from .generators import RealControl
from .records import (
    SCHEMA_VERSION,
    ModelRecord,
    Record,
    SkippedItem,
    SourceRecord,
    Verdict,
)


def share_letter(first: str, second: str) -> bool:
    """Whether two members are in one group; without letters all are.

    >>> share_letter("a b", "b c"), share_letter("a", "b c"), share_letter("", "")
    (True, False, True)
    """
    return not first or not second or bool(set(first.split()) & set(second.split()))


class RankedMember(Record):
    """One generator, or one control, in a ranking.

    Attributes:
        name: unique within the ranking.
        control: real images that no generator made, measured as if one had.
        n: images that were used.
        generator: None for a set of images.
        fsd: as in its own results.
        distance: bias-reduced FSD by half-sample extrapolation with halves of the real images that
            all members share; the ranking goes by it, and differences are of it. The plug-in value
            where a member has fewer than 50 images. ``fsd`` has another correction, made for each
            member alone.
        standard_error: of ``distance``, the noise of the real images included.
        rank: place among the generators by ``distance``, 1 is the nearest; None for a control.
        best_rank, worst_rank: 1 + number of generators that are surely nearer, and number of
            generators − number that are surely farther; None for a control.
        letters: of its groups, nearest first.
        beside_controls: whether no control is surely nearer; None without controls in the ranking,
            and for a control itself.
        omitted, claimed: classes with the verdict "omitted", and with any verdict; of a control
            all of them are false.
    """

    name: str
    control: bool = False
    n: int
    generator: ModelRecord | None = None
    source: SourceRecord
    fsd: FSDResult
    distance: float
    standard_error: float
    rank: int | None = None
    best_rank: int | None = None
    worst_rank: int | None = None
    letters: str
    beside_controls: bool | None = None
    omitted: list[str] = Field(default_factory=list)
    claimed: list[str] = Field(default_factory=list)


class RankedPair(Record):
    """How much farther the first member is from the real images than the second.

    Attributes:
        value: distance of the first − distance of the second.
        ci_low, ci_high: simultaneous interval: all of a ranking hold their truths together at
            1 − level. It leaves out 0 exactly where ``nearer`` is claimed.
        standard_error: of the value.
        p_alike: of "both draw from one distribution" by exchange of their images; None where it
            was not needed, because the interval holds 0 without it.
        nearer: the member that is surely nearer; None: neither is.
    """

    first: str
    second: str
    value: float
    ci_low: float
    ci_high: float
    standard_error: float
    p_alike: float | None = None
    nearer: str | None = None


class ClassRanking(Record):
    """One question about a class, over all members: its mean area, or the share of images.

    Attributes:
        values: mean areas, or shares of images that show the class above ``speck_area``.
        low, high: 95 % intervals, each of the member alone.
        p_equal, q_equal: of "all members have equally much"; q: Benjamini-Hochberg over the
            classes. Something is claimed of the class where q is at most half the level.
        letters: of each member's groups, most first; empty where nothing is claimed.
    """

    values: list[float]
    low: list[float]
    high: list[float]
    p_equal: float
    q_equal: float
    letters: list[str] = Field(default_factory=list)

    def surely_less(self, first: int, second: int) -> bool:
        """Whether the first member has surely less than the second, by their places.

        >>> found = ClassRanking(
        ...     values=[1.0, 5.0], low=[0.5, 4.0], high=[1.5, 6.0], p_equal=0.0, q_equal=0.0,
        ...     letters=["b", "a"]
        ... )
        >>> found.surely_less(0, 1), found.surely_less(1, 0)
        (True, False)
        """
        if not self.letters or share_letter(self.letters[first], self.letters[second]):
            return False
        return self.values[first] < self.values[second]


class RankedClass(Record):
    """One class over all members.

    Attributes:
        real_area, real_images: mean area in the real images, and share of them that show it.
        speck_area: the area threshold, percent, over the images of the whole ranking.
        verdicts: of each member against the real images, from its own results.
        area, images: the two questions between the members.
    """

    label: str
    category: str
    index: int
    real_area: float
    real_images: float
    speck_area: float
    verdicts: list[Verdict]
    area: ClassRanking
    images: ClassRanking


class RankingResults(Record):
    """Everything found between many generators and controls: a ranking.

    Attributes:
        n_real: the real images, the same for all members.
        level: family-wise error rate of "nearer" over all pairs, and of the claims about classes
            the rate over the classes of which anything is claimed, both questions together.
        critical: standard errors on each side of a difference in its simultaneous interval.
        members: generators and controls, nearest first.
        differences: one entry a pair of members, in that order.
        classes: by real area, largest first.
        halves: one half of the real images against the other; None where controls of the same
            size are among the members, or where there are too few images.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["ranking"] = "ranking"
    data: SourceRecord
    n_real: int
    segmenter: ModelRecord
    preset: dict[str, Any]
    level: float = 0.05
    critical: float
    members: list[RankedMember]
    differences: list[RankedPair]
    classes: list[RankedClass]
    halves: RealControl | None = None
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    cautions: list[str] = Field(default_factory=list)
