"""Counts of units and their differences: the null where it is true and all else differs, power,
coverage, and the same labels as of the whole sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit.analyses.dissection.claims import LEAST_GROUPS, agreements
from seeingkit.analyses.dissection.contrasts import Contrasts, contrasts
from seeingkit.analyses.dissection.counts import (
    Labelled,
    Quantity,
    count_units,
    quantities,
)
from seeingkit.analyses.dissection.moments import Levels, Moments, group_moments, summed
from seeingkit.analyses.dissection.observation import GROUP, Layer, Observation
from seeingkit.analyses.dissection.series import (
    SUMS,
    GroupRows,
    GroupSeries,
    SeriesSums,
    rows_of,
    shared_groups,
    span_of,
)
from seeingkit.errors import UsageError
from tests.analyses.dissection.test_claims import R8, maps_of, scene
from tests.helpers.unit_series import layer_of, strengths

TREE = ("object", "tree", "object")


def added(
    parts: list[tuple[int, Moments]],
    candidates: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    groups: int | None = None,
) -> GroupSeries:
    """The series of groups, which were made one by one in any order."""
    sums = SeriesSums(candidates, len(parts) if groups is None else groups)
    for part in parts:
        sums.add(rows_of([part], candidates))
    return sums.series()


def dissected(
    seed: int, groups: int, candidates: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
) -> tuple[Moments, GroupSeries]:
    """Sums and series of the same groups of scenes, in which some units draw a class."""
    parts = made_groups(seed, groups)
    return summed((sums for _, sums in parts), 12, 3), added(parts, candidates)


def made_groups(seed: int, groups: int) -> list[tuple[int, Moments]]:
    """Groups of scenes, with their numbers."""
    draw = torch.Generator().manual_seed(seed)
    levels = Levels(torch.full((12, 1), 0.9), torch.zeros(12, 3, dtype=torch.int64))
    parts = []
    for number in range(groups):
        labels = scene(draw, GROUP)
        seen = Observation(list(range(GROUP)), {"r8": maps_of(labels, draw)}, labels, [])
        columns = torch.tensor([[-1, 0, 1, 2]])
        parts.append((number, group_moments(seen, Layer(R8), levels, columns, 3)))
    return parts


def claims_of(found: Contrasts) -> set[tuple[str, str]]:
    """Kind and label of all that is claimed."""
    return {
        (one.kind, one.label or one.category)
        for difference in found.differences
        for k, one in enumerate(found.asked)
        if difference.claimed[k]
    }


# --------------------------------------------------------------------------------------- labels


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.sampled_from([9, 12, 20]))
def test_labels_are_those_of_the_sums(seed: int, groups: int) -> None:
    candidates = np.random.default_rng(seed).random((12, 3)) < 0.7
    sums, series = dissected(seed, groups, candidates)
    found = Labelled("r8", 12, [("object", str(k), "object") for k in range(3)], series)
    assert found.labels().tolist() == agreements(sums, candidates).labels.tolist()
    if groups < LEAST_GROUPS:
        assert (found.labels() == -1).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999))
def test_a_group_that_counts_twice_is_as_if_it_were_there_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = layer_of(strengths(rng, 9), rng, 12)
    weights = rng.multinomial(12, np.full(12, 1 / 12))
    places = np.repeat(np.arange(12), weights)
    series = layer.series
    repeated = replace(
        layer,
        series=GroupSeries(
            series.pairs,
            np.arange(12),
            1,
            *(getattr(series, name)[places] for name in SUMS),
        ),
    )
    assert layer.labels(weights[None])[0].tolist() == repeated.labels().tolist()


def test_numbers_by_class_category_and_in_all() -> None:
    rng = np.random.default_rng(0)
    layer = layer_of(strengths(rng), rng)
    asked = quantities([layer])
    assert [one.kind for one in asked] == ["labelled", "distinct"] + ["category"] * 2 + [
        "class"
    ] * 3
    labels = np.array([[0, 0, 1, 2, -1], [-1, -1, -1, -1, 2]])
    assert layer.counts(labels, asked).tolist() == [[4, 3, 3, 1, 2, 1, 1], [1, 1, 0, 1, 0, 0, 1]]
    assert quantities([]) == [Quantity("labelled"), Quantity("distinct")]


def test_a_layer_without_candidates_has_no_units() -> None:
    empty = Labelled("r4", 5, [TREE], added([], np.zeros((5, 1), bool)))
    assert empty.labels().tolist() == [-1] * 5
    found = contrasts([empty, replace(empty, name="r8")])
    assert claims_of(found) == set() and found.differences[0].value.tolist() == [0.0, 0.0]


def test_groups_are_added_in_any_order() -> None:
    every = np.ones((12, 3), bool)
    _, whole = dissected(3, 12, every)
    parts = made_groups(3, 12)
    again = added(parts[::-1], every)
    for name in ("groups", *SUMS):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    with pytest.raises(UsageError, match="were not counted"):
        whole.at(np.array([3, 12]))


def binned(layer: Labelled, span: int) -> Labelled:
    """A layer with bins of more groups."""
    return replace(layer, series=layer.series.coarser(span))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(1, 600), st.integers(1, 100_000))
def test_bins_are_few_and_never_too_few(seed: int, groups: int, pairs: int) -> None:
    span = span_of(groups, pairs)
    bins = -(-groups // span)
    assert span & (span - 1) == 0 and bins <= 256
    assert bins == groups or bins > 32
    assert bins * pairs <= max(1 << 22, 64 * pairs)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.sampled_from([1, 2, 4, 8]))
def test_labels_do_not_depend_on_the_bins(seed: int, span: int) -> None:
    """The test is over groups, whatever bins their numbers lie in."""
    rng = np.random.default_rng(seed)
    layer = layer_of(strengths(rng, 9), rng, 27)
    found = binned(layer, span)
    assert found.labels().tolist() == layer.labels().tolist()
    assert found.series.sizes.sum() == 27 and len(found.series.bins) == -(-27 // span)
    twice = binned(binned(layer, span), 8).series
    for name in SUMS:
        np.testing.assert_array_equal(getattr(twice, name), getattr(binned(layer, 8).series, name))


def test_sums_of_many_groups_are_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    every = np.ones((12, 3), bool)
    parts = made_groups(1, 20)
    _, single = dissected(1, 20, every)
    monkeypatch.setattr("seeingkit.analyses.dissection.series.MOST_BINS", 6)
    monkeypatch.setattr("seeingkit.analyses.dissection.series.FEWEST_BINS", 6)
    found = added(parts[5:] + parts[:5], every)
    assert found.span == 4 and found.sizes.tolist() == [4] * 5
    for name in ("groups", *SUMS):
        np.testing.assert_array_equal(getattr(found, name), getattr(single.coarser(4), name))
    with pytest.raises(UsageError, match="cannot be brought"):
        found.coarser(2)
    with pytest.raises(UsageError, match="not all of their bin"):
        found.at(np.arange(4, 10))
    lacking = added(parts[:6] + parts[7:], every, groups=20)
    assert shared_groups([found, lacking]).tolist() == [*range(4), *range(8, 20)]
    assert shared_groups([found, found]).tolist() == list(range(20))


def test_sums_do_not_overflow() -> None:
    """Sixteen groups of 2²⁸ pixels are more than 32 bits hold."""
    rows = GroupRows(np.arange(16), *(np.full((16, 1), 1 << 28, np.int32) for _ in range(3)))
    sums = SeriesSums(np.ones((1, 1), bool), 16)
    sums.span = 16
    sums.add(rows)
    found = sums.series()
    assert found.both.tolist() == found.excess.tolist() == [[1 << 32]]
    assert found.excess2.tolist() == [[16 << 56]]


def test_errors_of_bins_are_those_of_groups() -> None:
    """Groups are independent, so their bins vary as they do: over 30 layers the mean standard
    error of bins of four is within a tenth of that of single groups."""
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(30):
        layer = layer_of(strengths(rng, 60), rng, 256)
        asked = quantities([layer])
        single, four = (count_units([one], asked)[0] for one in (layer, binned(layer, 4)))
        ratios.append(four.errors[0] / single.errors[0])
    assert 0.9 < np.mean(ratios) < 1.1


# ------------------------------------------------------------------------------------ the claims


@pytest.mark.parametrize(
    ("comparisons", "most"), [(40, 6), pytest.param(400, 31, marks=pytest.mark.slow)]
)
def test_layers_alike_in_numbers_alone_are_not_told_apart(comparisons: int, most: int) -> None:
    """The second network has as many units of each class and strength, but other ones, of twice
    the map's side, on other images. Any claim is false: in at most 5 % of comparisons. Of 40, 7 or
    more, of 400, 32 or more, would have a probability below 1 % if that holds.
    """
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(comparisons):
        truth = strengths(rng, 24)
        other = np.roll(truth, 3 * int(rng.integers(1, 7)), 0)
        members = [layer_of(truth, rng), layer_of(other, rng, scale=4)]
        wrong += bool(claims_of(contrasts(members)))
    assert wrong <= most


def test_a_network_that_loses_its_tree_units_is_found() -> None:
    rng = np.random.default_rng(1)
    truth = strengths(rng)
    less = truth.copy()
    less[:, 1] = -0.02
    found = contrasts([layer_of(truth, rng), layer_of(less, rng)])
    assert ("class", "tree") in claims_of(found)
    assert not {("class", "sky"), ("class", "window"), ("category", "part")} & claims_of(found)
    place = next(k for k, one in enumerate(found.asked) if one.label == "tree")
    assert found.differences[0].value[place] > 0.1 and found.differences[0].low[place] > 0
    assert found.claims(place).tolist() == [[False, False], [True, False]]


def test_intervals_leave_out_zero_exactly_where_there_is_a_claim() -> None:
    rng = np.random.default_rng(5)
    members = [layer_of(strengths(rng), rng, name=str(k)) for k in range(5)]
    for one in contrasts(members).differences:
        outside = (one.low > 0) | (one.high < 0)
        np.testing.assert_array_equal(outside, one.claimed)
        assert (one.low <= one.value).all() and (one.value <= one.high).all()
        assert (one.adjusted >= one.p).all()


def test_images_that_layers_share_cancel_in_their_difference() -> None:
    """A layer beside itself varies by nothing; beside its copy on other images it does."""
    rng = np.random.default_rng(2)
    truth = strengths(rng)
    first = layer_of(truth, rng)
    asked = quantities([first])
    same, copy = count_units([first, replace(first, name="copy")], asked)
    np.testing.assert_array_equal(same.drawn, copy.drawn)
    (_, other) = count_units([first, layer_of(truth, rng)], asked)
    assert (same.drawn != other.drawn).any() and same.errors[0] > 0.5


def test_the_interval_of_a_count_holds_its_mean() -> None:
    """Against the mean over 300 dissections; 7 numbers x 40 dissections."""
    rng = np.random.default_rng(3)
    truth = strengths(rng)
    asked = quantities([layer_of(truth, rng)])
    drawn = [layer_of(truth, rng) for _ in range(300)]
    mean = np.mean([one.counts(one.labels()[None], asked)[0] for one in drawn], 0)
    inside = []
    for one in drawn[:40]:
        found = contrasts([one])
        inside.append((found.low[0] <= mean) & (mean <= found.high[0]))
    assert np.mean(inside) >= 0.93


def test_too_few_groups_claim_nothing() -> None:
    rng = np.random.default_rng(4)
    members = [layer_of(strengths(rng), rng, LEAST_GROUPS - 1) for _ in range(2)]
    found = contrasts(members)
    assert claims_of(found) == set() and np.isinf(found.differences[0].high).all()
    assert (found.low == 0).all() and found.high[0, 0] == 40


def test_a_thousand_draws_that_agree_give_no_p_beyond_them() -> None:
    rng = np.random.default_rng(2)
    sure = np.zeros((12, 3))
    sure[0, 1] = 0.5
    one, none = (layer_of(x, rng, noise=0.0) for x in (sure, np.zeros((12, 3))))
    (difference,) = (found := contrasts([one, none])).differences
    column = [q.label for q in found.asked].index("tree")
    assert difference.value[column] == pytest.approx(1 / 12)
    assert difference.claimed[column] and 1e-12 < difference.p[column] < 1e-6
    assert 0 < difference.low[column] < 1 / 12 < difference.high[column]
