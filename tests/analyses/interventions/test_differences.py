"""Error rates and coverage of the effects, by simulation with answers that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeingkit.analyses.interventions.differences import Areas, class_effects, effect
from seeingkit.analyses.interventions.effects import Intervention, measure
from seeingkit.analyses.interventions.places import context_effects
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.contracts import Label, Vocabulary
from tests.helpers.planted import BRIGHT, NOISE, levels, planted

RUNS = 200
SLACK = 2 * np.sqrt(0.05 * 0.95 / RUNS)
"""Two standard errors of a rate of 5 % in so many runs: 3.1 %."""


@pytest.mark.slow
def test_an_edit_that_is_nothing_but_noise_claims_an_effect_in_at_most_5_percent() -> None:
    """Unit 2 gets another draw of what it had: both images of a pair have one distribution."""
    subject = Subject(planted(0.5), levels(), "r4", batch=30)
    false = 0
    for run in range(RUNS):
        sample = Sample(range(30 * run, 30 * run + 30))
        draw = torch.Generator().manual_seed(run)
        edit = Intervention((NOISE,), torch.randn(30, 1, generator=draw))
        found = effect(measure(subject, sample, [edit]), levels().vocabulary, seed=run)
        assert found.moved > 0
        claims = {c.area_claim for c in found.classes} | {c.images_claim for c in found.classes}
        false += claims != {"no evidence"}
    assert false / RUNS <= 0.05 + SLACK, f"{false} of {RUNS} runs"


@pytest.mark.slow
def test_skewed_noise_over_many_classes_keeps_the_rate() -> None:
    """20 classes, areas with long tails and zeros; the edit swaps some pairs."""
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary(tuple(Label(f"c{k}") for k in range(20)), has_background=False)
    false = 0
    for run in range(RUNS):
        two = rng.exponential(1.0, (2, 60, 20)) ** 2 * (rng.random((2, 60, 20)) < 0.4)
        found = class_effects(Areas(*two), vocabulary, seed=run)
        false += any(c.area_claim != "no evidence" for c in found) or any(
            c.images_claim != "no evidence" for c in found
        )
    assert false / RUNS <= 0.05 + SLACK, f"{false} of {RUNS} runs"


@pytest.mark.slow
def test_intervals_of_a_planted_effect_cover_it() -> None:
    """Unit 0 at half strength removes skewed areas; 95 % intervals of 30 images."""
    subject = Subject(planted(0.3), levels(), "r4", batch=250)
    edit = Intervention.ablation([BRIGHT], alpha=0.5)
    whole = measure(subject, Sample(range(20_000, 24_000)), [edit])
    truth = 100 * (whole.after[0, :, 3] - whole.before[:, 3]).mean() / whole.pixels
    share = whole.after[0, :, 3].sum() / whole.before[:, 3].sum() - 1
    drawn = measure(subject, Sample(range(30 * RUNS)), [edit])
    inside = relative = 0
    for run in range(RUNS):
        rows = slice(30 * run, 30 * run + 30)
        sides = drawn.before[rows], drawn.after[0, rows]
        areas = Areas(*(100 * side / drawn.pixels for side in sides))
        bright = next(c for c in class_effects(areas, levels().vocabulary) if c.label == "bright")
        assert bright.low is not None and bright.high is not None
        assert bright.relative_low is not None and bright.relative_high is not None
        inside += bright.low <= truth <= bright.high
        relative += bright.relative_low <= share <= bright.relative_high
    assert inside / RUNS >= 0.95 - SLACK, f"differences: {inside} of {RUNS}"
    assert relative / RUNS >= 0.95 - SLACK, f"shares: {relative} of {RUNS}"


def test_intervals_of_contexts_cover_where_places_of_an_image_are_alike() -> None:
    """Each image has an effect of its own, which all its cells share: cells are no evidence."""
    rng = np.random.default_rng(1)
    cells, n, inside, naive = 16, 50, 0, 0
    for _ in range(RUNS):
        own = rng.gamma(2.0, 1.0, n)
        gained = own + rng.normal(0, 0.3, (cells, n))
        many = rng.integers(1, cells + 1, n)
        context = (np.arange(cells)[:, None] < many).astype(np.int64)
        found = context_effects(gained, context, np.arange(n), ("other", "ground"))
        ground = next(each for each in found if each.label == "ground")
        assert ground.low is not None and ground.high is not None
        inside += ground.low <= 2.0 <= ground.high
        values = gained[context == 1]
        naive += abs(values.mean() - 2) <= 1.96 * values.std() / np.sqrt(len(values))
    assert inside / RUNS >= 0.95 - SLACK, f"{inside} of {RUNS}"
    assert naive / RUNS < 0.75  # what taking cells for images would give
