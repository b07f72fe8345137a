"""Which of many generators has surely more of a class than another: all classes, all pairs.

Guarantees: every number is a function of counts and sums alone (no draws); claims about a class are
a strict order; of the classes of which a question claims anything, the share with any false claim
is at most half the level on average, so of both questions together at most the level.

- *Area*: the null is "both have the same mean area": Welch's t of the pair, and the same with its
  skewness taken out (``welch.unskewed``); the larger p. Both generators need ``EFFECTIVE``
  effective images of the class. Of equal sizes and one distribution t is symmetric and, being
  self-normalised, no heavier in its tails than exp(−t²/2) (Efron 1969), so that small p are right
  without draws.
- *Images*: the null is "the same share of images shows it above the area threshold": Fisher's
  exact test (mid-p).
- *Pairs and classes*: of m classes those with a claim are found by Benjamini and Hochberg's (1995)
  step at half the level from p of "all are equal": the smallest p of the class times its pairs. If
  R are found, the pairs within each are tested by Holm (1979) at level / 2 · R / m (Benjamini &
  Bogomolov 2014, theorem 1), so that selection is paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse, special, stats

from .arrays import Booleans, Floats, Integers
from .claims import EFFECTIVE, QUESTIONS
from .labelsums import area_threshold
from .letters import closure
from .presence import presence_interval, presence_p_values
from .products import Side
from .welch import Mean, mean_area, p_values, studentised, unskewed

WORTH_A_TEST = 0.05
"""P of the plain normal test above which Fisher's is not computed: nothing could be claimed."""


class ClassTable(NamedTuple):
    """Sums of several sets of images over the same labels.

    Attributes:
        labels: (d,) the labels that occur.
        thresholds: (d,) area threshold of each, percent, over all images (``Pool``).
        sides: sums (d,) of each set.
    """

    labels: Integers
    thresholds: Floats
    sides: list[Side]


def class_table(rows: Sequence[sparse.csr_array]) -> ClassTable:
    """Sums of every set; the labels are those that occur in any.

    Args:
        rows: (N, L) areas in percent of each set.

    >>> table = class_table([sparse.csr_array(np.array([[0.0, 4.0], [0.0, 6.0]]))])
    >>> table.labels, table.sides[0].areas
    (array([1]), array([10.]))
    """
    columns = [sparse.csc_array(each) for each in rows]
    shown = sum(np.diff(each.indptr) for each in columns)
    labels = np.flatnonzero(shown)
    thresholds = np.array(
        [
            area_threshold(np.concatenate([_column(each, k) for each in columns]))
            for k in labels.tolist()
        ]
    )
    return ClassTable(labels, thresholds, [_side(each, labels, thresholds) for each in columns])


def _column(rows: sparse.csc_array, label: int) -> Floats:
    return np.asarray(rows.data[rows.indptr[label] : rows.indptr[label + 1]])


def _side(rows: sparse.csc_array, labels: Integers, thresholds: Floats) -> Side:
    n = rows.shape[0]
    areas, squares, cubes, shown, seen = np.zeros((5, len(labels)))
    for k, label in enumerate(labels.tolist()):
        found = _column(rows, label)
        areas[k], squares[k], cubes[k] = found.sum(), (found**2).sum(), (found**3).sum()
        shown[k], seen[k] = (found > 0).sum(), (found > thresholds[k]).sum()
    return Side(n, n, n, areas, shown, squares, areas, cubes, seen)


class ClassClaims(NamedTuple):
    """One question about each label, over k generators.

    Attributes:
        values: (k, d) mean areas in percent, or shares of images in [0, 1].
        low, high: (k, d) their 95 % intervals, each of one generator alone.
        p_equal, q_equal: (d,) of "all have equally much"; q: over the labels.
        more: (d, k, k) whether the generator of the row has surely more than the column's.
    """

    values: Floats
    low: Floats
    high: Floats
    p_equal: Floats
    q_equal: Floats
    more: Booleans


