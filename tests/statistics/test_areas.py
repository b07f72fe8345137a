"""Areas of classes: Welch's test with critical values by permutation, and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seeingkit.statistics import Pool
from seeingkit.statistics.areas import (
    WHOLE,
    SideAreas,
    area_change,
    given_change,
    side_areas,
)
from seeingkit.statistics.blocks import Units
from seeingkit.statistics.claims import seen_counts
from seeingkit.statistics.presence import (
    beside_zero,
    presence_change_interval,
    presence_interval,
)
from seeingkit.statistics.products import Side
from seeingkit.statistics.resampling import permute
from seeingkit.statistics.welch import (
    LEAST,
    Welch,
    area_given,
    mean_area,
    p_values,
    studentised,
    unskewed,
)
from tests.helpers.area_rows import PIXEL


def side(rows: np.ndarray) -> Side:
    """The sums of rows (n, d); columns may be labels, or repeats of one."""
    shown = (rows > 0).sum(0).astype(float)
    n, areas = len(rows), rows.sum(0)
    return Side(n, n, n, areas, shown, (rows**2).sum(0), areas, (rows**3).sum(0), shown)


def area_statistics(first: Side, second: Side) -> Welch:
    return studentised(mean_area(first), mean_area(second))


def given_statistics(first: Side, second: Side) -> Welch:
    return studentised(area_given(first), area_given(second))


def rare(n: int, repeats: int, share: float, spread: float, seed: int) -> np.ndarray:
    """(n, repeats) areas of mean 1 where shown, lognormal, shown in a share of the images."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(-(spread**2) / 2, spread, (n, repeats)))
    return np.asarray(size * (rng.random((n, repeats)) < share))


def permuted_t(x: np.ndarray, y: np.ndarray, permutations: int = 199, seed: int = 0) -> Welch:
    """Statistics of the mean area of each permutation."""
    found = permute(Units(Pool(x, y)), permutations=permutations, seed=seed)
    return area_statistics(found.first, found.total.without(found.first))


# Welch's test


def test_statistics_are_welchs() -> None:
    x, y = 10 * rare(80, 6, 0.4, 0.8, 1), 12 * rare(50, 6, 0.5, 0.8, 2)
    found = area_statistics(side(x), side(y))
    expected = stats.ttest_ind(y, x, equal_var=False)
    assert found.t == pytest.approx(expected.statistic)
    assert found.freedom == pytest.approx(expected.df)
    p = p_values(found, None)
    assert p == pytest.approx(expected.pvalue)
    inside = given_statistics(side(x), side(y))
    for k in range(6):
        by_hand = stats.ttest_ind(y[:, k][y[:, k] > 0], x[:, k][x[:, k] > 0], equal_var=False)
        assert inside.t[k] == pytest.approx(by_hand.statistic)
        assert inside.freedom[k] == pytest.approx(by_hand.df)


def test_closed_form() -> None:
    # Means 2 and 0, variances 4/3 on one side of four and 0 on the other: t = 2 / √(1/3), 3 df.
    x, y = np.array([[1.0], [3], [1], [3]]), np.zeros((9, 1))
    found = area_statistics(side(x), side(y))
    assert found.t == pytest.approx([-2 / np.sqrt(1 / 3)])
    assert found.freedom == pytest.approx([3])
    p = p_values(found, None)
    assert p == pytest.approx([2 * stats.t.sf(2 / np.sqrt(1 / 3), 3)])


def test_values_that_do_not_vary() -> None:
    same, more = np.full((5, 1), 50.0), np.full((5, 1), 50.01)
    nothing = area_statistics(side(same), side(same[:3]))
    assert nothing.t == [0]
    apart = area_statistics(side(same), side(more))
    assert apart.t == [np.inf]
    # Two of the 252 divisions of ten images separate the two values.
    assert p_values(apart, None) == pytest.approx([2 / 252])
    uneven = area_statistics(side(same), side(more[:3]))
    assert p_values(uneven, None) == pytest.approx([1 / 56])
    many = area_statistics(side(np.full((40_000, 1), 1.0)), side(np.full((40_000, 1), 2.0)))
    assert p_values(many, None) == [LEAST]
    one = given_statistics(side(np.array([[0.0], [4]])), side(np.array([[3.0], [7]])))
    assert one.t == [0]  # one image says nothing of a mean


