"""Which layers have more units of a class: differences of counts, with intervals and claims.

    null: dissections of as many other images find, on average, the same number of units of the
    class at both layers (the same share, where they have unlike numbers of units)

The error rate is that of the whole comparison: of all its differences, any wrong claim is made in
at most 5 % of comparisons (Holm 1979, over pairs of layers, classes, categories and totals).
A difference is divided by its standard error over draws of groups of images (``counts``), less half
a unit, for counts are whole numbers and the variance of a few units is not known well; p-values are
Student's, of as many degrees of freedom as groups less one (bins of groups, where there are many).

The networks are what is compared: another training of either is another network, and nothing is
said of it. Units are no sample, so none are drawn.

Measured in ``docs/dissection.md`` on one network dissected on disjoint series of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .agreement import Floats
from .claims import LEAST_GROUPS
from .counts import AT_BOUND, Counted, Labelled, Quantity, count_units, quantities, spread

LEVEL = 0.05
"""Probability of any wrong claim in a comparison, at most."""
_JUST_BESIDE = 1e-9
"""Share of a standard error by which an interval ends beside 0, where a later step claims."""


@dataclass(frozen=True, eq=False)
class Difference:
    """Two layers in all quantities; arrays are (Q,).

    Attributes:
        first, second: places of the layers.
        value: the first less the second: shares of units, or numbers of classes.
        low, high: simultaneous intervals over the comparison, which leave out 0 exactly where a
            difference is claimed.
        p: of the null above; adjusted: after Holm.
        claimed: bool.
    """

    first: int
    second: int
    value: Floats
    low: Floats
    high: Floats
    p: Floats
    adjusted: Floats
    claimed: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Layers beside each other.

    Attributes:
        members: the layers.
        asked: what they are compared by.
        counted: the numbers of each layer.
        groups: of images.
        low, high: (members, Q) 95 % interval of each number, one by one.
        differences: of all pairs.
    """

    members: Sequence[Labelled]
    asked: Sequence[Quantity]
    counted: Sequence[Counted]
    groups: int
    low: Floats
    high: Floats
    differences: Sequence[Difference]

    def claims(self, quantity: int) -> NDArray[np.bool_]:
        """(members, members) whether the number of the row is surely below the column's."""
        found = np.zeros((len(self.members), len(self.members)), bool)
        for one in self.differences:
            if one.claimed[quantity]:
                below = one.value[quantity] < 0
                found[(one.first, one.second) if below else (one.second, one.first)] = True
        return found


def contrasts(members: Sequence[Labelled], *, level: float = LEVEL, seed: int = 0) -> Contrasts:
    """Compare layers in all that their units may be labelled with.

    Args:
        members: with the numbers of the same groups of images, in bins of any size.
        level: probability of any wrong claim, at most.
        seed: of the draws.

    ::

        contrasts(members).differences[0].claimed
    """
    span = max((one.series.span for one in members), default=1)
    members = [replace(one, series=one.series.coarser(span)) for one in members]
    asked = quantities(members)
    counted = count_units(members, asked, seed=seed)
    groups = len(members[0].series.groups) if members else 0
    drawn = len(members[0].series.both) if members else 0
    low, high = _intervals(members, asked, counted, drawn)
    pairs = list(combinations(range(len(members)), 2))
    found = [_difference(members, asked, counted, pair) for pair in pairs]
    value, error, half = (
        np.array([one[k] for one in found]).reshape(len(pairs), len(asked)) for k in range(3)
    )
    if drawn < LEAST_GROUPS:
        p, t = np.ones(value.shape), np.inf
    else:
        p = _p_values(value, error, half, drawn)
        t = float(stats.t.isf(level / (2 * max(p.size, 1)), drawn - 1))
    adjusted = _holm(p)
    claimed = adjusted <= level
    ends = _ends(value, error, half, t, claimed)
    differences = [
        Difference(*pair, value[k], ends[0][k], ends[1][k], p[k], adjusted[k], claimed[k])
        for k, pair in enumerate(pairs)
    ]
    return Contrasts(members, asked, counted, groups, low, high, differences)


