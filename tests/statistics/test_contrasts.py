"""Differences of distances: sign, interval, standard error, swap test."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from seeingkit.errors import TallyError
from seeingkit.statistics.contrasts import SharedPool
from seeingkit.statistics.frechet import fsd_of_rows
from tests.helpers.area_rows import gaussian, long_tailed
from tests.helpers.simulations import fewest, most, repeats

MEAN, SD = np.array([30.0, 20, 10]), np.array([4.0, 3, 2])


def shifted(by: float, seed: int, n: int = 200) -> np.ndarray:
    """Normal areas whose distance from those of ``by=0`` is by² percent²."""
    return gaussian(n, MEAN + np.array([by, 0, 0]), SD, seed)


def test_plug_in_values_are_those_of_the_distance() -> None:
    real, a, b = (long_tailed(n, 8, seed) for seed, n in ((0, 90), (1, 70), (2, 80)))
    shared = SharedPool(real, [a, b])
    found = [one.value for one in shared.measured]
    assert found == pytest.approx([fsd_of_rows(real, a).value, fsd_of_rows(real, b).value])


def test_exchanging_the_generators_changes_the_sign_alone() -> None:
    rows = [long_tailed(120, 8, seed) for seed in range(3)]
    forth = SharedPool(rows[0], [rows[1], rows[2]]).contrast(0, 1)
    back = SharedPool(rows[0], [rows[2], rows[1]]).contrast(0, 1)
    assert back.value == pytest.approx(-forth.value)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low))
    assert back.error == pytest.approx(forth.error)


def test_the_same_images_twice_do_not_differ() -> None:
    real, same = shifted(0, 0), shifted(2, 1)
    found = SharedPool(real, [same, same]).contrast(0, 1, permutations=49)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.p_swap == 1
    assert found.nearer is None


def test_value_interval_and_error_of_a_known_difference() -> None:
    truth = 1.0 - 9.0
    found = [
        SharedPool(shifted(0, 3 * k), [shifted(1, 3 * k + 1), shifted(3, 3 * k + 2)]).contrast(0, 1)
        for k in range(80)
    ]
    values = np.array([f.value for f in found])
    stray = values.std(ddof=1)
    assert abs(values.mean() - truth) < 3 * stray / np.sqrt(80)
    assert 0.8 * stray < np.mean([f.error for f in found]) < 1.3 * stray
    assert sum(f.low <= truth <= f.high for f in found) >= 70  # of 95 %: fewer has p < 1 %
    assert all(f.nearer == 0 for f in found)


def test_the_real_images_common_to_both_cancel() -> None:
    """The error of a difference is far below that of two independent distances."""
    real, a = shifted(6, 0), shifted(0, 1)
    shared = SharedPool(real, [a, shifted(0.2, 2)])
    one, two = shared.measured
    apart = np.sqrt(one.on_real.var() / 200 + two.on_real.var() / 200)
    together = np.sqrt((one.on_real - two.on_real).var() / 200)
    assert together < 0.2 * apart


def test_p_of_the_swap_test_is_the_share_of_divisions() -> None:
    """With 3 + 3 images all 20 divisions can be counted by hand."""
    real = np.array([[0.0], [1], [2], [3]])
    images = np.array([[5.0], [6.5], [7], [9], [4], [8]])

    def difference(first: list[int]) -> float:
        rest = [k for k in range(6) if k not in first]
        near, far = (fsd_of_rows(real, images[part]).value for part in (first, rest))
        return float(near - far)

    every = np.array([difference(list(c)) for c in itertools.combinations(range(6), 3)])
    exact = np.mean(np.abs(every) >= abs(difference([0, 1, 2])) - 1e-9)
    found = SharedPool(real, [images[:3], images[3:]]).contrast(0, 1, permutations=4000)
    assert found.p_swap == pytest.approx(exact, abs=0.04)


def test_p_of_the_swap_test_is_never_below_what_the_permutations_can_give() -> None:
    shared = SharedPool(shifted(0, 0), [shifted(0, 1), shifted(20, 2)])
    assert shared.contrast(0, 1, permutations=24).p_swap == 1 / 25


@pytest.mark.parametrize("m", [60, 90])
@repeats(60, 120)
def test_the_swap_test_is_exact_where_both_draw_from_one_distribution(m: int, times: int) -> None:
    p = []
    for k in range(times):
        real, a, b = shifted(0, 3 * k, 60), shifted(3, 3 * k + 1, 60), shifted(3, 3 * k + 2, m)
        p.append(SharedPool(real, [a, b], seed=k).contrast(0, 1, permutations=19).p_swap)
    claims = np.sum(np.array(p) <= 0.1)
    assert fewest(times, 0.1, 0.003) <= claims <= most(times, 0.1, 0.003)


def test_the_interval_holds_0_where_the_swap_test_does_not_reject() -> None:
    shared = SharedPool(shifted(0, 0), [shifted(0, 1), shifted(9, 2)])
    assert shared.contrast(0, 1).nearer == 0
    found = shared.contrast(0, 1, permutations=1)  # p is at least 1/2
    assert found.low < found.high == 0
    assert found.nearer is None


def test_too_few_images_are_refused() -> None:
    with pytest.raises(TallyError, match="at least 2 images"):
        SharedPool(np.zeros((3, 2)), [np.zeros((1, 2))])
    with pytest.raises(TallyError, match="at least 2 images"):
        SharedPool(np.zeros((3, 2)), [])
