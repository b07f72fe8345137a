"""Per-class comparison: which labels are missing, by how much, and how sure is that.

Guarantees: a verdict is about the amount (``amounts``), never about presence alone; every interval
agrees with its test. Under "no difference anywhere" the chance of any verdict is at most the level
under Benjamini and Hochberg's conditions; for correlated classes it is measured
(``docs/validation.md``).

The p-value of a label is that of its amount; q is Benjamini & Hochberg's (1995) over all labels
that occur. Verdicts, where q is at or below the level:

- more than in the real images: ``excess``;
- less: ``omitted`` where at least half of the area is gone, or, where the amount follows them and
  their test rejects too, half of the images that show more than a speck; else ``reduced``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from seeingkit.results import OMITTED_BELOW, ClassResult, Verdict
from seeingkit.results.evidence import Interval

from .amounts import Tests, amount_tests
from .areas import SideAreas, area_change, given_change, side_areas
from .frechet import Transport
from .presence import presence_change_interval
from .products import Pool
from .resampling import Relabelled
from .welch import Values


def compare_classes(
    pool: Pool,
    labels: Sequence[tuple[str, str]],
    *,
    relabelled: Relabelled | None = None,
    transport: Transport | None = None,
    level: float = 0.05,
    confidence: float = 0.95,
) -> list[ClassResult]:
    """One record per label that occurs on either side, by real area, largest first.

    Args:
        pool: the images of both sides.
        labels: pairs (name, category) of all labels, also of those that do not occur.
        relabelled: calibrates the tests; without it Student's distribution and Tippett's rule are
            taken, which do not depend on a seed.
        transport: over ``pool.live``, for what each label adds to the distance.
        level: false discovery rate at which verdicts are given.
        confidence: of the intervals.

    >>> pool = Pool(np.array([[70.0, 30.0]] * 9), np.array([[100.0, 0.0]] * 9))
    >>> [found.label for found in compare_classes(pool, [("sky", "object"), ("tree", "object")])]
    ['sky', 'tree']
    """
    mask = pool.real_mask()
    first, second = pool.side(mask), pool.side(1 - mask)
    cubes = pool.cubes(np.column_stack([mask, 1 - mask]))
    real = side_areas(first, confidence, cubes[:, 0])
    generated = side_areas(second, confidence, cubes[:, 1])
    alpha = 1 - confidence
    tests = amount_tests(first, second, relabelled, confidence)
    q = stats.false_discovery_control(tests.combined) if len(pool.live) else tests.combined
    cut = level * max(1, int((q <= level).sum())) / max(1, len(pool.live))
    presence = presence_change_interval(
        real.shown, real.n, generated.shown, generated.n, confidence
    )
    area = area_change(real, generated, tests.area, presence, alpha)
    of_given = given_change(real, generated, np.nan_to_num(tests.given, nan=1.0), alpha)
    records = []
    for k, label in enumerate(int(number) for number in pool.live):
        change = _change(real.area[k], generated.area[k])
        presence_change = _change(real.shown[k] / real.n, generated.shown[k] / generated.n)
        both = min(real.shown[k], generated.shown[k]) > 0
        in_given = _change(real.given[k], generated.given[k]) if both else None
        verdict: Verdict = "no evidence"
        because: Literal["area", "presence"] | None = None
        if q[k] <= level:
            verdict, because = _verdict(
                change,
                presence_change,
                _change(first.seen[k] / real.n, second.seen[k] / generated.n),
                *(tests, k, cut),
            )
        interval = _interval(area, k)
        records.append(
            ClassResult(
                label=labels[label][0],
                category=labels[label][1],
                index=label,
                real_area=float(real.area[k]),
                generated_area=float(generated.area[k]),
                relative_difference=change,
                ci_low=interval[0] if interval else None,
                ci_high=interval[1] if interval else None,
                real_presence=float(real.shown[k] / real.n),
                generated_presence=float(generated.shown[k] / generated.n),
                p_value=float(tests.combined[k]),
                q_value=float(q[k]),
                omitted=verdict == "omitted",
                verdict=verdict,
                because=because,
                **_side("real", real, k),
                **_side("generated", generated, k),
                presence_change=presence_change,
                presence_ci=_interval(presence, k),
                given_change=in_given,
                given_ci=_interval(of_given, k) if both else None,
                p_presence=_number(tests.presence[k]),
                p_given=_number(tests.given[k]),
                p_area=_number(tests.area[k]),
                speck_area=float(pool.specks[k]),
                real_seen=float(first.seen[k] / real.n),
                generated_seen=float(second.seen[k] / generated.n),
                p_seen=_number(tests.seen[k]),
                fsd_mean_term=float(transport.mean_terms[k]) if transport else None,
                fsd_cov_term=float(transport.cov_terms[k]) if transport else None,
            )
        )
    return sorted(records, key=lambda r: (-r.real_area, -r.generated_area, r.index))


def _verdict(
    change: float | None,
    presence_change: float | None,
    seen_change: float | None,
    tests: Tests,
    k: int,
    cut: float,
) -> tuple[Verdict, Literal["area", "presence"]]:
    """Of a label whose amount differs; ``cut`` is the largest p that was rejected."""
    # Where any pixel counts, a class that is in every image has no presence to speak of.
    shown = tests.by_presence[k] and tests.presence[k] <= cut
    agrees = (presence_change or 0.0) * (seen_change or 0.0) > 0
    because: Literal["area", "presence"] = "presence" if shown and agrees else "area"
    if change is None or change > 0:
        return "excess", because
    if change <= OMITTED_BELOW:
        return "omitted", because
    seen = tests.seen_counts[k] and tests.seen[k] <= cut
    if seen and seen_change is not None and seen_change <= OMITTED_BELOW:
        return "omitted", "presence"
    return "reduced", because


def _change(real: float, generated: float) -> float | None:
    return float(generated / real - 1) if real > 0 else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(ends: tuple[Values, Values], k: int) -> Interval | None:
    low, high = float(ends[0][k]), float(ends[1][k])
    return (max(-1.0, low), high) if np.isfinite(low) and np.isfinite(high) else None


def _side(name: str, side: SideAreas, k: int) -> dict[str, float | Interval | None]:
    """The fields of one side."""
    area = (side.area_low[k], side.area_high[k])
    return {
        f"{name}_area_ci": (float(area[0]), float(area[1])) if np.isfinite(area).all() else None,
        f"{name}_presence_ci": (float(side.presence_low[k]), float(side.presence_high[k])),
        f"{name}_area_if_present": _number(side.given[k]),
    }
