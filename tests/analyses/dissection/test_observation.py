"""Maps that are laid over the image when they are asked for; counts of pairs; bad images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seeingkit.analyses.dissection import moments, observation
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.counting import Ranks, lattice
from seeingkit.analyses.dissection.observation import Layer, Observer, PixelMaps, layers_of
from seeingkit.analyses.dissection.stage import LayerDissection, dissect_layers
from seeingkit.contracts import Boundary
from seeingkit.errors import ModelError
from seeingkit.images import SamplerSource
from seeingkit.models.geometry import to_image_grid
from seeingkit.models.registry import find_preset
from seeingkit.models.staged import Carry
from tests.analyses.dissection.test_stage import SEGMENTER, Planted, same, source


@settings(max_examples=60)
@given(
    st.integers(3, 6), st.integers(1, 3), st.sampled_from([1, 2, 5, 200]), st.integers(1, 2),
    st.integers(0, 99),
)  # fmt: skip
def test_counts_of_pairs_are_those_of_all_levels(
    images: int, units: int, steps: int, planes: int, seed: int
) -> None:
    """Also with more levels than fit in 8 bits, labels that do not count, and classes that no
    image shows; exchanged label maps are those of other images."""
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn(images, units, 3, 5, generator=draw)
    levels = torch.randn(units, steps, generator=draw).sort(1).values
    labels = torch.randint(0, 4, (images, planes, 3, 5), generator=draw)
    columns = torch.full((planes, 5), -1)
    columns[0, 1], columns[-1, 3], columns[0, 4] = 0, 1, 2  # label 4 is nowhere
    places = torch.randint(0, steps, (units, 3), generator=draw)
    ranks = Ranks.of(values, levels)
    found = ranks.pairs(labels, columns, places, (1, 2))
    both, active = ranks.counts(labels, columns, 3)
    assert torch.equal(found.both, both.gather(1, places[:, None]).squeeze(1))
    assert torch.equal(found.active, active.gather(1, places))
    exchanged = sum(ranks.counts(labels.roll(s, 0), columns, 3)[0] for s in (1, 2))
    assert torch.equal(found.exchanged, exchanged.gather(1, places[:, None]).squeeze(1))


@pytest.mark.parametrize("side", [None, 4, 16])
def test_maps_at_pixels_are_the_one_upsampling(side: int | None) -> None:
    small = Boundary("r4", 1, (3, 4, 4), "feature", (4, 4))
    large = Boundary("r8", 2, (2, 8, 8), "feature", (8, 8))
    maps = {"r4": torch.randn(2, 3, 4, 4), "r8": torch.randn(2, 2, 8, 8)}
    pixels = lattice((32, 32), side)
    layers = [Layer(small), Layer(large)]
    found = PixelMaps(maps, layers, (32, 32), pixels)
    joined = PixelMaps.joined([found, PixelMaps(maps, layers, (32, 32), pixels)])
    assert list(found) == ["r4", "r8"] and len(joined) == 2
    for boundary in (small, large):
        expected = to_image_grid(maps[boundary.name], boundary, (32, 32), pixels)
        assert torch.equal(found[boundary.name], expected)
        assert torch.equal(found.of(boundary.name, 1, 2), expected[:, 1:2])
        assert torch.equal(joined[boundary.name], torch.cat([expected, expected]))


@pytest.mark.parametrize("preset", ["default", "pnas"])
def test_less_memory_gives_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: Any
) -> None:
    config = DissectionConfig(layers=("r8",), level_images=32, preset=preset)

    def found(folder: str) -> LayerDissection:
        return dissect_layers(source(40), SEGMENTER, config, store=tmp_path / folder)[0]

    whole = found("whole")
    monkeypatch.setattr(moments, "VALUES", 1)  # one unit at a time
    monkeypatch.setattr(observation, "MAPS", 4 * 3 * 64)  # four images at a time
    assert Observer(source(), SEGMENTER, [Layer(layers_of(Planted())[0])]).at_once == 4
    assert same(whole, found("parts"))


class Broken(Planted):
    """Images in which a value of the noise unit is large are not numbers: two of 160."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = (self.stages[0], self.spoilt)

    def spoilt(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        image, carry = self.module.second(x, carry)
        return torch.where(x[:, 1:2, :1, :1] > BAD, torch.nan, image), carry


BAD = 2.5


def bad_images(images: SamplerSource) -> list[str]:
    maps, _ = Observer(images, SEGMENTER, [Layer(layers_of(Planted())[0])]).maps(range(len(images)))
    return [images.ids[k] for k in (maps["r8"][:, 1, 0, 0] > BAD).nonzero().flatten().tolist()]


def test_bad_images_are_left_out_and_told_or_stop_the_work_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DissectionConfig(layers=("r8",), level_images=160)
    images = SamplerSource(Broken(), 160, preset=find_preset("native"))
    levels = SamplerSource(Broken(), 160, 1_000_000, preset=find_preset("native"))
    bad, bad_of_levels = bad_images(images), bad_images(levels)
    assert bad and bad_of_levels
    made: list[int] = []
    load = Observer._observe

    def counted(self: Observer, indices: Any) -> Any:
        made.append(len(indices))
        return load(self, indices)

    monkeypatch.setattr(Observer, "_observe", counted)
    first = int(bad_of_levels[0].split("-")[1])
    with pytest.raises(ModelError, match=f"{bad_of_levels[0]}: generator gave NaN"):
        dissect_layers(images, SEGMENTER, config, store=tmp_path, on_bad="fail")
    assert len(made) == first // 16 + 1
    (found,) = dissect_layers(images, SEGMENTER, config, store=tmp_path)
    assert [one.item for one in found.levels.skipped] == bad_of_levels
    assert found.sums.images == 160 - len(bad)
    (again,) = dissect_layers(images, SEGMENTER, config, store=tmp_path)
    assert same(found, again) and again.levels.skipped == found.levels.skipped
    with pytest.raises(ModelError, match=bad_of_levels[0]):  # also where all of it is stored
        dissect_layers(images, SEGMENTER, config, store=tmp_path, on_bad="fail")


def test_a_stored_part_without_a_bad_image_is_no_way_around_failing(tmp_path: Path) -> None:
    config = DissectionConfig(layers=("r8",), level_images=32)
    images = SamplerSource(Broken(), 160, preset=find_preset("native"))
    levels = SamplerSource(Broken(), 32, 1_000_000, preset=find_preset("native"))
    assert not bad_images(levels)
    dissect_layers(images, SEGMENTER, config, store=tmp_path)
    with pytest.raises(ModelError, match=bad_images(images)[0]):
        dissect_layers(images, SEGMENTER, config, store=tmp_path, on_bad="fail")
