"""How many units have each label, and how much these numbers vary with the images.

The networks, the levels and the candidates are fixed; the images are a sample. So groups of images
(bins of neighbouring groups, where there are many: ``series``) are drawn anew with replacement, and
of each draw the whole claim is made again: the t-test over groups, Benjamini and Hochberg over the
candidates, the least excess, the choice of the label (Efron's bootstrap, over independent groups).
Layers, bases and networks are drawn together, by the numbers of the bins: where images or latents
are shared, counts vary together.

A count of claims is not centred on itself under this bootstrap, for a unit near a bound is claimed
more or less often in draws than in the sample. So only the spread of the draws is used. Of a unit
right at a bound the label is a toss, of variance 1/4, and the draws have on average 1/6: with m the
excess in standard errors, normal around 0, it is E[Φ(m) (1 - Φ(m))]. Further off the draws vary too
much. So variances are taken ``AT_BOUND`` times, which is right for the worst case and more than
enough for units of all strengths (1 time on average).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .agreement import Floats
from .claims import FDR, LEAST_GROUPS, LEAST_IOU, studentised
from .series import GroupSeries

DRAWS = 1000
"""Draws of groups; a standard error is known to 2 %."""
AT_BOUND = 1.5
"""Variance of a label at a bound over that of draws."""
AT_ONCE = 1 << 22
"""Numbers of draws and pairs that are held at a time."""

Kind = Literal["labelled", "distinct", "category", "class"]
"""Units with a label; classes with a unit; units of a category; units of a class."""
KINDS: tuple[Kind, ...] = get_args(Kind)
ClassName = tuple[str, str, str]
"""Plane, label and category."""


@dataclass(frozen=True, order=True)
class Quantity:
    """A number that layers are compared by.

    Attributes:
        kind: see ``Kind``.
        label, plane: of a class, else empty.
        category: of a class or category, else empty.

    >>> Quantity("category", category="part").label
    ''
    """

    kind: Kind
    label: str = ""
    plane: str = ""
    category: str = ""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A layer whose units were labelled.

    Attributes:
        name: for people.
        units: U, how many it has.
        classes: of each column.
        series: numbers of its groups at the candidates.
        fdr, least_iou: of the claims.
    """

    name: str
    units: int
    classes: Sequence[ClassName]
    series: GroupSeries
    fdr: float = FDR
    least_iou: float = LEAST_IOU

    @property
    def tested(self) -> list[ClassName]:
        """The classes of the candidates, which are known before the images are seen."""
        return [self.classes[k] for k in np.unique(self.series.pairs[:, 1]).tolist()]

    def labels(self, weights: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """The column of each unit's label, or -1.

        Args:
            weights: (R, B) how often each bin of groups counts; None: each once.

        Returns:
            (R, U), or (U,) without weights; all -1 for fewer groups than a test needs.
        """
        if weights is None:
            (once,) = self.labels(np.ones((1, len(self.series.both)), np.int64))
            return np.asarray(once, np.int64)
        found = np.full((len(weights), self.units), -1, np.int64)
        pairs = self.series.pairs
        if not len(pairs) or len(self.series.groups) < LEAST_GROUPS:
            return found
        excess, claimed = self._claims(weights)
        starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
        score = np.where(claimed, excess, -np.inf)
        best = np.maximum.reduceat(score, starts, axis=1)
        place = np.cumsum(np.diff(pairs[:, 0], prepend=pairs[0, 0]) > 0)
        rows, columns = np.nonzero(claimed & (score == best[:, place]))
        # Of equal ones the first, so it is written last.
        found[rows[::-1], pairs[columns[::-1], 0]] = pairs[columns[::-1], 1]
        return found

    def _claims(self, weights: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
        """Excess of IoU over chance and claims of each pair, (R, P), as of ``claims.agreements``.

        Sums of whole numbers in float64 are exact below 2⁵³.
        """
        drawn, series = weights.astype(np.float64), self.series
        both, union = drawn @ series.both, drawn @ series.union
        exchanged = drawn @ series.chance
        groups = drawn @ series.sizes[:, None]  # bins may be of unlike size
        t = studentised(drawn @ series.excess, drawn @ series.excess2, groups)
        whole = union + both - exchanged
        iou = np.divide(both, union, out=np.zeros(both.shape), where=union > 0)
        chance = np.divide(exchanged, whole, out=np.zeros(both.shape), where=whole > 0)
        excess = iou - chance
        found = _discovered(t, len(series.groups), self.fdr)
        return excess, found & (excess >= self.least_iou)

    def counts(self, labels: NDArray[np.int64], asked: Sequence[Quantity]) -> NDArray[np.int64]:
        """(R, Q) the numbers of labellings (R, U)."""
        numbers = np.zeros((len(labels), len(self.classes) + 1), np.int64)
        rows = np.repeat(np.arange(len(labels)), labels.shape[1])
        np.add.at(numbers, (rows, labels.ravel()), 1)  # -1: the last column
        numbers = numbers[:, :-1]
        return np.stack([self._count(numbers, one) for one in asked], 1)

    def _count(self, numbers: NDArray[np.int64], asked: Quantity) -> NDArray[np.int64]:
        if asked.kind == "distinct":
            return np.asarray((numbers > 0).sum(1), np.int64)
        wanted = [
            asked.kind == "labelled"
            or (asked.kind == "category" and category == asked.category)
            or (plane, label, category) == (asked.plane, asked.label, asked.category)
            for plane, label, category in self.classes
        ]
        return np.asarray(numbers[:, wanted].sum(1), np.int64)


def _discovered(t: Floats, groups: int, fdr: float) -> NDArray[np.bool_]:
    """What Benjamini and Hochberg claim in each row (R, P) of one-sided t-values.

    On the scale of t, for p-values of all draws would take longer than all else.
    """
    size = t.shape[1]
    bounds = stats.t.isf(fdr * np.arange(1, size + 1) / size, groups - 1)
    falling = -np.sort(-t, axis=1)
    reached = (falling >= bounds)[:, ::-1]
    last = size - 1 - reached.argmax(1)
    least = np.where(reached.any(1), falling[np.arange(len(t)), last], np.inf)
    return np.asarray(t >= least[:, None])


def quantities(members: Sequence[Labelled]) -> list[Quantity]:
    """All that these layers are compared by, fixed by their candidates alone.

    Candidates come from images of their own, so no result decides how many tests there are.
    ``quantities([])`` has the two that need no class.
    """
    classes = sorted({one for member in members for one in member.tested})
    found = [Quantity("labelled"), Quantity("distinct")]
    kinds = sorted({category for _, _, category in classes})
    if len(kinds) > 1:
        found += [Quantity("category", category=kind) for kind in kinds]
    return found + [Quantity("class", label, plane, kind) for plane, label, kind in classes]


def spread(drawn: NDArray[np.generic]) -> Floats:
    """(Q,) standard errors of numbers of which draws (R, Q) are given.

    >>> spread(np.array([[0, 0], [1, 2]])).round(2).tolist()
    [0.87, 1.73]
    """
    return np.asarray(np.sqrt(AT_BOUND) * drawn.std(0, ddof=1), np.float64)


@dataclass(frozen=True, eq=False)
class Counted:
    """The numbers of a layer.

    Attributes:
        observed: (Q,) in the images.
        drawn: (R, Q) in draws of their groups.
    """

    observed: NDArray[np.int64]
    drawn: NDArray[np.int64]

    @property
    def errors(self) -> Floats:
        """(Q,) standard errors."""
        return spread(self.drawn)


def count_units(
    members: Sequence[Labelled], asked: Sequence[Quantity], *, seed: int = 0
) -> list[Counted]:
    """The numbers of layers, and how they vary together.

    Args:
        members: with the numbers of the same bins (``GroupSeries.coarser``, ``at``).
        asked: the numbers.
        seed: of the draws.

    ::

        count_units(members, quantities(members))[0].errors
    """
    size = len(members[0].series.both) if members else 0
    draw = np.random.default_rng([seed, size])
    weights = draw.multinomial(size, np.full(size, 1 / size), DRAWS) if size else None
    found = []
    for member in members:
        observed = member.counts(member.labels()[None], asked)[0]
        drawn = np.zeros((DRAWS, len(asked)), np.int64)
        step = max(1, AT_ONCE // max(1, len(member.series.pairs)))
        for start in range(0, DRAWS if weights is not None else 0, step):
            assert weights is not None
            labels = member.labels(weights[start : start + step])
            drawn[start : start + step] = member.counts(labels, asked)
        found.append(Counted(observed, drawn))
    return found
