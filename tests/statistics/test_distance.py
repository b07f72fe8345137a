"""The distance as it is reported: floor, bias, permutation, interval, contributions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special

from seeingkit.results import FSDResult
from seeingkit.statistics import Pool, disjoint_half_floor, fsd_of_rows, measure_distance, moments
from seeingkit.statistics import interval as intervals
from seeingkit.statistics.blocks import Units
from seeingkit.statistics.frechet import distance_value
from seeingkit.statistics.interval import distance_interval
from seeingkit.statistics.resampling import permute
from tests.helpers.area_rows import RELATIONS, gaussian, hard_case, hard_pair, long_tailed
from tests.helpers.simulations import fewest, repeats


def dirichlet(n: int, seed: int, tilt: float = 0.0) -> np.ndarray:
    """(n, 4) compositions in percent; the tilt moves area from the first label to the second."""
    alpha = np.array([2.0 - tilt, 1 + tilt, 0.5, 0.2])
    return np.random.default_rng(seed).dirichlet(alpha, n) * 100


def measured(a: np.ndarray, b: np.ndarray, permutations: int = 99, seed: int = 0) -> FSDResult:
    return measure_distance(Pool(a, b), permutations=permutations, seed=seed).result


# floor


@pytest.mark.parametrize(("n", "m"), [(300, 300), (300, 120)])
def test_floor_is_what_two_samples_of_these_sizes_give(n: int, m: int) -> None:
    fresh = [
        distance_value(moments(long_tailed(n, 12, 2 * k)), moments(long_tailed(m, 12, 2 * k + 1)))
        for k in range(150)
    ]
    floors = [disjoint_half_floor(long_tailed(n, 12, 900 + k), n, m, seed=k) for k in range(12)]
    assert np.mean([f.value for f in floors if f]) == pytest.approx(np.mean(fresh), rel=0.1)
    assert all(f is not None and f.half == n // 2 for f in floors)


def test_floor_of_few_images() -> None:
    rows = long_tailed(7, 4, 0)
    assert disjoint_half_floor(rows[:3], 3, 3) is None
    found = disjoint_half_floor(rows, 7, 7)
    assert found is not None
    assert (found.half, found.value) == (3, pytest.approx(found.at_half * 3 / 7))
    constant = disjoint_half_floor(np.full((60, 2), 50.0), 60, 60)
    assert constant is not None
    assert constant.value == 0


# bias


@pytest.mark.slow
@repeats(30, 60)
def test_null_mean_of_bias_reduced_is_zero(times: int) -> None:
    found = [
        measured(dirichlet(200, 2 * k), dirichlet(200, 2 * k + 1), 99, k) for k in range(times)
    ]
    reduced = np.array([f.bias_reduced for f in found])
    error = reduced.std(ddof=1) / np.sqrt(len(reduced))
    assert abs(reduced.mean()) < 2 * error
    assert np.mean([f.value for f in found]) > 5 * error  # the plug-in is far from 0


@pytest.mark.slow
@repeats(25, 40)
def test_bias_reduced_is_close_to_a_known_distance(times: int) -> None:
    truth = fsd_of_rows(dirichlet(400_000, 1), dirichlet(400_000, 2, tilt=0.4)).value
    found = [
        measured(dirichlet(150, 2 * k), dirichlet(150, 2 * k + 1, tilt=0.4), 99, k)
        for k in range(times)
    ]
    reduced = np.array([f.bias_reduced for f in found])
    error = reduced.std(ddof=1) / np.sqrt(len(reduced))
    assert abs(reduced.mean() - truth) < 2.5 * error
    assert abs(reduced.mean() - truth) < 0.1 * truth
    held = [f.ci_low <= truth <= f.ci_high for f in found if f.ci_low is not None and f.ci_high]
    assert len(held) == times
    assert sum(held) >= fewest(times, 0.95, 0.01)


@repeats(35, 70)
def test_interval_covers_a_known_distance_of_normal_areas(times: int) -> None:
    mean, sd = np.array([30.0, 20, 10]), np.array([4.0, 3, 2])
    other, wider = mean + np.array([1.5, 0, 0]), sd * np.array([1, 1.4, 1])
    truth = 1.5**2 + (0.4 * 3) ** 2
    held = 0
    for k in range(times):
        found = measured(
            gaussian(200, mean, sd, 2 * k), gaussian(150, other, wider, 2 * k + 1), 99, k
        )
        assert found.ci_low is not None and found.ci_high is not None
        held += found.ci_low <= truth <= found.ci_high
    assert held >= fewest(times, 0.95, 0.01)


def test_few_images_or_permutations_leave_numbers_out() -> None:
    few = measured(dirichlet(49, 0), dirichlet(80, 1))
    assert (few.bias_reduced, few.ci_low, few.standard_error) == (None, None, None)
    assert few.p_value is not None
    unpermuted = measured(dirichlet(60, 0), dirichlet(60, 1), permutations=0)
    assert (unpermuted.p_value, unpermuted.permutations, unpermuted.ci_low) == (None, 0, None)
    assert unpermuted.bias_reduced is not None
    assert measured(dirichlet(60, 0), dirichlet(60, 1), permutations=98).ci_low is None


# permutation


def test_permuted_sides_equal_direct_ones() -> None:
    a, b = long_tailed(12, 5, 5), long_tailed(9, 5, 6)
    pooled = np.vstack([a, b])
    found = permute(Units(Pool(a, b)), permutations=50, seed=7)
    rng = np.random.default_rng([7, 3])
    for k in range(50):
        order = rng.permutation(21)
        first, rest = pooled[np.sort(order[:12])], pooled[np.sort(order[12:])]
        assert found.distances[k] == pytest.approx(fsd_of_rows(first, rest).value, rel=1e-7)
        assert found.first.areas[k] == pytest.approx(first.sum(0))
        assert (found.first.shown[k] == (first > 0).sum(0)).all()
        assert found.first.squares[k] == pytest.approx((first**2).sum(0))
    assert found.total.areas == pytest.approx(pooled.sum(0))
    observed = fsd_of_rows(a, b)
    count = int((found.distances >= observed.value * (1 - 1e-7)).sum())
    assert found.p_value(observed) == (1 + count) / 51
    seen: list[int] = []
    permute(Units(Pool(a, b)), permutations=6, progress=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", range(6))
def test_p_is_that_of_all_divisions(kind: int) -> None:
    rng = np.random.default_rng(kind)
    a, b = hard_case(4, 3, kind, rng), hard_case(4, 3, kind, rng)
    pooled, observed = np.vstack([a, b]), fsd_of_rows(a, b).value
    values = []
    for first in itertools.combinations(range(8), 4):
        rest = [k for k in range(8) if k not in first]
        values.append(fsd_of_rows(pooled[list(first)], pooled[rest]).value)
    exact = np.mean(np.array(values) >= observed * (1 - 1e-6) - 1e-12)
    p = measured(a, b, permutations=999).p_value
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 999) + 2e-3)


@pytest.mark.slow
@repeats(80, 150)
def test_p_is_valid_under_the_null_and_small_otherwise(times: int) -> None:
    null = []
    for k in range(times):
        pool = Pool(long_tailed(40, 5, 2 * k), long_tailed(30, 5, 2 * k + 1))
        null.append(measure_distance(pool, permutations=39, seed=k).result.p_value)
    for level in (0.05, 0.1, 0.25, 0.5):
        share = np.mean(np.array(null) <= level + 1e-9)
        assert share == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / times))
    a, b = long_tailed(200, 6, 8), long_tailed(200, 6, 9)
    b[:, 2] = 0
    assert measured(a, b).p_value == 0.01


# interval


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_acceptance_regions_are_those_of_feldman_and_cousins(confidence: float) -> None:
    # Both defining properties, section IV.B: each region has the stated probability, and its ends
    # have one likelihood ratio against the best mean that is not negative.
    means, lower, upper = intervals._acceptance(confidence)
    held = special.ndtr(upper - means) - special.ndtr(lower - means)
    assert held == pytest.approx(confidence, abs=1e-9)
    inner = (means > 0) & np.isfinite(lower)

    def ratio(x: np.ndarray) -> np.ndarray:
        best = np.maximum(x, 0)
        return ((x - means[inner]) ** 2 - (x - best) ** 2) / 2

    assert ratio(lower[inner]) == pytest.approx(ratio(upper[inner]), abs=1e-6)
    assert (np.diff(lower[1:]) > 0).all()
    assert (np.diff(upper) > 0).all()


@pytest.mark.parametrize(
    ("x", "confidence", "low", "high"),
    [  # Feldman & Cousins 1998: upper ends x + z from x = 0 on, two-sided far away
        (0.0, 0.9, 0.0, 1.645),
        (1.0, 0.9, 0.0, 2.645),
        (0.0, 0.95, 0.0, 1.960),
        (1.0, 0.95, 0.0, 2.960),
        (6.0, 0.95, 4.040, 7.960),
        (20.0, 0.95, 18.040, 21.960),
    ],
)
def test_unified_interval_of_a_normal_estimate(
    x: float, confidence: float, low: float, high: float
) -> None:
    # A null far from 0 beside its spread is that of many dimensions: normal, of constant variance.
    null = 1e5 + np.random.default_rng(0).normal(0, 1, 200_000)
    p = float(special.ndtr(-x))
    found = distance_interval(x, null, 2.0, 0.0, p, x + 1e5, confidence=confidence)
    assert found.error == pytest.approx(1, abs=5e-3)
    assert (found.low, found.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))


@pytest.mark.slow
def test_interval_is_monotone_continuous_and_agrees_with_the_test() -> None:
    null = np.random.default_rng(0).gamma(4, 0.5, 999)
    for p_value in (0.001, 0.05, 0.0501, 1.0):
        found = [
            distance_interval(x, null, 0.0, 0.1, p_value, x + null.mean())
            for x in np.linspace(-30, 60, 1801)
        ]
        low, high = np.array([f.low for f in found]), np.array([f.high for f in found])
        assert ((low == 0) == (p_value > 0.05)).all()
        assert (low >= 0).all() and (low <= high).all() and (high > 0).all()
        assert (np.diff(low) >= -1e-9).all() and (np.diff(high) >= -1e-9).all()
        assert np.diff(high).max() < 0.2
        assert np.diff(low).max() < 0.3


def test_interval_without_any_spread() -> None:
    found = distance_interval(-1.0, np.full(99, 2.0), 0.0, 0.0, 1.0, 2.0)
    assert found == (0, 0, 0)
    rounding = distance_interval(1e-12, np.full(99, 2.0), 0.0, 0.0, 1.0, 2.0)
    assert (rounding.low, rounding.error) == (0, 0)  # 0 lies inside, because p says so
    sure = distance_interval(-1.0, np.full(99, 2.0), 0.0, 0.0, 0.01, 2.0)
    assert 0 < sure.low == sure.high < 1e-300


# all of it

cases = st.tuples(
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 3, 5, 49, 50, 61]),
    st.sampled_from([2, 4, 50, 53]),
    st.integers(1, 8),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from(RELATIONS),
)


@pytest.mark.slow
@settings(max_examples=15)
@given(cases)
@example((3, 61, 2, 5, 3, 5, "sampled"))  # divisions that tie
def test_properties(case: tuple[int, int, int, int, int, int, str]) -> None:
    seed, n, m, labels, first, second, relation = case
    rng = np.random.default_rng(seed)
    a, b = hard_pair((n, m), labels, (first, second), relation, rng)
    m = len(b)
    pool = Pool(a, b)
    distance = measure_distance(pool, permutations=99, seed=seed % 1000)
    found, plug_in = distance.result, fsd_of_rows(a, b)
    size = 1 + a.var(0).sum() + b.var(0).sum()
    near = {"rel": 1e-6, "abs": 1e-6 * size}
    assert found.value == pytest.approx(plug_in.value, **near)
    numbers = [v for v in found.model_dump().values() if isinstance(v, float)]
    assert np.isfinite(numbers).all()
    assert FSDResult.model_validate_json(found.model_dump_json()) == found
    assert found.p_value is not None
    assert 0 < found.p_value <= 1
    assert (found.bias_reduced is not None) == (min(n, m) >= 50) == (found.ci_low is not None)
    if found.ci_low is not None and found.ci_high is not None:
        assert 0 <= found.ci_low <= found.ci_high
        assert (found.ci_low == 0) == (found.p_value > 0.05)
        assert found.standard_error is not None
    if relation == "same":
        assert (found.value, found.p_value) == (0, 1)
    parts = distance.transport
    assert parts.mean_terms.sum() == pytest.approx(found.mean_term, **near)
    assert parts.cov_terms.sum() == pytest.approx(found.cov_term, **near)

    # A label that never occurs changes nothing at all.
    wide = measured(np.pad(a, ((0, 0), (1, 2))), np.pad(b, ((0, 0), (1, 2))), 99, seed % 1000)
    assert wide == found

    # The order of the labels changes rounding only; the unit scales with the square.
    order = rng.permutation(labels)
    permuted = measured(a[:, order], b[:, order], 99, seed % 1000)
    for other, unit in ((permuted, 1), (measured(a / 4, b / 4, 99, seed % 1000), 16)):
        assert other.p_value == found.p_value
        for key in ("value", "mean_term", "cov_term", "floor", "bias_reduced"):
            was, now = getattr(found, key), getattr(other, key)
            assert (now is None) == (was is None)
            if was is not None:
                assert now * unit == pytest.approx(was, **near)

    # The order of the images changes what is drawn, not what is measured.
    shuffled = measure_distance(
        Pool(a[rng.permutation(n)], b[rng.permutation(m)]), permutations=1, seed=seed % 1000
    )
    assert shuffled.result.value == pytest.approx(found.value, **near)
    assert shuffled.transport.mean_terms == pytest.approx(parts.mean_terms, abs=1e-7 * size)
    # Where few images span the space, terms carry the square root of rounding.
    assert shuffled.transport.cov_terms == pytest.approx(parts.cov_terms, abs=1e-4 * size)


def test_seed_decides_everything_that_is_drawn_and_nothing_else() -> None:
    a, b = long_tailed(70, 6, 1), long_tailed(70, 6, 2)
    first, again, other = measured(a, b), measured(a, b), measured(a, b, seed=1)
    assert first.model_dump_json() == again.model_dump_json()
    fixed = ("value", "mean_term", "cov_term", "permutations", "floor_halves")
    assert all(getattr(first, key) == getattr(other, key) for key in fixed)
    assert first.bias_reduced != other.bias_reduced
    assert first.floor != other.floor
