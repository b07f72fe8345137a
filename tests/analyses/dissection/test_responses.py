"""Responses of channels without a map, on a generator whose channels act by construction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seeingkit.analyses.dissection import stage
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.observation import Observation, Observer
from seeingkit.analyses.dissection.records import layer_record, unit_records
from seeingkit.analyses.dissection.responses import (
    FLOOR,
    Response,
    check_responses,
    response_of,
)
from seeingkit.analyses.dissection.stage import LayerDissection, dissect_layers
from seeingkit.contracts import Boundary
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from tests.helpers.styled import BLOB, LIGHT, NOTHING, SEGMENTER, TOP, Planted


def source(n: int = 320, seed: int = 0) -> SamplerSource:
    return SamplerSource(Planted(), n, seed, preset=find_preset("native"))


def dissect(folder: Path, n: int = 320, **settings: Any) -> LayerDissection:
    config = DissectionConfig(layers=("r32.style",), level_images=64, **settings)
    (found,) = dissect_layers(source(n), SEGMENTER, config, store=folder)
    return found


def test_the_planted_channel_is_found_and_others_are_not(tmp_path: Path) -> None:
    found = dissect(tmp_path)
    names = [label.name for _, label in found.classes]
    assert names[found.labels[BLOB]] == "red"
    # Light on everything is more than usual where other channels do nothing.
    assert names[found.labels[LIGHT]] == "grey"
    assert found.labels[[TOP, NOTHING]].tolist() == [-1, -1]
    column = names.index("red")
    assert found.found.iou[BLOB, column] > 0.8 > 0.4 > found.found.chance[BLOB, column]
    record = layer_record(found)
    assert record.responses and record.extent == (32, 32) and record.units == 4
    units = unit_records(found)
    assert units[BLOB].step == pytest.approx(0.1, rel=0.15)


def test_a_response_is_its_formula() -> None:
    images = source(16)
    generator = images.sampler
    assert isinstance(generator, Planted)
    style = generator.boundary("r32.style")
    response = Response(style, (BLOB, NOTHING), torch.tensor([0.1, 0.2, 0.3, 0.4]))
    start = generator.begin(images.latent(range(16)))
    before = generator.advance(start).x
    found = response.maps(generator, start, before, (0, tuple(range(16))))
    at = generator.advance(start, "r32.style")

    def change(move: Tensor) -> Tensor:
        return (generator.advance(at.with_x(at.x + move)).x - before).abs().mean(1)

    usual = torch.stack([change(move) for move in response.directions]).mean(0)
    usual = usual + FLOOR * usual.mean((1, 2), keepdim=True)
    expected = change(torch.tensor([0.1, 0, 0, 0])) / usual
    torch.testing.assert_close(found[:, 0], expected)
    assert not found[:, 1].any()  # a channel without effect
    assert found.shape == (16, 2, 32, 32)
    assert torch.equal(response.directions.abs()[0], response.spread / 2)  # √C is 2


def test_some_channels_keep_their_numbers_and_numbers_theirs(tmp_path: Path) -> None:
    whole = dissect(tmp_path, n=64)
    some = dissect(tmp_path, n=64, units=(TOP, BLOB))
    assert [unit.unit for unit in unit_records(some)] == [TOP, BLOB]
    assert np.array_equal(some.sums.both, whole.sums.both[[TOP, BLOB]])
    assert np.array_equal(some.sums.peaks, whole.sums.peaks[[TOP, BLOB]])


def test_what_was_drawn_is_kept_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = dissect(tmp_path / "kept", n=64)
    monkeypatch.setattr("seeingkit.analyses.dissection.responses.KEPT", 0)
    again = dissect(tmp_path / "again", n=64)
    assert torch.equal(kept.levels.levels.values, again.levels.levels.values)
    assert np.array_equal(kept.sums.excess2, again.sums.excess2)


@pytest.mark.parametrize("room", [1 << 26, 3 * 16 * 2 * 1024, 0])
def test_the_cost_that_is_told_is_what_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Of two channels and 64 + 70 images, kept whole, in part, and not at all."""
    drawn = []
    whole = Response._changes

    def counted(self: Response, generator: Any, at: Any, images: Tensor, moves: Tensor) -> Tensor:
        drawn.append(len(images) * len(moves))
        return whole(self, generator, at, images, moves)

    monkeypatch.setattr("seeingkit.analyses.dissection.responses.KEPT", room)
    monkeypatch.setattr(Response, "_changes", counted)
    config = DissectionConfig(layers=("r32.style",), level_images=70, units=(BLOB, TOP))
    dissect_layers(source(64), SEGMENTER, config, store=tmp_path)
    style = Planted().boundary("r32.style")
    told = check_responses([style], (BLOB, TOP), 64, 70, 32)
    assert told == sum(drawn)
    assert told == (134 + {0: 70, 1 << 26: 0}.get(room, 22)) * (2 + 8)


class Shuffled(Observer):
    """The null: label maps of other images, all else as it is."""

    def observe(self, indices: Any) -> Observation:
        seen = super().observe(indices)
        assert seen.labels is not None
        return replace(seen, labels=seen.labels.roll(3, 0))


def test_with_label_maps_of_other_images_no_channel_is_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "Observer", Shuffled)
    assert dissect(tmp_path).labels.tolist() == [-1, -1, -1, -1]


def null_claims(folder: Path, runs: int) -> int:
    """Of so many dissections of other images each: those with any claim where none may be."""
    config = DissectionConfig(layers=("r32.style",), level_images=32)
    many = 0
    for run in range(runs):
        images = source(160, 1_000 * run)
        (found,) = dissect_layers(images, SEGMENTER, config, store=folder / str(run))
        many += bool(found.found.claimed.any())
    return many


@pytest.mark.slow
def test_claims_of_null_channels_are_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "Observer", Shuffled)
    # 5 % are allowed, which is 3; more than 8 have a probability of 0.3 %.
    assert null_claims(tmp_path, 60) <= 8


def test_costs_and_channels_are_checked_before_any_work(tmp_path: Path) -> None:
    style = Boundary("r8.style", 1, (512,), "style")
    feature = Boundary("r8", 2, (8, 8, 8), "feature", (8, 8))
    assert check_responses([feature], (), 10_000, 320, 64) == 0
    assert check_responses([style, style], (1, 2), 1_000, 320, 64) == 2 * 1_320 * 10
    with pytest.raises(UsageError, match="2,766,400 images .* name fewer channels with --units"):
        check_responses([style], (), 5_000, 320, 8)
    with pytest.raises(UsageError, match=r"no channel 512 at r8\.style; there are 0 to 511"):
        check_responses([style], (3, 512), 10, 10, 64)
    with pytest.raises(UsageError, match="no style is among the layers"):
        check_responses([feature], (3,), 10, 10, 64)
    with pytest.raises(UsageError, match="a channel is given twice"):
        check_responses([style], (3, 3), 10, 10, 64)
    with pytest.raises(UsageError, match=r"--basis pca is for maps; r8\.style is a style"):
        check_responses([style], (), 10, 10, 64, "pca")
    with pytest.raises(UsageError, match=r"no channel 9 at r32\.style"):
        dissect(tmp_path, units=(9,))
    assert not list(tmp_path.iterdir())


def test_the_spread_is_the_standard_deviation_of_each_channel() -> None:
    images = source(40)
    response = response_of(images, images.sampler.boundary("r32.style"), (3,))  # type: ignore[attr-defined]
    z = images.latent(range(40))["z"]
    torch.testing.assert_close(response.spread, 0.1 * z[:, 2:].std(0, correction=0))
    assert response.units == (3,)
