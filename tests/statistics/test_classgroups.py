"""Classes over many generators: both questions, their correction, and what is claimed of whom."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from seeingkit.statistics.classgroups import class_claims, class_table, holm
from seeingkit.statistics.presence import presence_p_values
from seeingkit.statistics.products import Pool
from tests.helpers.area_rows import scenes

SHARES = np.array([0.6, 0.3, 0.1, 0.05])


def drawn(count: int, seed: int, n: int = 300, shares: np.ndarray = SHARES) -> list[np.ndarray]:
    return [scenes(n, shares, 100 * seed + k) for k in range(count)]


def as_sparse(rows: list[np.ndarray]) -> list[sparse.csr_array]:
    return [sparse.csr_array(each) for each in rows]


def test_sums_and_thresholds_are_those_of_a_pool() -> None:
    first, second = drawn(2, 1, n=80)
    pool, table = Pool(first, second), class_table(as_sparse([first, second]))
    assert table.labels.tolist() == pool.live.tolist()
    assert table.thresholds == pytest.approx(pool.area_threshold)
    masks = pool.real_mask(), 1 - pool.real_mask()
    for side, mask in zip(table.sides, masks, strict=True):
        for found, expected in zip(side, pool.side(mask), strict=True):
            assert found == pytest.approx(expected)


def test_two_generators_are_tested_as_one_pair() -> None:
    rows = drawn(1, 2) + drawn(1, 3, shares=SHARES * [1, 0.4, 1, 1])
    table = class_table(as_sparse(rows))
    areas, images = class_claims(table.sides)
    a, b = table.sides
    assert images.p_equal == pytest.approx(presence_p_values(a.seen, 300, b.seen, 300), abs=0.05)
    small = images.p_equal <= 0.04
    assert small.any()
    exact = presence_p_values(a.seen, 300, b.seen, 300)
    assert images.p_equal[small] == pytest.approx(exact[small])
    label = table.labels.tolist().index(3)
    assert images.more[label].tolist() == areas.more[label].tolist() == [[False, True], [False] * 2]
    by_hand = stats.ttest_ind(rows[0][:, 3], rows[1][:, 3], equal_var=False).pvalue
    assert areas.p_equal[label] >= by_hand * 0.999


def test_a_lost_class_is_claimed_against_all_who_have_it() -> None:
    rows = drawn(5, 4)
    for k in (1, 3):
        rows[k][:, 1] += rows[k][:, 2]
        rows[k][:, 2] = 0
    table = class_table(as_sparse(rows))
    label = table.labels.tolist().index(2)
    _, images = class_claims(table.sides)
    expected = np.zeros((5, 5), dtype=bool)
    expected[np.ix_([0, 2, 4], [1, 3])] = True
    assert (images.more[label] == expected).all()
    assert images.q_equal[label] < 1e-6
    assert images.values[[1, 3], label].tolist() == [0, 0]
    assert (images.low[:, label] <= images.values[:, label]).all()
    assert (images.high[:, label] >= images.values[:, label]).all()


def test_a_class_in_few_images_is_left_to_the_second_question() -> None:
    rows = drawn(2, 5)
    rows[1][:, 1] += rows[1][:, 2]
    rows[1][8:, 2] = 0
    table = class_table(as_sparse(rows))
    label = table.labels.tolist().index(2)
    areas, images = class_claims(table.sides)
    assert areas.p_equal[label] == 1
    assert images.more[label, 0, 1]


def test_copies_of_one_generator_are_told_apart_in_few_suites() -> None:
    claims = []
    for seed in range(100):
        table = class_table(as_sparse(drawn(6, seed, n=200)))
        claims.append([found.more.any() for found in class_claims(table.sides)])
    # Each question has 2.5 %: of 100 suites more than 9 have p < 0.1 %.
    assert (np.sum(claims, axis=0) <= 9).all()


def test_one_generator_alone_has_no_claims() -> None:
    table = class_table(as_sparse(drawn(1, 6)))
    for found in class_claims(table.sides):
        assert not found.more.any()
        assert (found.p_equal == 1).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.3))
@settings(max_examples=100, deadline=None)
def test_holm_rejects_as_its_definition_says(values: list[float], level: float) -> None:
    p = np.array(values)
    ordered = np.sort(p)
    count = 0
    while count < len(p) and ordered[count] <= level / (len(p) - count):
        count += 1
    assert holm(p, level).sum() == count
    assert sorted(p[holm(p, level)].tolist()) == ordered[:count].tolist()
