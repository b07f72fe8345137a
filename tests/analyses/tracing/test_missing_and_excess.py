"""Units behind missing and excess classes, on a generator whose units draw known things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seeingkit.analyses.interventions import parts
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.analyses.tracing import missing as missing_module
from seeingkit.analyses.tracing.excess import (
    Scaled,
    difference_to_real,
    lowering_p,
    meeting,
    scale_excess,
)
from seeingkit.analyses.tracing.missing import (
    Drawn,
    areas_of,
    draw_missing,
    drawing_p,
    patch_masks,
    patch_side,
    random_places,
)
from seeingkit.analyses.tracing.settings import TracingSettings
from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import UsageError
from seeingkit.results.tracing import StrengthPoint
from tests.helpers.planted import BRIGHT, DARK, levels, planted
from tests.helpers.toys import LevelSegmenter

SETTINGS = TracingSettings("r4", units=1, n=50, search=24, random=3)
SKY, MIDDLE, HELD = 1, 2, 3
"""Labels of the planted segmenter: dark, middle, bright."""


class Further(LevelSegmenter):
    """Knows a class that no red value is of."""

    def __init__(self) -> None:
        super().__init__()
        self.vocabulary = Vocabulary((*self.vocabulary.labels, Label("unicorn")))

    def score(self, images: Tensor, label: int) -> Tensor:
        return 0.01 * images[:, 0] ** 2 if label == 4 else super().score(images, label)


def subject(noise: float = 0.2) -> Subject:
    return Subject(planted(noise), levels(), "r4", batch=16)


def test_the_unit_that_draws_a_class_is_inserted_and_draws_it() -> None:
    found = draw_missing(subject(), HELD, SETTINGS)
    assert found.units == (BRIGHT,)
    before, after = areas_of(found, HELD)
    assert drawing_p(before, after, 0) < 0.01
    assert after[0].mean() > before.mean() + 1


def test_a_class_that_no_unit_draws_is_not_claimed() -> None:
    found = draw_missing(Subject(planted(0.2), Further(), "r4", batch=16), 4, SETTINGS)
    before, after = areas_of(found, 4)
    assert found.seen == 0 and found.values == "0.99"
    assert drawing_p(before, after, 0) == 1.0


def test_scaling_the_units_of_a_class_brings_its_area_to_the_real_one() -> None:
    found = scale_excess(subject(), HELD, 4.0, SETTINGS)
    assert found.units == (BRIGHT,) and 0 < found.strength < 1
    scale = 100 / found.measured.pixels
    before = found.measured.before[:, HELD] * scale
    after = found.measured.after[:, :, HELD] * scale
    assert lowering_p(before, after, 0) < 0.01
    assert after[0].mean() == pytest.approx(4.0, abs=2.5) and before.mean() > 8


def test_images_of_search_and_effect_are_different_ones() -> None:
    seeds = {SETTINGS.seed, SETTINGS.effect_seed, SETTINGS.strength_seed}
    assert len(seeds) == 3
    one, two = Sample(range(500), SETTINGS.effect_seed), Sample(range(500), SETTINGS.strength_seed)
    assert not one.overlaps(two)


def test_areas_are_met_on_the_line_between_strengths() -> None:
    points = [StrengthPoint(strength=s, area=a) for s, a in ((0, 8), (0.5, 4), (1, 2))]
    assert meeting(points, 6) == 0.25 and meeting(points, 4) == 0.5
    assert meeting(points, 1.9) == 1.0  # even without the units there is more
    assert meeting(points, 9) == 0.5  # the searched images show no excess: the least change


def test_the_difference_to_the_real_area_has_its_welch_interval() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        found = difference_to_real(rng.gamma(1, 2, 80), rng.gamma(1, 2, 200))
        held += found[1] <= 0 <= found[2]
    assert 0.92 <= held / 400 <= 0.98


def test_units_that_draw_no_more_than_random_ones_are_rarely_claimed() -> None:
    """All units draw alike, and each edit has its own noise: nothing distinguishes the chosen."""
    rng = np.random.default_rng(4)
    claims = 0
    for run in range(300):
        before = rng.gamma(0.3, 2, 30)
        after = before + rng.gamma(0.5, 2, (6, 30))
        claims += drawing_p(before, after, run) <= 0.05
    assert claims / 300 <= 0.06


def test_units_that_add_nothing_are_rarely_claimed() -> None:
    """The insertion moves areas up as often as down; random units destroy the class."""
    rng = np.random.default_rng(5)
    claims = 0
    for run in range(300):
        before = rng.gamma(0.5, 2, 30)
        after = np.stack([before + rng.normal(0, 1, 30), *(before * 0.5 for _ in range(3))])
        claims += drawing_p(before, after, run) <= 0.05
    assert claims / 300 <= 0.06


def test_places_of_an_image_depend_on_seed_and_number_alone() -> None:
    whole, part = random_places(range(9), 3, (8, 8), 1), random_places(range(4, 6), 3, (8, 8), 1)
    assert (whole[4:6] == part).all()
    assert all(len(set(cells)) == 3 for cells in whole.tolist())
    assert patch_masks(np.array([0, 27]), (8, 8)).sum((1, 2, 3)).tolist() == [4, 9]
    assert all(patch_side((side, side)) % 2 for side in (1, 4, 8, 16, 32, 64))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"n": 3}, "--n 3: take 50 or more"),
        ({"random": 1}, "--random 1"),
        ({"level": 2}, "--level"),
    ],
)
def test_numbers_that_cannot_be_right_are_named(given: dict[str, float], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        TracingSettings("r4", **given)  # type: ignore[arg-type]


def test_more_units_than_the_layer_has_are_refused() -> None:
    with pytest.raises(UsageError, match="'r4' has 4 units; choose fewer"):
        draw_missing(subject(), HELD, TracingSettings("r4", units=5))


def test_few_units_of_a_layer_are_half_of_it() -> None:
    found = TracingSettings("r4")
    assert [found.units_of(many) for many in (1, 4, 39, 40, 512)] == [1, 2, 19, 20, 20]
    assert TracingSettings("r4", units=30).units_of(30) == 30


def test_a_class_that_was_traced_is_met_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def traced(store: Path | None) -> tuple[Drawn, Scaled]:
        missing = draw_missing(subject(), SKY, SETTINGS, store=store)
        return missing, scale_excess(subject(), HELD, 4.0, SETTINGS, store=store)

    kept, plain = traced(tmp_path), traced(None)
    monkeypatch.setattr(parts, "_made", lambda *_: pytest.fail("counted again"))
    for name in ("_searched", "unit_quantiles"):
        monkeypatch.setattr(missing_module, name, lambda *_: pytest.fail("searched again"))
    for one in (kept, traced(tmp_path)):
        for here, there in zip(one, plain, strict=True):
            assert here.units == there.units and here.sets == there.sets
            for a, b in zip(here.measured, there.measured, strict=True):
                assert np.array_equal(a, b)
    assert torch.equal(traced(tmp_path)[0].k, plain[0].k)
    with pytest.raises(pytest.fail.Exception, match="again"):
        draw_missing(subject(), HELD, SETTINGS, store=tmp_path)


def test_dark_is_drawn_by_its_own_unit() -> None:
    found = draw_missing(subject(0.0), SKY, SETTINGS)
    assert found.units == (DARK,)
    assert torch.is_tensor(found.mask) and found.mask.shape[0] == 2 * SETTINGS.n
