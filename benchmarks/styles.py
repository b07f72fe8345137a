"""How many channels of a style are labelled by their responses, and how many where none may be.

``own``: label maps of the same images; ``others``: of other images of the group (place and area
kept); ``plain``: own label maps, but the change of the image as it is, not in multiples of the
usual one.

    python -m benchmarks.styles r8.conv1.style --every 4 --n 192
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import cast
from unittest.mock import patch

import torch
from torch import Tensor

import seeingkit
from seeingkit.analyses.dissection import stage
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.observation import Observation, Observer
from seeingkit.analyses.dissection.responses import Response
from seeingkit.contracts import Generator, Segmenter, State
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset

OTHER = 3
"""The label map of the image so many places further on in its group stands in for its own."""


class Shuffled(Observer):
    """Gives each image the label map of another one."""

    def observe(self, indices: Sequence[int]) -> Observation:
        """As ``Observer``, with label maps exchanged within the group."""
        seen = super().observe(indices)
        return seen if seen.labels is None else replace(seen, labels=seen.labels.roll(OTHER, 0))


def ones(self: Response, generator: Generator, at: State, images: Tensor) -> Tensor:
    """In place of the usual change: responses are then changes."""
    return torch.ones(1, 1, 1, 1)


def labelled(
    source: SamplerSource, segmenter: Segmenter, config: DissectionConfig, what: str
) -> str:
    """Channels with a label, by class."""
    with tempfile.TemporaryDirectory() as store:
        (found,) = stage.dissect_layers(source, segmenter, config, store=store)
    chosen = found.labels[found.labels >= 0].tolist()
    counts = Counter(found.classes[column][1].name for column in chosen)
    names = ", ".join(f"{name} {n}" for name, n in counts.most_common())
    own, others = found.by_iou
    share = f"{len(chosen)} of {found.layer.units}"
    return f"{found.layer.name:18} {what:8} {share:>12}  {own:>4} {others:>4}  {names}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("layer")
    parser.add_argument("--gan", default="stylegan2:minichurches")
    parser.add_argument("--every", type=int, default=4, help="take every so manieth channel")
    parser.add_argument("--n", type=int, default=192)
    parser.add_argument("--level-images", type=int, default=160)
    parser.add_argument("--what", default="own,others,plain")
    asked = parser.parse_args()
    generator = cast("Generator", seeingkit.load_generator(asked.gan, styles=True))
    segmenter = cast("Segmenter", seeingkit.load_segmenter("upernet:minichurches"))
    units = tuple(range(0, generator.boundary(asked.layer).shape[0], asked.every))
    config = DissectionConfig(layers=(asked.layer,), units=units, level_images=asked.level_images)
    source = SamplerSource(generator, asked.n, preset=find_preset("native"))
    print(f"{'layer':18} {'':8} {'labelled':>12}  best IoU > .04, and by others")
    for what in asked.what.split(","):
        with (
            patch.object(stage, "Observer", Shuffled if what == "others" else Observer),
            patch.object(Response, "usual", ones if what == "plain" else Response.usual),
        ):
            print(labelled(source, segmenter, config, what), flush=True)


if __name__ == "__main__":
    main()
