"""Two penalties of the least squares: each tap by itself, and the whole kernel as measured.

The request of ``benchmarks.rewriting`` is planned with both, at several weights; the edits are
measured on fresh images. A penalty is better where more succeeds at the same change elsewhere.

    python -m benchmarks.penalties
    python -m benchmarks.penalties --n 60 --seeds 2
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from typing import cast

import numpy as np

from benchmarks.rewriting import TO, request_of
from seeingkit import WeightEdit, load_generator, load_segmenter
from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.rewriting.closed import basis
from seeingkit.analyses.rewriting.groundwork import Groundwork
from seeingkit.analyses.rewriting.kept import KeptPlaces
from seeingkit.analyses.rewriting.matching import matcher_of
from seeingkit.analyses.rewriting.outcomes import Name, outcomes
from seeingkit.analyses.rewriting.plan import bench_of, usual_moments, usual_sample
from seeingkit.contracts import RewritableGenerator
from seeingkit.contracts.latents import Series, further_seed

PARTS: tuple[Name, ...] = ("success", "outside", "labels_outside")
TAPWISE, WHOLE = (10.0, 5.0, 2.0), (3.0, 1.5, 0.7)
"""Weights at which both move other places about as much."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gan", default="progan:minichurches")
    parser.add_argument("--site", default="r16.conv1")
    parser.add_argument("--rank", type=int, default=6)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    options = {"noise": "rewriting"} if given.gan.startswith("stylegan2") else {}
    generator = cast("RewritableGenerator", load_generator(given.gan, **options))
    segmenter = load_segmenter("upernet:minichurches")
    site = generator.site(given.site)
    moments, kernel = usual_moments(generator, site), (site.shape[2], site.shape[3])
    found: dict[str, list[list[float]]] = defaultdict(list)
    for number in range(given.seeds):
        request = request_of(generator, segmenter, 10_000 * number)
        bench = bench_of(generator, site, request)
        taps = Groundwork.of(bench, request.copy, request.contexts, moments, given.rank)
        kernels = basis(taps.along, kernel).to(bench.kernel)
        cost = KeptPlaces(bench, moments.sample or usual_sample()).energy(kernels)
        whole = replace(taps, cost=cost, equations=replace(taps.equations, cost=cost))
        edits: dict[str, WeightEdit] = {}
        for name, ground, keeps in (("taps", taps, TAPWISE), ("whole", whole, WHOLE)):
            edits |= {f"{name}, keep {keep:g}": ground.edit(keep=keep) for keep in keeps}
        sample = Sample(range(given.n), further_seed(10_000 * number, Series.REWRITTEN))
        matcher = matcher_of(generator, site.name, request, moments)
        every = [[edit] for edit in edits.values()]
        shown = outcomes(generator, every, matcher, segmenter, sample, wanted=[TO])
        for name, one in zip(edits, shown, strict=True):
            found[name].append([one.ratio(part).value or 0.0 for part in PARTS])
    for name, rows in found.items():
        told = zip(PARTS, np.mean(rows, axis=0), strict=True)
        print(f"{name:16} {', '.join(f'{part} {value:.3f}' for part, value in told)}")


if __name__ == "__main__":
    main()
