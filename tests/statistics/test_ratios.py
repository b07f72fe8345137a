"""Ratios of sums: closed forms, and how often their intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seeingkit.errors import TallyError
from seeingkit.statistics.ratios import FEWEST, flip_checked, ratio_of_sums


def test_with_ones_below_it_is_students_mean() -> None:
    values = np.array([-3.0, -1.0, 0.0, 0.0, 1.0, 3.0, 5.0, -5.0])  # no skewness
    found = ratio_of_sums(values, np.ones(8))
    error = values.std(ddof=1) / np.sqrt(8) * 8 / 7  # the jackknife's residuals
    reach = stats.t.isf(0.025, 7) * error
    assert found.value == 0 and found.clusters == 8 and found.p == 1
    assert found.low is not None and found.low == pytest.approx(-reach, rel=0.02)
    assert found.high == pytest.approx(reach, rel=0.02)


def test_few_none_and_constant() -> None:
    assert ratio_of_sums(np.zeros(3), np.zeros(3)) == (None, None, None, None, 0)
    few = ratio_of_sums(np.ones(FEWEST - 1), np.full(FEWEST - 1, 2.0))
    assert few == (0.5, None, None, None, FEWEST - 1)
    assert ratio_of_sums(np.zeros(9), np.arange(9.0)) == (0, 0, 0, 1, 8)
    same = ratio_of_sums(np.arange(9.0), 2 * np.arange(9.0))
    assert same[:3] == (0.5, 0.5, 0.5) and same.p == 2.0**-7


def test_what_is_no_ratio_is_refused() -> None:
    for above, below in ((np.ones(3), np.ones(4)), (np.ones(3), -np.ones(3))):
        with pytest.raises(TallyError, match="a ratio needs two numbers"):
            ratio_of_sums(above, below)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_the_interval_holds_the_ratio_and_does_not_depend_on_the_order(
    pairs: list[tuple[int, int]],
) -> None:
    above, below = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    found, turned = ratio_of_sums(above, below), ratio_of_sums(above[::-1], below[::-1])
    assert found.clusters == turned.clusters == (below > 0).sum()
    if found.low is not None and found.high is not None and found.value is not None:
        assert found.low <= found.value <= found.high and found.p is not None
        assert found.value == pytest.approx(turned.value) and 0 < found.p <= 1
        assert (found.low, found.high) == pytest.approx((turned.low, turned.high), abs=1e-9)


def covered(images: int, runs: int, seed: int = 0) -> float:
    """How often the interval holds a ratio of .3, where pixels of an image come and go together and
    a third of the images have none."""
    rng, held = np.random.default_rng(seed), 0
    for _ in range(runs):
        many = np.floor(rng.gamma(0.7, 60, images)) * (rng.random(images) > 1 / 3)
        share = rng.beta(0.3 * 0.8, 0.7 * 0.8, images)  # nearly all or nothing
        found = ratio_of_sums(np.round(share * many), many)
        held += found.low is not None and found.high is not None and found.low <= 0.3 <= found.high
    return held / runs


def test_intervals_cover() -> None:
    assert covered(100, 400) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)


@pytest.mark.slow
@pytest.mark.parametrize("images", [50, 100, 500])
def test_intervals_cover_at_full_length(images: int) -> None:
    assert covered(images, 4000, images) >= 0.93


def test_flips_only_make_it_harder() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        many = np.floor(rng.gamma(0.5, 60, 25)) + 1
        above = np.round(rng.normal(0.2, 1, 25) * many)
        plain = ratio_of_sums(above, many)
        found = flip_checked(plain, above)
        assert found.p is not None and plain.p is not None and found.p >= plain.p
        assert found.low is not None and found.high is not None
        assert (found.low > 0 or found.high < 0) <= (found.p <= 0.05)
        assert found.value == plain.value
    few = ratio_of_sums(np.ones(3), np.ones(3))
    assert flip_checked(few, np.ones(3)) == few
