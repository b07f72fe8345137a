"""Presence of classes: the test against exact integers, the intervals by exact coverage."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from seeingkit.errors import TallyError
from seeingkit.statistics.presence import (
    presence_change_interval,
    presence_interval,
    presence_p_values,
)

tables = st.tuples(st.integers(1, 60), st.integers(1, 60)).flatmap(
    lambda nm: st.tuples(
        st.integers(0, nm[0]), st.just(nm[0]), st.integers(0, nm[1]), st.just(nm[1])
    )
)


def exact(x: int, n: int, y: int, m: int) -> float:
    """Twice the smaller mid-p tail in whole numbers; of the farthest table, its whole p."""
    total = x + y
    terms = [comb(n, k) * comb(m, total - k) if total >= k else 0 for k in range(n + 1)]
    below, above = (2 * sum(part) - terms[x] for part in (terms[: x + 1], terms[x:]))
    if x in (max(0, total - m), min(n, total)):
        below = above = 2 * terms[x]
    return float(min(Fraction(1), Fraction(min(below, above), sum(terms))))


def likely(n: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts that Bin(n, share) takes with any probability to speak of, and these."""
    first, last = stats.binom.ppf([1e-9, 1 - 1e-9], n, share)
    k = np.arange(first, last + 1)
    return k, stats.binom.pmf(k, n, share)


