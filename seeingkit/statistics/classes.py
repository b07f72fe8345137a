"""Per-class comparison: numbers, intervals, claims and verdicts.

Guarantees: a claim answers one of two questions (``claims``), about the mean area or about the
share of images that show more than a speck, and is worded so; it stands exactly where its interval
(``ci_low``, ``ci_high`` or ``images_ci``) leaves out 0; a difference in area that is only a matter
of the other classes is marked (``composition``).

The verdict of a class sums up its two claims:

- ``omitted``: less area, at least half of it gone, or half of the images too; or in fewer images,
  at least half of them and half of the area gone;
- ``reduced``: less area otherwise; ``in fewer images``: nothing but that;
- ``excess``: more area; or in more images, at least twice as many and twice the area, or no real
  one; ``in more images``: nothing but that.

Where the two contradict each other, as for many small objects instead of few large ones, the
verdict is that of the area.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from seeingkit.results import OMITTED_BELOW, AreaClaim, ClassResult, ImagesClaim, Interval, Verdict

from .areas import SideAreas, area_change, given_change, grouped_change, side_areas
from .arrays import Ends, Floats, defined
from .claims import Adjusted, Tests, adjust, class_tests, questions, seen_counts
from .composition import Composition, composition
from .frechet import Transport
from .presence import presence_change_interval
from .products import Pool, Side
from .resampling import Permuted
from .welch import mean_area

DOUBLED = 1.0
"""Relative change from which on more images and more area are called an excess."""

SummedUp = tuple[Verdict, Literal["area", "presence"] | None]


def compare_classes(
    pool: Pool,
    labels: Sequence[tuple[str, str]],
    *,
    permuted: Permuted | None = None,
    transport: Transport | None = None,
    level: float = 0.05,
    confidence: float = 0.95,
    tests: Tests | None = None,
    adjusted: Adjusted | None = None,
    one_class: bool = False,
) -> list[ClassResult]:
    """One record per label that occurs on either side, by real area, largest first.

    Args:
        pool: the images of both sides.
        labels: pairs (name, category) of all labels, also of those that do not occur.
        permuted: calibrates the tests; without it Student's distribution is taken, which does not
            depend on a seed.
        transport: over ``pool.live``, for the contribution of each label to the distance.
        level: false discovery rate at which claims are made.
        confidence: of the intervals that no claim rests on.
        tests: of this pool, where they were made before (``class_tests``).
        one_class: every image has one class, whose area and images are the same question.
        adjusted: their correction together with other comparisons (``adjust``).

    >>> pool = Pool(np.array([[70.0, 30.0]] * 9), np.array([[100.0, 0.0]] * 9))
    >>> [found.label for found in compare_classes(pool, [("sky", "object"), ("tree", "object")])]
    ['sky', 'tree']
    """
    mask = pool.real_mask()
    sides = pool.side(mask), pool.side(1 - mask)
    tests = tests or class_tests(*sides, permuted, one_class=one_class)
    adjusted = adjusted or adjust([tests], level, one_class=one_class)[0]
    real, generated = (side_areas(side, confidence) for side in sides)
    numbers = _numbers(*sides, real, generated, tests)
    numbers |= _corrected(tests, adjusted, one_class) | {"speck_area": pool.area_threshold}
    if transport is not None:
        numbers |= {"fsd_mean_term": transport.mean_terms, "fsd_cov_term": transport.cov_terms}
    changes, images = _claim_intervals(pool, sides, tests, adjusted)
    changes = images if one_class else changes
    intervals: dict[str, Ends] = {"images_ci": images}
    if not pool.grouped:
        intervals |= _describing(pool, sides, real, generated, tests, confidence)
    claims = [_claims(numbers, k, level) for k in range(len(pool.live))]
    changes_of = zip(numbers["relative_difference"], numbers["images_change"], strict=True)
    verdicts = [sum_up(*two, *map(float, by)) for two, by in zip(claims, changes_of, strict=True)]
    marked = np.zeros(len(pool.live), bool)
    if not one_class:  # the rest of an image of one class is nothing
        rest = _composition(pool, numbers, verdicts, level, adjusted.cut_area)
        numbers |= {"rest_change": rest.change, "p_rest": rest.p}
        intervals["rest_ci"] = rest.low, rest.high
        marked = rest.marked
    records = []
    for k, index in enumerate(pool.live.tolist()):
        ends = _interval(changes, k) or (None, None)
        verdict, because = verdicts[k]
        records.append(
            ClassResult(
                label=labels[index][0],
                category=labels[index][1],
                index=index,
                ci_low=ends[0],
                ci_high=ends[1],
                ci_confidence=1 - adjusted.cut_area,
                images_confidence=1 - adjusted.cut_images,
                omitted=verdict == "omitted",
                verdict=verdict,
                because=because,
                area_claim=claims[k][0],
                images_claim=claims[k][1],
                composition=bool(marked[k]),
                one_class=one_class,
                **{name: defined(column[k]) for name, column in numbers.items()},
                **{name: _interval(each, k) for name, each in intervals.items()},
            )
        )
    return sorted(records, key=lambda r: (-r.real_area, -r.generated_area, r.index))


def _corrected(tests: Tests, adjusted: Adjusted, one_class: bool) -> dict[str, Floats]:
    """p and q of each class, after the correction for its questions and for many classes."""
    return {
        "p_value": np.minimum(1.0, questions(one_class) * np.minimum(tests.area, tests.images)),
        "q_area": adjusted.q_area,
        "q_images": adjusted.q_images,
        "q_value": np.minimum(adjusted.q_area, adjusted.q_images),
    }


def _numbers(
    first: Side, second: Side, real: SideAreas, generated: SideAreas, tests: Tests
) -> dict[str, Floats]:
    """Columns (d,) by the name of their field; NaN where it is None."""
    seen = first.seen / first.n, second.seen / second.n
    return {
        "real_area": real.area.value,
        "generated_area": generated.area.value,
        "relative_difference": _change(real.area.value, generated.area.value),
        "real_presence": real.presence.value,
        "generated_presence": generated.presence.value,
        "presence_change": _change(real.presence.value, generated.presence.value),
        "real_area_if_present": real.given.value,
        "generated_area_if_present": generated.given.value,
        "given_change": _change(real.given.value, generated.given.value),
        "real_seen": seen[0],
        "generated_seen": seen[1],
        "images_change": _change(*seen),
        "p_presence": tests.presence,
        "p_given": tests.given,
        "p_area": tests.area,
        "p_seen": tests.images,
    }


def _describing(
    pool: Pool,
    sides: tuple[Side, Side],
    real: SideAreas,
    generated: SideAreas,
    tests: Tests,
    confidence: float,
) -> dict[str, Ends]:
    """The intervals that no claim rests on, by the name of their field."""
    shown = sides[0].shown, pool.n, sides[1].shown, pool.m
    p_given = np.nan_to_num(tests.given, nan=1.0)
    return {
        "real_area_ci": real.area[1:],
        "generated_area_ci": generated.area[1:],
        "real_presence_ci": real.presence[1:],
        "generated_presence_ci": generated.presence[1:],
        "presence_ci": presence_change_interval(*shown, confidence),
        "given_ci": given_change(real, generated, p_given, 1 - confidence),
    }


def _claim_intervals(
    pool: Pool,
    sides: tuple[Side, Side],
    tests: Tests,
    adjusted: Adjusted,
) -> tuple[Ends, Ends]:
    """Intervals of the relative change in area and in images, each of its claim's confidence."""
    cuts = adjusted.cut_area, adjusted.cut_images
    first, second = sides
    images = presence_change_interval(*seen_counts(first), *seen_counts(second), 1 - cuts[1])
    if pool.grouped:
        return grouped_change(mean_area(first), mean_area(second), tests.area, cuts[0]), images
    shown = first.shown, pool.n, second.shown, pool.m
    presence = presence_change_interval(*shown, 1 - cuts[0])
    real, generated = (side_areas(side, 1 - cuts[0]) for side in sides)
    return area_change(real, generated, tests.area, presence, cuts[0]), images


