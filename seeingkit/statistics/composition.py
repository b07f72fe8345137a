"""Differences in area that are only a matter of the other classes.

Guarantees: areas sum to 100 %, so what some classes lose others gain; a gain that is not shown in
the subcomposition without the classes that lost (or a loss in the one without those that gained) is
marked, and its verdict is left as it is. A mark says "not shown"; whether the change is shown to be
absent says the interval (``results.only_composition``). Rows that are no shares of a whole, such as
counts of objects, have no composition.

The hypothesis of a marked class is "its share of the rest is the same on both sides", the rest
being the image without the other classes. With means x of the class and R of the rest,

    θ = log (x_generated / R_generated) − log (x_real / R_real),

and its variance by the delta method from u = xᵢ / x − Rᵢ / R, summed over the images of a group
(Aitchison 1986, chapter 2, on subcompositions; Cochran 1977, chapter 6, on ratios of means). The
class is marked unless p is at most the cut of the claims and the direction is the same.

Which classes are the cause cannot be told from areas alone: all others may have grown a little, or
a few shrunk. The smaller part of the image is taken as the cause: classes that lost explain gains
only if they hold less than half of the image, and likewise the other way round. And the rest must
hold ``LEAST`` of the image beside the class: of itself a class is always all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from .arrays import Booleans, Floats
from .products import Pool

WHOLE = 100.0 + 1e-6
"""Sum of an image's areas, percent, above which they are no shares of it."""

MOST = 50.0
"""Area, percent, that the classes taken as the cause hold at most on the average of both sides."""


LEAST = 25.0
"""Area, percent, that the rest has beside the class, at least, on the average of both sides."""

CONFIDENCE = 0.95
"""Of the interval of the change of a class's share of the rest."""


class Composition(NamedTuple):
    """Of each label (d,): NaN and False where there is no claim, or nothing else that changed.

    Attributes:
        change: relative difference of its share of the rest.
        low, high: its interval.
        p: of no such difference.
        marked: its difference in area is not shown in the rest.
    """

    change: Floats
    low: Floats
    high: Floats
    p: Floats
    marked: Booleans


def composition(
    pool: Pool, gained: Booleans, lost: Booleans, tested: Booleans, cut: float
) -> Composition:
    """Mark the differences in area that vanish without the classes that changed the other way.

    Args:
        gained, lost: (d,) labels of more and of less area.
        tested: (d,) those among them whose claim is about area.
        cut: largest p with which a claim stands.

    >>> varying = 0.5 * np.array([1, -1, 0]) * (-1) ** np.arange(20)[:, None]
    >>> pool = Pool(np.array([60.0, 30, 10]) + varying, np.array([200 / 3, 100 / 3, 0]) + varying)
    >>> gained, lost = np.array([True, True, False]), np.array([False, False, True])
    >>> composition(pool, gained, lost, gained, 0.025).marked
    array([ True,  True, False])
    """
    size = len(pool.live)
    change, low, high, p = (np.full(size, np.nan) for _ in range(4))
    marked = np.zeros(size, np.bool_)
    if pool.rows.sum(axis=1).max(initial=0.0) > WHOLE:
        return Composition(change, low, high, p, marked)
    held = np.mean(_side_means(pool), axis=0)
    for claimed, cause in ((gained, lost), (lost, gained)):
        if not cause.any() or held[cause].sum() >= MOST:
            continue
        found = _in_rest(pool, cause)
        beside = 100 - held[cause].sum() - held
        chosen = claimed & tested & np.isfinite(found.change) & (beside >= LEAST)
        for column, values in zip((change, low, high, p), found, strict=True):
            column[chosen] = values[chosen]
        same = (found.change > 0) == gained
        marked |= chosen & ~((found.p <= cut) & same)
    return Composition(change, low, high, p, marked)


class _InRest(NamedTuple):
    """Relative difference of each label's share of the rest, its interval and its p."""

    change: Floats
    low: Floats
    high: Floats
    p: Floats


def _side_means(pool: Pool) -> tuple[Floats, Floats]:
    """(d,) mean areas, percent, of the real and of the generated images."""
    mask = pool.real_mask()
    return pool.side(mask).areas / pool.n, pool.side(1 - mask).areas / pool.m


def _in_rest(pool: Pool, excluded: Booleans) -> _InRest:
    """Of each label's share of the rest, by Student's distribution with Welch's freedom."""
    rest = pool.group_sums(100 - np.asarray(pool.rows @ excluded.astype(np.float64)))
    real = np.arange(len(rest)) < pool.real_groups
    mask = pool.real_mask()
    logs, variances, groups = [], [], []
    for chosen, of_side in ((real, mask), (~real, 1 - mask)):
        side, r = pool.side(of_side), rest[chosen]
        total, whole, k = side.areas, r.sum(), len(r)
        with np.errstate(divide="ignore", invalid="ignore"):
            cross = pool.crossed(np.where(chosen, rest, 0.0))
            squares = side.squares / total**2
            spread = squares - 2 * cross / (total * whole) + (r @ r) / whole**2
            logs.append(np.log(total / whole))
        variances.append(np.maximum(spread, 0.0) * k / max(k - 1, 1))
        groups.append(k)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = variances[0] + variances[1]
        parts = [v**2 / max(k - 1, 1) for v, k in zip(variances, groups, strict=True)]
        theta = logs[1] - logs[0]
        freedom = error**2 / (parts[0] + parts[1])
        p = 2 * stats.t.sf(np.abs(theta) / np.sqrt(error), freedom)
        reach = stats.t.isf((1 - CONFIDENCE) / 2, freedom) * np.sqrt(error)
    still = ~(error > 0)
    p = np.where(still, np.where(np.abs(theta) > 1e-9, 0.0, 1.0), p)
    reach = np.where(still, 0.0, reach)
    return _InRest(np.expm1(theta), np.expm1(theta - reach), np.expm1(theta + reach), p)
