"""How often layers are told apart that are one layer, and whether intervals of counts hold.

One network is dissected once on many images. Disjoint sets of its groups of images are drawn and
compared as if they were two networks, so that every claim is false. Coverage is that of the mean
over sets of as many groups.

    python -m benchmarks.unit_counts --n 7680 --groups 30 --comparisons 200
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

import seeingkit
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.contrasts import contrasts
from seeingkit.analyses.dissection.counts import Labelled, quantities
from seeingkit.analyses.dissection.stage import dissect_layers
from seeingkit.contracts import Generator, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset

SETS = 150
"""Sets of groups whose mean is the true number."""


def dissected(gan: str, n: int, layers: list[str], store: str | None) -> list[Labelled]:
    """The layers of a network with the numbers of all groups."""
    generator = cast("Generator", seeingkit.load_generator(gan))
    segmenter = cast("Segmenter", seeingkit.load_segmenter("upernet:minichurches"))
    source = SamplerSource(generator, n, preset=find_preset("native"))
    with tempfile.TemporaryDirectory() as folder:
        config = DissectionConfig(layers=tuple(layers))
        found = dissect_layers(source, segmenter, config, store=store or folder)
    return [
        Labelled(
            one.layer.name,
            one.layer.units,
            [(plane, label.name, label.category) for plane, label in one.classes],
            one.series,
        )
        for one in found
    ]


def measure(layer: Labelled, groups: int, comparisons: int) -> None:
    """Print wrong claims, coverage, and errors beside the spread that there is."""
    rng, asked = np.random.default_rng(0), quantities([layer])
    series = layer.series
    of_group, bins = series.groups // series.span, series.bins
    total = len(bins)

    def drawn(places: NDArray[np.int64]) -> Labelled:
        return replace(layer, series=series.at(series.groups[np.isin(of_group, bins[places])]))

    sets = [drawn(rng.permutation(total)[:groups]) for _ in range(SETS)]
    counts = np.array([one.counts(one.labels()[None], asked)[0] for one in sets])
    mean, spread = counts.mean(0), counts.std(0, ddof=1)
    wrong, inside, errors, alone = 0, [], [], []
    for _ in range(comparisons):
        order = rng.permutation(total)
        found = contrasts([drawn(order[:groups]), drawn(order[groups : 2 * groups])])
        wrong += bool(found.differences[0].claimed.any())
        alone.append(found.differences[0].p < 0.05)
        inside += [*((found.low <= mean) & (mean <= found.high))]
        errors += [one.errors for one in found.counted]
    error = np.sqrt(np.mean(np.square(errors), 0))
    print(
        f"{layer.name}: {wrong} of {comparisons} comparisons with a claim; p < 0.05 alone in "
        f"{np.mean(alone):.1%}; intervals hold {np.mean(inside):.1%}"
    )
    for k, one in enumerate(asked):
        if mean[k] > 0.02:
            name = one.label or one.category or one.kind
            held = np.mean(np.array(inside)[:, k])
            print(f"  {name:12} mean {mean[k]:6.2f} varies by {spread[k]:.2f}, ", end="")
            print(f"error {error[k]:.2f}, held {held:.1%}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--gan", default="progan:minichurches")
    parser.add_argument("--n", type=int, default=7680)
    parser.add_argument("--layers", default="r8.conv1,r16.conv0")
    parser.add_argument("--groups", type=int, default=30)
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--store", help="folder of finished parts")
    asked = parser.parse_args()
    for layer in dissected(asked.gan, asked.n, asked.layers.split(","), asked.store):
        measure(layer, asked.groups, asked.comparisons)


if __name__ == "__main__":
    main()
