"""Cells, the search of them, and the optimisation of units' strengths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seeingkit.analyses.interventions.candidates import (
    Search,
    candidate_cells,
    present_cells,
    probes,
    unit_quantiles,
)
from seeingkit.analyses.interventions.cells import (
    OUTSIDE,
    box_mask,
    cell_masks,
    cell_means,
    labels_under,
)
from seeingkit.analyses.interventions.choice import choose_units
from seeingkit.analyses.interventions.objective import AlphaSettings, Cells, Places
from seeingkit.analyses.interventions.optimise import (
    capped_simplex,
    drawn_pairs,
    optimise,
    ranked,
    start_strengths,
)
from seeingkit.analyses.interventions.subjects import Sample, Starts, Subject
from seeingkit.contracts import Boundary
from seeingkit.errors import UsageError
from tests.helpers.planted import BRIGHT, DARK, NOISE, levels, planted

BRIGHT_LABEL = 3


def subject(noise: float = 0.3, batch: int = 8) -> Subject:
    return Subject(planted(noise), levels(), "r4", batch=batch)


# ----------------------------------------------------------------------------------------- cells

MARGIN = Boundary("r4", 1, (8, 4, 4), "feature", (4, 4), window=(-0.5, -0.5, 1.5, 1.5))
"""A map of which the image shows the inner half."""


def test_cells_of_a_map_with_a_margin() -> None:
    maps = torch.arange(16.0).reshape(1, 4, 4)
    means = cell_means(maps, MARGIN)[0]
    assert means[1:3, 1:3].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert means.sum() == means[1:3, 1:3].sum()  # cells outside of the image have nothing
    under = labels_under(maps.long(), MARGIN).reshape(4, 4)
    assert under[1:3, 1:3].tolist() == [[5, 7], [13, 15]]
    assert (under == OUTSIDE).sum() == 12
    assert box_mask(MARGIN, (0, 0, 0.5, 1)).nonzero().tolist() == [[1, 1], [1, 2]]


def test_means_by_window_are_those_of_pooling() -> None:
    maps = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(0))
    whole = Boundary("r4", 1, (8, 4, 4), "feature", (4, 4))
    nearly = replace(whole, window=(0.0, 0.0, 1.0, 1.0 + 1e-9))
    torch.testing.assert_close(cell_means(maps, whole), cell_means(maps, nearly))


def test_cells_that_are_not_there() -> None:
    flat = Boundary("w", 1, (8,), "latent")
    for work in (
        lambda: cell_means(torch.zeros(1, 2, 2), flat),
        lambda: labels_under(torch.zeros(1, 2, 2).long(), flat),
        lambda: box_mask(flat, (0, 0, 1, 1)),
    ):
        with pytest.raises(UsageError, match="'w' has no map of cells"):
            work()
    with pytest.raises(UsageError, match="no cell 16; the map's cells are 0 to 15"):
        cell_masks([3, 16], (4, 4))
    with pytest.raises(UsageError, match="box 0.5,0,0.2,1: give top,left,bottom,right"):
        box_mask(MARGIN, (0.5, 0, 0.2, 1))
    with pytest.raises(UsageError, match="no cell of 'r4' has its middle in the box"):
        box_mask(MARGIN, (0.0, 0.0, 0.1, 0.1))


# ---------------------------------------------------------------------------------------- search


def test_present_cells_and_their_mean_by_hand() -> None:
    sample = Sample(range(30))
    exact = Subject(planted(), levels(), "r4", eight_bits=False)
    found = present_cells(exact, sample, BRIGHT_LABEL, 10, 5)
    x = Starts(exact, sample)[range(30)].x
    red = (x[:, BRIGHT] - x[:, DARK])[:, 2:]
    here = torch.zeros(30, 4, 4)
    here[:, 2:] = (red > 1 / 3).float()
    mean = (x * here[:, None]).sum((0, 2, 3)) / here.sum()
    torch.testing.assert_close(found.mean, mean)
    assert (found.train.scores == 1).all() and (found.train.cells >= 8).all()
    assert len(found.train.rows) == 10 and len(found.held_out.rows) == 5
    assert found.popularity.sum() == 10 and found.seen >= 25
    rows = [*found.train.rows, *found.held_out.rows]
    assert rows == sorted(rows) == sorted(set(rows))


def test_candidates_lie_where_the_class_can_grow_and_depend_on_their_image_alone() -> None:
    present = present_cells(subject(), Sample(range(30)), BRIGHT_LABEL, 20)
    sample = Sample(range(30), seed=1)
    found, held = candidate_cells(subject(), sample, BRIGHT_LABEL, present, 12, 6)
    assert (found.cells >= 8).all() and (found.scores > 0).all()
    assert len(found.rows) == 12 and len(held.rows) <= 6
    again, _ = candidate_cells(subject(batch=3), sample, BRIGHT_LABEL, present, 12, 6)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    drawn = probes(sample, present.popularity, Search())
    alone = probes(Sample([7], seed=1), present.popularity, Search())
    assert np.array_equal(drawn[7], alone[0])
    assert all(len(set(row)) == 5 for row in drawn.tolist())
    shared = probes(sample, present.popularity, Search(group=10))
    assert len({tuple(row) for row in shared.tolist()}) == 3


def test_a_class_that_no_image_shows() -> None:
    with pytest.raises(UsageError, match="none of 3 images shows '-'; search more images"):
        present_cells(subject(), Sample(range(3)), 0, 2)


def test_quantiles_of_units() -> None:
    found = unit_quantiles(subject(), Sample(range(5)), (0.0, 0.5, 1.0))
    x = Starts(subject(), Sample(range(5)))[range(5)].x
    torch.testing.assert_close(found[0], x.amin((0, 2, 3)))
    torch.testing.assert_close(found[2], x.amax((0, 2, 3)))
    assert found[1, 3] == 1


# --------------------------------------------------------------------------------------- simplex


@pytest.mark.parametrize("most", [0.5, 1.0, 3.0, 7.5])
@pytest.mark.parametrize("seed", range(4))
def test_the_projection_is_the_nearest_point(most: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    v = torch.randn(12, generator=draw, dtype=torch.float64) * 2
    a = capped_simplex(v, most)
    assert a.min() >= 0 and a.max() <= 1 and a.sum() <= most + 1e-9
    for _ in range(300):  # the angle to every other point of the set is obtuse
        other = torch.rand(12, generator=draw, dtype=torch.float64)
        other *= min(1.0, most / float(other.sum()))
        assert float(((v - a) * (other - a)).sum()) <= 1e-9


def test_points_inside_stay_and_ties_are_split() -> None:
    inside = torch.tensor([0.25, 0.5, 0.0])
    assert torch.equal(capped_simplex(inside, 1.0), inside)
    assert capped_simplex(torch.full((4,), 9.0), 2.0).tolist() == pytest.approx([0.5] * 4)
    assert capped_simplex(torch.tensor([5.0, -3.0]), 9.0).tolist() == [1.0, 0.0]


# ---------------------------------------------------------------------------------- optimisation


def places(noise: float = 0.3) -> Places:
    one, two = Sample(range(30), seed=1), Sample(range(30), seed=2)
    present = present_cells(subject(noise), one, BRIGHT_LABEL, 20)
    candidates, _ = candidate_cells(subject(noise), two, BRIGHT_LABEL, present, 20)
    return Places(one, present.train, two, candidates, present.mean)


@pytest.mark.parametrize("ablated", ["everywhere", "cell"])
def test_the_planted_unit_is_chosen_and_noise_is_not(ablated: str) -> None:
    settings = AlphaSettings(budget=1, rate=0.2, updates=50, ablated=ablated)  # type: ignore[arg-type]
    found = optimise(subject(), BRIGHT_LABEL, places(), settings)
    assert found.ranking[0] == BRIGHT and found.alpha[-1, BRIGHT] > 0.9
    assert found.alpha[-1].sum() <= 1 + 1e-6 and found.losses[-1] < found.losses[0]
    assert found.alpha[-1, NOISE] < 0.1


def test_the_same_seed_gives_the_same_strengths_whatever_the_batch() -> None:
    settings = AlphaSettings(budget=2, updates=6)
    one = optimise(subject(), BRIGHT_LABEL, places(), settings, seed=4)
    same = optimise(subject(), BRIGHT_LABEL, places(), settings, seed=4)
    other = optimise(subject(), BRIGHT_LABEL, places(), settings, seed=5)
    parts = optimise(subject(batch=3), BRIGHT_LABEL, places(), settings, seed=4)
    assert torch.equal(one.alpha, same.alpha) and not torch.equal(one.losses, other.losses)
    torch.testing.assert_close(parts.alpha, one.alpha, atol=1e-5, rtol=0)


def test_without_candidates_only_the_ablation_counts() -> None:
    whole = places()
    none = np.zeros(0, np.int64)
    alone = whole._replace(candidates=Cells(none, none, np.zeros(0)))
    found = optimise(subject(), BRIGHT_LABEL, alone, AlphaSettings(budget=1, updates=30))
    assert found.ranking[0] == BRIGHT
    inserted = whole._replace(present=alone.candidates)
    found = optimise(subject(), BRIGHT_LABEL, inserted, AlphaSettings(budget=1, updates=30))
    assert found.ranking[0] == BRIGHT  # and without a cell of the class only the insertion
    with pytest.raises(UsageError, match="no cell where the class is or could grow"):
        optimise(subject(), BRIGHT_LABEL, alone._replace(present=alone.candidates))


def test_more_of_the_unit_that_draws_lowers_the_loss() -> None:
    settings = AlphaSettings(budget=None, updates=1, pairs=4, ablated="cell")
    work = places()
    pairs = drawn_pairs(len(work.present.rows), len(work.candidates.rows), settings, 0)

    def loss(alpha: list[float]) -> float:
        assert max(alpha) == 1.0  # so that the start is alpha itself
        found = optimise(subject(), BRIGHT_LABEL, work, settings, start=alpha, pairs=pairs)
        return float(found.losses[0])

    down, up = loss([0.49, 0.2, 0.1, 1.0]), loss([0.51, 0.2, 0.1, 1.0])
    assert up < down  # more of the unit that draws: less is left, more is inserted


def test_presets_rankings_and_starts() -> None:
    assert ranked(torch.tensor([[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]])) == (1, 0, 2)
    assert start_strengths(4, None, 2).tolist() == [0.5] * 4
    assert start_strengths(2, [0.1, 0.4], 1).tolist() == pytest.approx([0.125, 0.875])
    for scores, message in (
        ([0.1], "1 scores for 2 units"),
        ([0.0, -1.0], "at least one is above 0"),
        ([float("nan"), 1.0], "finite"),
    ):
        with pytest.raises(UsageError, match=message):
            start_strengths(2, scores, None)
    with pytest.raises(UsageError, match="a budget of 0 units"):
        AlphaSettings(budget=0)
    with pytest.raises(UsageError, match="pairs and rate above 0"):
        AlphaSettings(rate=0.0)


def test_units_are_chosen_with_other_images() -> None:
    found = choose_units(subject(), BRIGHT_LABEL, 1, images=20, seed=3)
    assert found.units == (BRIGHT,) and found.record.seeds == (2_000_003, 3_000_003)
    assert found.record.budget == 1 and found.record.label == "bright"
    with pytest.raises(UsageError, match="choose 1 to 4 units of 'r4', not 5"):
        choose_units(subject(), BRIGHT_LABEL, 5)
    with pytest.raises(UsageError, match="no preset 'papr'; there are: budget, paper, published"):
        choose_units(subject(), BRIGHT_LABEL, 1, preset="papr")
