"""Letters and sure ranks: they say exactly what the claims say."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit.results import share_letter
from seeingkit.statistics.letters import closure, groups, letter, letters, rank_intervals


def claimed(size: int, pairs: list[tuple[int, int]]) -> np.ndarray:
    found = np.zeros((size, size), dtype=bool)
    for a, b in pairs:
        found[a, b] = True
    return found


def beyond(values: list[float], step: float) -> np.ndarray:
    """Claims between all that differ by more than a step: the lower one is below."""
    x = np.array(values, dtype=float)
    return np.asarray(x[None, :] - x[:, None] > step)


def insert_and_absorb(claims: np.ndarray) -> set[frozenset[int]]:
    """Piepho's (2004) algorithm, as published."""
    columns = {frozenset(range(len(claims)))}
    for a, b in combinations(range(len(claims)), 2):
        if not (claims[a, b] or claims[b, a]):
            continue
        for column in [one for one in columns if {a, b} <= one]:
            columns.remove(column)
            columns |= {column - {a}, column - {b}}
        columns = {one for one in columns if not any(one < other for other in columns)}
    return columns


@st.composite
def claims_of_pairs(draw: st.DrawFn, most: int = 12) -> np.ndarray:
    size = draw(st.integers(1, most))
    pairs = list(combinations(range(size), 2))
    return claimed(size, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else [])


@given(claims_of_pairs())
@settings(max_examples=300, deadline=None)
def test_two_share_a_letter_if_and_only_if_nothing_is_claimed_between_them(
    claims: np.ndarray,
) -> None:
    names = letters(claims)
    assert all(names)
    for a, b in combinations(range(len(claims)), 2):
        assert share_letter(names[a], names[b]) == (not claims[a, b])


@given(claims_of_pairs(9))
@settings(max_examples=200, deadline=None)
def test_groups_are_the_largest_ones_and_none_is_superfluous(claims: np.ndarray) -> None:
    found = [frozenset(one.tolist()) for one in groups(claims)]
    assert set(found) <= insert_and_absorb(claims)
    pairs = [{(a, b) for a in one for b in one if a <= b} for one in found]
    for k, own in enumerate(pairs):
        assert own - set().union(*pairs[:k], *pairs[k + 1 :])


@given(st.lists(st.floats(0, 20), min_size=1, max_size=10), st.floats(0.1, 10))
@settings(max_examples=200, deadline=None)
def test_where_claims_follow_the_order_they_are_those_of_insert_and_absorb(
    values: list[float], step: float
) -> None:
    claims = beyond(sorted(values), step)
    found = [frozenset(one.tolist()) for one in groups(claims)]
    assert set(found) == insert_and_absorb(claims)
    assert all(sorted(one) == list(range(min(one), max(one) + 1)) for one in found)


def test_letters_of_a_ladder_are_windows() -> None:
    assert letters(beyond([0, 1, 2, 3, 4], 2)) == ["a", "a b", "a b c", "b c", "c"]
    assert letters(beyond([0, 1, 2], 0.5)) == ["a", "b", "c"]
    assert letters(beyond([0, 1, 2], 5)) == ["a", "a", "a"]
    assert letters(np.zeros((0, 0), dtype=bool)) == []


def test_many_generators_with_scattered_claims_have_few_letters() -> None:
    """Twenty-five pairs that differ, and nothing else: 2^25 largest groups, few are needed."""
    claims = claimed(50, [(2 * k, 2 * k + 1) for k in range(25)])
    names = letters(claims)
    assert not share_letter(names[0], names[1])
    assert all(share_letter(names[0], other) for other in names[2:])
    assert len({name for own in names for name in own.split()}) < 20


def test_names_of_letters_are_all_different() -> None:
    names = [letter(k) for k in range(300)]
    assert len(set(names)) == 300
    assert names[:3] + names[50:54] == ["a", "b", "c", "Y", "Z", "a2", "b2"]


@given(claims_of_pairs())
@settings(max_examples=100, deadline=None)
def test_the_closure_adds_what_follows_and_nothing_else(claims: np.ndarray) -> None:
    found = closure(claims)
    reached = claims.astype(int)
    for _ in claims:
        reached = np.minimum(1, reached + reached @ claims)
    assert (found == reached.astype(bool)).all()
    assert not np.diag(found).any()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True), st.integers(0, 15))
@settings(max_examples=200, deadline=None)
def test_the_true_rank_lies_between_the_sure_ones(values: list[int], step: int) -> None:
    best, worst = rank_intervals(beyond([float(v) for v in values], step))
    rank = 1 + np.array([sum(other < value for other in values) for value in values])
    assert (best <= rank).all()
    assert (rank <= worst).all()


@pytest.mark.parametrize(
    ("step", "best", "worst"),
    [(0, [1, 2, 3], [1, 2, 3]), (1, [1, 1, 2], [2, 3, 3]), (2, [1, 1, 1], [3, 3, 3])],
)
def test_sure_ranks_of_three(step: float, best: list[int], worst: list[int]) -> None:
    found = rank_intervals(beyond([0, 1, 2], step))
    assert [each.tolist() for each in found] == [best, worst]
