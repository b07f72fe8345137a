"""Pairs of classes: exact p-values, planted structure found, and nothing found where none is."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from seeingkit import Tally
from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import TallyError, UsageError
from seeingkit.statistics import pairs
from seeingkit.statistics.pairs import (
    Tables,
    compare_pairs,
    enough_images,
    lift_scores,
    odds_ratio_p_values,
    pair_p_values,
    plackett,
)

NAMES = ("-", "water", "grass", "boat", "road", "person", "sky", "tree", "car", "sheep")
_, WATER, GRASS, BOAT, ROAD, PERSON, SKY, TREE, CAR, SHEEP = range(len(NAMES))


def tally(shows: np.ndarray, names: tuple[str, ...] = NAMES, background: bool = True) -> Tally:
    """A tally of images that show classes or not, (N, L), ten pixels each."""
    counts = sparse.csr_array(10.0 * shows)
    vocabulary = Vocabulary(tuple(map(Label, names)), has_background=background)
    ids = tuple(f"image {k}" for k in range(len(shows)))
    return Tally(ids, counts, np.full(len(shows), 1000.0), vocabulary)


def scenes(n: int, seed: int) -> np.ndarray:
    """Coasts, streets and fields: classes that go together and classes that exclude each other."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    shares = np.zeros((3, len(NAMES)))
    shares[:, SKY] = 0.95, 0.7, 0.9
    shares[:, TREE] = 0.1, 0.5, 0.6
    shares[:, WATER] = 0.9, 0.02, 0.1
    shares[:, GRASS] = 0.1, 0.2, 0.9
    shares[:, ROAD] = 0.05, 0.9, 0.2
    shares[:, PERSON] = 0.1, 0.4, 0.05
    shares[:, CAR] = 0.01, 0.6, 0.05
    shares[:, SHEEP] = 0.0, 0.0, 0.15
    shares[:, 0] = 1.0
    shows = rng.random((n, len(NAMES))) < shares[kind]
    shows[:, BOAT] = shows[:, WATER] & (rng.random(n) < 0.15)  # a boat is always on water
    return shows


def names_of(result: object) -> dict[frozenset[str], str]:
    return {frozenset((p.first, p.second)): p.verdict for p in result.pairs}  # type: ignore[attr-defined]


def some_tables(n: int, count: int, seed: int) -> Tables:
    rng = np.random.default_rng(seed)
    cells = np.array([rng.multinomial(n, rng.dirichlet(np.full(4, 0.7))) for _ in range(count)])
    a, b, c, _ = cells.T.astype(float)
    return Tables(a, a + b, a + c, n)


def table(both: int, first: int, second: int, n: int) -> Tables:
    return Tables(np.array([float(both)]), np.array([float(first)]), np.array([float(second)]), n)


def ways(n: int, first: int, second: int, both: int) -> int:
    """Ways to choose the images with the second class, so that ``both`` show the first, too."""
    return comb(first, both) * comb(n - first, second - both) if 0 <= both <= second else 0


def test_the_odds_ratio_test_is_exact() -> None:
    real, generated = some_tables(40, 200, 1), some_tables(70, 200, 2)
    found = odds_ratio_p_values(real, generated)
    for k in range(200):
        a, first, second = (int(v[k]) for v in real[:3])
        b, other_first, other_second = (int(v[k]) for v in generated[:3])
        weights = [
            ways(40, first, second, s) * ways(70, other_first, other_second, a + b - s)
            for s in range(a + b + 1)
        ]
        tails = [2 * sum(part) - weights[a] for part in (weights[: a + 1], weights[a:])]
        assert found[k] == pytest.approx(min(1, min(tails) / sum(weights)), rel=1e-10)


@settings(max_examples=100)
@given(
    st.floats(0.001, 0.999), st.floats(0.001, 0.999), st.floats(-12, 12).map(lambda v: np.exp(v))
)
def test_plackett_gives_the_odds_ratio_back(first: float, second: float, odds: float) -> None:
    both = plackett(*(np.array([v]) for v in (first, second, odds)))[0]
    cells = both, first - both, second - both, 1 - first - second + both
    assert min(cells) >= -1e-12
    assert cells[0] * cells[3] == pytest.approx(odds * cells[1] * cells[2], rel=1e-6, abs=1e-12)


