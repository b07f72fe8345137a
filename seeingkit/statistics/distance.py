"""The distance as it is reported: plug-in, floor, less bias, interval, p-value.

Guarantees: every number is a function of the rows and the seed, and does not change with the order
of the labels. Their meaning:

- *plug-in*: FSD as published.
- *floor*: the distance of two disjoint samples of the real images at these sizes.
- *bias-reduced*: 2 FSD(n) − mean FSD(n/2), half-sample Richardson extrapolation, less the
  value of the same formula under permutation, where the true value is 0, in the share in which the
  classes that leave it are on both sides (``Residual.share``). The formula alone removes bias in
  1/n; rare classes leave some, and nearly the same is left where there is no difference.
- *interval*: of the distance between the two distributions (see ``interval``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seeingkit.results import FSDResult

from .arrays import Floats
from .blocks import Units, units_of
from .frechet import FSD, Moments, Transport, frechet, influence, transport
from .interval import distance_interval
from .products import Pool
from .resampling import (
    ENOUGH,
    SPLITS,
    Floor,
    Permuted,
    Progress,
    disjoint_half_floor,
    floor_of_units,
    half_sample_mean,
    overlap,
    permute,
)

ENOUGH_PERMUTATIONS = 99
"""Permutations below which no interval is given."""


class Distance(NamedTuple):
    """The result, and the permutations and transport that the tests of the labels rest on."""

    result: FSDResult
    permuted: Permuted
    transport: Transport


def measure_distance(
    pool: Pool,
    *,
    permutations: int,
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> Distance:
    """FSD of the two sides of a pool, with its floor, bias-reduced value, interval and p-value.

    Args:
        pool: at least two images a side.
        permutations: 0 leaves p-value and interval out, and the bias-reduced value is then the
            extrapolation alone.
        confidence: of the interval.

    >>> pool = Pool(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
    >>> measure_distance(pool, permutations=0).result.value
    9.0
    """
    units = units_of(pool, seed)
    sides = units.sums(units.of_sides())
    real, generated = (found.moments() for found in sides)
    full = frechet(real, generated)
    floor = _floor(units, seed)
    ways = transport(real, generated)
    permuted = permute(units, permutations=permutations, seed=seed, progress=progress)
    reduced, quadratic, extra = _bias_reduced(units, full, permuted, overlap(*sides), seed)
    p_value = permuted.p_value(full)
    found = {}
    if reduced is not None and p_value is not None and permutations >= ENOUGH_PERMUTATIONS:
        interval = distance_interval(
            reduced,
            permuted.distances,
            _linear_variance(pool, real, generated, ways),
            extra,
            p_value,
            full.value,
            quadratic=quadratic,
            confidence=confidence,
        )
        found = {"ci_low": interval.low, "ci_high": interval.high, "standard_error": interval.error}
    result = FSDResult(
        **full._asdict(),
        floor=floor.value if floor else None,
        floor_error=floor.error if floor else None,
        floor_halves=floor.half if floor else None,
        bias_reduced=reduced,
        p_value=p_value,
        permutations=permutations if p_value is not None else 0,
        block=units.size,
        confidence=confidence,
        **found,
    )
    return Distance(result, permuted, ways)


def _floor(units: Units, seed: int) -> Floor | None:
    """Of halves of single images or groups, or of blocks where there are very many."""
    if units.size > 1:
        return floor_of_units(units, seed=seed)
    pool = units.pool
    group = pool.group[: pool.n] if pool.grouped else None
    return disjoint_half_floor(pool.rows[: pool.n], pool.n, pool.m, seed=seed, group=group)


def _bias_reduced(
    units: Units, full: FSD, permuted: Permuted, overlaps: Floats, seed: int
) -> tuple[float | None, float, float]:
    """The value, its variance where there is no difference, and that of the choice of halves."""
    pool = units.pool
    if min(pool.n, pool.m, pool.real_groups, pool.groups - pool.real_groups) < ENOUGH:
        return None, 0.0, 0.0
    halved, error = half_sample_mean(units, seed=seed, splits=SPLITS)
    value, extra = 2 * full.value - halved, error**2
    residual = permuted.residual
    if residual is None:
        return value, 0.0, extra
    value -= residual.mean * residual.share(overlaps)
    # Each division was halved once, so its value has the noise of one choice of halves, too.
    own = residual.variance - SPLITS * extra
    drawn = permuted.distances
    quadratic = max(own, float(np.var(drawn, ddof=1)) if len(drawn) > 1 else 0.0)
    return value, quadratic, extra + residual.variance / residual.divisions


def _linear_variance(pool: Pool, real: Moments, generated: Moments, ways: Transport) -> float:
    sides = slice(0, pool.n), slice(pool.n, len(pool))
    first = influence(pool.rows, real, generated, ways.forth, sides[0])
    second = influence(pool.rows, generated, real, ways.back, sides[1])
    if not pool.grouped:
        return float(first.var() / pool.n + second.var() / pool.m)
    # Images of one group pull together: the variance is of the sums over groups.
    sums = np.bincount(pool.group, np.concatenate([first / pool.n, second / pool.m]))
    groups = sums[: pool.real_groups], sums[pool.real_groups :]
    return float(sum(len(side) * side.var(ddof=1) for side in groups))
