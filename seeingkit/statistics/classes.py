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
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from seeingkit.results import OMITTED_BELOW, ClassResult, Interval, Verdict

from .amounts import Tests, amount_tests
from .areas import SideAreas, area_change, given_change, side_areas
from .arrays import Floats
from .frechet import Transport
from .presence import presence_change_interval
from .products import Pool, Side
from .resampling import Permuted

Ends = tuple[Floats, Floats]
"""Lower and upper ends of intervals, (d,) each."""

_Verdict = tuple[Verdict, Literal["area", "presence"]]


class _Estimates(NamedTuple):
    """Sums, areas, tests and intervals of the labels that occur; arrays are (d,).

    Attributes:
        pool: the images; transport: over the labels, if the distance was measured.
        first, second: sums of the real and of the generated side; real, generated: their areas.
        q: Benjamini & Hochberg's q of ``tests.combined``.
        area, presence, given: intervals of the relative changes.
    """

    pool: Pool
    transport: Transport | None
    first: Side
    second: Side
    real: SideAreas
    generated: SideAreas
    tests: Tests
    q: Floats
    area: Ends
    presence: Ends
    given: Ends


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
    found = _estimates(pool, permuted, transport, confidence)
    cut = level * max(1, int((found.q <= level).sum())) / max(1, len(pool.live))
    records = [
        _record(found, k, labels[index], _verdict(found, k, cut) if found.q[k] <= level else None)
        for k, index in enumerate(pool.live.tolist())
    ]
    return sorted(records, key=lambda r: (-r.real_area, -r.generated_area, r.index))


def _estimates(
    pool: Pool, permuted: Permuted | None, transport: Transport | None, confidence: float
) -> _Estimates:
    mask = pool.real_mask()
    first, second = pool.side(mask), pool.side(1 - mask)
    cubes = pool.cubes(np.column_stack([mask, 1 - mask]))
    real = side_areas(first, confidence, cubes[:, 0])
    generated = side_areas(second, confidence, cubes[:, 1])
    alpha = 1 - confidence
    tests = amount_tests(first, second, permuted, confidence)
    presence = presence_change_interval(first.shown, pool.n, second.shown, pool.m, confidence)
    return _Estimates(
        pool=pool,
        transport=transport,
        first=first,
        second=second,
        real=real,
        generated=generated,
        tests=tests,
        q=stats.false_discovery_control(tests.combined) if len(pool.live) else tests.combined,
        area=area_change(real, generated, tests.area, presence, alpha),
        presence=presence,
        given=given_change(real, generated, np.nan_to_num(tests.given, nan=1.0), alpha),
    )


def _verdict(found: _Estimates, k: int, cut: float) -> _Verdict:
    """Of a label whose amount differs; ``cut`` is the largest p that was rejected."""
    tests = found.tests
    change = _change(found.real.area.value[k], found.generated.area.value[k])
    presence_change = _change(*_presences(found, k))
    seen_change = _change(*_seen(found, k))
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


def _record(
    found: _Estimates, k: int, label: tuple[str, str], judged: _Verdict | None
) -> ClassResult:
    """The record of the label in place ``k``; without ``judged`` there is no evidence."""
    real, generated, tests, transport = found.real, found.generated, found.tests, found.transport
    verdict, because = judged or ("no evidence", None)
    areas, given = (
        (real.area.value[k], generated.area.value[k]),
        (real.given.value[k], generated.given.value[k]),
    )
    presences, seen = _presences(found, k), _seen(found, k)
    both = min(presences) > 0
    ends = _interval(found.area, k) or (None, None)
    return ClassResult(
        label=label[0],
        category=label[1],
        index=int(found.pool.live[k]),
        real_area=float(areas[0]),
        generated_area=float(areas[1]),
        relative_difference=_change(*areas),
        ci_low=ends[0],
        ci_high=ends[1],
        real_presence=presences[0],
        generated_presence=presences[1],
        p_value=float(tests.combined[k]),
        q_value=float(found.q[k]),
        omitted=verdict == "omitted",
        verdict=verdict,
        because=because,
        **_side("real", real, k),
        **_side("generated", generated, k),
        presence_change=_change(*presences),
        presence_ci=_interval(found.presence, k),
        given_change=_change(*given) if both else None,
        given_ci=_interval(found.given, k) if both else None,
        p_presence=_number(tests.presence[k]),
        p_given=_number(tests.given[k]),
        p_area=_number(tests.area[k]),
        speck_area=float(found.pool.area_threshold[k]),
        real_seen=seen[0],
        generated_seen=seen[1],
        p_seen=_number(tests.seen[k]),
        fsd_mean_term=float(transport.mean_terms[k]) if transport else None,
        fsd_cov_term=float(transport.cov_terms[k]) if transport else None,
    )


def _presences(found: _Estimates, k: int) -> tuple[float, float]:
    """Shares of real and of generated images that show the label at all."""
    return float(found.real.presence.value[k]), float(found.generated.presence.value[k])


def _seen(found: _Estimates, k: int) -> tuple[float, float]:
    """Shares of real and of generated images that show the label above the area threshold."""
    return float(found.first.seen[k] / found.pool.n), float(found.second.seen[k] / found.pool.m)


def _change(real: float, generated: float) -> float | None:
    return float(generated / real - 1) if real > 0 else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(ends: Ends, k: int) -> Interval | None:
    low, high = float(ends[0][k]), float(ends[1][k])
    return (max(-1.0, low), high) if np.isfinite(low) and np.isfinite(high) else None


def _side(name: str, side: SideAreas, k: int) -> dict[str, float | Interval | None]:
    """The fields of one side."""
    return {
        f"{name}_area_ci": _interval(side.area[1:], k),
        f"{name}_presence_ci": _interval(side.presence[1:], k),
        f"{name}_area_if_present": _number(side.given.value[k]),
    }
