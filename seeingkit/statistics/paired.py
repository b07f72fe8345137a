"""Paired comparison of classes: two questions of each class, counts, intervals.

Guarantees: every p is exact given the sizes of the differences, or rests on random flips and is
then at least 1/(N + 1); each question has half of the level; an interval of a difference leaves out
0 exactly where the area has a claim. All numbers are functions of the pairs' areas and a seed.

Image k of one side belongs to image k of the other: a photo and its reconstruction, an image before
and after an edit. The null is *exchangeability within pairs*: swapping the two images of any pair
changes nothing. The questions of a class:

- *area*: "the mean difference of its areas is 0", by sign flips (``signflips``). Exact where the
  differences are symmetric about 0; for skewed ones with mean 0 right for many pairs alone
  (``docs/paired.md`` has the rates that were measured).
- *images*: "as many pairs show it on the first side only as on the second side only", where shown
  means above the area threshold (``Pool.area_threshold``, which is the same whichever image of a
  pair is on which side). McNemar's (1947) test by exact binomial probabilities.

With Benjamini and Hochberg (1995) over the classes that can be claimed at all: where k pairs
differ, p is at least 2^(1−k), so a class of few such pairs is no test at this level and costs the
others nothing (Tarone 1990; Gilbert 2005). How many pairs differ is the same under every flip.

The counts are for people: a class has *vanished* from an image that shows it above the threshold if
its partner has at most half of the area, and *appeared* the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse, stats

from seeingkit.results.paired import (
    VANISHED,
    PairedClass,
)

from .arrays import Booleans, Floats, Integers, defined
from .claims import QUESTIONS
from .classes import area_claim, images_claim
from .frechet import Rows
from .products import Pool
from .signflips import FlipTest, flips_needed, sign_flip_tests


class Paired(NamedTuple):
    """The classes of a paired comparison.

    Attributes:
        classes: in the order of the labels that occur.
        tested_area, tested_images: how many of them could be claimed.
        cut_area, cut_images: the largest p with which a claim of that question stands.
        flips: random flips where they were not enumerated.
    """

    classes: list[PairedClass]
    tested_area: int
    tested_images: int
    cut_area: float
    cut_images: float
    flips: int


class Counts(NamedTuple):
    """(d,) pairs of each label: shown above the area threshold on one side only, and changes."""

    only_first: Integers
    only_second: Integers
    shown_first: Integers
    vanished: Integers
    shown_second: Integers
    appeared: Integers


def compare_paired(
    real: Rows | sparse.csr_array,
    generated: Rows | sparse.csr_array,
    labels: Sequence[tuple[str, str]],
    *,
    seed: int = 0,
    level: float = 0.05,
) -> Paired:
    """Both questions of every label that occurs.

    Args:
        real, generated: (n, L) areas in percent, row k of one belonging to row k of the other.
        labels: (name, category) of all L labels.
        seed: of random flips.
        level: false discovery rate of both questions together.

    >>> before = np.array([[70.0, 30.0]] * 9)
    >>> after = np.array([[100.0, 0.0]] * 9)
    >>> found = compare_paired(before, after, [("sky", "object"), ("tree", "object")])
    >>> [record.area_claim for record in found.classes]
    ['more area', 'less area']
    """
    pool = Pool(real, generated)
    dense = pool.rows.toarray()
    first, second = dense[: pool.n], dense[pool.n :]
    flips = flips_needed(len(pool.live), level, QUESTIONS)
    most = level / QUESTIONS
    tests = list(sign_flip_tests(first, second, seed=seed, flips=flips, most_cut=most))
    counts = count_pairs(first, second, pool.area_threshold)
    differing = (first != second).sum(axis=0)
    one_sided = counts.only_first + counts.only_second
    p_area = np.array([test.p for test in tests])
    p_images = sign_test(counts.only_first, counts.only_second)
    q_area, cut_area, testable_area = adjusted(p_area, differing, level)
    q_images, cut_images, testable_images = adjusted(p_images, one_sided, level)
    p_vanished = sign_test(counts.vanished, counts.appeared)
    classes = []
    for k, index in enumerate(pool.live.tolist()):
        images = float(counts.only_second[k] - counts.only_first[k])
        classes.append(
            PairedClass(
                label=labels[index][0],
                category=labels[index][1],
                index=index,
                differing=int(differing[k]),
                tested_area=bool(testable_area[k]),
                tested_images=bool(testable_images[k]),
                **_difference(tests[k], cut_area),
                p_area=tests[k].p,
                q_area=float(q_area[k]),
                exact_area=tests[k].exact,
                area_claim=area_claim(tests[k].mean, q_area[k] <= level),
                only_real=int(counts.only_first[k]),
                only_generated=int(counts.only_second[k]),
                p_images=float(p_images[k]),
                q_images=float(q_images[k]),
                images_claim=images_claim(images, q_images[k] <= level),
                shown=int(counts.shown_first[k]),
                vanished=int(counts.vanished[k]),
                shown_generated=int(counts.shown_second[k]),
                appeared=int(counts.appeared[k]),
                p_vanished=float(p_vanished[k]),
            )
        )
    drawn = flips if any(not test.exact for test in tests) else 0
    tested = int(testable_area.sum()), int(testable_images.sum())
    return Paired(classes, *tested, cut_area, cut_images, drawn)


def count_pairs(first: Floats, second: Floats, threshold: Floats) -> Counts:
    """The counts of each label, from (n, d) areas and (d,) area thresholds."""
    before, after = first > threshold, second > threshold

    def pairs(mask: Booleans) -> Integers:
        return np.asarray(mask.sum(axis=0), dtype=np.intp)

    return Counts(
        pairs(before & ~after),
        pairs(after & ~before),
        pairs(before),
        pairs(before & (second <= VANISHED * first)),
        pairs(after),
        pairs(after & (first <= VANISHED * second)),
    )


def sign_test(down: Integers, up: Integers) -> Floats:
    """Exact two-sided p of "as many go down as up", (C,) counts; 1 where none does.

    Twice the smaller tail of Binomial(down + up, 1/2), at most 1 (McNemar 1947 for presences).

    >>> sign_test(np.array([7, 0, 2]), np.array([0, 0, 2])).tolist()
    [0.015625, 1.0, 1.0]
    """
    p = 2 * stats.binom.cdf(np.minimum(down, up), down + up, 0.5)
    return np.asarray(np.minimum(1.0, p))


def adjusted(p: Floats, pairs: Integers, level: float) -> tuple[Floats, float, Booleans]:
    """q of each class, the largest p that is claimed, and the classes tested.

    Args:
        p: (d,) of one question.
        pairs: (d,) pairs that p rests on; classes whose p could not reach level / ``QUESTIONS``
            with so many are left out of the correction, with q = 1.
        level: of all questions.

    Returns:
        q: ``QUESTIONS`` times the adjusted p, at most 1; the claim stands where it is at most the
        level, that is where p is at most the second value.

    >>> adjusted(np.array([0.001, 0.5]), np.array([11, 2]), 0.05)
    (array([0.002, 1.   ]), 0.025, array([ True, False]))
    """
    testable = 2.0 ** (1.0 - pairs) <= level / QUESTIONS
    tested = int(testable.sum())
    q = np.ones(len(p))
    if tested:
        q[testable] = np.minimum(1.0, QUESTIONS * stats.false_discovery_control(p[testable]))
    claimed = int((q <= level).sum())
    return q, level / QUESTIONS * max(1, claimed) / max(1, tested), testable


def _difference(test: FlipTest, cut: float) -> dict[str, float | None]:
    """The differences of a class with their intervals; None where there is none."""
    low, high = test.mean_interval(cut)
    ratio_low, ratio_high = test.ratio_interval(cut)
    return {
        "mean_difference": test.mean,
        "difference_low": defined(low),
        "difference_high": defined(high),
        "relative_difference": defined(test.ratio - 1),
        "relative_low": defined(ratio_low - 1),
        "relative_high": defined(ratio_high - 1),
    }