def test_a_label_that_fills_all_but_single_pixels_is_judged_as_those_pixels() -> None:
    # Its variance is eleven digits below its squared mean: not rounding, and not nothing.
    rng = np.random.default_rng(0)
    tiny = [(rng.random((1000, 200)) < 0.1) * PIXEL for _ in range(2)]
    small = area_statistics(*(side(s) for s in tiny))
    filled = area_statistics(*(side(100 - s) for s in tiny))
    assert filled.t == pytest.approx(-small.t, rel=1e-3, abs=1e-3)
    p = p_values(filled, None)
    assert 0.01 < (p <= 0.05).mean() < 0.1


def test_critical_values_by_permutation_hold_the_level_where_students_do_not() -> None:
    # Areas that spread over three orders of magnitude, in few images of one side.
    rejected = np.zeros(2)
    for k in range(40):
        x, y = rare(300, 12, 0.3, 1.6, 2 * k), rare(40, 12, 0.3, 1.6, 2 * k + 1)
        found = area_statistics(side(x), side(y))
        for which, drawn in enumerate((None, permuted_t(x, y, 99, k))):
            p = p_values(found, drawn)
            rejected[which] += (p <= 0.05).sum()
    student, calibrated = rejected / 480
    assert student > 0.1
    assert calibrated == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 480))


def test_equal_values_of_t_are_never_called_rare() -> None:
    # A label that one image shows has one |t| in every division: it can say nothing.
    x, y = np.zeros((60, 2)), np.zeros((60, 2))
    x[:, 0], y[:, 0] = 3, 3
    x[0, 0], x[0, 1] = 2, 1
    found = area_statistics(side(x), side(y))
    drawn = permuted_t(x, y)
    assert (p_values(found, drawn) > 0.05).all()
    # Of continuous values twice the share on the same side is the p-value, up to the edge.
    x, y = rare(50, 1, 1, 0.5, 1), rare(50, 1, 1, 0.5, 2)
    found, drawn = area_statistics(side(x), side(y)), permuted_t(x, y, 199)
    reached = int((np.sign(found.t) * drawn.t >= abs(found.t)).sum())
    assert p_values(found, drawn) == pytest.approx(min(1, 2 * (1 + reached) / (1 + len(drawn.t))))
    far = found._replace(t=1.5 * np.abs(drawn.t).max(axis=0))
    assert 0 < p_values(far, drawn)[0] < 2 / 1000


def test_no_p_is_below_the_share_of_divisions_that_are_as_far() -> None:
    # Ten images a side, all areas different: 2 of the 184,756 divisions are the farthest.
    x = np.linspace(1, 2, 10)[:, None]
    y = x + 50
    p = p_values(area_statistics(side(x), side(y)), permuted_t(x, y))
    assert p == pytest.approx([2 / 184_756])


def test_groups_of_one_image_are_images_and_copies_are_no_images() -> None:
    x, y = rare(40, 3, 0.6, 0.5, 1), rare(30, 3, 0.6, 0.5, 2)
    alone = Pool(x, y)
    single = Pool(x, y, (range(40), range(30)))
    copied = Pool(
        np.repeat(x, 5, 0), np.repeat(y, 5, 0), [np.repeat(range(k), 5) for k in (40, 30)]
    )
    mask = alone.real_mask()
    for pool in (single, copied):
        real = pool.real_mask()
        plain = studentised(mean_area(alone.side(mask)), mean_area(alone.side(1 - mask)))
        found = studentised(mean_area(pool.side(real)), mean_area(pool.side(1 - real)))
        assert found.t == pytest.approx(plain.t)
        assert found.freedom == pytest.approx(plain.freedom)
        for counted, expected in ((pool.side(real), 40), (pool.side(1 - real), 30)):
            seen, n = seen_counts(counted)
            assert n == expected
            assert seen == pytest.approx(np.round(counted.seen / counted.n * n))


