"""Channels of a style, which have no map, as units of an intervention."""

from __future__ import annotations

from typing import Any

import pytest

from seeingkit.analyses.interventions.stage import intervene
from seeingkit.analyses.inversion.samples import check_samples
from seeingkit.errors import UsageError
from tests.helpers.styled import BLOB, NOTHING, SEGMENTER, Planted


def test_channels_of_a_style_are_ablated_and_set() -> None:
    given: dict[str, Any] = {"label": "red", "n": 24, "random": 2}
    still = intervene(Planted(), SEGMENTER, "r32.style", [NOTHING], **given)
    assert still.layer == "r32.style" and still.edit == "ablation"
    assert all(c.difference == 0 for c in still.effect.classes) and still.effect.moved == 0
    grey = intervene(
        Planted(), SEGMENTER, "r32.style", [BLOB], insert=True, values=[0.9], curve=[1], **given
    )
    red = next(c for c in grey.effect.classes if c.label == "red")
    assert red.area_claim == "less area" and red.before > 5 and red.after < 0.1
    assert grey.values == pytest.approx([0.9]) and grey.curve is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": (0.5, 0, 1, 1)}, r"r32\.style is a style and has no map: leave the box out"),
        ({"context": 2, "insert": True, "values": [1.0]}, "a map of insertions needs places"),
        ({"insert": True}, "an insertion needs values; give --value"),
        ({"units": 1}, "to choose units needs places where a class is; name --units"),
    ],
)
def test_what_needs_a_place_is_refused(change: dict[str, Any], message: str) -> None:
    given = {"units": [BLOB], "label": "red", "n": 4, **change}
    with pytest.raises(UsageError, match=message):
        intervene(Planted(), SEGMENTER, "r32.style", **given)


def test_nothing_is_inverted_through_styles() -> None:
    with pytest.raises(UsageError, match="loaded with styles as boundaries"):
        check_samples(Planted())
