"""Two generators against the same real images: coverage, false claims and power, on one thread.

Every case is a made-up truth for one stated null (``seeingkit.statistics.contrasts`` and
``closeness``). Two classes of a family, the twins, are made exchangeable by swapping them in every
other image, so that a loss of the one and the same loss of the other give exactly equal distances.

- ``one generator``: both draw from the distribution of the real images.
- ``one far generator``: both lose half of the first twin: one distribution, far from the real one.
- ``equally far``: one loses half of the first twin, the other half of the second: the distributions
  differ, the distances are equal.
- ``one better``: the one loses a quarter of the first twin, the other three quarters.

The loss goes to the largest other label of the image. Of the distances are counted: intervals (of
95 %, before the swap test) that hold the truth, swap tests at 5 %, and claims of "surely nearer".
The truth of ``one better`` is measured on 200,000 images of each side.

Of the classes: claims at p ≤ 0.05 of one class alone, before any correction for the number of
classes, where the stated null is true: ``alike`` (both lose half of a class, so both draw equally
much and are equally far), ``either side`` (the real images lose a part, one generator twice that
part, the other nothing: equally far, differently much), and the power where one loses a quarter and
the other three quarters, or the one draws as the real images do and the other loses 30 %.

    python benchmarks/generators.py --repeats 400
"""

# ruff: noqa: E402  (thread counts are read at import)

from __future__ import annotations

import argparse
import os
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
from omissions.families import FAMILIES, Rows
from omissions.planting import Plant, plant

from seeingkit.statistics import fsd_of_rows
from seeingkit.statistics.closeness import closeness
from seeingkit.statistics.contrasts import SharedPool

TWINS = (2, 3)
"""Labels of the two exchangeable classes."""
CASES: dict[str, tuple[tuple[int, float], tuple[int, float]]] = {
    "one generator": ((TWINS[0], 0.0), (TWINS[0], 0.0)),
    "one far generator": ((TWINS[0], 0.5), (TWINS[0], 0.5)),
    "equally far": ((TWINS[0], 0.5), (TWINS[1], 0.5)),
    "one better": ((TWINS[0], 0.25), (TWINS[0], 0.75)),
}
"""Of each generator: the class that it loses, and the share of its images."""
MANY = 200_000
DISTANCES_HEAD = """\
| family | n | case | interval holds the truth, % | swap test rejects, % | first | second |
| --- | --- | --- | --- | --- | --- | --- |"""
CLASSES_HEAD = """\
| family | n | more: alike | closer: alike | either side | both lose | one is right | wrong |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def twins(family: str, n: int, rng: np.random.Generator) -> Rows:
    """(n, L) area fractions of a family with its twins swapped in every other image."""
    rows = FAMILIES[family].draw(n, rng)
    swapped = np.flatnonzero(rng.random(n) < 0.5)
    rows[np.ix_(swapped, TWINS)] = rows[np.ix_(swapped, TWINS[::-1])]
    return rows


def loses(rows: Rows, loss: tuple[int, float], rng: np.random.Generator) -> Rows:
    """Rows without a class in a share of its images."""
    return plant(rows, Plant(*loss), rng) if loss[1] else rows


def true_difference(family: str, case: str) -> float:
    """FSD of the first generator less that of the second, percent²; 0 by design for most."""
    if case != "one better":
        return 0.0
    rng = np.random.default_rng([20_191_026, 1])
    rows = [twins(family, MANY, rng) for _ in range(3)]
    a, b = (loses(rows[k + 1], loss, rng) for k, loss in enumerate(CASES[case]))
    return float(
        fsd_of_rows(100 * rows[0], 100 * a).value - fsd_of_rows(100 * rows[0], 100 * b).value
    )


def distances(family: str, n: int, case: str, repeats: int, permutations: int) -> str:
    """One row of the table of distances."""
    truth = true_difference(family, case)
    covered, swaps, first, second = np.zeros((4, repeats), dtype=bool)
    for k in range(repeats):
        rng = np.random.default_rng([n, k])
        real, *rows = (twins(family, n, rng) for _ in range(3))
        a, b = (loses(one, loss, rng) for one, loss in zip(rows, CASES[case], strict=True))
        shared = SharedPool(100 * real, [100 * a, 100 * b], seed=k)
        plain = shared.contrast(0, 1)
        found = shared.contrast(0, 1, permutations=permutations)
        assert found.p_swap is not None
        covered[k] = plain.low <= truth <= plain.high
        swaps[k] = found.p_swap <= 0.05
        first[k], second[k] = found.nearer == 0, found.nearer == 1
    shares = [covered, swaps, first, second]
    return f"| {family} | {n:,} | {case} | " + " | ".join(_share(s) for s in shares) + " |"


def classes(family: str, n: int, repeats: int) -> str:
    """One row of the table of classes: claims of one class at p ≤ 0.05, by question."""
    names = ("alike", "either side", "both lose", "one is right")
    closer = {name: np.zeros((2, repeats), dtype=bool) for name in names}
    more = np.zeros((2, repeats), dtype=bool)
    wrong = np.zeros((2, repeats), dtype=bool)
    for k in range(repeats):
        rng = np.random.default_rng([n, k, 1])
        real, a, b = (FAMILIES[family].draw(n, rng) for _ in range(3))
        plans = {  # label: the share of its images that real images, A and B lose
            "alike": (2, (0.0, 0.5, 0.5)),
            "either side": (3, (0.3, 0.6, 0.0)),
            "both lose": (4, (0.0, 0.25, 0.75)),
            "one is right": (5, (0.0, 0.0, 0.3)),
        }
        for label, losses in plans.values():
            real, a, b = (
                plant(rows, Plant(label, share, into=0), rng) if share else rows
                for rows, share in zip((real, a, b), losses, strict=True)
            )
        shared = SharedPool(100 * real, [100 * a, 100 * b], seed=k)
        live = shared.pool.live.tolist()
        for which, found in enumerate(closeness(shared, 0, 1)):
            for name, (label, _) in plans.items():
                at = live.index(label)
                closer[name][which, k] = found.p_closer[at] <= 0.05
                if name in ("both lose", "one is right"):
                    claimed = found.p_closer[at] <= 0.05
                    wrong[which, k] |= bool(claimed and not found.first_closer[at])
            more[which, k] = found.p_more[live.index(2)] <= 0.05
    cells = [f"{_share(more[0])}, {_share(more[1])}"]
    cells += [f"{_share(closer[name][0])}, {_share(closer[name][1])}" for name in names]
    cells.append(f"{_share(wrong[0])}, {_share(wrong[1])}")
    return f"| {family} | {n:,} | " + " | ".join(cells) + " |"


def _share(found: np.ndarray) -> str:
    return f"{100 * found.mean():.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--n", type=int, nargs="+", default=[500, 2_000])
    parser.add_argument("--families", nargs="+", default=["dense", "correlated", "rare-large"])
    parser.add_argument("--part", choices=["distances", "classes", "both"], default="both")
    args = parser.parse_args()
    started = time.perf_counter()
    if args.part != "classes":
        print(DISTANCES_HEAD)
        for family in args.families:
            for n in args.n:
                for case in CASES:
                    print(distances(family, n, case, args.repeats, args.permutations), flush=True)
    if args.part != "distances":
        print(CLASSES_HEAD)
        for family in args.families:
            for n in args.n:
                print(classes(family, n, args.repeats), flush=True)
    print(f"{args.repeats} repeats, {time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