def test_taking_out_skewness() -> None:
    # Of mean areas 0, variances v and third cumulants k: a = k / v^1.5, g(t) by hand.
    x, y = rare(60, 4, 0.9, 1.2, 1), rare(80, 4, 0.9, 0.2, 2)
    first, second = mean_area(side(x)), mean_area(side(y))
    plain, found = studentised(first, second), unskewed(first, second)
    error = np.sqrt(x.var(0, ddof=1) / 60 + y.var(0, ddof=1) / 80)
    third = [((r - r.mean(0)) ** 3).mean(0) / len(r) ** 2 for r in (x, y)]
    a = (third[1] - third[0]) / error**3
    assert found.t == pytest.approx(plain.t + a * (plain.t**2 / 3 + 1 / 6) + a**2 * plain.t**3 / 27)
    same = unskewed(mean_area(side(x)), mean_area(side(x)))
    assert (same.t == 0).all()


def test_equal_means_of_which_one_is_skew_are_seldom_called_different() -> None:
    rejected = np.zeros(2)
    for k in range(12):
        x, y = rare(200, 30, 1, 0.3, 100 + 2 * k), rare(200, 30, 1, 1.2, 101 + 2 * k)
        found = permute(Units(Pool(x, y)), permutations=0, seed=k)
        sides = found.first, found.total.without(found.first)
        for which, statistic in enumerate((studentised, unskewed)):
            drawn = statistic(*map(mean_area, sides))
            p = p_values(statistic(mean_area(side(x)), mean_area(side(y))), drawn)
            rejected[which] += (p <= 0.025).sum()
    assert rejected[0] / 360 > 0.06
    assert rejected[1] / 360 < 0.045


def test_groups_of_different_size_have_the_variance_of_a_ratio() -> None:
    # Groups of 1 and 3 images: means 4 and 2, over all images (4 + 6) / 4 = 2.5.
    pool = Pool(np.array([[4.0], [1], [2], [3]]), np.ones((2, 1)), ("abbb", "cd"))
    found = mean_area(pool.side(pool.real_mask()))
    assert found.value == [2.5]
    # 2 / 1 · ((4 − 2.5)² + (6 − 7.5)²) / 4²
    assert found.variance == pytest.approx([2 * (1.5**2 + 1.5**2) / 16])
    assert found.groups == [2]


# intervals


@pytest.mark.parametrize(
    ("share", "spread", "least_given"),
    [  # Student's interval of few lognormal areas is short above: 90 to 92 % at 30 images
        (0.03, 0.8, 0.89),
        (0.03, 0.05, 0.93),
        (0.1, 0.8, 0.92),
        (0.9, 0.8, 0.93),
    ],
)
def test_intervals_of_areas_cover(share: float, spread: float, least_given: float) -> None:
    repeats, found = 1000, []
    for seed in (1, 2):
        areas = side_areas(side(rare(1000, repeats, share, spread, seed)), 0.95)
        found.append(areas)
        for truth, low, high, least in (
            (share, areas.area.low, areas.area.high, 0.93),
            (1.0, areas.given.low, areas.given.high, least_given),
            (share, areas.presence.low, areas.presence.high, 0.93),
        ):
            assert least <= ((low <= truth) & (truth <= high)).mean() <= 0.97
    real, generated = found
    none = np.ones(repeats)
    presence = presence_change_interval(real.shown, 1000, generated.shown, 1000)
    welch = area_statistics(
        side(rare(1000, repeats, share, spread, 1)), side(rare(1000, repeats, share, spread, 2))
    )
    p = p_values(welch, None)
    low, high = area_change(real, generated, p, presence, 0.05)
    assert 0.93 <= ((low <= 0) & (high >= 0)).mean() <= 0.98
    low, high = area_change(real, generated, none, presence, 0.05)
    assert ((low <= 0) & (high >= 0)).all()  # a test that never rejects


def test_intervals_of_a_change_cover_a_loss_of_half() -> None:
    repeats = 1000
    real_rows, generated_rows = rare(1000, repeats, 0.1, 0.8, 1), rare(800, repeats, 0.1, 0.8, 2)
    generated_rows *= 0.5
    real, generated = side_areas(side(real_rows), 0.95), side_areas(side(generated_rows), 0.95)
    welch = area_statistics(side(real_rows), side(generated_rows))
    inside = given_statistics(side(real_rows), side(generated_rows))
    presence = presence_change_interval(real.shown, 1000, generated.shown, 800)
    p, p_given = (p_values(w, None) for w in (welch, inside))
    for low, high in (
        area_change(real, generated, p, presence, 0.05),
        given_change(real, generated, p_given, 0.05),
    ):
        assert 0.925 <= ((low <= -0.5) & (high >= -0.5)).mean() <= 0.975


