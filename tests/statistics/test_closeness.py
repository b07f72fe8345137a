"""Tests of each class between two generators: which draws more, which is closer to real images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from seeingkit.statistics.closeness import closeness
from seeingkit.statistics.contrasts import SharedPool
from tests.helpers.simulations import most, repeats


def column(mean: float, seed: int, n: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 2.0, (n, 1))


def shown(share: float, seed: int, n: int = 600) -> np.ndarray:
    """A class of 5 % of the image in a share of the images."""
    return np.where(np.random.default_rng(seed).random((n, 1)) < share, 5.0, 0.0)


def test_the_closer_one_is_named_from_both_sides() -> None:
    real = column(20, 0)
    forth, _ = closeness(SharedPool(real, [column(21.5, 1), column(25, 2)]), 0, 1)
    back, _ = closeness(SharedPool(real, [column(25, 2), column(21.5, 1)]), 0, 1)
    assert forth.first_closer[0]
    assert not back.first_closer[0]
    assert max(forth.p_closer[0], back.p_closer[0]) < 0.001
    assert forth.real[0] == pytest.approx(real.mean())


def test_too_much_and_too_little_by_the_same_amount_are_equally_far() -> None:
    real = column(20, 0)
    area, _ = closeness(SharedPool(real, [real - 3, real + 3]), 0, 1)
    assert area.p_more[0] <= 1e-6  # no smaller p is given
    assert area.p_closer[0] == 1


def test_generators_that_draw_the_same_are_equally_far() -> None:
    same = column(25, 1)
    area, images = closeness(SharedPool(column(20, 0), [same, same]), 0, 1)
    assert area.p_more[0] == area.p_closer[0] == 1
    assert images.p_more[0] == images.p_closer[0] == 1


def test_closer_is_never_surer_than_different() -> None:
    rng = np.random.default_rng(0)
    real, a, b = (rng.gamma(0.5, 4, (80, 6)) * (rng.random((80, 6)) < 0.6) for _ in range(3))
    for question in closeness(SharedPool(real, [a, b]), 0, 1):
        assert (question.p_closer >= question.p_more).all()


def test_images_and_area_are_two_questions() -> None:
    """In as many images as the real ones but smaller, and in fewer images but larger."""
    real, small, few = shown(0.5, 0), shown(0.5, 1) * 0.4, shown(0.2, 2) * 2.5
    area, images = closeness(SharedPool(real, [small, few]), 0, 1)
    assert images.p_closer[0] < 0.05
    assert images.first_closer[0]
    assert images.first[0] == pytest.approx(np.mean(small > 0))
    assert area.p_closer[0] < 0.05
    assert not area.first_closer[0]


def test_p_of_the_middle_is_that_of_the_normal_contrast() -> None:
    """Where the generators differ beyond doubt, p is that of "their middle is the real mean"."""
    real, a, b = column(20, 0, 400), column(15, 1, 400), column(25.5, 2, 400)
    area, _ = closeness(SharedPool(real, [a, b]), 0, 1)
    middle = (a.mean() + b.mean()) / 2 - real.mean()
    error = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 4 / 400 + real.var(ddof=1) / 400)
    assert area.p_closer[0] == pytest.approx(2 * stats.norm.sf(abs(middle / error)), abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("means", [(22.0, 22.0), (17.0, 23.0), (20.0, 20.0)])
@repeats(75, 150)
def test_false_claims_where_both_are_equally_far(means: tuple[float, float], times: int) -> None:
    """Alike and far; too little and too much; both right."""
    claimed = 0
    for k in range(times):
        real, a, b = column(20, 3 * k, 40), *(column(means[j], 3 * k + 1 + j, 40) for j in (0, 1))
        area, _ = closeness(SharedPool(real, [a, b], seed=k), 0, 1)
        claimed += area.p_closer[0] <= 0.05
    assert claimed <= most(times, 0.05, 0.003)
