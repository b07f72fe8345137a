"""Rewriting "trees grow on towers": success, side effects and seconds of the solvers, interleaved.

For each seed the images with the largest tree and with the most tower among the first 300 are
copied from and edited in; the edit is measured on fresh images of another series. Success: of the
pixels that were tower before, the share that is tree afterwards. Outside: all other pixels.

    python -m benchmarks.rewriting
    python -m benchmarks.rewriting --gan stylegan2:minichurches --n 100 --seeds 1
    python -m benchmarks.rewriting --further 10 --n 200

With ``--further`` that many other edits follow the first one, each of another part of other images,
planned without and with the first one's context protected: does the first still stand?
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from seeingkit import RewrittenGenerator, WeightEdit, load_generator, load_segmenter
from seeingkit.analyses.rewriting.plan import plan, usual_moments
from seeingkit.analyses.rewriting.published import PublishedSettings
from seeingkit.analyses.rewriting.regions import Region, Request
from seeingkit.contracts import RewritableGenerator, Segmenter
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.images.preprocess import quantise, to_tensor

FROM, TO = "tower", "tree"
LOOKED_AT, CONTEXTS, BATCH = 300, 6, 50
SOLVERS: dict[str, Callable[..., WeightEdit]] = {
    "closed": lambda *given, **more: plan(*given, **more),
    "closed, rank 1": lambda *given, **more: plan(*given, rank=1, **more),
    "published, 301 steps": lambda *given, **more: plan(
        *given, rank=1, solver="published", published=PublishedSettings(steps=301), **more
    ),
    "published, 2001 steps": lambda *given, **more: plan(
        *given, rank=1, solver="published", published=PublishedSettings(), **more
    ),
}


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


def measured(
    generator: RewritableGenerator,
    edits: dict[str, WeightEdit],
    segmenter: Segmenter,
    n: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Success, change outside and labels changed outside of each edit, on the same images."""
    tree, tower = (segmenter.vocabulary.index(name) for name in (TO, FROM))
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(5))
    for start in range(0, n, BATCH):
        rows = range(start, min(start + BATCH, n))
        before, labels = drawn(generator, segmenter, rows, seed)
        there = labels == tower
        for name, edit in edits.items():
            images, after = drawn(RewrittenGenerator(generator, [edit]), segmenter, rows, seed)
            moved = (images - before).abs().mean(1)
            sums[name] += np.array(
                [
                    float((after[there] == tree).sum()),
                    float(there.sum()),
                    float(moved[~there].sum()),
                    float((after != labels)[~there].sum()),
                    float((~there).sum()),
                ]
            )
    return {
        name: {"success": s[0] / s[1], "outside": s[2] / s[4], "labels": s[3] / s[4]}
        for name, s in sums.items()
    }


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
    parser.add_argument("--further", type=int, default=0, help="edits that follow the first")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    given = parser.parse_args()
    options = {"noise": "rewriting"} if given.gan.startswith("stylegan2") else {}
    generator = cast("RewritableGenerator", load_generator(given.gan, **options))
    segmenter = load_segmenter("upernet:minichurches")
    if given.further:
        followed(generator, segmenter, given.site, given.further, given.n)
        return
    moments = usual_moments(generator, generator.site(given.site))
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for seed in range(given.seeds):
        request = request_of(generator, segmenter, 10_000 * seed)
        edits, seconds = {}, {}
        for name, solver in SOLVERS.items():
            start = time.process_time()
            edits[name] = solver(generator, request, given.site, moments=moments)
            seconds[name] = time.process_time() - start
        series = further_seed(10_000 * seed, Series.REWRITTEN)
        for name, row in measured(generator, edits, segmenter, given.n, series).items():
            found[name].append({**row, "seconds": seconds[name]})
        itself = Request(request.copy, request.copy, (request.copy,), request.seed)
        change = plan(generator, itself, given.site, moments=moments).change()
        print(f"seed {seed}: an object pasted onto itself changes {float(change.abs().max()):g}")
    print(f"{given.gan}, {given.site}, {given.n} fresh images, {given.seeds} requests")
    for name, rows in found.items():
        told = []
        for key in ("success", "outside", "labels", "seconds"):
            values = [row[key] for row in rows]
            told.append(f"{key} {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        print(f"{name:22} {', '.join(told)}", flush=True)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