def test_ends_of_one_side() -> None:
    rows = np.zeros((10, 5))
    rows[0, 1] = 7  # one image
    rows[:, 2] = 100  # everywhere, everything
    rows[:2, 3] = [0.001, 99]  # two images that could not differ more
    rows[:4, 4] = PIXEL
    found = side_areas(side(rows), 0.95)
    assert isinstance(found, SideAreas)
    assert np.isnan(found.area.low[:2]).all() and np.isnan(found.given.high[:2]).all()
    assert found.area.value == pytest.approx([0, 0.7, 100, 9.9001, 0.4 * PIXEL])
    assert (found.area.high[2:] <= WHOLE).all()
    assert (found.area.low[2:] >= 0).all()
    assert (found.area.low[2:] <= found.area.value[2:]).all()
    low, high = presence_interval(np.array([4]), 10)
    # One pixel wherever it is shown: all doubt is about presence.
    assert found.area.low[4] == pytest.approx(low[0] * PIXEL, rel=1e-5)
    assert found.area.high[4] == pytest.approx(high[0] * PIXEL, rel=1e-5)


def test_a_vanished_label_has_the_interval_of_its_presence() -> None:
    rows = np.zeros((200, 1))
    rows[:30, 0] = np.linspace(1, 9, 30)
    real, generated = side_areas(side(rows), 0.95), side_areas(side(0 * rows), 0.95)
    presence = presence_change_interval(real.shown, 200, generated.shown, 200)
    low, high = area_change(real, generated, np.array([1e-6]), presence, 0.05)
    assert (low, high) == presence
    assert low == [-1]
    assert -1 < high[0] < -0.8


@settings(max_examples=200)
@given(st.lists(st.floats(-1, 5), min_size=3, max_size=3), st.booleans())
def test_ends_agree_with_the_test(numbers: list[float], differs: bool) -> None:
    low, change, high = (np.array([number]) for number in sorted(numbers))
    differs = differs and change[0] != 0  # equal means are never called different
    fewer = change < 0
    new_low, new_high = beside_zero(low, high, fewer, np.array([differs]))
    assert -1 <= new_low <= new_high
    assert ((new_low <= 0) & (new_high >= 0)) == (not differs)
    if differs:
        assert (new_high < 0) == fewer


@settings(max_examples=100)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 3, 20]),
    st.sampled_from([2, 5, 31]),
    st.sampled_from([PIXEL, 1.0, 100.0]),
)
def test_no_interval_is_out_of_range(seed: int, n: int, m: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        size * rng.random((k, 8)) ** rng.integers(0, 5) * (rng.random((k, 8)) < rng.random(8))
        for k in (n, m)
    ]
    first, second = (side(r) for r in rows)
    real, generated = side_areas(first, 0.95), side_areas(second, 0.95)
    for found, r in ((real, rows[0]), (generated, rows[1])):
        few = (r > 0).sum(0) < 2
        assert (np.isnan(found.area.low) == few).all()
        for low, value, high in (
            (found.area.low, found.area.value, found.area.high),
            (found.given.low, found.given.value, found.given.high),
        ):
            ok = ~few
            assert (low[ok] > 0).all()
            assert (low[ok] <= value[ok] * (1 + 1e-9)).all()
            assert (value[ok] <= high[ok] * (1 + 1e-9)).all()
            assert (high[ok] <= 100).all()
    welch = area_statistics(first, second)
    p = p_values(welch, None)
    assert ((p >= 0) & (p <= 1)).all()
    presence = presence_change_interval(real.shown, n, generated.shown, m)
    low, high = area_change(real, generated, p, presence, 0.05)
    ok = np.isfinite(low) & np.isfinite(high)
    assert (low[ok] <= high[ok]).all()
    assert (((low <= 0) & (high >= 0)) == (p > 0.05))[ok].all()
