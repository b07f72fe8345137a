"""Random blocks of images: the same sums as of single images, and tests that stay exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from seeingkit.statistics import (
    Pool,
    blocks,
    fsd_of_rows,
    labelsums,
    measure_distance,
    resampling,
)
from seeingkit.statistics.blocks import Blocks, Units, units_of
from seeingkit.statistics.claims import class_tests
from seeingkit.statistics.resampling import disjoint_half_floor, floor_of_units, permute
from tests.helpers.area_rows import hard_case, long_tailed
from tests.helpers.simulations import repeats


@pytest.fixture
def few_single(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks from the first image on, about 60 in all."""
    monkeypatch.setattr(blocks, "MOST_SINGLE", 0)
    monkeypatch.setattr(blocks, "BLOCKS", 60)
    monkeypatch.setattr(blocks, "FEWEST", 60)


def paired_groups(n: int, m: int) -> tuple[list[int], list[int]]:
    """Groups of one to three images."""
    return [k * k % 7 + 7 * (k // 12) for k in range(n)], [k // 3 for k in range(m)]


def images_of(pool: Pool, members: list[np.ndarray]) -> np.ndarray:
    """(n + m, blocks) 1 for the images of each block."""
    masks = np.zeros((pool.groups, len(members)))
    for k, groups in enumerate(members):
        masks[groups, k] = 1
    return pool.images_of(masks)


# which images


@settings(max_examples=25)
@given(st.integers(2, 90), st.integers(2, 90), st.integers(1, 40), st.integers(0, 9))
def test_every_image_is_in_one_block_that_has_partners_of_its_size(
    n: int, m: int, size: int, seed: int
) -> None:
    pool = Pool(np.ones((n, 1)), np.ones((m, 1)))
    found = Blocks(pool, seed=seed, size=size)
    units = np.concatenate([np.concatenate(stratum) for stratum in found.strata])
    assert sorted(units) == list(range(found.count))
    sizes = found.side(np.ones((found.count, 1)))
    assert (sizes.n, sizes.areas.tolist()) == (n + m, [n + m])
    real, generated = found.sums(found.of_sides())
    assert (real.n, generated.n) == (n, m)
    for stratum in found.strata:
        chosen = np.zeros((found.count, len(stratum.real) + len(stratum.generated)))
        for column, unit in enumerate(np.concatenate(stratum)):
            chosen[unit, column] = 1
        assert len({each.n for each in found.sums(chosen)}) == 1
    assert found.size == max(each.n for each in found.sums(np.eye(found.count)))
    rng = np.random.default_rng(seed)
    masks = np.zeros((found.count, 1))
    masks[np.concatenate(found.divided(rng)[0])] = 1
    assert found.sums(masks)[0].n == n  # a division keeps the numbers of both sides


def test_few_images_change_sides_by_themselves_and_many_in_as_many_blocks_as_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "MOST_SINGLE", 500)
    monkeypatch.setattr(blocks, "FEWEST", 20)
    few, many = (Pool(np.ones((n, 1)), np.ones((250, 1))) for n in (250, 251))
    assert type(units_of(few, 0)) is Units
    monkeypatch.setattr(blocks, "BLOCKS", 50)
    found = units_of(many, 0)
    assert (found.size, [len(s.real) for s in found.strata]) == (11, [22, 2, 3])
    small = units_of(Pool(np.ones((900, 1)), np.ones((6, 1))), 0)  # the smaller side has some
    assert (small.size, len(small.strata[0].real)) == (5, 180)
    monkeypatch.setattr(blocks, "MOST_SUMS", 60)  # one label: 1 sum a block; two: 3
    two = units_of(Pool(np.ones((300, 2)), np.ones((300, 2))), 0)
    assert two.size == 30


# sums


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("kind", range(6))
def test_sums_of_blocks_are_those_of_their_images(kind: int, grouped: bool) -> None:
    rng = np.random.default_rng(kind)
    rows = hard_case(70, 9, kind, rng), hard_case(55, 9, kind, rng)
    pool = Pool(*rows, paired_groups(70, 55) if grouped else None)
    order = rng.permutation(pool.groups)
    members = np.split(order, [1, 4, 5, 20])
    found = blocks._BlockSums(pool, members)
    masks = images_of(pool, members)
    for k, direct in enumerate(pool.sums(masks)):
        assert found.counts[0, k] == direct.n
        square = direct.products[np.triu_indices(len(pool.live))]
        assert found.products[:, [k]].toarray().ravel() == pytest.approx(square)
    sides = found.powers.toarray().T.reshape(len(members), 6, -1)
    direct = pool.sides(masks)
    for place, name in enumerate(("areas", "shown", "squares", "cross", "cubes", "seen")):
        # Of single images no products with sizes of groups are kept: these are the areas.
        assert sides[:, place] == pytest.approx(getattr(direct, name)), name
    if grouped:
        assert found.counts[1:, :, None] == pytest.approx(np.stack([direct.groups, direct.sizes]))


@pytest.mark.parametrize("grouped", [False, True])
def test_divisions_of_blocks_equal_direct_ones(grouped: bool) -> None:
    rows = long_tailed(50, 6, 1), long_tailed(41, 6, 2)
    pool = Pool(*rows, paired_groups(50, 41) if grouped else None)
    found = Blocks(pool, seed=3, size=4)
    real, generated = found.sums(found.of_sides())
    mask = pool.real_mask()
    direct_sums = pool.sums(np.stack([mask, 1 - mask], 1))
    for one, direct in zip((real, generated), direct_sums, strict=True):
        assert one.n == direct.n
        assert one.products == pytest.approx(direct.products)
    ours, theirs = found.sides(found.of_sides()), pool.sides(np.stack([mask, 1 - mask], 1))
    for name, one, direct in zip(ours._fields, ours, theirs, strict=True):
        if grouped or name not in ("n", "groups", "sizes"):
            assert one == pytest.approx(np.asarray(direct)), name


def test_what_chosen_blocks_alone_show_leaves_exactly_nothing_in_the_others() -> None:
    rows = long_tailed(64, 5, 4) / 3
    rows[:, 4] = 0
    rows[7, 4] = 0.1 + 0.2
    found = Blocks(Pool(rows, long_tailed(64, 5, 5)[:, :5] * [1, 1, 1, 1, 0]), seed=0, size=8)
    total = found.sums(np.ones((found.count, 1)))[0]
    masks = (np.random.default_rng(0).random((found.count, 40)) < 0.5).astype(float)
    for each, shown in zip(found.sums(masks), found.sides(masks).shown, strict=True):
        rest = total.without(each)
        assert (rest.areas[4] == 0) == (shown[4] == 1)


@pytest.mark.parametrize("part", [1, 40, 10_000])
def test_sums_in_parts_are_those_of_the_whole(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sparse.csr_array(hard_case(80, 7, 5, np.random.default_rng(1)))
    kept = Pool(rows[:50], rows[50:])
    masks = (np.random.default_rng(2).random((80, 20)) < 0.4).astype(float)
    for name, value in (("MOST_PRODUCTS", 0), ("MOST_AREAS", 0), ("PART", part)):
        monkeypatch.setattr(labelsums, name, value)
    streamed = Pool(rows[:50], rows[50:])
    assert (kept.area_threshold == streamed.area_threshold).all()
    for one, other in zip(kept.sums(masks), streamed.sums(masks), strict=True):
        assert one.products == pytest.approx(other.products, rel=1e-12)
    for one, other in zip(kept.sides(masks), streamed.sides(masks), strict=True):
        assert one == pytest.approx(np.asarray(other), rel=1e-12)


# the numbers that rest on them


@pytest.mark.usefixtures("few_single")
def test_the_distance_is_the_same_and_says_how_large_its_blocks_are() -> None:
    a, b = long_tailed(400, 6, 1), long_tailed(400, 6, 2)
    found = measure_distance(Pool(a, b), permutations=99, seed=1).result
    again = measure_distance(Pool(a, b), permutations=99, seed=1).result
    assert found == again
    assert found.block == 14
    assert found.value == pytest.approx(fsd_of_rows(a, b).value, rel=1e-7)
    assert found.floor_halves == 200


@pytest.mark.usefixtures("few_single")
@pytest.mark.parametrize("grouped", [False, True])
def test_floor_and_permutations_of_blocks_are_like_those_of_single_images(
    grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = long_tailed(600, 6, 1), long_tailed(600, 6, 2)
    pool = Pool(*rows, tuple([k // 2 for k in range(600)] for _ in rows) if grouped else None)
    for module, name, value in ((blocks, "BLOCKS", 400), (resampling, "DIVISIONS", 0)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(resampling, "MOST_HALVED", 0)
    single, blocked = Units(pool), units_of(pool, 0)
    assert blocked.size == 2 + (not grouped)
    floors = [floor_of_units(units_of(pool, k), seed=k) for k in range(6)]
    values = [
        disjoint_half_floor(pool.rows[:600], 600, 600, seed=k, group=pool.group[:600])
        for k in range(6)
    ]
    means = [np.mean([f.value for f in each if f]) for each in (floors, values)]
    assert means[0] == pytest.approx(means[1], rel=0.3)  # one of them varies by a third
    drawn = [permute(units, permutations=300, seed=2) for units in (single, blocked)]
    means = [found.distances.mean() for found in drawn]
    assert means[1] == pytest.approx(means[0], rel=0.1)
    spread = [np.std(found.first.areas, axis=0) for found in drawn]
    assert spread[1] == pytest.approx(spread[0], rel=0.25)


@pytest.mark.usefixtures("few_single")
@repeats(80, 600)
def test_tests_stay_exact_where_both_sides_have_one_distribution(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sides of different sizes, with images left over by the largest blocks.
    monkeypatch.setattr(resampling, "MOST_HALVED", 0)
    monkeypatch.setattr(resampling, "DIVISIONS", 39)
    by_distance, by_class = [], []
    for k in range(times):
        pool = Pool(long_tailed(170, 4, 2 * k), long_tailed(130, 4, 2 * k + 1))
        units = units_of(pool, k)
        found = permute(units, permutations=39, seed=k)
        by_distance.append(found.p_value(fsd_of_rows(pool.rows[:170], pool.rows[170:])))
        mask = pool.real_mask()
        by_class.append(class_tests(pool.side(mask), pool.side(1 - mask), found).area[1])
    for p in (by_distance, by_class):
        for level in (0.05, 0.1, 0.25, 0.5):
            share = np.mean(np.array(p) <= level + 1e-9)
            assert share == pytest.approx(level, abs=3.3 * np.sqrt(level * (1 - level) / times))


@pytest.mark.usefixtures("few_single")
def test_a_difference_is_found() -> None:
    a, b = long_tailed(300, 6, 8), long_tailed(300, 6, 9)
    b[:, 2] /= 2
    assert measure_distance(Pool(a, b), permutations=99).result.p_value == 0.01
