"""Two questions of each class, their tests, and the correction for many classes.

Guarantees: each question has half of the level. Over all classes of all comparisons that are
adjusted together, the false claims about areas are at most half the level of all claims on average,
and so are those about images, under Benjamini and Hochberg's (1995) conditions; so of both together
at most the level. A claim stands exactly where its p is at most ``cut``, and an interval at
confidence 1 − cut therefore never contradicts it.

- *Area*: "the mean area over all images is the same". Welch's t, its p from permuted images, and
  the same with its skewness taken out (``welch.unskewed``); the larger p. That is exact where the
  sides have one distribution, and right for large n where they have only the mean in common
  (Janssen 1997). Of a class that few images make up it is not; so both sides need
  ``EFFECTIVE`` effective images, (Σx)² / Σx² of their areas x. A class that no generated image
  shows is left to the second question.
- *Images*: "the same share of images shows more than a speck", that is an area above the area
  threshold (``Pool.area_threshold``). Fisher's exact test. Groups of images count as if all images
  of a group were one: as n² / Σ sizes² images with the same share, which is cautious.

Where every image has one class (``class_tests(..., one_class=True)``), its area is whether it is
that class: both questions are one, answered by the exact test at the whole level.

Half of the images with twice the area in each is a change of the second kind and none of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from .arrays import Floats
from .presence import presence_p_values
from .products import Side
from .resampling import Permuted
from .welch import area_given, mean_area, p_values, studentised, unskewed

QUESTIONS = 2
"""Tests of each class that the level is shared by."""


def questions(one_class: bool) -> int:
    """Tests of each class that the level is shared by; one where every image has one class."""
    return 1 if one_class else QUESTIONS


EFFECTIVE = 10
"""Effective images that both sides need before the area of a class is tested.

With fewer, classes drawn twice as often at half the size made claims in 5 % of null runs of 30
classes instead of 2.5 % (``docs/validation.md``).
"""

FEW = 5
"""Images that must show a label on each side before its area given presence is tested."""


class Tests(NamedTuple):
    """P-values of each label (d,).

    Attributes:
        area, images: of the two questions; 1 where there is nothing to test.
        presence, given: of any pixel, and of the area in the images that show the label; they
            describe, no claim rests on them. NaN where there is nothing to test.
    """

    area: Floats
    images: Floats
    presence: Floats
    given: Floats


def class_tests(
    first: Side, second: Side, permuted: Permuted | None, *, one_class: bool = False
) -> Tests:
    """Tests of all labels: real images first.

    Args:
        first, second: sums (d,) of the sides.
        permuted: calibrates the tests; without it Student's distribution is taken, which does not
            depend on a seed.
        one_class: every image has one class and nothing else.
    """
    images = presence_p_values(*seen_counts(first), *seen_counts(second))
    few = np.minimum(first.shown, second.shown) < FEW
    grouped = first.groups != first.n or second.groups != second.n
    nothing = np.full(len(few), np.nan)
    given = p_values(studentised(area_given(first), area_given(second)), None)
    return Tests(
        area=images if one_class else _area(first, second, permuted),
        images=images,
        presence=nothing if grouped else _presence(first, second),
        given=nothing if grouped else np.where(few, np.nan, given),
    )


def seen_counts(side: Side) -> tuple[Floats, int]:
    """Images that show each label above the threshold, (d,), and all images: of groups, effective.

    The variance of a share is at most share (1 − share) Σ sizes² / n², as of n² / Σ sizes²
    independent images: where all images of a group are alike (Kish 1965, section 5.4).
    """
    n = max(1, round(int(side.n) ** 2 / int(side.sizes)))
    return np.rint(side.seen / side.n * n), n


def _area(first: Side, second: Side, permuted: Permuted | None) -> Floats:
    means = mean_area(first), mean_area(second)
    drawn = None
    if permuted is not None:
        drawn = mean_area(permuted.first), mean_area(permuted.total.without(permuted.first))
    p = np.maximum(
        *(
            p_values(f(*means), None if drawn is None else f(*drawn))
            for f in (studentised, unskewed)
        )
    )
    return np.where(np.minimum(effective(first), effective(second)) < EFFECTIVE, 1.0, p)


def effective(side: Side) -> Floats:
    """(d,) effective images (or groups) of each label: (Σx)² / Σx² of their areas, 0 for none."""
    return np.asarray(side.areas**2 / np.where(side.squares > 0, side.squares, np.inf))


def _presence(first: Side, second: Side) -> Floats:
    """P-values of equal shares of images with any pixel; NaN where every image shows it."""
    p = presence_p_values(first.shown, int(first.n), second.shown, int(second.n))
    return np.where(first.shown + second.shown == first.n + second.n, np.nan, p)


class Adjusted(NamedTuple):
    """What is left of the tests of a comparison after the correction for many classes.

    Attributes:
        q_area, q_images: (d,) the claim stands where it is at most the level.
        cut_area, cut_images: the largest p with which a claim of that question stands.
    """

    q_area: Floats
    q_images: Floats
    cut_area: float
    cut_images: float


def adjust(tests: Sequence[Tests], level: float, *, one_class: bool = False) -> list[Adjusted]:
    """Correct the tests of one or several comparisons together.

    q is ``questions`` times Benjamini and Hochberg's adjusted p, at most 1. Where R of M labels are
    claimed, these are the ones with p ≤ level · R / (M ``questions``); with R = 0, no p is at most
    level / (M ``questions``). Intervals at that confidence cover, of the labels claimed, all but
    half the level on average (Benjamini and Yekutieli 2005).

    Args:
        tests: of each comparison, over its own labels.
        level: false discovery rate of both questions together.
        one_class: as of ``class_tests``.
    """
    shared = questions(one_class)
    sizes = np.cumsum([len(each.area) for each in tests])[:-1]
    columns, cuts = [], []
    for p in (
        np.concatenate([getattr(each, name) for each in tests]) for name in ("area", "images")
    ):
        q = np.minimum(1.0, shared * stats.false_discovery_control(p)) if len(p) else p
        cuts.append(level / shared * max(1, int((q <= level).sum())) / max(1, len(p)))
        columns.append(np.split(q, sizes))
    return [Adjusted(area, images, *cuts) for area, images in zip(*columns, strict=True)]
