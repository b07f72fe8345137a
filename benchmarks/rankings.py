"""Many generators against the same real images: family-wise errors and power, on one thread.

Suites of k generators are drawn whose truth is known (``seeingkit.statistics.nearness`` and
``classgroups``). Where generators are copies of one, with other seeds, every claim between them is
false; one suite with any false claim counts once.

- ``near``: all are copies of the real images' distribution.
- ``far``: all are copies of one that loses half of a class.
- ``equally far``: two kinds, by turns, that lose half of the one and of the other of two
  exchangeable classes: the kinds differ, all distances are equal.
- ``some differ``: of every four, two draw as the real images do, one loses half of a class, one all
  of another class; claims between copies are false, and claims that put a loser before one that
  draws right. What they lose goes to the first class, so that the means of all others are equal.

``--part power``: of ten generators one loses a class, wholly or by half.
``--part speed``: seconds and memory of a whole ranking of many generators.

    python benchmarks/rankings.py --short
    python benchmarks/rankings.py --repeats 200 --families correlated
    python benchmarks/rankings.py --part speed --n 2000 --generators 50
"""

# ruff: noqa: E402  (thread counts are read at import)

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
from generators import TWINS, twins
from omissions.families import FAMILIES, Rows
from omissions.planting import Plant, plant
from scipy import sparse

from seeingkit.statistics.classgroups import class_claims, class_table
from seeingkit.statistics.exchange import exchange_p_value
from seeingkit.statistics.frechet import moments
from seeingkit.statistics.nearness import Distances, measure, nearness

LEVEL = 0.05
SIZES = (2, 5, 10, 20)
"""Numbers of generators; the first of the same suite are taken."""
CASES = ("near", "far", "equally far", "some differ")
LOSSES: dict[str, tuple[int, ...]] = {"long-tail": (5, 30), "correlated": (12, 26)}
"""Classes that are lost for power: in about 17 and 2.7 % of the images."""


class Suite(NamedTuple):
    """One suite.

    Attributes:
        real, generated: areas of all images.
        kinds: of each generator; those of one kind are copies.
        worse: 1 for those that are surely farther than those with 0; all 0: all are equally far.
        changed: the classes whose means differ between kinds; None: any.
    """

    real: Rows
    generated: list[Rows]
    kinds: list[int]
    worse: list[int]
    changed: tuple[int, ...] | None


def draw(family: str, n: int, case: str, size: int, rng: np.random.Generator) -> Suite:
    """A suite of this case."""
    source: Callable[[int, np.random.Generator], Rows] = FAMILIES[family].draw
    if case == "equally far":
        real, *rows = (twins(family, n, rng) for _ in range(size + 1))
        kinds = [k % 2 for k in range(size)]
        made = [plant(one, Plant(TWINS[k], 0.5), rng) for one, k in zip(rows, kinds, strict=True)]
        return Suite(real, made, kinds, [0] * size, None)
    real, *rows = (source(n, rng) for _ in range(size + 1))
    if case == "near":
        return Suite(real, rows, [0] * size, [0] * size, ())
    if case == "far":
        rows = [plant(one, Plant(TWINS[0], 0.5), rng) for one in rows]
        return Suite(real, rows, [0] * size, [0] * size, ())
    losses = {2: Plant(2, 0.5, into=0), 3: Plant(9, into=0)}
    kinds = [max(0, k % 4 - 1) for k in range(size)]
    made = [plant(one, losses[k % 4], rng) if k % 4 > 1 else one for k, one in enumerate(rows)]
    return Suite(real, made, kinds, [int(kind > 0) for kind in kinds], (0, 2, 9))


class Measured(NamedTuple):
    """A suite as the ranking sees it."""

    real: sparse.csr_array
    rows: list[sparse.csr_array]
    distances: Distances
    alike: Callable[[int, int, float], float]


def measured(suite: Suite, seed: int) -> Measured:
    """Distances of all generators; tests of pairs are kept for smaller suites of the same."""
    real, *rows = (sparse.csr_array(100 * one) for one in (suite.real, *suite.generated))
    found = measure(real, rows, seed=seed)
    moments_of_real = moments(real)
    known: dict[tuple[int, int], float] = {}
    least = LEVEL / (len(rows) * (len(rows) - 1) / 2)

    def alike(a: int, b: int, enough: float) -> float:
        if (a, b) not in known:
            known[a, b] = exchange_p_value(
                moments_of_real, rows[a], rows[b], enough=least, seed=seed
            )
        return known[a, b]

    return Measured(real, rows, found, alike)


