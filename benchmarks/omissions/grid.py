"""The simulations: source by number of images by omission, and the repeats of each.

Guarantees: a cell is a pure value; its repeats have generator states of their own, so that parts
of a cell can be run in any order, in any process, and give the same numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from .planting import Plant
from .sources import Source
from .truths import Truth, nearest_class

SIZES = (200, 500, 1_000, 2_000, 5_000, 10_000, 50_000)
SHARES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
PRESENCES = (0.17, 0.027, 0.01, 0.004)
"""Classes to be removed are those nearest to these shares of images."""
POWER_SIZES = (500, 2_000, 10_000)
PART = 25
"""Repeats that are one task and one file."""


@dataclass(frozen=True)
class Cell:
    """One simulation.

    Attributes:
        source: name of the source; n: images per side.
        plant: what is done to the generated side; None: nothing, the null.
        repeats: pairs of samples; permutations: of each comparison.
    """

    source: str
    n: int
    plant: Plant | None
    repeats: int
    permutations: int = 0

    @property
    def part_count(self) -> int:
        """How many parts the repeats come in."""
        return -(-self.repeats // PART)

    def key(self, identity: str) -> str:
        """Names a cell's files: everything that changes a repeat, but not how many there are."""
        what = None if self.plant is None else asdict(self.plant)
        text = json.dumps([identity, self.n, what, self.permutations], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def words(self, classes: tuple[str, ...]) -> str:
        """For a list: source, n and omission."""
        done = "nothing planted" if self.plant is None else self.plant.words(classes)
        return f"{self.source}, n = {self.n:,}, {done}"


@dataclass(frozen=True)
class Effort:
    """How much is run.

    Attributes:
        sizes, power_sizes: images per side; shares: of a class's images that lose it.
        repeats, power_repeats: of null cells and of omissions, for n up to 2,000; larger n get
            fewer (``at``).
        promised: of the omissions that the tool promises to find (``omission_repeats``).
        permutations, power_permutations: in null cells, and where something is planted.
        presences: which classes are removed.
    """

    sizes: tuple[int, ...] = SIZES
    power_sizes: tuple[int, ...] = POWER_SIZES
    shares: tuple[float, ...] = SHARES
    presences: tuple[float, ...] = PRESENCES
    repeats: int = 500
    promised: int = 500
    power_repeats: int = 60
    permutations: int = 199
    power_permutations: int = 99

    def at(self, n: int, repeats: int) -> int:
        """Repeats at n images: all up to 2,000, then a half, a quarter, a twentieth."""
        part = 1 if n <= 2_000 else 2 if n <= 5_000 else 4 if n <= 10_000 else 20
        return max(2, repeats // part)


QUICK = Effort(
    sizes=(200, 2_000),
    power_sizes=(2_000,),
    shares=(0.5, 1.0),
    presences=(0.17, 0.027),
    repeats=20,
    promised=20,
    power_repeats=20,
    permutations=99,
)

SHORT = Effort(
    sizes=(200, 2_000, 10_000),
    power_sizes=(2_000, 10_000),
    shares=(0.5, 1.0),
    presences=(0.17, 0.027, 0.01),
    repeats=200,
    promised=200,
    power_repeats=30,
    permutations=99,
)

PROMISED_PRESENCE = 0.027
"""The tool promises to find the loss of a class in this share of the images."""


def omission_repeats(plant: Plant, n: int, effort: Effort, promised: int | None) -> int:
    """Repeats of an omission: many where a promise is at stake, so that it is measured finely.

    Promised of a class in 2.7 % of the images (label ``promised``): gone from all images it is
    found at n = 2,000 in 99 % of repeats; gone from half of them, at n = 10,000 in 95 %, which
    two fifths of the repeats show.
    """
    if plant.kind == "removed" and plant.label == promised:
        if n == 2_000 and plant.share == 1:
            return effort.promised
        if n == 10_000 and plant.share == 0.5:
            return effort.promised * 2 // 5
    return effort.at(n, effort.power_repeats)


def plants_of(truth: Truth, effort: Effort, *, power: bool) -> list[Plant]:
    """Omissions for a source: removed classes, thinned ones and a swap.

    Args:
        truth: of the source with nothing planted (its presences).
        power: all shares of all classes; else one removal of a common and of a rare class.
    """
    chosen: list[int] = []
    for presence in effort.presences:
        label = nearest_class(truth, presence)
        ratio = truth.presence[label] / presence
        if label not in chosen and 1 / 3 < ratio < 3:
            chosen.append(label)
    if not chosen:  # every class is everywhere: thin a small one instead
        return [Plant(int(truth.area.argsort()[len(truth.area) // 2]), keep=0.5)]
    if not power:
        return [Plant(label) for label in chosen[:2]]
    plants = [Plant(label, share) for label in chosen[:2] for share in effort.shares]
    # What is rarer than these two is not found when little of it goes missing.
    large = [share for share in effort.shares if share >= 0.5]
    plants += [Plant(label, share) for label in chosen[2:] for share in large]
    plants += [Plant(chosen[0], keep=keep) for keep in (0.8, 0.5)]
    largest = int(truth.area.argmax())
    if len(chosen) > 1 and largest not in chosen[:2]:
        plants.append(Plant(chosen[0], 0.5, into=chosen[1]))
    return plants


POWER_SOURCES = ("long-tail", "scenes", "segmented")


def cells_of(
    source: Source,
    plants: Sequence[Plant],
    effort: Effort,
    only_n: Sequence[int] = (),
    promised: int | None = None,
) -> list[Cell]:
    """All cells of a source, nulls first, small n first; ``promised``: see ``omission_repeats``."""
    cells = []
    for n in effort.sizes:
        repeats = effort.at(n, effort.repeats)
        cells.append(Cell(source.name, n, None, repeats, effort.permutations))
    power = source.name in POWER_SOURCES
    for what in plants:
        for n in effort.power_sizes if power else effort.sizes:
            if n <= 10_000:
                repeats = omission_repeats(what, n, effort, promised)
                cells.append(Cell(source.name, n, what, repeats, effort.power_permutations))
    wanted = [cell for cell in cells if not only_n or cell.n in only_n]
    return [cell for cell in wanted if source.reaches(cell.n)]
