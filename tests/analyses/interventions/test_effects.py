"""Effects of edits on a generator whose units draw known things."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeingkit.analyses.interventions.causal import causal_effect
from seeingkit.analyses.interventions.differences import (
    Areas,
    by_image,
    changes,
    effect,
    random_units,
)
from seeingkit.analyses.interventions.effects import Intervention, measure, random_sets
from seeingkit.analyses.interventions.subjects import Sample, Starts, Subject
from seeingkit.contracts import State
from seeingkit.errors import ModelError, UsageError
from tests.helpers.planted import BRIGHT, DARK, NOISE, NOTHING, SIZE, levels, planted

MIDDLE_LABEL, BRIGHT_LABEL = 2, 3
SAMPLE = Sample(range(40))


def subject(noise: float = 0.0, batch: int = 8) -> Subject:
    return Subject(planted(noise), levels(), "r4", batch=batch)


def test_a_unit_that_draws_a_class_is_found_and_others_are_not() -> None:
    found = measure(subject(), SAMPLE, [Intervention.ablation([u]) for u in (BRIGHT, NOTHING)])
    drew, idle = (effect(found, levels().vocabulary, which) for which in (0, 1))
    bright = next(c for c in drew.classes if c.label == "bright")
    assert (bright.after, bright.relative, bright.area_claim) == (0.0, -1.0, "less area")
    assert bright.shown_before == bright.only_before >= 35 and bright.shown_after == 0
    assert bright.images_claim == "in fewer images"
    assert idle.moved == 0 and idle.moved_low == idle.moved_high == 0
    for each in idle.classes:
        assert (each.difference, each.area_claim, each.images_claim) == (0, *["no evidence"] * 2)


def test_areas_are_those_of_the_units_by_hand() -> None:
    chosen = Subject(planted(), levels(), "r4", eight_bits=False)
    state = Starts(chosen, SAMPLE)[range(40)]
    lower = state.x[:, :, 2:]
    red = lower[:, BRIGHT] - lower[:, DARK]
    found = measure(chosen, SAMPLE, [Intervention.ablation([BRIGHT, DARK])])
    bright = 4 * (red > 1 / 3).flatten(1).sum(1).numpy()
    assert np.array_equal(found.before[:, BRIGHT_LABEL], bright)
    assert np.array_equal(found.after[0, :, MIDDLE_LABEL], np.full(40, SIZE * SIZE // 2))
    gone = (red.abs() > 1 / 3).double().flatten(1).mean(1) / 2
    assert np.allclose(found.moved[0], gone.numpy())
    became = {(c.before, c.after): c for c in changes(found, levels().vocabulary)}
    assert set(became) == {("bright", "middle"), ("dark", "middle")}
    assert became["bright", "middle"].share == 1.0
    assert np.isclose(became["bright", "middle"].area, 100 * bright.mean() / SIZE**2)


def test_what_is_inserted_fills_what_may_be_drawn_on_and_ace_is_the_difference() -> None:
    k = torch.tensor([0.9, 0.0, 0.0, 0.0])
    on, off = Intervention.insertion([BRIGHT, DARK], k), Intervention.ablation([BRIGHT, DARK])
    found = measure(subject(), SAMPLE, [on, off])
    assert (found.after[0, :, BRIGHT_LABEL] == SIZE * SIZE // 2).all()
    ace = causal_effect(found, levels().vocabulary, BRIGHT_LABEL, 0, 1)
    assert (ace.value, ace.pixels, ace.low, ace.high) == (50.0, 32.0, 50.0, 50.0)
    before = 100 * found.before[:, BRIGHT_LABEL].mean() / SIZE**2
    assert ace.relative == pytest.approx(50 / before)


def test_a_mask_confines_an_edit_and_places_of_an_image_are_one() -> None:
    masks = torch.zeros(40, 1, 4, 4)
    masks[:, :, 3] = 1
    k = torch.tensor([0.9, 0.0, 0.0, 0.0])
    everywhere = Intervention.insertion([BRIGHT, DARK], k, masks[0, 0])
    found = measure(subject(), SAMPLE, [everywhere])
    each = measure(subject(), SAMPLE, [Intervention.insertion([BRIGHT, DARK], k, masks)])
    assert np.array_equal(found.after, each.after)
    assert (found.after[0, :, BRIGHT_LABEL] >= 16).all()
    # The same images twice are no further evidence.
    twice = Sample([*range(40), *range(40)])
    doubled = measure(subject(), twice, [everywhere])
    once, again = (effect(m, levels().vocabulary) for m in (found, doubled))
    assert (again.n, again.rows) == (40, 80)
    assert again.classes == once.classes and again.moved_low == once.moved_low


def test_values_of_each_image() -> None:
    given = torch.linspace(-1, 1, 40)[:, None]
    found = measure(subject(1.0), SAMPLE, [Intervention((NOISE,), given)])
    state = Starts(subject(1.0), SAMPLE)[range(40)]
    red = state.x[:, BRIGHT, 2:] - state.x[:, DARK, 2:] + given[:, :, None]
    bright = 4 * (red > 1 / 3 + 1 / 255).flatten(1).sum(1).numpy()
    assert np.abs(found.after[0, :, BRIGHT_LABEL] - bright).max() <= 4


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_results_do_not_depend_on_the_batch(batch: int) -> None:
    values = torch.linspace(-1, 1, 40)[:, None]
    edits = [Intervention((NOISE,), values), Intervention.ablation([BRIGHT], alpha=0.5)]
    one, other = (measure(subject(0.4, b), SAMPLE, edits) for b in (8, batch))
    for first, second in zip(one, other, strict=True):
        assert np.array_equal(first, second)
    same, parts = (effect(m, levels().vocabulary) for m in (one, other))
    assert same == parts


def test_random_units_stand_beside_the_chosen_ones() -> None:
    sets = random_sets([BRIGHT], 4, 9)
    assert sets == random_sets([DARK], 4, 9) and len(set(sets)) > 1
    assert sets == [two[:1] for two in random_sets([0, 1], 4, 9)]
    fixed = [(NOTHING,), (NOISE,)]
    edits = [Intervention.ablation(units) for units in [(BRIGHT,), *fixed]]
    found = measure(subject(), SAMPLE, edits)
    record = random_units(found, levels().vocabulary, [BRIGHT_LABEL], 0, {1: fixed[0], 2: fixed[1]})
    (bright,) = record.classes
    assert bright.differences == [0.0, 0.0] and bright.as_strong == 0 and bright.p < 0.001
    assert bright.high is not None and bright.high < 0 and record.moved == 0


def test_a_conditional_generator_takes_its_classes_in_turn() -> None:
    conditional = Subject(planted(class_names=("a", "b")), levels(), "r4")
    assert "label" not in planted().begin(planted().latents([0])).carry
    rows = conditional.start(Sample([0, 1, 2]), [0, 1, 2])
    assert rows.carry["label"].tolist() == [0, 1, 0]
    rows = conditional.start(Sample([0, 1, 2], labels=(1,)), [2])
    assert rows.carry["label"].tolist() == [1]
    with pytest.raises(UsageError, match="planted is not conditional: give no labels"):
        subject().start(Sample([0], labels=(1,)), [0])


def test_kept_states_are_those_computed_anew() -> None:
    kept, anew = Starts(subject(), SAMPLE), Starts(subject(), SAMPLE, most=0)
    assert torch.equal(kept[[3, 1]].x, anew[[3, 1]].x) and isinstance(kept[[0]], State)


def test_rows_of_an_image_are_averaged() -> None:
    rows = np.array([[2.0, 0.0], [4.0, 8.0], [1.0, 1.0]])
    assert by_image(rows, np.array([5, 5, 2])).tolist() == [[1.0, 1.0], [3.0, 4.0]]
    areas = Areas(np.zeros((2, 4)), np.zeros((2, 4)))
    assert areas.before.shape == (2, 4)


@pytest.mark.parametrize(
    ("intervention", "message"),
    [
        (Intervention.ablation([4]), "no unit 4 at 'r4'; its units are 0 to 3"),
        (Intervention.ablation([1, 1]), "unit 1 is given twice"),
        (Intervention((0, 1), torch.ones(3)), r"value has shape \(3,\).*\(2,\).*\(40, 2\)"),
        (Intervention((0,), torch.tensor([float("nan")])), "value has NaN or Inf"),
        (Intervention.ablation([0], alpha=1.5), "alpha goes from 0 to 1"),
        (Intervention.ablation([0], torch.full((4, 4), -1.0)), "mask goes from 0 to 1"),
        (Intervention.ablation([0], torch.ones(8, 8)), r"mask has shape \(8, 8\); allowed"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(intervention: Intervention, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        measure(subject(), SAMPLE, [intervention])
    assert "\n" not in str(refused.value)


def test_subjects_and_samples_that_cannot_be() -> None:
    generator, segmenter = planted(), levels()
    with pytest.raises(UsageError, match="'image' is the image; name a layer between"):
        Subject(generator, segmenter, "image")
    with pytest.raises(UsageError, match="no boundary named 'r44'; did you mean 'r4'"):
        Subject(generator, segmenter, "r44")
    with pytest.raises(UsageError, match="batch = 0"):
        Subject(generator, segmenter, "r4", batch=0)
    with pytest.raises(UsageError, match="at least one image"):
        Sample(())
    with pytest.raises(UsageError, match="image -1"):
        Sample((-1,))
    with pytest.raises(UsageError, match=r"k has shape \(\)"):
        Intervention.insertion([0], torch.tensor(1.0))
    with pytest.raises(UsageError, match=r"k has shape \(2,\)"):
        Intervention.insertion([3], torch.ones(2))
    one = measure(subject(), Sample([0]), [Intervention.ablation([0])])
    with pytest.raises(UsageError, match="at least two images"):
        effect(one, segmenter.vocabulary)


def test_broken_images_are_named() -> None:
    class Broken(type(planted())):  # type: ignore[misc]
        def advance(self, state: State, to: str = "image", **_: object) -> State:
            found = super().advance(state, to)
            return found if to != "image" else found.with_x(found.x / found.x.new_zeros(1))

    made = planted()
    made.__class__ = Broken
    with pytest.raises(ModelError, match="planted: seed0-000002 has NaN or Inf after the edit"):
        measure(Subject(made, levels(), "r4"), Sample([2, 3]), [])
