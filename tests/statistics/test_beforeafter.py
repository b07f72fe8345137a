"""The distance before and after an edit of the same images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.errors import TallyError
from seeingkit.statistics.arrays import Floats
from seeingkit.statistics.beforeafter import before_after
from seeingkit.statistics.frechet import fsd_of_rows


def rows(rng: np.random.Generator, n: int, scale: tuple[float, ...] = (10, 5, 2, 1)) -> Floats:
    return np.clip(rng.gamma(1.0, scale, (n, len(scale))), 0, 100)


def test_moving_all_rows_by_a_constant_changes_the_mean_term_alone() -> None:
    real = rows(np.random.default_rng(0), 40)
    found = before_after(real, real[:30] + [3, 0, 0, 0], real[:30], permutations=0)
    mean = real[:30].mean(0) - real.mean(0)
    moved = mean + [3, 0, 0, 0]
    assert found.value == pytest.approx(mean @ mean - moved @ moved)


def test_an_edit_that_changes_nothing_is_exactly_nothing() -> None:
    rng = np.random.default_rng(1)
    real, before = rows(rng, 80), rows(rng, 60)
    found = before_after(real, before, before.copy(), permutations=19)
    assert (found.value, found.low, found.high, found.p_swap) == (0.0, 0.0, 0.0, 1.0)


@given(st.integers(0, 50))
def test_exchanging_before_and_after_changes_the_sign(seed: int) -> None:
    rng = np.random.default_rng(seed)
    real, before, after = rows(rng, 70), rows(rng, 60), rows(rng, 60, (8, 6, 2, 2))
    one = before_after(real, before, after, permutations=9, seed=seed)
    two = before_after(real, after, before, permutations=9, seed=seed)
    assert one.value == pytest.approx(-two.value, abs=1e-9)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low), abs=1e-9)


def test_an_edit_towards_the_real_images_is_claimed() -> None:
    rng = np.random.default_rng(2)
    real, before = rows(rng, 300), rows(rng, 200, (14, 5, 2, 1))
    found = before_after(real, before, before * [10 / 14, 1, 1, 1], permutations=99)
    assert found.high < 0 and found.p_swap == 0.01
    assert found.value == pytest.approx(
        float(fsd_of_rows(real, before * [10 / 14, 1, 1, 1])) - float(fsd_of_rows(real, before)),
        rel=0.5,
    )


def test_sides_that_are_no_pairs_are_refused() -> None:
    same = np.zeros((4, 2))
    with pytest.raises(TallyError, match="4 images before and 3 after are no pairs"):
        before_after(same, same, same[:3])


def simulated(runs: int, n: int = 120) -> tuple[float, float]:
    """Share of runs with a claim where the edit is as likely as its opposite in every image, and
    share of intervals that hold the true difference of an edit that does something.
    """
    rng = np.random.default_rng(3)
    shift = np.array([2.0, -1.0, 0.0, 0.0])
    many = rows(rng, 200_000)
    truth = float(fsd_of_rows(many, many[:100_000] * 1.3 + shift)) - float(
        fsd_of_rows(many, many[:100_000] * 1.3)
    )
    claims = held = 0
    for run in range(runs):
        real, before = rows(rng, 250), rows(rng, n) * 1.3
        other = np.clip(before + rng.normal(0, 3, before.shape), 0, None)
        swap = rng.random((n, 1)) < 0.5
        found = before_after(
            real,
            np.where(swap, before, other),
            np.where(swap, other, before),
            permutations=99,
            seed=run,
        )
        claims += not found.low <= 0 <= found.high
        noise = rng.normal(0, 0.5, (n, 1)) * shift
        moved = before_after(real, before, before + shift + noise, permutations=0, seed=run)
        held += moved.low <= truth <= moved.high
    return claims / runs, held / runs


def test_a_null_edit_is_rarely_claimed_and_intervals_cover() -> None:
    claims, held = simulated(40)
    assert claims <= 0.125 and held >= 0.85


@pytest.mark.slow
def test_a_null_edit_is_claimed_at_the_level_and_intervals_cover_at_length() -> None:
    claims, held = simulated(600)
    assert claims <= 0.07 and 0.93 <= held
