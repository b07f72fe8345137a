"""Effects of single units: planted ones are found, and units that do nothing claim nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeingkit.analyses.interventions.causal import adjusted_in, single_units, unit_effects
from seeingkit.analyses.interventions.subjects import Sample, Subject
from tests.helpers.planted import BRIGHT, DARK, NOISE, NOTHING, levels, planted

BRIGHT_LABEL = 3
K = torch.tensor([0.9, 0.0, 0.0, 0.0])


def test_the_unit_that_draws_a_class_is_first_and_an_idle_one_has_no_effect() -> None:
    subject = Subject(planted(), levels(), "r4")
    found = single_units(subject, Sample(range(24)), BRIGHT_LABEL, K)
    assert found.ranking[0] == BRIGHT and (found.units, found.n) == (4, 24)
    best = found.effects[0]
    assert best.claimed and best.low is not None and best.low > 0
    assert best.inserted is not None
    assert best.value == pytest.approx(best.inserted - best.ablated)
    idle = next(one for one in found.effects if one.unit == NOTHING)
    assert (idle.value, idle.q, idle.claimed) == (0.0, 1.0, False)
    assert {one.unit for one in found.effects} == {BRIGHT, DARK, NOISE, NOTHING}


def test_for_all_classes_units_are_ablated_alone_and_only_claims_are_kept() -> None:
    found = single_units(Subject(planted(), levels(), "r4"), Sample(range(24)), None)
    assert found.label is None and found.ranking == []
    assert {(one.unit, one.label) for one in found.effects} >= {(BRIGHT, "bright"), (DARK, "dark")}
    for one in found.effects:
        assert one.claimed and one.inserted is None and one.value == -one.ablated


def test_equal_units_have_equal_numbers_however_many_are_tested_at_once() -> None:
    rng = np.random.default_rng(0)
    before = rng.exponential(1.0, (30, 1))
    gone = before * rng.uniform(0, 1, (30, 1))
    many = np.repeat(gone[None], 150, axis=0)
    effects = unit_effects(before, many, None, ["tree"])
    assert len({(one.value, one.low, one.high, one.p) for one in effects}) == 1
    assert all(one.claimed for one in effects)


def test_classes_that_are_nowhere_are_left_out() -> None:
    zero = np.zeros((8, 1))
    assert unit_effects(zero, zero[None], None, ["tree"]) == []
    assert adjusted_in(np.array([0.2]), np.array([False])).tolist() == [1.0]


def test_pairs_are_counted_as_tested_where_a_sign_flip_could_claim_them() -> None:
    """Of 4 images no test can claim anything at 0.05, whatever its p."""
    subject = Subject(planted(), levels(), "r4")
    found = single_units(subject, Sample(range(24)), BRIGHT_LABEL, K)
    assert found.tested == sum(one.value != 0 for one in found.effects) == 1
    few = single_units(subject, Sample(range(4)), BRIGHT_LABEL, K)
    assert few.tested == 0 and any(one.p < 1 for one in few.effects)


def claims(runs: int, n: int, units: int, rng: np.random.Generator) -> int:
    """Runs of null units in which anything is claimed: skewed, unequal, and alike within images."""
    false = 0
    for seed in range(runs):
        before = rng.exponential(5.0, (n, 3)) * [1.0, 0.2, 0.02]
        spread = rng.uniform(0.01, 2.0, (units, 1, 1))
        shared = rng.normal(0, 1, (1, n, 3))
        moves = spread * (rng.normal(0, 1, (units, n, 3)) ** 3 + shared)
        signs = rng.choice([-1.0, 1.0], (1, n, 1))
        ablated = np.abs(before - signs * moves / 2)
        inserted = np.abs(before + signs * moves / 2)
        found = unit_effects(before, ablated, inserted, ["a", "b", "c"], seed=seed)
        false += any(one.claimed for one in found)
    return false


def test_null_units_are_claimed_in_at_most_5_percent() -> None:
    false = claims(20, 12, 20, np.random.default_rng(1))
    assert false <= 3, false


@pytest.mark.slow
def test_null_units_are_claimed_in_at_most_5_percent_of_many_runs() -> None:
    false = claims(200, 24, 60, np.random.default_rng(2))
    print(f"{false} of 200 layers with a false claim")
    assert false / 200 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200), false