def class_claims(sides: Sequence[Side], *, level: float = 0.05) -> tuple[ClassClaims, ClassClaims]:
    """Both questions, areas and shares of images, about all labels of several generators.

    Args:
        sides: sums (d,) of each generator; at least two.
        level: of both questions together.

    >>> few, many = (sparse.csr_array(np.linspace(0, x, 80)[:, None]) for x in (1, 9))
    >>> areas, images = class_claims(class_table([few, many]).sides)
    >>> areas.more[0].astype(int).tolist()
    [[0, 0], [1, 0]]
    """
    first, second = np.triu_indices(len(sides), 1)
    means = Mean(*map(np.stack, zip(*map(mean_area, sides), strict=True)))
    areas = _adjusted(means.value, _area_p(sides, means, first, second), first, second, level)
    reach = special.ndtri(0.975) * np.sqrt(means.variance)
    seen = np.stack([side.seen / side.n for side in sides])
    ends = [presence_interval(side.seen, int(side.n)) for side in sides]
    images = _adjusted(seen, _images_p(sides, first, second), first, second, level)
    return (
        ClassClaims(means.value, np.maximum(means.value - reach, 0.0), means.value + reach, *areas),
        ClassClaims(seen, np.stack([e[0] for e in ends]), np.stack([e[1] for e in ends]), *images),
    )


def _area_p(sides: Sequence[Side], means: Mean, first: Integers, second: Integers) -> Floats:
    a, b = (Mean(*(field[chosen] for field in means)) for chosen in (first, second))
    p = np.maximum(*(p_values(f(a, b), None, least=0.0) for f in (studentised, unskewed)))
    effective = np.stack(
        [side.areas**2 / np.where(side.squares > 0, side.squares, np.inf) for side in sides]
    )
    few = np.minimum(effective[first], effective[second]) < EFFECTIVE
    return np.where(few, 1.0, p)


def _images_p(sides: Sequence[Side], first: Integers, second: Integers) -> Floats:
    seen = np.stack([side.seen for side in sides])
    n = np.array([int(side.n) for side in sides])
    x, y, sizes = seen[first], seen[second], (n[first], n[second])
    p = _plain(x, y, *sizes)
    for a, b in set(zip(*(s.tolist() for s in sizes), strict=True)):
        worth = (p <= WORTH_A_TEST) & ((sizes[0] == a) & (sizes[1] == b))[:, None]
        p[worth] = presence_p_values(x[worth], a, y[worth], b)
    return p


def _plain(x: Floats, y: Floats, n: Integers, m: Integers) -> Floats:
    """(pairs, d) p of the normal test of two shares, pooled variance; 1 where there is none."""
    n, m = n[:, None], m[:, None]
    share = (x + y) / (n + m)
    error = np.sqrt(share * (1 - share) * (1 / n + 1 / m))
    z = np.abs(x / n - y / m) / np.where(error > 0, error, np.inf)
    return np.asarray(2 * stats.norm.sf(z))


def _adjusted(
    values: Floats, p: Floats, first: Integers, second: Integers, level: float
) -> tuple[Floats, Floats, Booleans]:
    """p and q of "all are equal", and the claims (d, k, k); p (pairs, d)."""
    k, d = values.shape
    p_equal = np.minimum(1.0, p.min(axis=0) * len(first)) if len(first) else np.ones(d)
    q_equal = np.asarray(stats.false_discovery_control(p_equal)) if d else p_equal
    q = level / QUESTIONS
    selected = np.flatnonzero(q_equal <= q)
    within = q * len(selected) / max(1, d)
    more = np.zeros((d, k, k), dtype=bool)
    for label in selected:
        claimed = holm(p[:, label], within)
        less = values[first, label] < values[second, label]
        a, b = first[claimed], second[claimed]
        more[label, np.where(less[claimed], b, a), np.where(less[claimed], a, b)] = True
        more[label] = closure(more[label])
    return p_equal, q_equal, more


def holm(p: Floats, level: float) -> Booleans:
    """(c,) which of c tests reject, with a family-wise error of ``level`` (Holm 1979).

    >>> holm(np.array([0.04, 0.01, 0.03]), 0.05)
    array([False,  True, False])
    """
    order = np.argsort(p, kind="stable")
    holds = np.logical_and.accumulate(p[order] <= level / np.arange(len(p), 0, -1))
    found = np.zeros(len(p), dtype=bool)
    found[order] = holds
    return found
