"""The exact stratified comparison of rates, against closed forms, enumeration and its level."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seeingkit.errors import UsageError
from seeingkit.statistics.rates import compare_rates


def test_one_stratum_is_fishers_test() -> None:
    found = compare_rates([3], [3], [1], [7])
    assert found.p_value == pytest.approx(1 / 30)  # C(4, 3) / C(10, 3)
    assert found.least_p == pytest.approx(1 / 30)  # with 4 hits in all, 3 of 3 is the most
    assert (found.hits, found.trials, found.reference_hits, found.reference_trials) == (3, 3, 1, 7)
    assert found.reference_rate == pytest.approx(1 / 7)
    for table in ([5, 3, 2, 9], [0, 4, 3, 3], [8, 0, 5, 17]):
        a, b, c, d = table
        expected = stats.fisher_exact([[a, b], [c, d]], alternative="greater").pvalue
        assert compare_rates([a], [a + b], [c], [c + d]).p_value == pytest.approx(expected)


def test_two_strata_by_counting_all_ways() -> None:
    """All equally likely placements of the hits of each stratum, counted one by one."""
    strata = [((2, 3), (1, 3)), ((1, 2), (1, 4))]
    ways = []
    for (k, n), (other, m) in strata:
        places = itertools.combinations(range(n + m), k + other)
        ways.append([sum(place < n for place in chosen) for chosen in places])
    sums = [sum(pair) for pair in itertools.product(*ways)]
    expected = np.mean([total >= 3 for total in sums])
    found = compare_rates([2, 1], [3, 2], [1, 1], [3, 4])
    assert found.p_value == pytest.approx(expected)
    most = min(3, 3) + min(2, 2)
    assert found.least_p == pytest.approx(np.mean([total >= most for total in sums]))


def test_the_rate_of_the_reference_is_that_at_the_strata_of_the_first_side() -> None:
    found = compare_rates([1, 0], [1, 3], [5, 1], [10, 100])
    assert found.reference_rate == pytest.approx((1 * 0.5 + 3 * 0.01) / 4)


def test_strata_that_one_side_lacks_tell_nothing() -> None:
    some = compare_rates([3, 5], [3, 5], [1, 0], [7, 0])
    assert some == compare_rates([3, 0], [3, 0], [1, 4], [7, 9])
    assert (some.trials, some.p_value) == (3, pytest.approx(1 / 30))
    none = compare_rates([3], [3], [0], [0])
    assert (none.trials, none.reference_rate, none.p_value, none.least_p) == (0, None, 1.0, 1.0)
    assert compare_rates([], [], [], []).p_value == 1.0


def test_a_confounded_total_is_no_difference() -> None:
    """Simpson's paradox: rates are equal in each stratum, totals are not."""
    found = compare_rates([9, 1], [10, 10], [90, 10], [100, 100])
    assert found.p_value > 0.5
    uneven = compare_rates([90, 1], [100, 10], [9, 10], [10, 100])
    assert uneven.p_value > 0.5  # 91 of 110 against 19 of 110
    pooled = compare_rates([91], [110], [19], [110])
    assert pooled.p_value < 1e-10


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)),
        min_size=1,
        max_size=4,
    )
)
def test_p_lies_between_its_least_value_and_one(tables: list[tuple[int, int, int, int]]) -> None:
    a, b, c, d = (np.array(side) for side in zip(*tables, strict=True))
    found = compare_rates(a, a + b, c, c + d)
    assert 0 < found.least_p <= found.p_value + 1e-12 <= 1 + 1e-9
    more = compare_rates(a + (b > 0), a + b, c, c + d)
    if more.trials and (b > 0)[(c + d) > 0].any():
        assert more.p_value <= 1 + 1e-12


@pytest.mark.parametrize("rates", [(0.1, 0.6), (0.5, 0.5)])
def test_the_level_is_kept_where_strata_differ_and_sides_do_not(rates: tuple[float, ...]) -> None:
    random = np.random.default_rng(0)
    trials, others = np.array([8, 3]), np.array([20, 30])
    p_values = [
        compare_rates(
            random.binomial(trials, rates), trials, random.binomial(others, rates), others
        ).p_value
        for _ in range(2000)
    ]
    for level in (0.05, 0.2):
        share = np.mean(np.array(p_values) <= level)
        assert share <= level + 3 * math.sqrt(level * (1 - level) / 2000)
    assert np.mean(np.array(p_values) <= 0.2) > 0.05  # and it is no test that always says no


@pytest.mark.parametrize(
    "sides", [([1], [2], [1], [1, 1]), ([3], [2], [0], [1]), ([0], [1], [-1], [4])]
)
def test_bad_numbers_are_refused(sides: tuple[list[int], ...]) -> None:
    with pytest.raises(UsageError, match="rates"):
        compare_rates(*sides)