def of_first(found: Distances, k: int) -> Distances:
    """The first k generators alone."""
    return Distances(found.values[:k], found.covariance[:k, :k])


def nulls(family: str, n: int, case: str, repeats: int, sizes: tuple[int, ...]) -> list[str]:
    """Rows of both tables: claims of distances, and of classes."""
    distance: dict[int, list[tuple[bool, bool]]] = defaultdict(list)
    classes: dict[int, list[tuple[bool, float, bool, float]]] = defaultdict(list)
    for repeat in range(repeats):
        rng = np.random.default_rng([n, repeat, CASES.index(case)])
        suite = draw(family, n, case, max(sizes), rng)
        seen = measured(suite, repeat)
        for k in sizes:
            found = of_first(seen.distances, k)
            claims = nearness(found, seen.alike, level=LEVEL, seed=repeat)
            alone = nearness(found, lambda a, b, enough: 0.0, level=LEVEL, seed=repeat)
            distance[k].append((wrong(claims.nearer, suite, k), wrong(alone.nearer, suite, k)))
            classes[k].append(wrong_classes(seen.rows[:k], suite))
    rates = {k: 100 * np.mean(distance[k], axis=0) for k in sizes}
    shown = [f"{rates[k][0]:.3g} ({rates[k][1]:.3g})" for k in sizes]
    head = f"| {family} | {n:,} | {case} |"
    rows = [f"{head} " + " | ".join(shown) + f" | {repeats} |"]
    for at, what in ((0, "area"), (2, "images")):
        means = {
            k: 100 * np.mean([found[at : at + 2] for found in classes[k]], axis=0) for k in sizes
        }
        shown = [f"{means[k][0]:.3g} ({means[k][1]:.3g})" for k in sizes]
        rows.append(f"{head} {what} | " + " | ".join(shown) + f" | {repeats} |")
    return rows


def wrong(nearer: np.ndarray, suite: Suite, k: int) -> bool:
    """Whether anything is claimed between equals, or against the truth."""
    kinds, worse = np.array(suite.kinds[:k]), np.array(suite.worse[:k])
    equal = kinds[:, None] == kinds if any(suite.worse) else np.ones((k, k), dtype=bool)
    return bool((nearer & (equal | (worse[:, None] > worse))).any())


def wrong_classes(rows: list[sparse.csr_array], suite: Suite) -> tuple[bool, float, bool, float]:
    """Of each question: any false claim, and the share of claimed classes with a false one."""
    table = class_table(rows)
    kinds = np.array(suite.kinds[: len(rows)])
    same = kinds[:, None] == kinds
    found: list[float] = []
    for answer in class_claims(table.sides, level=LEVEL):
        false = answer.more & same
        if suite.changed is not None:
            others = ~np.isin(table.labels, suite.changed)
            false |= answer.more & others[:, None, None]
        bad, claimed = false.any(axis=(1, 2)), answer.more.any(axis=(1, 2))
        found += [bool(bad.any()), float(bad.sum() / max(1, claimed.sum()))]
    return found[0] > 0, found[1], found[2] > 0, found[3]


def power(family: str, n: int, label: int, share: float, repeats: int) -> str:
    """One row: ten generators, of which the last loses a class in this share of its images."""
    worse, best, area, images, held = [], [], [], [], []
    for repeat in range(repeats):
        rng = np.random.default_rng([n, repeat, label, 7])
        suite = draw(family, n, "near", 10, rng)
        held.append((suite.real[:, label] > 0).mean())
        suite.generated[-1] = plant(suite.generated[-1], Plant(label, share), rng)
        seen = measured(suite, repeat)
        claims = nearness(seen.distances, seen.alike, level=LEVEL, seed=repeat)
        worse.append(claims.nearer[:-1, -1].mean())
        best.append(claims.nearer[:-1, -1].all())
        table = class_table(seen.rows)
        at = table.labels.tolist().index(label)
        of_area, of_images = class_claims(table.sides, level=LEVEL)
        area.append(of_area.more[at, :-1, -1].mean())
        images.append(of_images.more[at, :-1, -1].mean())
    cells = [f"{100 * np.mean(x):.3g}" for x in (worse, best, area, images)]
    return (
        f"| {family} | {n:,} | {100 * np.mean(held):.2g} | {100 * share:g} | "
        + " | ".join(cells)
        + f" | {repeats} |"
    )


