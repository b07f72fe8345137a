"""Paired classes: closed forms, counts by hand, symmetry, and false claims of equal sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seeingkit.results import PairedClass
from seeingkit.statistics import FSD, Pool, fsd_of_rows
from seeingkit.statistics.paired import adjusted, compare_paired, count_pairs, sign_test
from seeingkit.statistics.swaps import all_swaps, swap_test
from tests.helpers.simulations import repeats

LABELS = [(f"class {k}", "object") for k in range(60)]
SIDES = arrays(np.float64, (2, 6, 3), elements=st.integers(0, 5).map(float))


def classes(x: np.ndarray, y: np.ndarray, **how: float) -> dict[str, PairedClass]:
    found = compare_paired(x, y, LABELS[: x.shape[1]], **how)  # type: ignore[arg-type]
    return {record.label: record for record in found.classes}


def binomial(down: int, up: int) -> float:
    n, least = down + up, min(down, up)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(least + 1)) / 2**n)


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_sign_test_is_the_binomial_tail(down: int, up: int) -> None:
    assert sign_test(np.array([down]), np.array([up]))[0] == pytest.approx(binomial(down, up))


def test_counts_by_hand() -> None:
    # shown and gone, shown and halved, shown and kept, a speck alone, appeared, never there
    before = np.array([[4.0], [4.0], [4.0], [0.1], [0.0], [0.0]])
    after = np.array([[0.1], [2.0], [2.1], [0.0], [3.0], [0.0]])
    found = count_pairs(before, after, np.array([0.1]))
    assert [int(x[0]) for x in found] == [1, 1, 3, 2, 3, 1]


def test_eleven_of_eleven() -> None:
    """One class loses all of its area in each of the eleven images of thirteen that show it."""
    x, y = np.zeros((13, 2)), np.zeros((13, 2))
    x[:11, 0] = np.arange(5, 16)
    x[:, 1], y[:, 1] = 100 - x[:, 0], 100 - y[:, 0]
    found = classes(x, y)["class 0"]
    assert found.p_area == found.p_images == found.p_vanished == 2 / 2**11
    assert (found.vanished, found.shown, found.only_real, found.differing) == (11, 11, 11, 11)
    assert (found.area_claim, found.images_claim) == ("less area", "in fewer images")
    assert found.relative_difference == -1
    assert found.relative_low == -1
    assert found.relative_high is not None and found.relative_high < 0
    assert found.mean_difference == pytest.approx(-110 / 13)
    assert classes(x, y)["class 1"].area_claim == "more area"


def test_too_few_pairs_are_no_test_and_cost_nothing() -> None:
    x = np.tile([50.0, 50.0], (12, 1))
    y = np.tile([40.0, 60.0], (12, 1))
    rare = np.zeros((12, 40))
    rare[np.arange(40) % 12, np.arange(40)] = 3.0  # each in one image alone, and lost
    found = compare_paired(np.c_[x, rare], np.c_[y, 0 * rare], LABELS[:42])
    assert found.tested_area == 2 and found.cut_area == pytest.approx(0.025)
    few = [record for record in found.classes if record.differing == 1]
    assert len(few) == 40
    assert all(c.p_area == c.q_area == 1 and not c.tested_area for c in few)


def test_correction_is_that_of_benjamini_and_hochberg() -> None:
    p = np.array([0.001, 0.01, 0.012, 0.3, 0.0001])
    pairs = np.array([20, 20, 20, 20, 6])  # of six pairs p is at least 2^-5, more than 0.025
    q, cut, tested = adjusted(p, pairs, 0.05)
    assert tested.tolist() == [True, True, True, True, False]
    assert q.tolist() == pytest.approx([0.008, 0.032, 0.032, 0.6, 1.0])
    assert cut == pytest.approx(0.05 / 2 * 3 / 4)
    assert ((p <= cut) & tested).tolist() == (q <= 0.05).tolist()


@given(SIDES, st.sampled_from([0.05, 0.3, 0.9]))
def test_claims_intervals_and_sides(sides: np.ndarray, level: float) -> None:
    found, turned = classes(*sides, level=level), classes(*sides[::-1], level=level)
    assert list(found) == list(turned)
    opposite = {"less area": "more area", "more area": "less area", "no evidence": "no evidence"}
    for label, record in found.items():
        other = turned[label]
        assert other.area_claim == opposite[record.area_claim]
        assert (other.p_area, other.q_area) == (record.p_area, record.q_area)
        assert (other.only_real, other.only_generated) == (record.only_generated, record.only_real)
        assert (other.vanished, other.appeared) == (record.appeared, record.vanished)
        claimed = record.area_claim != "no evidence"
        low, high = record.difference_low, record.difference_high
        assert claimed == ((low is not None and low > 0) or (high is not None and high < 0))
        if record.relative_difference is not None:
            low, high = record.relative_low, record.relative_high
            assert claimed == ((low is not None and low > 0) or (high is not None and high < 0))
            assert low is None or -1 <= low <= record.relative_difference + 1e-9


def test_equal_sides() -> None:
    x = np.random.default_rng(0).dirichlet(np.ones(4), 30) * 100
    for record in classes(x, x.copy()).values():
        assert (record.p_area, record.p_images, record.differing) == (1, 1, 0)
        assert (record.area_claim, record.images_claim) == ("no evidence", "no evidence")


def test_one_pair_claims_nothing() -> None:
    for record in classes(np.array([[9.0, 0.0]]), np.array([[0.0, 9.0]])).values():
        assert record.p_area == record.p_images == 1
        assert record.difference_low is None and record.difference_high is None


@pytest.mark.parametrize("n", [13, 60])
@repeats(100, 200)
def test_interchangeable_sides_are_seldom_told_apart(n: int, times: int) -> None:
    """At a level of 40 %: 20 % for each question, with three standard errors."""
    claims = np.zeros((times, 2), bool)
    for k in range(times):
        rng = np.random.default_rng([n, k])
        scene = np.exp(rng.normal(size=(n, 8))) * (rng.random((n, 8)) < 0.8)
        x, y = (scene * np.exp(rng.normal(size=(n, 8))) for _ in range(2))
        x[rng.random((n, 8)) < 0.3], y[rng.random((n, 8)) < 0.3] = 0, 0
        found = classes(x, y, seed=k, level=0.4).values()
        claims[k] = [
            any(c.area_claim != "no evidence" for c in found),
            any(c.images_claim != "no evidence" for c in found),
        ]
    area, images = claims.mean(axis=0)
    assert area <= 0.2 + 3 * math.sqrt(0.2 * 0.8 / times)
    assert images <= 0.2 + 3 * math.sqrt(0.2 * 0.8 / times)
    assert area > 0.05  # else the test would pass for a comparison that never claims anything


@settings(max_examples=40)
@given(SIDES)
def test_swaps_are_all_choices_of_sides(sides: np.ndarray) -> None:
    x, y = sides
    if not (x.any() or y.any()):
        return
    observed = fsd_of_rows(x, y)
    found = swap_test(Pool(x, y), observed, permutations=99)
    assert found is not None and found.exact and found.swaps == 31
    values = []
    for swap in all_swaps(6):
        a, b = np.where(swap[:, None], y, x), np.where(swap[:, None], x, y)
        values.append(float(fsd_of_rows(a, b).value))
    at_least = sum(value >= observed.value * (1 - 1e-7) - 1e-9 for value in values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-5, abs=1e-6)
    assert found.p_value == pytest.approx((1 + at_least) / 32, abs=1 / 16)


def test_swaps_see_what_a_shift_within_pairs_does() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 50, (40, 1))
    y = x + 1 + rng.normal(0, 0.1, (40, 1))  # tiny beside the spread of the images
    found = swap_test(Pool(x, y), fsd_of_rows(x, y), permutations=199, seed=3)
    assert found is not None and not found.exact
    assert found.p_value == 1 / 200 and found.mean < 0.1
    assert swap_test(Pool(x, y), FSD(1.0, 1.0, 0.0), permutations=0) is None