def test_plackett_of_independent_classes_is_their_product() -> None:
    p, q = np.array([0.2, 0.9]), np.array([0.5, 0.7])
    np.testing.assert_allclose(plackett(p, q, np.ones(2)), p * q, rtol=1e-15)


def test_pairs_counted_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = tally(scenes(500, 1)), tally(scenes(400, 2))
    whole = compare_pairs(*sides)
    monkeypatch.setattr(pairs, "ROWS", 33)
    assert compare_pairs(*sides) == whole


def test_boats_on_grass_are_found() -> None:
    real, made = scenes(5000, 1), scenes(5000, 2)
    boats = np.flatnonzero(made[:, BOAT])
    fields = np.flatnonzero(made[:, GRASS] & ~made[:, WATER])
    made[boats, BOAT] = False
    made[np.random.default_rng(3).choice(fields, len(boats), replace=False), BOAT] = True
    result = compare_pairs(tally(real), tally(made))
    found = names_of(result)
    assert found[frozenset(("boat", "water"))] == "apart"
    assert found[frozenset(("boat", "grass"))] == "together"
    assert all("boat" in pair for pair in found)
    worst = result.pairs[0]
    assert (worst.first, worst.second) == ("boat", "water")  # the rarer one first
    assert worst.generated_together == 0
    assert worst.real_together == pytest.approx((real[:, BOAT] & real[:, WATER]).mean())
    assert worst.expected_together == pytest.approx(len(boats) / 5000, rel=0.05)
    assert worst.odds_ratio_real > 50 > 1 > worst.odds_ratio_generated
    assert worst.q_value < 1e-20 and worst.p_value <= worst.q_value


def test_people_off_the_road_are_found_at_their_own_presence() -> None:
    real, made = scenes(10_000, 1), scenes(10_000, 2)
    rng = np.random.default_rng(4)
    made[:, PERSON] &= ~made[:, ROAD] | (rng.random(len(made)) < 0.1)
    found = names_of(compare_pairs(tally(real), tally(made)))
    assert found[frozenset(("person", "road"))] == "apart"
    assert all("person" in pair for pair in found)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("dropped", [PERSON, BOAT, ROAD, SKY])
def test_a_class_dropped_from_images_at_random_makes_no_pair(dropped: int, kept: float) -> None:
    real, made = scenes(10_000, 1), scenes(10_000, 2)
    made[:, dropped] &= np.random.default_rng(5).random(len(made)) < kept
    result = compare_pairs(tally(real), tally(made))
    assert result.tested > 5
    assert result.pairs == []


def test_dropping_at_random_breaks_the_odds_ratio_but_not_the_lift() -> None:
    # 9 in 10 images show the first class; four fifths of them lose it, whatever else they show.
    real, made = table(49_000, 90_000, 50_000, 100_000), table(9800, 18_000, 50_000, 100_000)
    assert odds_ratio_p_values(real, made)[0] < 1e-100
    assert abs(lift_scores(real, made)[0]) < 1e-9
    assert pair_p_values(real, made)[0] > 0.99


def test_the_lift_score_has_unit_variance() -> None:
    rng = np.random.default_rng(0)
    for p in ([0.02, 0.08, 0.1, 0.8], [0.3, 0.1, 0.3, 0.3], [0.05, 0.0, 0.25, 0.7]):
        sides = []
        for n, kept in ((3000, 1.0), (5000, 0.6)):  # the other side loses the first at random
            a, b, c, _ = rng.multinomial(n, p, 4000).T
            a2, b2 = rng.binomial(a, kept), rng.binomial(b, kept)
            sides.append(Tables(a2 * 1.0, (a2 + b2) * 1.0, (a + c) * 1.0, n))
        z = lift_scores(*sides)
        assert abs(z.mean()) < 0.1
        assert z.std() == pytest.approx(1, abs=0.05)