def two_sides(n: int, p: float, m: int, q: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All likely pairs of counts and their probabilities."""
    (x, u), (y, v) = likely(n, p), likely(m, q)
    xs, ys = np.meshgrid(x, y, indexing="ij")
    return xs.ravel(), ys.ravel(), np.outer(u, v).ravel()


@settings(max_examples=100)
@given(tables)
def test_p_value_is_exact_and_symmetric(case: tuple[int, int, int, int]) -> None:
    x, n, y, m = case
    p = presence_p_values([x], n, [y], m)[0]
    assert p == pytest.approx(exact(*case), rel=1e-10)
    assert p == pytest.approx(presence_p_values([y], m, [x], n)[0], rel=1e-10)
    assert p == pytest.approx(presence_p_values([n - x], n, [m - y], m)[0], rel=1e-10)


@pytest.mark.parametrize(
    "case",
    [(270, 10_000, 0, 10_000), (650, 2500, 400, 2500), (0, 1500, 200, 2500), (3000, 3000, 9, 40)],
)
def test_far_tails_are_right(case: tuple[int, int, int, int]) -> None:
    x, n, y, m = case
    found = presence_p_values([x], n, [y], m)[0]
    assert found == pytest.approx(exact(*case), rel=1e-8)
    assert found < 1e-9


def test_many_classes_at_once_are_the_classes_one_by_one() -> None:
    rng = np.random.default_rng(0)
    shares = np.minimum(0.98, 1.2 / np.arange(1, 337) ** 1.1)
    x, y = rng.binomial(50_000, shares), rng.binomial(20_000, shares)
    together = presence_p_values(x, 50_000, y, 20_000)
    alone = [presence_p_values([a], 50_000, [b], 20_000)[0] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-11)
    assert presence_p_values([0, 13], 13, [0, 7], 7).tolist() == [1, 1]
    assert presence_p_values([], 13, [], 7).shape == (0,)


@pytest.mark.parametrize(
    ("n", "share"),
    [(500, 0.01), (500, 0.027), (500, 0.5), (2000, 0.01), (2000, 0.1), (10_000, 0.027)],
)
def test_null_p_values_are_as_uniform_as_counts_can_be(n: int, share: float) -> None:
    x, y, weight = two_sides(n, share, n, share)
    p = presence_p_values(x, n, y, n)
    for level in (0.5, 0.2, 0.05, 0.01):
        size = weight[p <= level].sum()
        assert size <= 1.07 * level
        assert size >= (0.85 if n * share >= 10 else 0.45) * level
    assert weight[p <= 0.05 / 216].sum() <= 1.1 * 0.05 / 216


@pytest.mark.parametrize("n", [500, 1000, 2000, 10_000])
def test_interval_covers_every_share_from_one_percent(n: int) -> None:
    low, high = presence_interval(np.arange(n + 1), n)
    shares = np.linspace(max(0.01, 5 / n), 0.5, 400)
    for share in [*shares, *(1 - shares)]:
        k, weight = likely(n, share)
        k = k.astype(int)
        coverage = weight[(low[k] <= share) & (share <= high[k])].sum()
        expected = n * min(share, 1 - share)
        assert 0.934 <= coverage <= (0.97 if expected >= 7 else 0.974)


def test_interval_of_one_to_three_images_reaches_down_to_poissons_bound() -> None:
    low, high = presence_interval([1, 2, 3, 4, 997, 999], 1000)
    for k, x in enumerate((1, 2, 3)):
        # Below this rate as many images are seen in fewer than 5 % of samples.
        assert stats.poisson.sf(x - 1, 1000 * low[k]) == pytest.approx(0.05, abs=1e-9)
    wilson = stats.binomtest(4, 1000).proportion_ci(0.95, method="wilson")
    assert (low[3], high[3]) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
    assert high[4] == pytest.approx(1 - low[2], abs=1e-12)
    assert high[5] == pytest.approx(1 - low[0], abs=1e-12)


def test_interval_is_wilsons() -> None:
    x = np.array([0, 5, 7, 40])
    low, high = presence_interval(x, 40, confidence=0.9)
    for k in range(4):
        expected = stats.binomtest(int(x[k]), 40).proportion_ci(0.9, method="wilson")
        assert (low[k], high[k]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def score(ratio: float, x: int, n: int, y: int, m: int) -> float:
    """Miettinen and Nurminen's statistic, its nuisance presence by numerical likelihood."""

    def against(p: float) -> float:
        return -float(
            stats.binom.logpmf(x, n, p) + stats.binom.logpmf(y, m, np.clip(ratio * p, 0, 1))
        )

    top = min(1.0, 1 / ratio)
    p = optimize.minimize_scalar(
        against, bounds=(0, top), method="bounded", options={"xatol": 1e-12}
    ).x
    q = ratio * p
    variance = (q * (1 - q) / m + ratio**2 * p * (1 - p) / n) * (n + m) / (n + m - 1)
    return float((y / m - ratio * x / n) / np.sqrt(variance))


@pytest.mark.parametrize("case", [(30, 200, 11, 150), (36, 40, 16, 80), (5, 500, 60, 900)])
def test_ends_of_the_change_are_where_the_score_test_rejects(
    case: tuple[int, int, int, int],
) -> None:
    x, n, y, m = case
    low, high = presence_change_interval([x], n, [y], m, confidence=0.9)
    assert score(1 + low[0], *case) == pytest.approx(stats.norm.ppf(0.95), rel=1e-4)
    assert score(1 + high[0], *case) == pytest.approx(-stats.norm.ppf(0.95), rel=1e-4)
    assert low[0] < y / m / (x / n) - 1 < high[0]


@settings(max_examples=100)
@given(tables, st.sampled_from([0.8, 0.95, 0.99]))
def test_change_and_test_never_contradict_each_other(
    case: tuple[int, int, int, int], confidence: float
) -> None:
    x, n, y, m = case
    low, high = (e[0] for e in presence_change_interval([x], n, [y], m, confidence))
    p = presence_p_values([x], n, [y], m)[0]
    assert low >= -1
    assert np.isnan(high) == (x == 0)
    assert (low <= 0 and not high < 0) == (p > 1 - confidence)
    if x:
        assert low <= y / m / (x / n) - 1 <= high


@pytest.mark.parametrize(
    ("n", "m", "share"),
    [(200, 200, 0.027), (500, 500, 0.01), (500, 500, 0.1), (2000, 2000, 0.01), (1000, 5000, 0.01)],
)
@pytest.mark.parametrize("kept", [1.0, 0.5, 0.1, 1.5])
def test_change_covers(n: int, m: int, share: float, kept: float) -> None:
    x, y, weight = two_sides(n, share, m, kept * share)
    low, high = presence_change_interval(x, n, y, m)
    high = np.where(np.isnan(high), np.inf, high)
    inside = (low <= kept - 1 + 1e-12) & (kept - 1 <= high + 1e-12)
    assert 0.94 <= weight[inside].sum() <= 0.97


def test_nothing_seen_bounds_nothing() -> None:
    low, high = presence_change_interval([0, 0, 9], 100, [0, 30, 0], 100)
    assert low[0] == -1 and np.isnan(high[0])
    assert low[1] > 5 and np.isnan(high[1])
    assert low[2] == -1 and -0.9 < high[2] < 0


def test_bad_counts_are_named() -> None:
    for x, n, y, m in [([5], 4, [0], 4), ([-1], 4, [0], 4), ([1.5], 4, [0], 4)]:
        with pytest.raises(TallyError, match="whole numbers from 0 to 4"):
            presence_p_values(x, n, y, m)
    with pytest.raises(TallyError, match="do not match"):
        presence_p_values([1, 2], 4, [1], 4)
    with pytest.raises(TallyError, match="at least 1 generated"):
        presence_change_interval([1], 4, [0], 0)
    with pytest.raises(TallyError, match="confidence"):
        presence_interval([1], 4, confidence=95)
