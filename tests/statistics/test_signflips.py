"""Sign flips: p and intervals against all sign patterns, closed forms, symmetries, agreement."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seeingkit.statistics.signflips import FlipTest, flips_needed, sign_flip_tests, subset_sums

AREAS = st.lists(
    st.tuples(*[st.integers(0, 6).map(float)] * 2), min_size=1, max_size=8
)  # whole numbers: ties and zeros are frequent


def flipped(x: list[float] | np.ndarray, y: list[float] | np.ndarray, **how: int) -> FlipTest:
    columns = (np.asarray(side, dtype=float)[:, None] for side in (x, y))
    (found,) = sign_flip_tests(*columns, **how)
    return found


def p_by_patterns(d: np.ndarray) -> float:
    """Share of all 2^n sign patterns with a sum at least as far from 0, in whole numbers."""
    whole = abs(d.sum())
    sums = [abs(np.dot(s, d)) for s in itertools.product((-1, 1), repeat=len(d))]
    return float(np.mean([value >= whole - 1e-9 for value in sums]))


@given(AREAS)
def test_p_is_the_share_of_all_patterns(pairs: list[tuple[float, float]]) -> None:
    x, y = np.array(pairs).T
    assert flipped(x, y).p == pytest.approx(p_by_patterns(y - x), abs=1e-12)


@given(AREAS, st.sampled_from([0.02, 0.1, 0.25, 0.4]))
@settings(max_examples=150)
def test_intervals_hold_the_values_that_are_not_rejected(
    pairs: list[tuple[float, float]], cut: float
) -> None:
    """Every mean (and ratio) on a grid beside the ends is judged by all patterns again."""
    x, y = np.array(pairs).T
    found = flipped(x, y)
    low, high = found.mean_interval(cut)
    ends = [end for end in (low, high) if math.isfinite(end)]
    for value in {*ends, *(e - 1e-3 for e in ends), *(e + 1e-3 for e in ends), 0.0, 0.37, -1.2}:
        assert (low <= value <= high) == (p_by_patterns(y - x - value) > cut)
    if not x.any() or not y.any():
        return
    low, high = found.ratio_interval(cut)
    ends = [end for end in (low, high) if math.isfinite(end) and end > 1e-2]
    for value in {*(e * 0.999 for e in ends), *(e * 1.001 for e in ends), 1.0, 0.43, 2.7}:
        assert (low <= value <= high) == (p_by_patterns(y - value * x) > cut)


@given(AREAS, st.sampled_from([0.01, 0.05, 0.125, 0.25, 0.5]))
@example([(3.0, 0.0)] * 6, 2.0**-5)
def test_an_interval_leaves_out_no_change_exactly_where_p_is_small(
    pairs: list[tuple[float, float]], cut: float
) -> None:
    x, y = np.array(pairs).T
    found = flipped(x, y)
    low, high = found.mean_interval(cut)
    assert (low > 0 or high < 0) == (found.p <= cut)
    if x.any():
        low, high = found.ratio_interval(cut)
        assert (low > 1 or high < 1) == (found.p <= cut)


@given(AREAS, st.randoms(use_true_random=False))
def test_sides_and_order(pairs: list[tuple[float, float]], random: object) -> None:
    x, y = np.array(pairs).T
    found, turned = flipped(x, y), flipped(y, x)
    assert turned.p == found.p
    low, high = found.mean_interval(0.2)
    assert turned.mean_interval(0.2) == pytest.approx((-high, -low))
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    again = flipped(x[order], y[order])
    assert again.p == pytest.approx(found.p)
    assert again.mean_interval(0.2) == pytest.approx((low, high))
    assert again.ratio_interval(0.2) == pytest.approx(found.ratio_interval(0.2), nan_ok=True)


def test_pairs_that_do_not_differ_change_nothing_but_the_mean() -> None:
    x, y = np.array([5.0, 3.0, 4.0, 2.0, 9.0]), np.array([1.0, 0.0, 1.5, 1.0, 10.0])
    still = np.full(6, 2.0)
    padded = flipped(np.r_[x, still], np.r_[y, still])
    assert padded.p == flipped(x, y).p
    assert padded.mean == pytest.approx(flipped(x, y).mean * 5 / 11)


def test_one_pair_and_equal_sides_say_nothing() -> None:
    one = flipped([3.0], [0.0])
    assert one.p == 1 and one.flips == 0
    assert one.mean_interval(0.5) == (-np.inf, np.inf)
    same = flipped([3.0, 1.0, 0.0], [3.0, 1.0, 0.0])
    assert same.p == 1 and same.mean == 0
    low, high = same.mean_interval(0.25)
    assert low <= 0 <= high


def test_constant_differences() -> None:
    found = flipped([7.0] * 6, [5.0] * 6)
    assert found.p == 2 / 2**6
    assert found.mean_interval(2 / 2**6) == (-2.0, -2.0)  # no other mean is left in doubt
    assert found.mean_interval(2 / 2**6 - 1e-6) == (-np.inf, np.inf)
    assert found.ratio_interval(2 / 2**6) == pytest.approx((5 / 7, 5 / 7))


def test_a_class_of_one_side_alone() -> None:
    gone = flipped([3.0, 1.0, 2.0, 5.0], [0.0] * 4)
    assert gone.p == 2 / 2**4
    assert gone.mean_interval(2 / 2**4) == (-5.0, -1.0)
    # Nothing is left, but the interval keeps a width: that of the mean, beside the mean of x.
    assert gone.ratio_interval(2 / 2**4) == pytest.approx((0.0, 1 - 1 / 2.75))
    new = flipped([0.0] * 4, [3.0, 1.0, 2.0, 5.0])
    assert new.p == 2 / 2**4
    assert np.isnan(new.ratio_interval(0.25)).all()


def test_rounding_makes_no_difference_to_ties() -> None:
    x, y = np.array([0.1, 0.2, 0.3, 0.6]), np.zeros(4)
    y[3] = 0.6 + 0.1 + 0.2  # differences −0.1, −0.2, −0.3 and +0.3 up to rounding
    assert flipped(x, y).p == p_by_patterns(np.array([-1.0, -2.0, -3.0, 3.0])) == 0.75


def test_random_flips_agree_with_all_flips() -> None:
    rng = np.random.default_rng(3)
    x = rng.exponential(size=21)
    y = x * rng.uniform(0.2, 1.4, 21)
    drawn = flipped(x, y, seed=1, flips=20_000)
    assert not drawn.exact and drawn.flips == 20_000
    x[:2] = y[:2]
    whole = flipped(x[2:], y[2:])
    few = flipped(x, y, seed=1, flips=20_000)  # 19 pairs differ: enumerated in spite of 21 pairs
    assert few.exact and few.p == pytest.approx(whole.p) and few.flips == 2**18 - 1
    # The interval of 21 pairs is drawn; it is that of random sets of all of them.
    low, high = few.ratio_interval(0.05)
    exact = whole.ratio_interval(0.05)
    assert low < few.ratio < high and (high < 1) == (exact[1] < 1)


def test_random_p_is_never_below_what_the_flips_can_give() -> None:
    x, y = np.full(60, 3.0), np.zeros(60)
    found = flipped(x, y, flips=999)
    assert found.p == 1 / 1000
    assert found.mean_interval(0.0005) == (-np.inf, np.inf)
    assert found.mean_interval(0.01) == (-3.0, -3.0)


def test_columns_do_not_depend_on_each_other() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.exponential(size=(2, 40, 5))
    together = list(sign_flip_tests(x, y, seed=4, flips=999))
    for k, found in enumerate(together):
        alone = flipped(x[:, k], y[:, k], seed=4, flips=999)
        assert alone.p == found.p
        assert alone.mean_interval(0.05) == pytest.approx(found.mean_interval(0.05))


def test_subset_sums_are_those_of_every_set_without_the_last() -> None:
    values = np.array([1.0, 10.0, 100.0, 1000.0])
    assert sorted(subset_sums(values)) == [0, 1, 10, 11, 100, 101, 110, 111]


def test_enough_flips_for_one_class_alone() -> None:
    for classes in (1, 18, 200, 336):
        threshold = 0.05 / 2 / classes
        assert 1 / (1 + flips_needed(classes, 0.05, 2)) <= threshold / 3.99
    assert flips_needed(10**6, 1e-6, 2) == 99_999  # bounded, whatever the level


@pytest.mark.parametrize("n", [9, 16, 40])
def test_thresholds_that_no_interval_needs_may_go(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.exponential(size=(2, n, 1))
    x[: n // 3] = 0
    whole, part = (next(sign_flip_tests(x, y, most_cut=most)) for most in (1.0, 0.025))
    assert len(part.below) < len(whole.below) / 20
    for cut in (0.025, 0.01, 0.0001):
        assert part.mean_interval(cut) == whole.mean_interval(cut)
        assert part.ratio_interval(cut) == whole.ratio_interval(cut)
