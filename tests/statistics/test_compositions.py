"""The test of whole compositions: level, power where classes say nothing, order, ties."""

from __future__ import annotations

import numpy as np
import pytest

from seeingkit.results import CompositionTest
from seeingkit.statistics.compositions import MOST, _pairs, _statistics, composition_test, roots


def scenes(n: int, seed: int, kinds: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """(n, 8) percent: each image one of these kinds of scene, as often as the others."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, 8))
    for row in rows:
        classes = list(kinds[rng.integers(len(kinds))])
        row[classes] = rng.dirichlet(np.full(len(classes), 5.0))
    return 100 * rows


def run(a: np.ndarray, b: np.ndarray, permutations: int = 99, seed: int = 0) -> CompositionTest:
    found = composition_test(a, b, permutations=permutations, seed=seed)
    assert found is not None
    return found


REAL = ((0, 1), (2, 3), (4, 5), (6, 7))
MIXED = ((0, 3), (2, 1), (4, 7), (6, 5))
"""Each class as often and as large as in ``REAL``, in other company."""


def test_scenes_are_told_apart_though_no_class_differs() -> None:
    real, mixed = scenes(150, 0, REAL), scenes(150, 1, MIXED)
    found = run(real, mixed)
    assert found.p_value == 1 / 100
    assert found.strongest.startswith("neighbours")
    assert (found.images_real, found.images_generated, found.permutations) == (150, 150, 99)


def test_level_is_exact_with_copies_and_unequal_sides() -> None:
    """Areas of three values only: most distances are ties."""
    p = []
    for k in range(150):
        rng = np.random.default_rng(k)
        rows = 50.0 * rng.integers(0, 3, (50, 2))
        p.append(run(rows[:30], rows[30:], 19, k).p_value)
    share = np.mean(np.array(p) <= 0.1)
    assert 0.03 <= share <= 0.18  # 3 standard errors around 0.1


def test_statistics_are_their_definitions() -> None:
    rng = np.random.default_rng(0)
    points = np.sqrt(rng.dirichlet(np.ones(4), 100))
    z = np.where(np.arange(100) < 40, 1 / 40, -1 / 60)
    energy, means, one, two = _statistics(_pairs(points), z[:, None])[:, 0]
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert energy == pytest.approx(-(z @ gaps @ z))
    difference = (points[:40].mean(0) - points[40:].mean(0)) / points.std(0)
    assert means == pytest.approx((difference**2).sum())
    np.fill_diagonal(gaps, np.inf)
    order = gaps.argsort(axis=1)
    for found, count in ((one, 1), (two, 2)):
        by_hand = sum(z[i] * z[j] for i in range(100) for j in order[i, :count])
        assert found == pytest.approx(by_hand)


def test_energy_is_the_energy_distance() -> None:
    """zᵀ(−D)z = 2 E|X − Y| − E|X − X'| − E|Y − Y'|, of one class at two areas."""
    real, generated = np.array([[100.0]] * 10), np.array([[25.0]] * 10)
    pairs = _pairs(np.vstack([roots(real).toarray(), roots(generated).toarray()]))
    z = np.repeat([0.1, -0.1], 10)[:, None]
    assert _statistics(pairs, z)[0, 0] == pytest.approx(2 * abs(1.0 - 0.5))


def test_a_rare_class_counts_by_its_own_deviation() -> None:
    rng = np.random.default_rng(3)
    rows = np.column_stack([rng.dirichlet([3, 3, 3], 400) * 99, np.zeros(400)])
    rows[:200:8, 3] = 0.5  # in 25 of 200 real images, and small
    found = run(rows[:200], rows[200:], 199)
    assert found.p_value <= 0.01
    assert found.strongest == "means"


def test_the_same_seed_gives_the_same_and_many_images_are_thinned() -> None:
    rng = np.random.default_rng(0)
    a, b = 100 * rng.dirichlet([2, 1], MOST + 50), 100 * rng.dirichlet([2, 1], 40)
    found = run(a, b, 19, 5)
    assert found == run(a[:MOST], b, 19, 5)
    assert (found.images_real, found.images_generated) == (MOST, 40)


def test_few_images_are_not_tested() -> None:
    assert composition_test(np.ones((9, 2)), np.ones((50, 2))) is None
