"""One intervention from models to record."""

from __future__ import annotations

import pytest
import torch

from seeingkit.analyses.interventions.stage import intervene
from seeingkit.errors import UsageError
from seeingkit.results.interventions import InterventionResults
from tests.helpers.planted import BRIGHT, DARK, NOTHING, levels, planted


def test_units_chosen_for_a_class_remove_it_and_the_record_is_whole() -> None:
    found = intervene(
        planted(0.3), levels(), "units", 1, label="bright", n=20, search=20, curve=[1], context=2
    )
    assert found.units == [BRIGHT] and found.layer == "r4" and found.edit == "ablation"
    assert found.choice is not None and found.choice.seeds == (2_000_000, 3_000_000)
    bright = next(c for c in found.effect.classes if c.label == "bright")
    assert bright.area_claim == "less area"
    assert found.random is not None and len(found.random.sets) == 5
    assert found.curve is not None and found.context is not None and found.causal is None
    again = InterventionResults.model_validate_json(found.model_dump_json())
    assert again == found


def test_the_same_arguments_give_the_same_record() -> None:
    given = {"label": "bright", "n": 12, "search": 10, "insert": True, "seed": 3}
    one, two = (intervene(planted(0.3), levels(), "r4", [BRIGHT, DARK], **given) for _ in range(2))
    assert one == two and one.causal is not None and one.causal.low is not None
    assert one.causal.low > 0


def test_without_a_class_random_units_are_beside_every_claim() -> None:
    found = intervene(planted(), levels(), "r4", [BRIGHT], n=20)
    claimed = {c.label for c in found.effect.classes if c.area_claim != "no evidence"}
    assert found.random is not None and claimed == {c.label for c in found.random.classes}
    assert claimed == {"bright", "middle", "dark"}  # what unit 1 draws is no longer outshone


def test_own_values_and_a_box() -> None:
    found = intervene(
        planted(),
        levels(),
        "r4",
        [BRIGHT, DARK],
        insert=True,
        values=torch.tensor([0.9, 0.0]),
        box=(0.75, 0.0, 1.0, 1.0),
        n=10,
        random=2,
    )
    assert found.values == pytest.approx([0.9, 0.0]) and found.box == (0.75, 0.0, 1.0, 1.0)
    bright = next(c for c in found.effect.classes if c.label == "bright")
    assert bright.after >= 25
    with pytest.raises(UsageError, match="1 values for 2 units"):
        intervene(planted(), levels(), "r4", [0, 1], insert=True, values=[0.5])


def test_an_idle_unit_claims_nothing() -> None:
    found = intervene(planted(0.3), levels(), "r4", [NOTHING], n=20, random=0)
    assert found.effect.moved == 0 and found.random is None and found.effect.changes == []


def test_a_curve_is_of_the_same_part_of_the_image() -> None:
    def left(box: tuple[float, float, float, float] | None) -> float | None:
        found = intervene(
            planted(), levels(), "r4", [BRIGHT], label="bright", n=12, curve=[1], box=box
        )
        assert found.curve is not None
        return found.curve.lines[0].points[0].remaining

    assert left(None) == 0 and left((0, 0, 0.5, 1)) == 1  # the upper half is never bright
    with pytest.raises(UsageError, match="--box says nothing there; leave one out"):
        intervene(planted(), levels(), "r4", [BRIGHT], label="bright", context=2, box=(0, 0, 1, 1))
