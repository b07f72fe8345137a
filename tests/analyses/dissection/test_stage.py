"""A dissection from end to end, on a generator in which one unit draws a class by construction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seeingkit.analyses.dissection import parts, stage
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.observation import Observer, layers_of
from seeingkit.analyses.dissection.stage import LayerDissection, dissect_layers
from seeingkit.contracts import Boundary, GeneratorInfo, LatentSpec, Sampler
from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.models.staged import StagedAdapter
from tests.helpers.colours import ColourSegmenter
from tests.helpers.toys import FlatSampler

RED, NOISE, PLACE = 0, 1, 2
"""Units: draws red blobs; is noise; is bright at the top of every image."""


class Blobs(nn.Module):
    """z says where a red blob stands on grey, and what the other units are."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(6, 64, bias=False)
        draw = torch.Generator().manual_seed(3)
        self.mix.weight.data = torch.randn(64, 6, generator=draw)
        self.colour = nn.Parameter(torch.tensor([0.9, -0.7, -0.7]))

    def first(self, x: Tensor, carry: Any) -> tuple[Tensor, Any]:
        rows = torch.arange(8).float()
        y = (3.5 + 2.5 * torch.tanh(x[:, :1]))[:, :, None]
        across = (3.5 + 2.5 * torch.tanh(x[:, 1:2]))[:, None]
        blob = (-((rows[None, :, None] - y) ** 2) / 3 - (rows[None, None] - across) ** 2 / 3).exp()
        noise = self.mix(x).reshape(-1, 8, 8)
        place = torch.linspace(2, -2, 8)[None, :, None].expand(len(x), 8, 8)
        return torch.stack([blob, noise, place], 1), carry

    def second(self, x: Tensor, carry: Any) -> tuple[Tensor, Any]:
        blob = interpolate(x[:, :1], (32, 32), mode="bilinear")
        strength = (4 * (blob - 0.4)).clamp(0, 1)
        image = strength * self.colour[None, :, None, None]
        return (image + 0.02 * x.mean((1, 2, 3), keepdim=True)).clamp(-1, 1), carry


class Planted(StagedAdapter):
    def __init__(self) -> None:
        network = Blobs()
        cuts = (
            Boundary("input", 0, (6,), "latent"),
            Boundary("r8", 1, (3, 8, 8), "feature", (8, 8), aliases=("blob",)),
            Boundary("image", 2, (3, 32, 32), "image", (32, 32)),
        )
        info = GeneratorInfo(
            family="planted", resolution=32, latent=(LatentSpec(name="z", shape=(6,)),)
        )
        super().__init__(network, info, cuts, [network.first, network.second])


SEGMENTER = ColourSegmenter(["red", "grey"], [[0.9, -0.7, -0.7], [0.0, 0.0, 0.0]], 0.1)


def source(n: int = 320, seed: int = 0) -> SamplerSource:
    return SamplerSource(Planted(), n, seed, preset=find_preset("native"))


def dissect(folder: Path, n: int = 320, **settings: Any) -> LayerDissection:
    config = DissectionConfig(layers=("r8",), level_images=64, **settings)
    (found,) = dissect_layers(source(n), SEGMENTER, config, store=folder)
    return found


def same(first: LayerDissection, second: LayerDissection) -> bool:
    names = ("both", "union", "exchanged", "excess2", "peaks", "strongest", "area")
    return all(
        np.array_equal(getattr(first.sums, name), getattr(second.sums, name)) for name in names
    )


@pytest.mark.parametrize("preset", ["default", "paper", "pnas"])
def test_the_planted_unit_is_found_and_noise_is_not(tmp_path: Path, preset: str) -> None:
    found = dissect(tmp_path, preset=preset)
    names = [label.name for _, label in found.classes]
    assert names[found.labels[RED]] == "red"
    if preset == "default":
        assert found.labels[[NOISE, PLACE]].tolist() == [-1, -1]
        column = names.index("red")
        own, chance = found.found.iou[RED, column], found.found.chance[RED, column]
        assert own > 0.7 > 0.3 > chance
        assert found.found.low[RED, column] < own < found.found.high[RED, column]
        # A bound on IoU alone labels more, and as much with label maps of other images.
        assert found.by_iou[0] >= 2 and found.by_iou[1] >= 2


