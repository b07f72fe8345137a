"""How often a dissection labels units that mean nothing, what it finds, and what it costs.

``null``: units labelled with the label maps of other images of their group (place and area kept),
of trained networks and of random weights. ``layers``: units labelled at each layer. ``cost``: all
layers at 32 levels against the bare generator and segmenter, in turns, in CPU seconds. ``classes``:
units of a conditional generator labelled with groups of one class, and with groups of any.

    python -m benchmarks.dissection null --n 960
    python -m benchmarks.dissection layers --n 960
    python -m benchmarks.dissection cost
    python -m benchmarks.dissection classes --gan biggan --weights pytorch_model.bin --n 432
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import nn

import seeingkit
from seeingkit.analyses.dissection import parts, stage
from seeingkit.analyses.dissection.candidates import LayerLevels, find_levels
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.grouping import GROUP, groups_of
from seeingkit.analyses.dissection.moments import group_moments
from seeingkit.analyses.dissection.observation import (
    Layer,
    Observation,
    Observer,
    layers_of,
)
from seeingkit.analyses.dissection.presets import PRESETS
from seeingkit.analyses.dissection.stage import LayerDissection
from seeingkit.contracts import Generator, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset

GANS = ("progan:minichurches", "stylegan2:minichurches")
OTHER = 3
"""The label map of the image so many places further on in its group stands in for an image's own;
the exchanges of the test itself are by other distances."""


class Shuffled(Observer):
    """Gives each image the label map of another one."""

    def observe(self, indices: Sequence[int]) -> Observation:
        """As ``Observer``, with label maps exchanged within the group."""
        seen = super().observe(indices)
        return seen if seen.labels is None else replace(seen, labels=seen.labels.roll(OTHER, 0))


def _models(gan: str) -> tuple[Generator, Segmenter]:
    segmenter = seeingkit.load_segmenter("upernet:minichurches")
    return cast("Generator", seeingkit.load_generator(gan)), cast("Segmenter", segmenter)


def _source(generator: Generator, n: int) -> SamplerSource:
    return SamplerSource(generator, n, preset=find_preset("native"))


def _dissect(
    generator: Generator, segmenter: Segmenter, n: int, layers: Sequence[str]
) -> list[LayerDissection]:
    config = DissectionConfig(layers=tuple(layers))
    with tempfile.TemporaryDirectory() as store:
        return stage.dissect_layers(_source(generator, n), segmenter, config, store=store)


def _randomised(generator: Generator) -> Generator:
    """The same network with weights drawn anew, each tensor of its former spread."""
    torch.manual_seed(0)
    for module in vars(generator).values():
        for weight in module.parameters() if isinstance(module, nn.Module) else ():
            weight.data = torch.randn_like(weight) * weight.std().nan_to_num(1.0)
    return generator


def _print(gan: str, found: Sequence[LayerDissection]) -> None:
    for one in found:
        units, labelled = one.layer.units, int((one.labels >= 0).sum())
        own, others = one.by_iou
        counts: dict[str, int] = {}
        for column in one.labels[one.labels >= 0].tolist():
            name = one.classes[column][1].name
            counts[name] = counts.get(name, 0) + 1
        names = ", ".join(f"{k} {v}" for k, v in sorted(counts.items(), key=lambda kv: -kv[1]))
        share = f"{labelled} of {units}"
        print(f"{gan:28} {one.layer.name:12} {share:>12}  {own:>4} {others:>4}  {names}")


def null(n: int, layers: Sequence[str]) -> None:
    """Units labelled where no unit may be."""
    print(f"{'weights':28} {'layer':12} {'labelled':>12}  best IoU > .04, and by others")
    for gan in GANS:
        generator, segmenter = _models(gan)
        usual = stage.Observer
        try:
            stage.Observer = Shuffled  # type: ignore[misc]
            _print(gan, _dissect(generator, segmenter, n, layers))
            _print("random weights", _dissect(_randomised(generator), segmenter, n, layers))
        finally:
            stage.Observer = usual  # type: ignore[misc]


def layers(n: int, chosen: Sequence[str]) -> None:
    """Units labelled at each layer."""
    print(f"{'weights':28} {'layer':12} {'labelled':>12}  best IoU > .04, and by others")
    for gan in GANS:
        _print(gan, _dissect(*_models(gan), n, chosen))


def classes(gan: str, weights: str | None, n: int) -> None:
    """Units labelled at all layers, within classes and with classes mixed."""
    generator = cast("Generator", seeingkit.load_generator(gan, weights=weights))
    segmenter = cast("Segmenter", seeingkit.load_segmenter("upernet:minichurches"))
    config = DissectionConfig(layers=("all",), level_images=144)

    def mixed(images: int, _: Sequence[int] = ()) -> list[list[int]]:
        return groups_of(images)

    for name, usual in (("groups of one class", groups_of), ("groups of any class", mixed)):
        parts.groups_of = usual
        with tempfile.TemporaryDirectory() as store:
            found = stage.dissect_layers(_source(generator, n), segmenter, config, store=store)
        labelled = [int((one.labels >= 0).sum()) for one in found]
        print(f"{name}: {sum(labelled)} of {sum(one.layer.units for one in found)}, {labelled}")
    parts.groups_of = groups_of


def cost(images: int, turns: int = 3) -> None:
    """CPU seconds of all layers in one pass over those of the bare forward."""
    generator, segmenter = _models(GANS[0])
    source = _source(generator, images)
    chosen = [Layer(boundary) for boundary in layers_of(generator, ["all"])]
    observer = Observer(source, segmenter, chosen, PRESETS["default"].side)
    levels = find_levels(
        replace(observer, source=_source(generator, 64)), 64, PRESETS["default"], 0.04
    )

    def bare() -> None:
        for start in range(0, images, GROUP):
            with torch.no_grad():
                made = generator(source.latent(range(start, start + GROUP)))
                segmenter.segment(made.clamp(-1, 1))

    def whole() -> None:
        _count(observer, chosen, levels, images)

    def search() -> None:
        find_levels(observer, images, PRESETS["default"], 0.04)

    works = {"bare": bare, "dissection": whole, "levels": search}
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            times[name].append(_seconds(work))
    best = {name: min(found) for name, found in times.items()}
    units = sum(layer.units for layer in chosen)
    print(f"{len(chosen)} layers, {units} units, {images} images: {times}")
    for name in ("dissection", "levels"):  # the search of levels has costs that do not grow with n
        print(f"{name} / bare: {best[name] / best['bare']:.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _count(
    observer: Observer, chosen: Sequence[Layer], levels: Sequence[LayerLevels], images: int
) -> None:
    for seen in observer.groups(groups_of(images)):
        for layer, level in zip(chosen, levels, strict=True):
            group_moments(seen, layer, level.levels, level.columns, level.classes)


def _seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return round(time.process_time() - started, 2)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("what", choices=["null", "layers", "cost", "classes"])
    parser.add_argument("--gan", default="biggan")
    parser.add_argument("--weights")
    parser.add_argument("--n", type=int, default=960)
    parser.add_argument("--layers", default="r4.conv1,r8.conv1,r16.conv0,r32.conv0")
    asked = parser.parse_args()
    if asked.what == "cost":
        cost(96)
    elif asked.what == "classes":
        classes(asked.gan, asked.weights, asked.n)
    else:
        {"null": null, "layers": layers}[asked.what](asked.n, asked.layers.split(","))


if __name__ == "__main__":
    main()
