"""Generators and classes of one ranking, as tables and pages show them.

A thousand comparisons fit in memory, because the numbers of classes stay in the lists of the
ranking's records, and one row reads its own places there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from seeingkit.results import (
    CellState,
    ClassRanking,
    FSDResult,
    RankedClass,
    RankedPair,
    SuiteRanking,
    Verdict,
)

Kind = Literal["generator", "control"]

LESS: frozenset[Verdict] = frozenset({"reduced", "in fewer images"})
MORE: frozenset[Verdict] = frozenset({"excess", "in more images"})


class ClassKey(NamedTuple):
    """A class across rankings: its name, and which of those of that name it is.

    Numbers of classes differ between segmenters, so names join their classes; two classes of one
    segmenter may have one name.
    """

    label: str
    twin: int = 0


class Quantity(NamedTuple):
    """One question about a class and a generator: its mean area in percent, or a share of images.

    Attributes:
        low, high: 95 % interval of the generator alone.
        letters: of the groups of generators that cannot be told apart in it, joined by spaces;
            empty where nothing is claimed of the class.
    """

    value: float
    low: float
    high: float
    letters: str = ""


class ClassValue(NamedTuple):
    """One class in the images of one generator.

    Attributes:
        verdict: against the real images.
        relative: (area − real area) / real area; None where no real image shows it;
            images_change: the same of the share of images.
        area, images: mean area, and share of images that show it above the area threshold.
    """

    verdict: Verdict
    relative: float | None
    area: Quantity
    images: Quantity
    images_change: float | None = None

    @property
    def by_images(self) -> bool:
        """Whether the verdict is about the number of images alone."""
        return self.verdict in ("in fewer images", "in more images")

    @property
    def change(self) -> float | None:
        """The relative difference in what the verdict is about: images, or else area."""
        return self.images_change if self.by_images else self.relative


def _relative(made: float, real: float) -> float | None:
    return (made - real) / real if real > 0 else None


class ClassHead(NamedTuple):
    """One class of a ranking: what does not depend on the generator.

    Attributes:
        real_area, real_images: mean area in the real images, percent, and share of them that show
            it above the area threshold.
    """

    key: ClassKey
    category: str
    real_area: float
    real_images: float


class ClassValues(Mapping[ClassKey, ClassValue]):
    """The classes of one row of a ranking: made of the ranking's records when they are asked for.

    Args:
        classes: of the ranking.
        place: of the row in their lists.
    """

    def __init__(self, classes: Mapping[ClassKey, RankedClass], place: int) -> None:
        self._classes, self._place = classes, place

    def __getitem__(self, key: ClassKey) -> ClassValue:
        one = self._classes[key]
        area = self._quantity(one.area)
        images = self._quantity(one.images)
        relative = _relative(area.value, one.real_area), _relative(images.value, one.real_images)
        return ClassValue(self.verdict(key), relative[0], area, images, relative[1])

    def __contains__(self, key: object) -> bool:
        return key in self._classes

    def __iter__(self) -> Iterator[ClassKey]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def verdict(self, key: ClassKey) -> Verdict:
        """The verdict on a class alone."""
        return self._classes[key].verdicts[self._place]

    def _quantity(self, found: ClassRanking) -> Quantity:
        k = self._place
        letters = found.letters[k] if found.letters else ""
        return Quantity(found.values[k], found.low[k], found.high[k], letters)


@dataclass(frozen=True)
class Standing:
    """One row of a ranking: a generator, or a control of real against real images.

    Attributes:
        rank, rank_low, rank_high: place among the generators, and the places that it can have by
            what is sure; None for a control, and where it has not been compared.
        letters: of the groups of rows that cannot be told apart by their distance, with spaces.
        distance: bias-reduced FSD, percent²; infinite where there is none.
        low, high: its 95 % interval; low is None without one, high where it is unbounded.
        shared: the same by the correction that all rows share: places are by it, for differences
            of it are more exact than those of ``distance``.
        beside_controls: whether no control is surely nearer; None without controls.
        nearer_than: names of the rows than which it is surely nearer.
        step, step_unit: of training, as the name of its file states them.
        folder: of its run below the suite; empty where there is none.
        values: its classes.
    """

    name: str
    kind: Kind
    state: CellState
    reason: str = ""
    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    letters: str = ""
    distance: float = math.inf
    low: float | None = None
    high: float | None = None
    shared: float = math.inf
    beside_controls: bool | None = None
    nearer_than: tuple[str, ...] = ()
    n: int = 0
    fsd: FSDResult | None = None
    series: str = ""
    step: float | None = None
    step_unit: str = ""
    folder: str = ""
    seconds: float = 0.0
    values: ClassValues = field(default_factory=lambda: ClassValues({}, 0))

    @property
    def step_text(self) -> str:
        """The step with its unit: ``1,000 kimg``, or ``step 1,000`` where no unit is known."""
        if self.step is None:
            return ""
        number = f"{self.step:,.10g}"
        return f"{number} {self.step_unit}" if self.step_unit else f"step {number}"

    @cached_property
    def counts(self) -> Counter[Verdict]:
        """How many classes have each verdict."""
        return Counter(self.values.verdict(key) for key in self.values)

    @property
    def reduced(self) -> int:
        """Classes with less area, or in fewer images, that are not omitted."""
        return sum(self.counts[verdict] for verdict in LESS)

    @property
    def excess(self) -> int:
        """Classes with more area, or in more images."""
        return sum(self.counts[verdict] for verdict in MORE)

    def of_verdict(self, verdicts: Iterable[Verdict]) -> list[ClassKey]:
        """Its classes with one of these verdicts."""
        wanted = frozenset(verdicts)
        return [key for key in self.values if self.values.verdict(key) in wanted]


@dataclass(frozen=True)
class Ranking:
    """One ranking with all rows: compared ones by place, then failed and waiting ones.

    Attributes:
        record: its entry in the suite.
        rows: generators and controls.
        classes: those that findings speak of, largest real area first.
        level: error rate of "nearer" over all pairs, and of the claims about classes.
        n_real: the real images, the same for all rows.
        pairs: of rows, and how much farther the first is than the second.
        warnings: what must be read with care.
    """

    record: SuiteRanking
    rows: tuple[Standing, ...] = ()
    classes: tuple[ClassHead, ...] = ()
    level: float = 0.05
    n_real: int = 0
    pairs: tuple[RankedPair, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Unique within the suite."""
        return self.record.name

    @cached_property
    def compared(self) -> tuple[Standing, ...]:
        """The generators that have a place."""
        return tuple(row for row in self.rows if row.kind == "generator" and row.fsd is not None)

    @cached_property
    def controls(self) -> tuple[Standing, ...]:
        """Real images against real images."""
        return tuple(row for row in self.rows if row.kind == "control")

    @cached_property
    def columns(self) -> tuple[Standing, ...]:
        """The rows that have classes: generators by place, then controls."""
        return (*self.compared, *(row for row in self.controls if row.values))

    @cached_property
    def unfinished(self) -> tuple[Standing, ...]:
        """The generators without a place: failed, waiting, or not yet in the ranking."""
        return tuple(row for row in self.rows if row.kind == "generator" and row.fsd is None)

    @cached_property
    def leaders(self) -> tuple[Standing, ...]:
        """The generators than which no other is surely nearer."""
        return tuple(row for row in self.compared if row.rank_low == 1)

    @cached_property
    def series(self) -> dict[str, list[Standing]]:
        """Generators of one training by their step, of series with two or more of them."""
        found: dict[str, list[Standing]] = {}
        for row in self.compared:
            if row.series and row.step is not None:
                found.setdefault(row.series, []).append(row)
        return {
            name: sorted(rows, key=lambda row: row.step or 0.0)
            for name, rows in sorted(found.items())
            if len({row.step for row in rows}) > 1
        }

    def omitted_by(self, key: ClassKey) -> list[Standing]:
        """The generators that omit a class."""
        return [
            row
            for row in self.compared
            if key in row.values and row.values.verdict(key) == "omitted"
        ]