def test_pairs_without_enough_images_are_counted_not_tested() -> None:
    assert enough_images(table(40, 100, 100, 1000), table(40, 100, 100, 1000))[0]
    assert not enough_images(table(4, 100, 100, 1000), table(4, 100, 100, 1000))[0]
    assert not enough_images(table(99, 100, 999, 1000), table(99, 100, 999, 1000))[0]
    assert enough_images(table(100, 100, 500, 1000), table(0, 100, 500, 1000))[0]  # lost altogether
    few = compare_pairs(tally(scenes(13, 1)), tally(scenes(13, 2)))
    assert few.tested == 0 and few.pairs == [] and few.too_rare > 5
    none = compare_pairs(tally(np.zeros((5, 10), bool)), tally(np.zeros((5, 10), bool)))
    assert none.tested == 0 and none.too_rare == 0


def test_nothing_is_a_class_only_where_it_is_one() -> None:
    real, made = scenes(3000, 1), scenes(3000, 2)
    real[:, 0], made[:, 0] = real[:, GRASS], ~made[:, GRASS]
    with_background = compare_pairs(tally(real), tally(made))
    assert not any("-" in pair for pair in names_of(with_background))
    without = compare_pairs(tally(real, background=False), tally(made, background=False))
    assert names_of(without)[frozenset(("-", "grass"))] == "apart"
    shortened = compare_pairs(tally(real, background=False), tally(made, background=False), shown=1)
    assert len(shortened.pairs) == 1 and shortened.found == without.found > 1


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_order_of_images_and_classes_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    real, made = scenes(600, seed % 97), scenes(500, seed % 89)
    made[:, BOAT] = made[:, GRASS] & (rng.random(500) < 0.2)
    result = compare_pairs(tally(real), tally(made))
    order = np.array([0, *(1 + rng.permutation(len(NAMES) - 1))])
    names = tuple(NAMES[k] for k in order)
    again = compare_pairs(
        tally(rng.permutation(real)[:, order], names), tally(rng.permutation(made)[:, order], names)
    )
    assert again.found == result.found >= 1
    assert (again.tested, again.too_rare) == (result.tested, result.too_rare)
    for a, b in zip(result.pairs, again.pairs, strict=True):
        assert (a.first, a.second, a.verdict) == (b.first, b.second, b.verdict)
        assert a.p_value == pytest.approx(b.p_value, rel=1e-9)
        assert a.expected_together == pytest.approx(b.expected_together, rel=1e-12)


def discoveries(n: int, m: int, repeats: int) -> tuple[float, float]:
    """Share of null runs with any q at or below 5 %, and of p-values at or below 5 %."""
    from scipy import stats

    from seeingkit.statistics.pairs import _tables

    runs, share = 0, []
    for seed in range(repeats):
        _, _, real, made = _tables(
            tally(scenes(n, 2 * seed + 10_000)), tally(scenes(m, 2 * seed + 10_001))
        )
        enough = enough_images(real, made)
        p = pair_p_values(real.take(enough), made.take(enough))
        runs += bool((stats.false_discovery_control(p) <= 0.05).any())
        share.append(float((p <= 0.05).mean()))
    return runs / repeats, float(np.mean(share))


def test_false_discoveries_at_the_null() -> None:
    found, share = discoveries(500, 500, 200)
    assert found <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert share <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(500, 500), (2000, 2000), (10_000, 10_000), (1000, 10_000)])
def test_false_discoveries_at_the_null_long(n: int, m: int) -> None:
    found, share = discoveries(n, m, 500)
    assert found <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 500)
    assert 0.03 <= share <= 0.055


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(TallyError, match="different labels"):
        compare_pairs(tally(scenes(9, 1)), tally(scenes(9, 1)[:, :3], NAMES[:3]))
    with pytest.raises(TallyError, match="at least one image"):
        compare_pairs(tally(scenes(9, 1)), tally(scenes(9, 1)[:0]))
    for level, shown in ((0.0, 1), (5.0, 1), (0.05, -1)):
        with pytest.raises(UsageError, match="level"):
            compare_pairs(tally(scenes(9, 1)), tally(scenes(9, 1)), level=level, shown=shown)