def speed(n: int, size: int) -> str:
    """Seconds and peak memory of a ranking without the generators' own comparisons."""
    from seeingkit.analyses.comparison.compare import Comparison, compare
    from seeingkit.analyses.comparison.ranking import rank_generators
    from seeingkit.tallies import Tally

    rng = np.random.default_rng(0)
    kept = np.arange(150)

    def tally(losing: int | None) -> Tally:
        rows = FAMILIES["long-tail"].draw(n, rng)
        if losing is not None:
            rows = plant(rows, Plant(losing % 40 + 1, (losing % 7) / 7), rng)
        rows = rows[:, kept]
        return Tally.from_fractions(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-9))

    real = tally(None)
    made = [tally(k) for k in range(size)]
    # One comparison's records stand for all: their values make no difference to the time.
    results = compare(real, made[0], permutations=0, evidence=False).results
    found = [Comparison(real, one, results) for one in made]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, used = time.perf_counter(), time.process_time()
    ranking = rank_generators(found, [f"generator {k}" for k in range(size)], permutations=99)
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    claimed = sum(pair.nearer is not None for pair in ranking.differences)
    groups = len({name for each in ranking.members for name in each.letters.split()})
    size_of = len(ranking.model_dump_json()) / 1e6
    pairs = f"{claimed:,} of {len(ranking.differences):,}"
    return (
        f"| {size} | {n:,} | {len(ranking.classes)} | {seconds:.0f} | {processor:.0f} "
        f"| {before / 1e3:.0f} | {after / 1e3:.0f} | {pairs} | {groups} | {size_of:.1f} |"
    )


def show_nulls(args: argparse.Namespace) -> None:
    """Both tables of false claims."""
    sizes = " | ".join(f"k = {k}" for k in args.sizes)
    lines = " | ".join("---:" for _ in range(len(args.sizes) + 1))
    print("Suites with a false claim of nearer, % (in brackets: by the interval alone)")
    print(f"| family | n | case | {sizes} | repeats |\n| --- | ---: | --- | {lines} |", flush=True)
    later: list[str] = []
    try:
        for family in args.families:
            for n in args.n:
                for case in args.cases:
                    first, *rest = nulls(family, n, case, args.repeats, tuple(args.sizes))
                    print(first, flush=True)
                    later += rest
    finally:  # also of a run that is stopped
        print("Suites with a false claim about a class, % (false share of classes with a claim)")
        print(f"| family | n | case | question | {sizes} | repeats |")
        print(f"| --- | ---: | --- | --- | {lines} |")
        print("\n".join(later), flush=True)


def show_power(args: argparse.Namespace) -> None:
    """The table of planted losses."""
    print("Ten generators, one of which loses a class, %")
    print(
        "| family | n | images with the class | lost in | pairs: nearer | farther than all | "
        "pairs: less area | pairs: fewer images | repeats |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for family in args.families:
        for n in args.n:
            for label in LOSSES.get(family, ()):
                for share in (1.0, 0.5):
                    print(power(family, n, label, share, args.repeats), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--n", type=int, nargs="+", default=[500, 2_000])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument(
        "--families", nargs="+", default=["dense", "correlated", "rare-large", "long-tail"]
    )
    parser.add_argument("--part", choices=["nulls", "power", "speed", "all"], default="all")
    parser.add_argument("--generators", type=int, default=50, help="of the speed")
    parser.add_argument("--short", action="store_true", help="20 repeats, n = 500")
    args = parser.parse_args()
    if args.short:
        args.repeats, args.n = min(args.repeats, 20), [500]
    started = time.perf_counter()
    if args.part in ("nulls", "all"):
        show_nulls(args)
    if args.part in ("power", "all"):
        show_power(args)
    if args.part == "speed":
        print(
            "| generators | n | classes | seconds | MB before | MB at most | pairs | letters | MB |"
        )
        print(speed(args.n[-1], args.generators))
    print(f"{args.repeats} repeats, {time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
