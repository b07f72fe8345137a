"""Per-class comparison: amounts, intervals, tests and verdicts.

Guarantees: a verdict is about the amount (``amounts``), never about presence alone; every interval
agrees with its test. Under "no difference anywhere" the chance of any verdict is at most the level
under Benjamini and Hochberg's conditions; for correlated classes it is measured
(``docs/validation.md``).

The p-value of a label is that of its amount; q is Benjamini & Hochberg's (1995) over all labels
that occur. Verdicts, where q is at or below the level:

- more than in the real images: ``excess``;
- less: ``omitted`` where at least half of the area is gone, or, where the amount follows them and
  their test rejects too, half of the images that show the label above the area threshold; else
  ``reduced``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from seeingkit.results import OMITTED_BELOW, ClassResult, Interval, Verdict

from .amounts import Tests, amount_tests
from .areas import SideAreas, area_change, given_change, side_areas
from .arrays import Ends, Floats, defined
from .frechet import Transport
from .presence import presence_change_interval
from .products import Pool, Side
from .resampling import Permuted

_Verdict = tuple[Verdict, Literal["area", "presence"]]


def compare_classes(
    pool: Pool,
    labels: Sequence[tuple[str, str]],
    *,
    permuted: Permuted | None = None,
    transport: Transport | None = None,
    level: float = 0.05,
    confidence: float = 0.95,
) -> list[ClassResult]:
    """One record per label that occurs on either side, by real area, largest first.

    Args:
        pool: the images of both sides.
        labels: pairs (name, category) of all labels, also of those that do not occur.
        permuted: calibrates the tests; without it Student's distribution and Tippett's rule are
            taken, which do not depend on a seed.
        transport: over ``pool.live``, for the contribution of each label to the distance.
        level: false discovery rate at which verdicts are given.
        confidence: of the intervals.

    >>> pool = Pool(np.array([[70.0, 30.0]] * 9), np.array([[100.0, 0.0]] * 9))
    >>> [found.label for found in compare_classes(pool, [("sky", "object"), ("tree", "object")])]
    ['sky', 'tree']
    """
    mask = pool.real_mask()
    sides = pool.side(mask), pool.side(1 - mask)
    tests = amount_tests(*sides, permuted, confidence)
    q = stats.false_discovery_control(tests.combined) if len(pool.live) else tests.combined
    cubes = pool.cubes(np.column_stack([mask, 1 - mask]))
    real, generated = (side_areas(sides[j], confidence, cubes[:, j]) for j in range(2))
    numbers = _numbers(*sides, real, generated, tests)
    numbers |= {"q_value": q, "speck_area": pool.area_threshold}
    if transport is not None:
        numbers |= {"fsd_mean_term": transport.mean_terms, "fsd_cov_term": transport.cov_terms}
    presence = presence_change_interval(sides[0].shown, pool.n, sides[1].shown, pool.m, confidence)
    changes = area_change(real, generated, tests.area, presence, 1 - confidence)
    p_given = np.nan_to_num(tests.given, nan=1.0)
    intervals: dict[str, Ends] = {
        "real_area_ci": real.area[1:],
        "generated_area_ci": generated.area[1:],
        "real_presence_ci": real.presence[1:],
        "generated_presence_ci": generated.presence[1:],
        "presence_ci": presence,
        "given_ci": given_change(real, generated, p_given, 1 - confidence),
    }
    cut = level * max(1, int((q <= level).sum())) / max(1, len(pool.live))
    records = []
    for k, index in enumerate(pool.live.tolist()):
        judged = _verdict(numbers, tests, k, cut) if q[k] <= level else ("no evidence", None)
        ends = _interval(changes, k) or (None, None)
        records.append(
            ClassResult(
                label=labels[index][0],
                category=labels[index][1],
                index=index,
                ci_low=ends[0],
                ci_high=ends[1],
                omitted=judged[0] == "omitted",
                verdict=judged[0],
                because=judged[1],
                **{name: defined(column[k]) for name, column in numbers.items()},
                **{name: _interval(each, k) for name, each in intervals.items()},
            )
        )
    return sorted(records, key=lambda r: (-r.real_area, -r.generated_area, r.index))


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
        "p_value": tests.combined,
        "p_presence": tests.presence,
        "p_given": tests.given,
        "p_area": tests.area,
        "p_seen": tests.seen,
    }


def _verdict(numbers: dict[str, Floats], tests: Tests, k: int, cut: float) -> _Verdict:
    """Of a label whose amount differs; ``cut`` is the largest p that was rejected."""
    change, presence_change = numbers["relative_difference"][k], numbers["presence_change"][k]
    seen_change = _change(numbers["real_seen"], numbers["generated_seen"])[k]
    # Where any pixel counts, a class that is in every image has no presence to speak of.
    shown = tests.by_presence[k] and tests.presence[k] <= cut
    agrees = presence_change * seen_change > 0
    because: Literal["area", "presence"] = "presence" if shown and agrees else "area"
    if np.isnan(change) or change > 0:
        return "excess", because
    if change <= OMITTED_BELOW:
        return "omitted", because
    seen = tests.seen_counts[k] and tests.seen[k] <= cut
    if seen and seen_change <= OMITTED_BELOW:
        return "omitted", "presence"
    return "reduced", because


def _change(real: Floats, generated: Floats) -> Floats:
    """Relative change; NaN where there is nothing real."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(real > 0, generated / real - 1, np.nan)


def _interval(ends: Ends, k: int) -> Interval | None:
    low, high = float(ends[0][k]), float(ends[1][k])
    return (max(-1.0, low), high) if np.isfinite(low) and np.isfinite(high) else None
