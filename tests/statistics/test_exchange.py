"""The swap test of two distances, far into its tail: its null, its size, its agreement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seeingkit.statistics.contrasts import SharedPool
from seeingkit.statistics.exchange import exchange_p_value, pooled, without
from seeingkit.statistics.frechet import moments
from tests.helpers.area_rows import gaussian, long_tailed
from tests.helpers.simulations import most, repeats

MEAN, SD = np.array([30.0, 20, 10]), np.array([4.0, 3, 2])


@given(st.integers(2, 12), st.integers(2, 12), st.integers(1, 4), st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_moments_are_put_together_and_taken_apart(n: int, m: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0, 100, (n + m, size))
    both, first, second = moments(rows), moments(rows[:n]), moments(rows[n:])
    for found, expected in ((pooled(first, second), both), (without(both, first), second)):
        assert found.n == expected.n
        assert found.mean == pytest.approx(expected.mean)
        assert found.cov == pytest.approx(expected.cov, abs=1e-6)


@pytest.mark.parametrize(("n", "m"), [(60, 60), (40, 90)])
@pytest.mark.parametrize("far", [0.0, 20.0])
@repeats(50, 100)
def test_p_values_are_uniform_where_both_generators_are_alike(
    n: int, m: int, far: float, times: int
) -> None:
    """Near the real images, where the distance has no linear part, and far from them."""
    move = np.array([far, -far, 0, 0, 0])
    found = []
    for seed in range(times):
        real, first, second = (long_tailed(k, 5, 3 * seed + j) for j, k in enumerate((80, n, m)))
        found.append(exchange_p_value(moments(real), first + move, second + move, seed=seed))
    assert stats.kstest(found, "uniform").pvalue > 0.001
    assert np.sum(np.array(found) <= 0.05) <= most(times, 0.05, 0.002)


def test_it_agrees_with_random_swaps() -> None:
    for seed in range(4):
        real, first = (gaussian(100, MEAN, SD, 10 * seed + k) for k in range(2))
        second = gaussian(100, MEAN + np.array([1.5, 0, 0]), SD, 10 * seed + 2)
        swapped = SharedPool(real, [first, second]).contrast(0, 1, permutations=999).p_swap
        assert swapped is not None
        found = exchange_p_value(moments(real), first, second)
        assert found == pytest.approx(swapped, abs=0.04, rel=0.3)


def test_it_reaches_as_far_as_a_thousand_pairs_need() -> None:
    real, first, second = (gaussian(200, MEAN, SD, k) for k in range(3))
    assert exchange_p_value(moments(real), first, second + np.array([4.0, 0, 0])) < 1e-8


def test_a_lost_class_is_seen_whole_and_not_by_its_linear_part_alone() -> None:
    real, first, second = (long_tailed(150, 6, k) for k in range(3))
    second[:, 0] += second[:, 2]
    second[:, 2] = 0
    linear = exchange_p_value(moments(real), first, second, enough=1.0)
    assert exchange_p_value(moments(real), first, second) < linear < 0.05


def test_the_linear_part_is_enough_where_it_is() -> None:
    real, first, second = (long_tailed(80, 5, k) for k in range(3))
    forth = exchange_p_value(moments(real), first, second, enough=1.0)
    back = exchange_p_value(moments(real), second, first, enough=1.0)
    assert forth == pytest.approx(back)
    assert exchange_p_value(moments(real), first, second, enough=forth / 2) != forth


def test_equal_images_and_images_without_spread_do_not_differ() -> None:
    real, first = long_tailed(80, 5, 0), long_tailed(80, 5, 1)
    assert exchange_p_value(moments(real), first, first) == 1.0
    still = np.full((5, 2), 3.0)
    assert exchange_p_value(moments(np.zeros((4, 2))), still, still) == 1.0