def _claims(numbers: dict[str, Floats], k: int, level: float) -> tuple[AreaClaim, ImagesClaim]:
    """The claims about label k."""
    return (
        area_claim(numbers["relative_difference"][k], numbers["q_area"][k] <= level),
        images_claim(numbers["images_change"][k], numbers["q_images"][k] <= level),
    )


def area_claim(change: float, claimed: bool) -> AreaClaim:
    """The words for a change in area; NaN, where there is nothing real, is more.

    >>> area_claim(-0.2, True), area_claim(-0.2, False)
    ('less area', 'no evidence')
    """
    if not claimed or change == 0:
        return "no evidence"
    return "less area" if change < 0 else "more area"


def images_claim(change: float, claimed: bool) -> ImagesClaim:
    """The words for a change in the number of images, as ``area_claim``.

    >>> images_claim(0.2, True)
    'in more images'
    """
    if not claimed or change == 0:
        return "no evidence"
    return "in fewer images" if change < 0 else "in more images"


def sum_up(area: AreaClaim, images: ImagesClaim, change: float, seen: float) -> SummedUp:
    """The two claims of a class as one verdict (see the module), and which of them it rests on.

    Args:
        change, seen: relative difference of area and of images; NaN where there is nothing real.

    >>> sum_up("less area", "no evidence", -0.8, -0.1)
    ('omitted', 'area')
    >>> sum_up("no evidence", "in fewer images", 0.0, -0.5)
    ('in fewer images', 'presence')
    """
    if area == "less area":
        halved = change <= OMITTED_BELOW
        fewer = images == "in fewer images" and seen <= OMITTED_BELOW
        if halved or fewer:
            return "omitted", "area" if halved else "presence"
        return "reduced", "area"
    if area == "more area":
        return "excess", "area"
    if images == "in fewer images":
        halved = change <= OMITTED_BELOW and seen <= OMITTED_BELOW
        return ("omitted" if halved else "in fewer images"), "presence"
    if images == "in more images":
        # Of a class that no real image shows there is no relative change.
        doubled = not (change < DOUBLED or seen < DOUBLED)
        return ("excess" if doubled else "in more images"), "presence"
    return "no evidence", None


def _composition(
    pool: Pool,
    numbers: dict[str, Floats],
    verdicts: Sequence[SummedUp],
    level: float,
    cut: float,
) -> Composition:
    names = np.array([verdict for verdict, _ in verdicts], dtype=object)
    lost = np.isin(names, ("omitted", "reduced"))
    return composition(pool, names == "excess", lost, numbers["q_area"] <= level, cut)


def _change(real: Floats, generated: Floats) -> Floats:
    """Relative change; NaN where there is nothing real."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(real > 0, generated / real - 1, np.nan)


def _interval(ends: Ends, k: int) -> Interval | None:
    low, high = float(ends[0][k]), float(ends[1][k])
    return (max(-1.0, low), high) if np.isfinite(low) and np.isfinite(high) else None
