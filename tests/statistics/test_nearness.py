"""All pairs of many generators: intervals, steps, and the second test of every claim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit.statistics.contrasts import SharedPool
from seeingkit.statistics.nearness import Distances, Nearness, measure, nearness
from tests.helpers.area_rows import gaussian, long_tailed


def differ(first: int, second: int, enough: float) -> float:
    return 0.0


def independent(values: list[float], variance: float = 1.0) -> Distances:
    return Distances(np.array(values, dtype=float), variance * np.eye(len(values)))


@pytest.mark.parametrize("n", [40, 120])  # below and above the least number of images for halves
def test_values_and_errors_are_those_of_each_pair(n: int) -> None:
    real, *rows = (long_tailed(n, 8, seed) for seed in range(4))
    found, pairs = measure(real, rows, seed=3), SharedPool(real, rows, seed=3)
    errors = found.errors()
    for a in range(3):
        for b in range(3):
            if a != b:
                one = pairs.contrast(a, b)
                assert found.values[a] - found.values[b] == pytest.approx(one.value)
                assert errors[a, b] == pytest.approx(one.error)


def test_two_generators_have_the_interval_of_one_pair() -> None:
    real, *rows = (long_tailed(120, 8, seed) for seed in range(3))
    one = SharedPool(real, rows).contrast(0, 1)
    found = nearness(measure(real, rows), differ)
    assert found.critical == pytest.approx(1.959964, abs=1e-6)
    if one.nearer is not None:
        assert (found.low[0, 1], found.high[0, 1]) == pytest.approx((one.low, one.high))
    else:
        assert found.low[0, 1] <= 0 <= found.high[0, 1]


@pytest.mark.parametrize(("k", "quantile"), [(3, 3.314), (10, 4.474), (20, 5.012)])
def test_equal_and_independent_errors_give_the_studentised_range(k: int, quantile: float) -> None:
    found = nearness(independent([0.0] * k), differ)
    assert found.critical == pytest.approx(quantile / np.sqrt(2), abs=0.06)


def test_noise_that_all_share_changes_nothing() -> None:
    found = independent([0.0, 2.0, 9.0])
    shared = Distances(found.values, found.covariance + 1e4)
    first, second = nearness(found, differ), nearness(shared, differ)
    assert second.critical == pytest.approx(first.critical, abs=0.06)
    assert second.errors == pytest.approx(first.errors)
    assert (second.nearer == first.nearer).all()


def test_no_claim_stands_on_the_interval_alone() -> None:
    asked = []

    def alike(first: int, second: int, enough: float) -> float:
        asked.append((first, second, enough))
        return 0.5

    found = nearness(independent([0.0, 1.0, 50.0]), alike)
    assert sorted(asked) == [(0, 2, 0.05 / 3), (1, 2, 0.05 / 3)]
    assert not found.nearer.any()
    assert (found.low <= 0).all()
    assert (found.high >= 0).all()
    assert found.p_alike[0, 2] == found.p_alike[2, 0] == 0.5
    assert np.isnan(found.p_alike[0, 1])


def test_later_steps_claim_more_and_their_intervals_end_beside_zero() -> None:
    """Of four generators one is far: only three pairs are left, and 2.4 errors are enough."""
    found = nearness(independent([0.0, 0.0, 2.45 * np.sqrt(2), 100.0]), differ)
    assert found.critical > 2.45
    assert found.nearer.tolist() == [
        [False, False, True, True],
        [False, False, True, True],
        [False, False, False, True],
        [False, False, False, False],
    ]
    assert -1e-6 < found.high[0, 2] < 0
    assert found.high[0, 3] == pytest.approx(-100 + found.critical * np.sqrt(2))


@given(
    st.lists(st.floats(-20, 20), min_size=2, max_size=7),
    st.integers(0, 10),
    st.floats(0.001, 0.2),
)
@settings(max_examples=60, deadline=None)
def test_claims_are_an_order_and_intervals_say_the_same(
    values: list[float], seed: int, level: float
) -> None:
    k = len(values)
    root = np.random.default_rng(seed).standard_normal((k, k))
    found = nearness(Distances(np.array(values), root @ root.T), differ, level=level, seed=seed)
    assert (found.nearer == (found.high < 0)).all()
    assert (found.low == -found.high.T).all()
    assert (found.nearer <= (np.array(values)[:, None] < values)).all()
    after = (found.nearer.astype(int) @ found.nearer.astype(int)) > 0
    assert (after <= found.nearer).all()


def test_identical_generators_do_not_differ() -> None:
    real, same = gaussian(80, np.full(3, 20.0), np.full(3, 4.0), 0), long_tailed(80, 3, 1)
    found = nearness(measure(real, [same, same]), differ)
    assert not found.nearer.any()
    assert found.errors[0, 1] > 0  # the images of two generators are never taken as shared


def family(claims: Nearness, truth: np.ndarray) -> bool:
    return bool((claims.nearer & (truth[:, None] >= truth)).any())


def test_the_family_wise_error_is_at_most_the_level_whichever_pairs_differ() -> None:
    rng = np.random.default_rng(1)
    for truth in (np.zeros(6), np.array([0.0, 0, 0, 8, 8, 30])):
        root = np.diag([1.0, 2, 1, 3, 1, 1]) + 0.5
        false = 0
        for seed in range(200):
            values = truth + root @ rng.standard_normal(6)
            claims = nearness(Distances(values, root @ root.T), differ, seed=seed)
            false += family(claims, truth)
        assert false <= 20  # of 200 at 5 %: more has p < 0.2 %
