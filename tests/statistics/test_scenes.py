"""Neighbourhoods, coverage and density: closed forms, brute force, properties."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seeingkit import Tally
from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import UsageError
from seeingkit.statistics.neighbourhoods import Neighbourhoods, neighbourhoods
from seeingkit.statistics.scenes import coverage_interval, expected_coverage, scenes

Rows = NDArray[np.float64]


def compositions(n: int, rng: np.random.Generator, labels: int = 12) -> Rows:
    """Long-tailed rows that sum to 1."""
    rows = rng.gamma(0.4, 1, (n, labels)) * (rng.random((n, labels)) < 0.6)
    rows /= np.arange(1, labels + 1)
    rows[:, 0] += 1e-3
    return np.asarray(rows / rows.sum(1, keepdims=True))


def tally(rows: Rows | Sequence[Sequence[float]], prefix: str = "") -> Tally:
    return Tally.from_fractions(rows, ids=[f"{prefix}{k}" for k in range(len(rows))])


def around(real: Rows, generated: Rows, k: int = 5) -> Neighbourhoods:
    found = neighbourhoods(tally(real), tally(generated), k=k)
    assert found is not None
    return found


@pytest.mark.parametrize(("n", "m", "k"), [(8, 5, 1), (30, 20, 3), (40, 60, 5), (6, 9, 5)])
def test_neighbourhoods_are_those_of_a_double_loop(n: int, m: int, k: int) -> None:
    rng = np.random.default_rng(m)
    real, generated = compositions(n, rng), compositions(m, rng)
    found = around(real, generated, k)
    for place, row in enumerate(found.rows_real):
        x = np.sqrt(real[row])
        others = sorted(np.linalg.norm(x - np.sqrt(real[j])) for j in range(n) if j != row)
        across = np.array([np.linalg.norm(x - np.sqrt(g)) for g in generated])
        assert found.radius[place] == pytest.approx(others[k - 1], abs=1e-7)
        assert found.distance[place] == pytest.approx(across.min(), abs=1e-7)
        assert found.nearest[place] == across.argmin()
        assert found.within[place] == k
        assert found.held[place] == (across <= others[k - 1]).sum()
        assert found.ratio[place] == pytest.approx(across.min() / others[k - 1])
    assert sorted(found.rows_real) == list(range(n))


def test_the_same_images_cover_themselves() -> None:
    """Each neighbourhood holds its k neighbours and itself: density (k + 1) / k."""
    rows = compositions(60, np.random.default_rng(0))
    found = scenes(tally(rows), tally(rows))
    assert found is not None and found.coverage_ci is not None
    assert found.coverage == 1 and found.least_covered == []
    assert found.density == pytest.approx(6 / 5)
    assert found.density_expected == pytest.approx(1)
    assert found.coverage_expected == pytest.approx(
        1 - np.prod([(59 - j) / (119 - j) for j in range(5)])
    )
    assert 0.9 < found.coverage_ci[0] < 1
    assert found.coverage_ci[1] == pytest.approx(1)


def test_scenes_of_other_classes_are_not_reached() -> None:
    rng = np.random.default_rng(1)
    real, generated = np.zeros((50, 8)), np.zeros((40, 8))
    real[:, :4] = rng.dirichlet(np.ones(4), 50)
    generated[:, 4:] = rng.dirichlet(np.ones(4), 40)
    found = scenes(tally(real, "r"), tally(generated, "g"), show=7)
    assert found is not None and found.test is not None
    assert found.test.p_value == 1 / 500
    assert found.coverage == 0 and found.density == 0
    assert len(found.least_covered) == 7
    ratios = [image.ratio for image in found.least_covered]
    assert ratios == sorted(ratios, reverse=True)
    where = around(real, generated)
    assert where.distance == pytest.approx(np.sqrt(2))
    assert ratios[0] == pytest.approx(np.sqrt(2) / where.radius.min())


def test_a_missing_kind_of_scene_is_its_share_of_coverage() -> None:
    rng = np.random.default_rng(2)
    real, generated = np.zeros((1000, 10)), np.zeros((1000, 10))
    real[:700, :5], real[700:, 5:] = compositions(700, rng, 5), compositions(300, rng, 5)
    generated[:, :5] = compositions(1000, rng, 5)
    found = scenes(tally(real, "r"), tally(generated, "g"))
    assert found is not None and found.coverage_ci is not None
    assert found.coverage == pytest.approx(0.7, abs=0.03)
    assert found.coverage_ci[0] < 0.69 < found.coverage_ci[1] < 0.75
    assert found.coverage_expected == pytest.approx(1 - 2**-5, abs=0.002)
    assert all(int(image.image[1:]) >= 700 for image in found.least_covered)


def test_copies_cover_and_are_measured_to_what_differs() -> None:
    """Six copies have radius 0: only a seventh covers them; ratios go to the next real image."""
    real = np.array([[0.5, 0.5, 0.0]] * 6 + [[0.0, 0.36, 0.64]] * 6)
    apart = np.linalg.norm(np.sqrt(real[0]) - np.sqrt(real[6]))
    near = np.array([[0.5, 0.49, 0.01], [0.0, 0.36, 0.64]])
    found = around(real, near)
    first = found.rows_real < 6
    assert found.radius.max() == 0 and (found.within == 5).all()
    assert not found.covered[first].any() and found.covered[~first].all()
    assert (found.ratio[~first] == 0).all()
    distance = np.linalg.norm(np.sqrt(real[0]) - np.sqrt(near[0]))
    assert found.ratio[first] == pytest.approx(distance / apart)
    alone = around(real[:6], near[1:])
    distance = np.linalg.norm(np.sqrt(real[0]) - np.sqrt(near[1]))
    assert alone.ratio == pytest.approx(distance / np.sqrt(2))


def test_rounding_does_not_uncover_a_copy() -> None:
    """The generated images are the real ones among thousands of near copies."""
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 65536, (1, 300)) + rng.integers(0, 2, (400, 300))
    real = np.repeat(counts / counts.sum(1, keepdims=True), 7, axis=0)
    found = around(real, real[::7])
    assert found.covered.all() and (found.distance == 0).all() and (found.radius == 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 30), st.integers(1, 30), st.booleans())
def test_scenes_know_no_order(seed: int, n: int, m: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    real, generated = compositions(n, rng, 6), compositions(m, rng, 6)
    if coarse:  # many copies and ties
        real, generated = np.floor(real * 4) / 4, np.floor(generated * 4) / 4
    a, b = tally(real, "r"), tally(generated, "g")
    found = scenes(a, b, most=20, seed=seed)
    shuffled = scenes(a.take(rng.permutation(n)), b.take(rng.permutation(m)), most=20, seed=seed)
    assert found is not None and shuffled is not None
    assert found == shuffled
    columns = rng.permutation(6)
    names = [f"label {k}" for k in columns]
    moved = scenes(
        Tally.from_fractions(real[:, columns], names, ids=a.ids),
        Tally.from_fractions(generated[:, columns], names, ids=b.ids),
        most=20,
        seed=seed,
    )
    assert moved is not None
    assert moved.coverage == found.coverage and moved.density == found.density
    assert moved.coverage_expected == found.coverage_expected
    for one, other in zip(found.least_covered, moved.least_covered, strict=True):
        assert one.image == other.image and one.classes == other.classes
        assert one.ratio == pytest.approx(other.ratio, rel=1e-6)


def test_the_choice_of_images_is_by_seed_and_id() -> None:
    rows = compositions(300, np.random.default_rng(5))
    whole = tally(rows)
    first, again, other = (neighbourhoods(whole, whole, most=100, seed=seed) for seed in (0, 0, 1))
    assert first is not None and again is not None and other is not None
    assert len(set(first.rows_real)) == 100 == len(first.rows_generated)
    np.testing.assert_array_equal(first.rows_real, again.rows_real)
    assert set(first.rows_real) != set(other.rows_real)
    assert 20 < len(set(first.rows_real) & set(other.rows_real)) < 50


def test_ids_and_largest_classes_follow_the_images() -> None:
    names = tuple(map(Label, ("-", "sky", "tree", "cow")))
    vocabulary = Vocabulary(names, has_background=True)
    real = np.array(
        [[0.2, 0.8 - k / 1000, k / 1000, 0] for k in range(8)]
        + [[0.7 - k / 100, 0.1, 0, 0.2 + k / 100] for k in range(5)]
    )
    sides = [
        Tally.from_fractions(rows, vocabulary, ids=[f"{name} {k}" for k in range(len(rows))])
        for name, rows in (("photo", real), ("drawn", real[:8] * 0.99))
    ]
    found = scenes(*sides, k=3)
    assert found is not None
    assert {image.image for image in found.least_covered} == {f"photo {k}" for k in range(8, 13)}
    for image in found.least_covered:
        assert image.nearest.startswith("drawn")
        assert list(image.classes) == ["cow", "sky"]
        cow = 20 + int(image.image[6:]) - 8
        assert image.classes == pytest.approx({"cow": cow, "sky": 10})


def test_few_images_and_wrong_numbers() -> None:
    rows = compositions(13, np.random.default_rng(6))
    found = scenes(tally(rows), tally(rows[:4]))
    assert found is not None and found.coverage_ci is None and found.test is None
    assert scenes(tally(rows[:5]), tally(rows)) is None
    assert scenes(tally(rows), tally(rows[:0])) is None
    with pytest.raises(UsageError, match="at least 1, not 0"):
        scenes(tally(rows), tally(rows), k=0)
    with pytest.raises(UsageError, match="at least 1"):
        neighbourhoods(tally(rows), tally(rows), most=0)


@pytest.mark.parametrize("steps", [0, 4])
def test_expected_coverage_is_the_mean_over_drawn_halves(steps: int) -> None:
    """With ties (areas in quarters) and without."""
    rng = np.random.default_rng(7)
    rows, half, k = compositions(24, rng, 4), 12, 3
    if steps:
        rows = np.floor(rows * steps) / steps
    expected = expected_coverage(around(rows, rows, k).within, half, 24 - half).mean()
    drawn = []
    for _ in range(400):
        order = rng.permutation(24)
        drawn.append(around(rows[order[:half]], rows[order[half:]], k).covered.mean())
    assert abs(np.mean(drawn) - expected) < 3.5 * np.std(drawn) / np.sqrt(400)


def test_expected_coverage_is_that_of_a_second_sample() -> None:
    rng = np.random.default_rng(8)
    seen, expected = [], []
    for _ in range(150):
        found = around(compositions(60, rng), compositions(45, rng), 2)
        seen.append(found.covered.mean())
        expected.append(expected_coverage(found.within, 60, 45).mean())
    assert np.mean(expected) == pytest.approx(1 - 59 * 58 / (104 * 103), abs=0.01)
    assert abs(np.mean(seen) - np.mean(expected)) < 3.5 * np.std(seen) / np.sqrt(150) + 0.002


def interval_coverage(n: int, m: int, repeats: int, missing: float) -> float:
    """Share of intervals that hold the mean coverage, where a share of scenes is missing."""
    rng = np.random.default_rng(9)
    runs = []
    for seed in range(repeats):
        real, generated = compositions(n, rng, 8), compositions(m, rng, 8)
        gone = rng.random(n) < missing
        real[gone] = real[gone][:, ::-1]
        found = around(real, generated)
        interval = coverage_interval(found, seed=seed)
        assert interval is not None
        runs.append((found.covered.mean(), *interval))
    shares, low, high = np.array(runs).T
    return float(((low <= shares.mean()) & (shares.mean() <= high)).mean())


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_interval_of_coverage_holds_the_mean(missing: float) -> None:
    assert 0.89 <= interval_coverage(120, 120, 120, missing) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(("n", "m"), [(300, 300), (300, 900), (900, 300), (1500, 1500)])
def test_interval_of_coverage_holds_the_mean_at_many_sizes(n: int, m: int, missing: float) -> None:
    assert 0.9 <= interval_coverage(n, m, 150, missing) <= 1