def unit_of(asked: Sequence[Quantity], units: int) -> Floats:
    """(Q,) one unit in the measure of a difference: its share of the layer; 1 for numbers of
    classes.

    >>> unit_of([Quantity("labelled"), Quantity("distinct")], 50).tolist()
    [0.02, 1.0]
    """
    return np.array([1.0 if one.kind == "distinct" else 1 / max(units, 1) for one in asked])


def _difference(
    members: Sequence[Labelled],
    asked: Sequence[Quantity],
    counted: Sequence[Counted],
    pair: tuple[int, int],
) -> tuple[Floats, Floats, Floats]:
    """Value, standard error and half a unit of a pair, each (Q,).

    Where all draws find the same, the error is that of one more draw that is a unit off: so many
    draws cannot tell a smaller one.
    """
    scales = [unit_of(asked, members[k].units) for k in pair]
    sides = [counted[k].observed * scale for k, scale in zip(pair, scales, strict=True)]
    drawn = [counted[k].drawn * scale for k, scale in zip(pair, scales, strict=True)]
    unit = np.maximum(*scales)
    least = unit * np.sqrt(AT_BOUND / len(drawn[0]))
    error = np.maximum(spread(drawn[0] - drawn[1]), least)
    return sides[0] - sides[1], error, unit / 2


def _intervals(
    members: Sequence[Labelled],
    asked: Sequence[Quantity],
    counted: Sequence[Counted],
    groups: int,
) -> tuple[Floats, Floats]:
    observed = np.array([one.observed for one in counted], np.float64).reshape(-1, len(asked))
    most = np.array(
        [[len(m.tested) if q.kind == "distinct" else m.units for q in asked] for m in members],
        np.float64,
    ).reshape(observed.shape)
    if groups < LEAST_GROUPS:
        return np.zeros(observed.shape), most
    errors = np.array([one.errors for one in counted]).reshape(observed.shape)
    half = stats.t.isf(0.025, groups - 1) * errors + 0.5
    return np.maximum(observed - half, 0.0), np.minimum(observed + half, most)


def _p_values(value: Floats, error: Floats, half: Floats, groups: int) -> Floats:
    beyond = np.maximum(np.abs(value) - half, 0.0)
    # A sum of whole shares of units is not exactly a multiple of one.
    beyond = np.where(beyond < 1e-9 * half, 0.0, beyond)
    t = np.divide(beyond, error, out=np.where(beyond > 0, np.inf, 0.0), where=error > 0)
    return np.asarray(np.minimum(2 * stats.t.sf(t, groups - 1), 1.0), np.float64)


def _holm(p: Floats) -> Floats:
    """P-values adjusted for their number (Holm 1979), of any shape."""
    flat = p.ravel()
    order = np.argsort(flat, kind="stable")
    steps = np.maximum.accumulate(flat[order] * (len(flat) - np.arange(len(flat))))
    found = np.empty(len(flat))
    found[order] = np.minimum(steps, 1.0)
    return found.reshape(p.shape)


def _ends(
    value: Floats, error: Floats, half: Floats, t: float, claimed: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Simultaneous intervals that leave out 0 exactly where a claim stands."""
    if np.isinf(t):
        return np.full(value.shape, -np.inf), np.full(value.shape, np.inf)
    low, high = value - t * error - half, value + t * error + half
    beside = np.maximum(_JUST_BESIDE * error, _JUST_BESIDE * half)
    above, below = claimed & (value > 0), claimed & (value < 0)
    low = np.where(above, np.maximum(low, beside), np.where(below, low, np.minimum(low, 0.0)))
    high = np.where(below, np.minimum(high, -beside), np.where(above, high, np.maximum(high, 0.0)))
    return low, high
