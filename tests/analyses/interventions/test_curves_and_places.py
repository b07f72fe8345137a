"""Curves of the effect against units, and maps of where a class can grow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeingkit.analyses.interventions.curves import curve
from seeingkit.analyses.interventions.places import (
    cell_grid,
    context_effects,
    context_map,
    insert_at_cells,
)
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.errors import UsageError
from tests.helpers.planted import BRIGHT, DARK, NOISE, NOTHING, levels, planted

BRIGHT_LABEL = 3
SAMPLE = Sample(range(24))
K = torch.tensor([0.9, 0.0, 0.0, 0.0])


def subject(batch: int = 8) -> Subject:
    return Subject(planted(), levels(), "r4", batch=batch)


# ---------------------------------------------------------------------------------------- curves


def test_a_causal_ranking_lies_below_another_and_the_gap_is_claimed() -> None:
    rankings = {"causal": [BRIGHT, NOTHING], "other": [NOTHING, NOISE, BRIGHT]}
    found = curve(subject(), SAMPLE, rankings, BRIGHT_LABEL, numbers=(1, 2, 3), random=4)
    left = {line.name: [p.remaining for p in line.points] for line in found.lines}
    assert left == {"causal": [0.0, 0.0], "other": [1.0, 1.0, 0.0]}
    assert [(gap.units, gap.claimed) for gap in found.gaps] == [(1, True), (2, True)]
    gap = found.gaps[0]
    assert gap.difference == pytest.approx(-found.before) and gap.high is not None and gap.high < 0
    assert [band.units for band in found.random] == [1, 2, 3]
    for band in found.random:
        assert 0 <= band.lowest <= band.mean <= band.highest
    assert found.n == 24


def test_rankings_that_are_alike_have_no_gap() -> None:
    found = curve(
        subject(), SAMPLE, {"a": [NOTHING], "b": [NOISE]}, BRIGHT_LABEL, numbers=[1], random=0
    )
    (gap,) = found.gaps
    assert (gap.difference, gap.p, gap.claimed) == (0.0, 1.0, False) and found.random == []


def test_images_that_units_were_chosen_with_are_refused() -> None:
    near = Sample(range(24), seed=1)  # image i of seed 1 is image i + 1 of seed 0
    for other in (Sample([23, 99]), SAMPLE, near):
        with pytest.raises(UsageError, match="were used to choose the units"):
            curve(subject(), SAMPLE, {"a": [0]}, BRIGHT_LABEL, chosen_with=[other])
    fresh = Sample(range(24), seed=24)
    assert not near.overlaps(SAMPLE, sequence=True)
    curve(subject(), SAMPLE, {"a": [0]}, BRIGHT_LABEL, chosen_with=[fresh], random=0)


@pytest.mark.parametrize(
    ("rankings", "numbers", "sample", "message"),
    [
        ({}, [1], SAMPLE, "a curve needs a ranking"),
        ({"a": []}, [1], SAMPLE, "a curve needs a ranking"),
        ({"a": [0]}, [0], SAMPLE, "numbers of units above 0"),
        ({"a": [9]}, [1], SAMPLE, "no unit 9 at 'r4'"),
        ({"a": [0]}, [1], Sample([4]), "at least two images"),
    ],
)
def test_curves_that_cannot_be(
    rankings: dict[str, list[int]], numbers: list[int], sample: Sample, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        curve(subject(), sample, rankings, BRIGHT_LABEL, numbers=numbers)


# ---------------------------------------------------------------------------------------- places


def test_the_class_grows_on_the_ground_and_not_in_the_sky() -> None:
    found = insert_at_cells(subject(), SAMPLE, [BRIGHT, DARK], K, BRIGHT_LABEL)
    assert found.gained.shape == (16, 24)
    assert (found.gained[:8] == 0).all() and set(np.unique(found.gained[8:])) == {0, 4}
    # A cell of the ground that is not bright yet becomes so, whatever it is.
    assert ((found.gained == 4) == (found.context != BRIGHT_LABEL))[8:].all()
    made = context_map(found, subject(), [BRIGHT, DARK], BRIGHT_LABEL)
    rows = {row.label: row for row in made.contexts}
    middle = rows["middle"]
    assert (middle.effect, middle.low, middle.high) == (6.25, 6.25, 6.25) and middle.claimed
    assert (rows["bright"].effect, rows["bright"].claimed) == (0.0, False)
    assert 0 < rows["dark"].effect < 6.25  # sky, and dark cells on the ground
    assert sum(row.places for row in made.contexts) == 16 * 24
    sky, ground = made.cells[:8], made.cells[8:]
    assert all((cell.effect, cell.low, cell.high) == (0, 0, 0) for cell in sky)
    assert all(cell.low is not None and cell.low > 0 for cell in ground)
    assert [(cell.row, cell.column) for cell in ground[:2]] == [(2, 0), (2, 1)]


def test_a_grid_of_cells_gives_the_same_numbers_and_so_does_another_batch() -> None:
    whole = insert_at_cells(subject(), SAMPLE, [BRIGHT], K, BRIGHT_LABEL)
    grid = cell_grid((4, 4), 2)
    some = insert_at_cells(subject(batch=5), SAMPLE, [BRIGHT], K, BRIGHT_LABEL, grid)
    assert some.cells.tolist() == [5, 7, 13, 15]
    assert np.array_equal(some.gained, whole.gained[grid])
    assert np.array_equal(some.context, whole.context[grid])
    with pytest.raises(UsageError, match="a grid of every 0 cells"):
        cell_grid((4, 4), 0)
    with pytest.raises(UsageError, match="no cell to insert at"):
        insert_at_cells(subject(), SAMPLE, [BRIGHT], K, BRIGHT_LABEL, [])
    with pytest.raises(UsageError, match="no cell 16"):
        insert_at_cells(subject(), SAMPLE, [BRIGHT], K, BRIGHT_LABEL, [16])


def test_few_images_claim_nothing() -> None:
    gained = np.full((4, 5), 3.0)
    (row,) = context_effects(gained, np.ones((4, 5), np.int64), np.arange(5), ("-", "road"))
    assert (row.effect, row.low, row.p, row.q, row.claimed) == (3.0, None, None, None, False)
    gained = np.full((4, 6), 3.0)
    (row,) = context_effects(gained, np.ones((4, 6), np.int64), np.arange(6), ("-", "road"))
    assert (row.effect, row.low, row.p) == (3.0, 3.0, 2.0**-5)
    under = np.array([[0, 0, 0, 0, 0, 0], [1, 2, 2, 2, 2, 2]])
    rows = context_effects(under + 1.0, under, np.arange(6), ("-", "road", "sky"))
    assert [row.label for row in rows] == ["-", "sky", "road"]  # those with an interval first


def test_a_context_without_an_effect_is_claimed_in_at_most_5_percent() -> None:
    rng, false = np.random.default_rng(0), 0
    for _ in range(200):
        own = rng.exponential(1.0, 30) - 1
        gained = own + rng.normal(0, 0.5, (16, 30))
        context = rng.integers(0, 4, (16, 30))
        found = context_effects(gained, context, np.arange(30), tuple("abcd"))
        false += any(row.claimed for row in found)
    assert false / 200 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200), false
