"""Sweeps of "trees grow on towers": what is chosen, and does another edit of the grid beat it?

For each seed the request of ``benchmarks.rewriting`` is swept. Then every edit of the grid is
planned on all contexts, as the chosen one is, and all are measured on images of a further series
that nothing was chosen with. One edit beats another where more matching places succeed and fewer
labels change elsewhere; surely, where the 95 % intervals of both differences leave out 0.

    python -m benchmarks.sweeps
    python -m benchmarks.sweeps --sites r16.conv0,r16.conv1,r32.conv0 --seeds 1 --fresh 60
    python -m benchmarks.sweeps --request tower2tree.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import cast

from benchmarks.rewriting import request_of
from seeingkit import load_generator, load_segmenter
from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.rewriting.candidates import candidates
from seeingkit.analyses.rewriting.consensus import consensus
from seeingkit.analyses.rewriting.outcomes import Outcome, contrast, outcomes
from seeingkit.analyses.rewriting.plan import request_record, usual_moments
from seeingkit.analyses.rewriting.regions import Request
from seeingkit.analyses.rewriting.sweep import Sweep, sweep
from seeingkit.analyses.rewriting.sweep_settings import SweepSettings
from seeingkit.contracts import RewritableGenerator, Segmenter
from seeingkit.report.words.sweeps import HEADER, compared_sentence, sweep_rows, sweep_sentence
from seeingkit.system.addresses import place
from seeingkit.system.cache import cache_folder

FURTHER = 40_000_000
"""Distance of the seeds of images on which the grid is measured, behind all series."""


def told(found: Sweep) -> None:
    """Print the table and the sentences of a sweep, as ``seeingkit rewrite --sweep`` does."""
    for row in (HEADER, *sweep_rows(found.results)):
        print("  ".join(cell.ljust(14) for cell in row).rstrip())
    print(compared_sentence(found.results), sweep_sentence(found.results), sep="\n", flush=True)


def grid(
    generator: RewritableGenerator,
    segmenter: Segmenter,
    request: Request,
    settings: SweepSettings,
    found: Sweep,
    sample: Sample,
) -> None:
    """Measure the grid on all contexts, and say how many of its edits beat the chosen one."""
    assert found.edit is not None
    folder = place(cache_folder() / "rewriting")
    names = list(dict.fromkeys(row.site for row in found.results.edits))
    moments = {
        name: usual_moments(generator, generator.site(name), sample.seed - FURTHER, folder=folder)
        for name in names
    }
    matcher = consensus(generator, request, moments)
    every: list[tuple[str, Outcome]] = []
    for name in names:
        site = generator.site(name)
        given = settings.ranks, settings.keeps, moments[name]
        some = list(candidates(generator, request, site, *given))
        shown = outcomes(
            *(generator, [[each.edit] for each in some], matcher, segmenter, sample),
            wanted=found.results.wanted,
            store=folder,
            title=f"grid at {name}",
        )
        every += [
            (f"{name} rank {each.rank} keep {each.keep:g}", outcome)
            for each, outcome in zip(some, shown, strict=True)
        ]
    best = next(row for row in found.results.edits if row.chosen)
    own = dict(every)[f"{best.site} rank {best.rank} keep {best.keep:g}"]
    beaten, sure = [], 0
    for name, other in every:
        gain, price = (contrast(other, own, part) for part in ("success", "labels_outside"))
        if (gain.value or 0) > 0 and (price.value or 0) < 0:
            beaten.append(name)
            sure += (gain.low or 0) > 0 and (price.high or 0) < 0
    print(
        f"on {len(sample)} further images {len(beaten)} of {len(every)} edits of the grid beat "
        f"the chosen one ({', '.join(beaten) or 'none'}), {sure} of them surely; the chosen one: "
        f"success {own.success.value:.3f}, labels outside {own.labels_outside.value:.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gan", default="progan:minichurches")
    parser.add_argument("--sites", default="all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--fresh", type=int, default=200)
    parser.add_argument("--grid", type=int, default=60, help="images of the grid; 0: no grid")
    parser.add_argument("--request", type=Path, help="write the request of seed 0 here and end")
    given = parser.parse_args()
    options = {"noise": "rewriting"} if given.gan.startswith("stylegan2") else {}
    generator = cast("RewritableGenerator", load_generator(given.gan, **options))
    segmenter = load_segmenter("upernet:minichurches")
    sites = "all" if given.sites == "all" else tuple(given.sites.split(","))
    settings = SweepSettings(sites=sites, images=given.images, fresh=given.fresh)
    for number in range(given.seeds):
        seed = 10_000 * number
        request = request_of(generator, segmenter, seed)
        if given.request:
            given.request.write_text(json.dumps(request_record(request)), encoding="utf-8")
            return
        folder = place(cache_folder() / "rewriting")
        found = sweep(generator, request, segmenter, settings, seed=seed, folder=folder)
        told(found)
        if found.edit is not None and given.grid:
            grid(
                generator,
                segmenter,
                request,
                settings,
                found,
                Sample(range(given.grid), FURTHER + seed),
            )


if __name__ == "__main__":
    main()