def test_the_strongest_images_are_those_of_the_greatest_values(tmp_path: Path) -> None:
    found, images = dissect(tmp_path), source()
    maps, _ = Observer(images, SEGMENTER, [found.layer]).maps(range(320))
    peaks = maps["r8"].flatten(2).amax(2)
    upsampled = found.sums.peaks[NOISE, 0]
    assert float(peaks[:, NOISE].max()) >= upsampled > 0
    assert found.sums.strongest[NOISE, 0] in peaks[:, NOISE].topk(5).indices


def test_nothing_is_made_twice_and_more_images_keep_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []
    make = parts.Parts._make

    def counted(self: parts.Parts, groups: parts.Groups, *rest: Any) -> list[Any]:
        made.append((groups[0][0], groups[-1][-1] + 1))
        return make(self, groups, *rest)

    monkeypatch.setattr(parts.Parts, "_make", counted)
    first = dissect(tmp_path, n=256)
    again = dissect(tmp_path, n=256)
    assert made == [(0, 256)] and same(first, again)
    more = dissect(tmp_path, n=512)
    assert made == [(0, 256), (256, 512)]
    assert more.sums.groups == 32
    assert same(dissect(tmp_path / "fresh", n=512), more)


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:200], lambda b: b[:-9] + bytes([b[-9] ^ 4]) + b[-8:]]
)
def test_a_damaged_file_is_set_aside_and_made_again(
    tmp_path: Path, spoil: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first = dissect(tmp_path)
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == 3  # levels, and images 1 to 256 and 257 to 320
    for file in files:
        file.write_bytes(spoil(file.read_bytes()))
    assert same(dissect(tmp_path), first)
    assert sum("set aside" in r.message or "damaged" in r.message for r in caplog.records) == 3


def test_a_part_under_another_name_is_not_believed(tmp_path: Path) -> None:
    first = dissect(tmp_path, n=512)
    sizes = {
        f: f.read_bytes() for f in tmp_path.rglob("*.safetensors") if b"span" in f.read_bytes()
    }
    (a, one), (b, other) = sizes.items()
    a.write_bytes(other)
    b.write_bytes(one)
    assert same(dissect(tmp_path, n=512), first)


def test_other_settings_never_meet_old_work(tmp_path: Path) -> None:
    dissect(tmp_path)
    before = {f.name for f in tmp_path.rglob("*.safetensors")}
    for more in ({"preset": "pnas"}, {"basis": "random"}, {"basis": "pca"}):
        dissect(tmp_path, **more)
        after = {f.name for f in tmp_path.rglob("*.safetensors")}
        assert len(after - before) == 3 + (more.get("basis") == "pca")  # its components
        before = after


def test_directions_instead_of_channels(tmp_path: Path) -> None:
    for kind in ("pca", "random"):
        basis = stage.basis_of(kind, layers_of(Planted())[0], source(64))
        assert basis.matrix is not None
        product = basis.matrix @ basis.matrix.T
        torch.testing.assert_close(product, torch.eye(3), atol=1e-5, rtol=0)
        assert stage.basis_of(kind, layers_of(Planted())[0], source(64)).matrix is not None
    assert dissect(tmp_path, basis="pca").layer.name == "r8/pca"


def test_wrong_input_is_refused_in_one_line(tmp_path: Path) -> None:
    config = DissectionConfig(layers=("r88",))
    with pytest.raises(UnknownNameError, match="r88"):
        dissect_layers(source(), SEGMENTER, config, store=tmp_path)
    config = DissectionConfig(layers=("input",))
    with pytest.raises(UsageError, match="input is no feature map; take one of r8"):
        dissect_layers(source(), SEGMENTER, config, store=tmp_path)
    flat: Sampler = FlatSampler()
    images = SamplerSource(flat, 16)
    with pytest.raises(UsageError, match="gives images only"):
        dissect_layers(images, SEGMENTER, DissectionConfig(), store=tmp_path)


def test_layers_are_in_the_order_of_computation() -> None:
    names: Sequence[str] = [b.name for b in layers_of(Planted(), ["all"])]
    assert names == ["r8"]
    assert [b.name for b in layers_of(Planted(), ["blob", "r8"])] == ["r8"]
