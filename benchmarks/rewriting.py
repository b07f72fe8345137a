"""Rewriting "trees grow on towers": success, side effects and seconds of the solvers, interleaved.

For each seed the images with the largest tree and with the most tower among the first 300 are
copied from and edited in; each edit is measured on the same fresh images of another series
(``analyses.rewriting.outcomes``): success at matching places, and the change of all other pixels
and labels, with 95 % intervals over images, for each request and each solver, and the differences
of the solvers within images. With ``--null`` images without and with the last request's edit change
places at random, so often: how often is anything claimed then?

    python -m benchmarks.rewriting
    python -m benchmarks.rewriting --gan stylegan2:minichurches --n 100 --seeds 1
    python -m benchmarks.rewriting --further 10 --n 200
    python -m benchmarks.rewriting --n 100 --seeds 1 --null 200

With ``--further`` that many other edits follow the first one, each of another part of other images,
planned without and with the first one's context protected: does the first still stand?
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from seeingkit import RewrittenGenerator, WeightEdit, load_generator, load_segmenter
from seeingkit.analyses.interventions.differences import MISS, Areas, class_effects
from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.rewriting.matching import matcher_of
from seeingkit.analyses.rewriting.moments import KeyMoments
from seeingkit.analyses.rewriting.outcomes import Name, Outcome, contrast, copied_classes, outcomes
from seeingkit.analyses.rewriting.plan import bench_of, plan, usual_moments
from seeingkit.analyses.rewriting.published import PublishedSettings
from seeingkit.analyses.rewriting.regions import Region, Request
from seeingkit.contracts import RewritableGenerator, Segmenter
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.images.preprocess import quantise, to_tensor
from seeingkit.statistics.ratios import Ratio
from seeingkit.system.addresses import place
from seeingkit.system.cache import cache_folder

FROM, TO = "tower", "tree"
LOOKED_AT, CONTEXTS, BATCH = 300, 6, 50
NUMBERS: tuple[Name, ...] = ("before", "success", "outside", "labels_outside", "touched")
SOLVERS: dict[str, Callable[..., WeightEdit]] = {
    "closed": lambda *given, **more: plan(*given, **more),
    "closed, rank 1": lambda *given, **more: plan(*given, rank=1, **more),
    "published, 2001 steps": lambda *given, **more: plan(
        *given, rank=1, solver="published", published=PublishedSettings(), **more
    ),
}

PAIRS = (
    ("closed", "closed, rank 1"),
    ("closed", "published, 2001 steps"),
    ("closed, rank 1", "published, 2001 steps"),
)
"""Solvers whose numbers are compared image by image."""


@torch.no_grad()
def drawn(
    generator: RewritableGenerator, segmenter: Segmenter, rows: range, seed: int
) -> tuple[Tensor, Tensor]:
    """Images and their labels, as they are counted."""
    images = generator(generator.latents(rows, seed=seed))
    return images, segmenter.label_maps(to_tensor(quantise(images)))[:, 0]


def request_of(generator: RewritableGenerator, segmenter: Segmenter, seed: int) -> Request:
    """The largest tree, and the images with the most tower, among the first images of a seed."""
    maps = torch.cat(
        [
            drawn(generator, segmenter, range(start, start + BATCH), seed)[1]
            for start in range(0, LOOKED_AT, BATCH)
        ]
    )
    tree, tower = (segmenter.vocabulary.index(name) for name in (TO, FROM))
    top = maps[:, : maps.shape[1] * 2 // 3]  # towers stand there; trees at the foot are cut off
    most = (top == tower).sum((1, 2)).argsort(descending=True)[:CONTEXTS].tolist()
    largest = int((maps == tree).sum((1, 2)).argmax())

    def region(index: int, label: int) -> Region:
        return Region(index, ((maps[index] == label) * 255).to(torch.uint8).numpy())

    contexts = tuple(region(index, tower) for index in most)
    return Request(region(largest, tree), contexts[0], contexts, seed)


def solved(
    generator: RewritableGenerator, request: Request, site: str, moments: KeyMoments, rounds: int
) -> tuple[dict[str, WeightEdit], dict[str, list[float]]]:
    """The edit of each solver, and its seconds of CPU in each round, the solvers taking turns."""
    edits: dict[str, WeightEdit] = {}
    seconds: dict[str, list[float]] = {name: [] for name in SOLVERS}
    for _ in range(rounds):
        for name, solver in SOLVERS.items():
            start = time.process_time()
            edits[name] = solver(generator, request, site, moments=moments)
            seconds[name].append(time.process_time() - start)
    return edits, seconds


def compared(
    generator: RewritableGenerator, segmenter: Segmenter, given: argparse.Namespace
) -> tuple[dict[str, dict[str, Any]], dict[str, Outcome]]:
    """Print and give the numbers of each solver for each request."""
    site = generator.site(given.site)
    moments = usual_moments(generator, site)
    table: dict[str, dict[str, Any]] = defaultdict(lambda: defaultdict(list))
    found: dict[str, Outcome] = {}
    store = place(cache_folder() / "rewriting")
    for seed in range(0, 10_000 * given.seeds, 10_000):
        request = request_of(generator, segmenter, seed)
        edits, seconds = solved(generator, request, given.site, moments, given.rounds)
        itself = Request(request.copy, request.copy, (request.copy,), request.seed)
        change = plan(generator, itself, given.site, moments=moments).change()
        matcher = matcher_of(generator, given.site, request, moments)
        sample = Sample(range(given.n), further_seed(seed, Series.REWRITTEN))
        every = outcomes(
            generator,
            [[edit] for edit in edits.values()],
            matcher,
            segmenter,
            sample,
            wanted=copied_classes(bench_of(generator, site, request), request.copy, segmenter),
            store=store,
        )
        found = dict(zip(edits, every, strict=True))
        wanted, own = every[0].wanted, every[0].success
        print(
            f"request {seed}: {', '.join(wanted)} at places that {matcher.context_share:.2f} of "
            f"the context's area and {matcher.usual_share:.4f} of usual places match, in "
            f"{own.clusters} of {given.n} images; an object pasted onto itself changes "
            f"{float(change.abs().max()):g}",
            flush=True,
        )
        for name, each in found.items():
            for number in NUMBERS:
                table[name][number].append(each.ratio(number)[:3])
            table[name]["seconds"].append(seconds[name])
            told = ", ".join(f"{number} {shown(each.ratio(number))}" for number in NUMBERS)
            print(f"  {name:22} {told}, seconds {np.median(seconds[name]):.2f}", flush=True)
        for own, other in PAIRS:
            gaps = {number: contrast(found[own], found[other], number) for number in NUMBERS[1:]}
            told = ", ".join(f"{number} {shown(gap)}" for number, gap in gaps.items())
            print(f"  {own} - {other}: {told}", flush=True)
            table[f"{own} - {other}"]["requests"].append(
                {number: gap[:3] for number, gap in gaps.items()}
            )
    return table, found


def shown(found: Ratio) -> str:
    """``0.310 (0.167 to 0.489)``."""
    value, low, high = (float("nan") if x is None else x for x in found[:3])
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def null_claims(outcome: Outcome, segmenter: Segmenter, runs: int) -> dict[str, float]:
    """Share of runs that claim anything where images without and with an edit change places at
    random, image by image: an edit that only exchanges images of one distribution."""
    rows, counts = outcome.rows, outcome.measured
    claims = {"success": 0, "a class": 0}
    for run in range(runs):
        turn = np.random.default_rng([run, 43]).random(len(rows.matched)) < 0.5
        before, after = (
            np.where(turn[:, None], a, b)
            for a, b in (
                (counts.after[0], counts.before),
                (counts.before, counts.after[0]),
            )
        )
        wanted = rows._replace(
            wanted_before=np.where(turn, rows.wanted_after, rows.wanted_before),
            wanted_after=np.where(turn, rows.wanted_before, rows.wanted_after),
        )
        p = replace(outcome, rows=wanted).success.p
        claims["success"] += p is not None and p <= MISS
        areas = Areas.of(before, after, counts)
        claims["a class"] += any(
            (one.area_claim, one.images_claim) != ("no evidence", "no evidence")
            for one in class_effects(areas, segmenter.vocabulary, seed=run)
        )
    return {name: many / runs for name, many in claims.items()}


def random_request(seed: int) -> Request:
    """A part of one image pasted onto a part of three others."""
    source = np.random.default_rng([seed, 7])

    def region() -> Region:
        mask = np.zeros((64, 64), np.uint8)
        top, left = source.integers(0, 48, 2)
        mask[top : top + 16, left : left + 16] = 255
        return Region(int(source.integers(0, LOOKED_AT)), mask)

    contexts = tuple(region() for _ in range(3))
    return Request(region(), contexts[0], contexts, 10_000_000 + seed)


def followed(
    generator: RewritableGenerator, segmenter: Segmenter, site: str, further: int, n: int
) -> None:
    """Print the success of a first edit after others."""
    request = request_of(generator, segmenter, 0)
    first = plan(generator, request, site, rank=1)
    chains: dict[str, list[WeightEdit]] = {"first alone": [first]}
    for name, protect in (("unprotected", ()), ("protected", (request,))):
        edits = [first]
        for number in range(further):
            edited = RewrittenGenerator(generator, edits)
            other = random_request(number)
            edits.append(plan(edited, other, site, rank=1, protect=protect))
        chains[name] = edits
    tree, tower = (segmenter.vocabulary.index(label) for label in (TO, FROM))
    sums = {name: np.zeros(4) for name in chains}
    series = further_seed(0, Series.REWRITTEN)
    for start in range(0, n, BATCH):
        rows = range(start, min(start + BATCH, n))
        before, labels = drawn(generator, segmenter, rows, series)
        there = labels == tower
        for name, edits in chains.items():
            images, after = drawn(RewrittenGenerator(generator, edits), segmenter, rows, series)
            hit, moved = (after[there] == tree).sum(), (images - before).abs().mean(1)[~there]
            sums[name] += [float(hit), float(there.sum()), float(moved.sum()), moved.numel()]
    for name, s in sums.items():
        print(f"{name:12} success of the first {s[0] / s[1]:.3f}, outside {s[2] / s[3]:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gan", default="progan:minichurches")
    parser.add_argument("--site", default="r16.conv1")
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3, help="of the solvers' seconds")
    parser.add_argument("--null", type=int, default=0, help="runs without an effect")
    parser.add_argument("--further", type=int, default=0, help="edits that follow the first")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    given = parser.parse_args()
    options = {"noise": "rewriting"} if given.gan.startswith("stylegan2") else {}
    generator = cast("RewritableGenerator", load_generator(given.gan, **options))
    segmenter = load_segmenter("upernet:minichurches")
    if given.further:
        followed(generator, segmenter, given.site, given.further, given.n)
        return
    table, last = compared(generator, segmenter, given)
    print(f"{given.gan}, {given.site}, {given.n} fresh images, {given.seeds} requests: means")
    for name in SOLVERS:
        told = []
        for number in NUMBERS:
            values = [row[0] for row in table[name][number]]
            told.append(f"{number} {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        rounds = [each for own in table[name]["seconds"] for each in own]
        own = [each for row in table["closed"]["seconds"] for each in row]
        told.append(f"{np.median(np.divide(rounds, own)):.1f} times those of closed")
        told.append(f"seconds {np.median(rounds):.2f} ({min(rounds):.2f} to {max(rounds):.2f})")
        print(f"{name:22} {', '.join(told)}", flush=True)
    if given.null:
        told = null_claims(last["closed"], segmenter, given.null)
        rates = ", ".join(f"{name} in {rate:.3f}" for name, rate in told.items())
        print(f"without and with the edit exchanged at random, {given.null} runs claim {rates}")
    if given.out:
        given.out.write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
