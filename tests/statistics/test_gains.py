"""Gains of edits: closed forms, pairs, and how often a gain is claimed where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.errors import TallyError
from seeingkit.statistics.frechet import fsd_of_rows, moments
from seeingkit.statistics.gains import Gain, PairedDistances, enough_swaps, swapped

Rng = np.random.Generator
SHAPES = (3, 2, 1.5, 1, 0.5, 0.3, 0.2, 0.1)


def areas(rng: Rng, n: int) -> np.ndarray:
    """Areas in percent of eight classes, several absent from each image."""
    drawn = rng.gamma(SHAPES, 1.0, (n, len(SHAPES))) * (rng.random((n, len(SHAPES))) < 0.7)
    drawn[:, 0] += 0.5
    return np.asarray(100 * drawn / drawn.sum(1, keepdims=True))


def exchanged(rng: Rng, rows: np.ndarray) -> np.ndarray:
    """Some of the images are others of the same distribution: a neutral edit."""
    found, some = rows.copy(), rng.random(len(rows)) < 0.3
    found[some] = areas(rng, int(some.sum()))
    return found


def test_an_edit_that_changes_nothing_has_no_gain_and_no_doubt() -> None:
    rng = np.random.default_rng(0)
    own = areas(rng, 60)
    found = PairedDistances(areas(rng, 60), own, [own, own, own])
    assert found.gain(0) == Gain(0, 0, 0, 0, 0.95)
    assert found.against(0, [1, 2]) == Gain(0, 0, 0, 0, 0.95)
    assert found.distance(0) == found.distance()


def test_a_shift_that_is_taken_back_gains_its_square() -> None:
    rng = np.random.default_rng(1)
    real, own = areas(rng, 200), areas(rng, 200)
    shifted = own + np.array([10.0, *[0.0] * 7])
    found = PairedDistances(real, shifted, [own, own + 1e-3])
    plug_in = float(fsd_of_rows(real, shifted)) - float(fsd_of_rows(real, own))
    assert plug_in == pytest.approx(100 + 20 * (own - real).mean(0)[0], rel=1e-9)
    gain = found.gain(0, swaps=99)
    assert gain.value == pytest.approx(plug_in, abs=4) and gain.sure and gain.p_swap == 0.01
    assert PairedDistances(real, own, [shifted]).gain(0, swaps=99).harm


def test_pairs_are_taken_as_pairs() -> None:
    """The same small improvement is sure within pairs, and lost in noise without them."""
    rng = np.random.default_rng(2)
    real, own = areas(rng, 300), areas(rng, 300) + np.array([12.0, *[0.0] * 7])
    better = own - np.array([3.0, *[0.0] * 7])
    sure = PairedDistances(real, own, [better]).gain(0, swaps=99)
    loose = PairedDistances(real, own, [better[rng.permutation(300)]]).gain(0, swaps=99)
    assert sure.sure and loose.error > 2 * sure.error


def test_others_that_differ_widen_the_interval_of_the_gain_over_them() -> None:
    rng = np.random.default_rng(3)
    real = areas(rng, 100)
    own = real[rng.permutation(100)] + 5.0
    one, others = own - 3.0, [own - 3.0 + shift for shift in (-2.0, -1.0, 1.0, 2.0)]
    found = PairedDistances(real, own, [one, *others])
    alike = PairedDistances(real, own, [one, *[own - 3.0] * 4])
    assert abs(alike.against(0, range(1, 5)).value) < 1e-9
    assert found.against(0, range(1, 5)).error > 5 * alike.against(0, range(1, 5)).error
    with pytest.raises(TallyError, match="two"):
        found.against(0, [1])


def test_a_gain_can_be_claimed_at_every_level() -> None:
    """499 exchanges give no p below 0.002, and one of 50 tests is held against 0.001."""
    rng = np.random.default_rng(4)
    real, own = areas(rng, 60), areas(rng, 60)
    shifted = own + np.array([100.0, *[0.0] * 7])
    gain = PairedDistances(real, shifted, [own]).gain(0, confidence=1 - 0.05 / 50)
    assert gain.sure and gain.p_swap == pytest.approx(1 / 5001)
    assert [enough_swaps(1 - level) for level in (0.05, 0.01, 0.002)] == [499, 500, 2500]


@given(st.integers(0, 10**6))
def test_exchanging_all_pairs_exchanges_the_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = areas(rng, 9), areas(rng, 9)
    for swap, (first, second) in ((True, (b, a)), (False, (a, b))):
        near, far = swapped(a, b, np.full(9, swap))
        assert np.array_equal(near.mean, moments(first).mean)
        assert np.array_equal(far.cov, moments(second).cov)


def test_rows_that_do_not_belong_together_are_refused() -> None:
    rng = np.random.default_rng(5)
    with pytest.raises(TallyError, match="as many rows"):
        PairedDistances(areas(rng, 9), areas(rng, 9), [areas(rng, 8)])
    with pytest.raises(TallyError, match="as many rows"):
        PairedDistances(areas(rng, 9), areas(rng, 9), [])


def test_directions_of_features_may_be_below_zero() -> None:
    rng = np.random.default_rng(6)
    real, own = rng.normal(size=(80, 5)), rng.normal(size=(80, 5)) - 2
    found = PairedDistances(real, own, [own + 2])
    assert found.distance(0).value < 1 < found.distance().value
    assert found.gain(0, swaps=99).sure


def claims(case: str, n: int, repeats: int, seed: int) -> tuple[float, float]:
    """Shares of repeats with a sure gain, and with one that is also surely above random edits."""
    sure = both = 0
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        real, own = areas(rng, n), areas(rng, n)
        edited = [exchanged(rng, own) for _ in range(6)]
        if case == "equally far":  # one class too large without the edit, another one with it
            real = np.hstack([real, rng.gamma(2, 1, (n, 2))])
            edited = [
                np.hstack([own, rng.gamma(2, 1, (n, 1)), rng.gamma(2, 2, (n, 1)) + 3])
                for _ in range(6)
            ]
            own = np.hstack([own, rng.gamma(2, 2, (n, 1)) + 3, rng.gamma(2, 1, (n, 1))])
        found = PairedDistances(real, own, edited, seed=repeat)
        gain, against = found.gain(0, swaps=199), found.against(0, range(1, 6))
        sure += gain.sure
        both += gain.sure and against.sure
    return sure / repeats, both / repeats


@pytest.mark.parametrize("case", ["alike", "equally far"])
def test_gains_are_seldom_claimed_where_there_is_none(case: str) -> None:
    sure, both = claims(case, 60, 8, 7)
    assert sure <= 0.25 and both == 0


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 300])
@pytest.mark.parametrize("case", ["alike", "equally far"])
def test_false_gains_stay_below_five_percent(case: str, n: int) -> None:
    sure, both = claims(case, n, 400, 11)
    assert sure <= 0.045 and both <= 0.045
