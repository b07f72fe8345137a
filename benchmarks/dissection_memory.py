"""Peak memory and time of a dissection of a large network: 14 layers to 256 pixels, 336 classes.

The network has random weights and the channels of StyleGAN2 (512 up to 64 pixels, 256, 128); its
stages and the segmenter cost little, so the time is nearly that of counting.

    python -m benchmarks.dissection_memory --n 32
    python -m benchmarks.dissection_memory --n 128
    python -m benchmarks.dissection_memory --n 32 --rule pnas
    python -m benchmarks.dissection_memory --n 128 --layers r64.1
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.stage import dissect_layers
from seeingkit.contracts import (
    Boundary,
    GeneratorInfo,
    Label,
    LatentSpec,
    Segmenter,
    SegmenterInfo,
    Vocabulary,
)
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.models.staged import Carry, StagedAdapter

SIDES = (4, 8, 16, 32, 64, 128, 256)
CHANNELS = {128: 256, 256: 128}
CLASSES = 336


class Large(nn.Module):
    """Each stage mixes neighbouring channels; every second one doubles the side."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 512 * 16)
        self.mix = nn.Parameter(torch.randn(14, 512))

    def stage(self, number: int) -> object:
        """The function of stage ``number``, 0 to 13."""
        side, channels = SIDES[number // 2], CHANNELS.get(SIDES[number // 2], 512)

        def compute(x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
            if not number:
                return self.first(x).reshape(-1, 512, 4, 4), carry
            x = x[:, :channels]
            if x.shape[-1] != side:
                x = interpolate(x, (side, side), mode="bilinear")
            weight = self.mix[number, :channels, None, None]
            return (x + weight * x.roll(1, 1)).clamp(-3, 3), carry

        return compute

    def image(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """(N, 3, 256, 256)."""
        return torch.tanh(x[:, :3] / 2), carry


def large() -> StagedAdapter:
    """The generator."""
    torch.manual_seed(0)
    network = Large()
    cuts = [Boundary("input", 0, (64,), "latent")]
    for k in range(14):
        side = SIDES[k // 2]
        shape = (CHANNELS.get(side, 512), side, side)
        cuts.append(Boundary(f"r{side}.{k % 2}", k + 1, shape, "feature", (side, side)))
    cuts.append(Boundary("image", 15, (3, 256, 256), "image", (256, 256)))
    info = GeneratorInfo(family="large", resolution=256, latent=(LatentSpec(shape=(64,)),))
    stages = [*(network.stage(k) for k in range(14)), network.image]
    return StagedAdapter(network, info, cuts, stages)  # type: ignore[arg-type]


class Reds(Segmenter):
    """The label of a pixel is one of 336 levels of its red."""

    def __init__(self) -> None:
        names = (f"red {k}" for k in range(1, CLASSES))
        self.vocabulary = Vocabulary((Label("-"), *map(Label, names)))
        self.info = SegmenterInfo(family="reds")

    def segment(self, images: Tensor) -> Tensor:
        """(N, 1, H, W)."""
        return ((images[:, :1] + 1) / 2 * (CLASSES - 1)).round().long()

    def score(self, images: Tensor, label: int) -> Tensor:
        """(N, H, W) nearness to a level."""
        return 1 - (images[:, 0] - (2 * label / (CLASSES - 1) - 1)).abs() / 2


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--rule", default="default")
    parser.add_argument("--layers", default="all")
    asked = parser.parse_args()
    source = SamplerSource(large(), asked.n, preset=find_preset("native"))
    layers = tuple(asked.layers.split(","))
    config = DissectionConfig(layers=layers, preset=asked.rule, level_images=32)
    before = _peak()
    with tempfile.TemporaryDirectory() as store:
        dissect_layers(source.first(2), Reds(), config, store=store)  # the levels
        levels, started = _peak(), time.process_time()
        found = dissect_layers(source, Reds(), config, store=store)
        seconds = (time.process_time() - started) / asked.n
    units, classes = sum(one.layer.units for one in found), len(found[0].classes)
    print(f"{len(found)} layers, {units:,} units, {classes} classes, {asked.n} images")
    print(f"rule {asked.rule}; peak MiB: {before} before, {levels} with levels, {_peak()} in all")
    print(f"CPU ms an image {1000 * seconds:.0f}; hours for 10,000 {seconds * 10_000 / 3600:.2f}")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
