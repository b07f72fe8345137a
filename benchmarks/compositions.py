"""The test of whole compositions against other tests: power and level, on one thread.

Cases: a mixture of kinds of scene, each a Dirichlet distribution over 6 of 24 classes drawn at
random, so that every class is in several kinds. The generator drops one of 10, 20 or 50 kinds
(``1 of 20``), or draws two of 20 half as often (``halved``); the long-tailed family of 336 classes
without class 31, which is in 2.7 % of the images (``rare class``), or without class 6 in 30 % of
its images (``common class``); and no difference, in the mixture and in families with long tails.

Tests: FSD by permutation; any verdict of ``compare`` about a class; the kernel (1 + x·y)² of the
square roots of the areas (degree 2); Gaussian kernels of 1 to 1/8 times the median distance,
aggregated (each standardised by its permutations, the largest counts); the energy distance; the
nearest 1 %, 2 % and 5 % of all images; the means of standardised classes; and the one that the tool
has (``composition``). Printed: rejections at 5 %, in percent.

    python benchmarks/compositions.py --repeats 100
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

from seeingkit import Tally, compare
from seeingkit.statistics.compositions import composition_test

CLASSES, SHOWN = 24, 6
PERMUTATIONS = 99
CASES = {
    "1 of 10": (10, (0.0,)),
    "1 of 20": (20, (0.0,)),
    "1 of 50": (50, (0.0,)),
    "halved": (20, (0.5, 0.5)),
    "no difference": (20, ()),
}
"""Of the mixture: the number of kinds, and what is left of the weight of the first ones."""
PLANTS = {
    "rare class": Plant(30),
    "common class": Plant(5, 0.3),
    "no difference": None,
}
TESTS = (
    "FSD",
    "class verdicts",
    "degree 2",
    "Gaussian",
    "energy",
    "nearest 1 %",
    "nearest 2 %",
    "nearest 5 %",
    "means",
    "composition",
)


def mixture(n: int, weights: np.ndarray, rng: np.random.Generator) -> Rows:
    """(n, 24) area fractions of a mixture of kinds of scene with these weights."""
    kinds = np.zeros((len(weights), CLASSES))
    draw = np.random.default_rng(0)  # always the same kinds
    for kind in kinds:
        kind[draw.permutation(CLASSES)[:SHOWN]] = draw.dirichlet(np.full(SHOWN, 2.0))
    means = kinds[rng.choice(len(weights), n, p=weights / weights.sum())]
    rows = rng.gamma(np.where(means > 0, 60 * means, 1.0)) * (means > 0)
    rows *= rng.random(rows.shape) < 0.85
    rows[rows.sum(axis=1) == 0, 0] = 1.0
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def pair(case: str, family: str, n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Real and generated rows of a case."""
    if family == "mixture":
        kinds, left = CASES[case]
        weights = np.ones(kinds)
        real = mixture(n, weights, rng)
        weights[: len(left)] = left
        return real, mixture(n, weights, rng)
    real, generated = (FAMILIES[family].draw(n, rng) for _ in range(2))
    what = PLANTS[case]
    return real, generated if what is None else plant(generated, what, rng)


def rejections(real: Rows, generated: Rows, seed: int) -> list[bool]:
    """Of each of ``TESTS``, whether it rejects at 5 %."""
    results = compare(
        *(Tally.from_fractions(rows) for rows in (real, generated)),
        seed=seed,
        permutations=PERMUTATIONS,
        evidence=False,
    ).results
    found = [
        results.fsd.p_value is not None and results.fsd.p_value <= 0.05,
        any(record.verdict != "no evidence" for record in results.classes),
    ]
    forms = _forms(np.sqrt(np.vstack([real, generated])), len(real), seed)
    found += [_p(form) <= 0.05 for form in forms]
    return [*found, rejects(real, generated, seed)]


def rejects(real: Rows, generated: Rows, seed: int) -> bool:
    """Whether the tool's own test does."""
    test = composition_test(100 * real, 100 * generated, permutations=PERMUTATIONS, seed=seed)
    assert test is not None
    return test.p_value <= 0.05


def _forms(points: Rows, n: int, seed: int) -> list[np.ndarray]:
    """Statistics (1 + B,), the observed one first, of the single candidates."""
    rng = np.random.default_rng([seed, 1])
    size = len(points)
    weights = -np.ones((size, 1 + PERMUTATIONS))
    weights[:n, 0] = 1
    for column in weights.T[1:]:
        column[rng.permutation(size)[:n]] = 1
    products = points @ points.T
    lengths = np.diag(products)
    squares = np.maximum(lengths[:, None] + lengths - 2 * products, 0)
    np.fill_diagonal(squares, 0)
    median = np.median(squares[np.triu_indices(size, 1)])

    def form(matrix: np.ndarray) -> np.ndarray:
        return np.einsum("ib,ib->b", weights, matrix @ weights)

    gaussian = [form(np.exp(-squares / (2 * f * f * median))) for f in (1, 1 / 2, 1 / 4, 1 / 8)]
    scaled = [(values - values.mean()) / values.std() for values in gaussian]
    found = [form((1 + products) ** 2), np.max(scaled, axis=0), form(-np.sqrt(squares))]
    np.fill_diagonal(squares, np.inf)
    nearest = squares.argsort(axis=1)
    for share in (0.01, 0.02, 0.05):
        near = np.zeros((size, size))
        np.put_along_axis(near, nearest[:, : round(share * size)], 1, axis=1)
        found.append(form(near))
    spread = points.std(axis=0)
    standardised = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return [*found, ((weights.T @ standardised) ** 2).sum(axis=1)]


def _p(values: np.ndarray) -> float:
    return (1 + int((values[1:] >= values[0] - 1e-9 * abs(values[0])).sum())) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--cases", nargs="+", help="default: all; 'FAMILY: CASE' for one")
    parser.add_argument("--alone", action="store_true", help="the tool's own test alone")
    args = parser.parse_args()
    every = [("mixture", case) for case in CASES]
    every += [("long-tail", case) for case in PLANTS] + [("rare-large", "no difference")]
    if args.cases:
        every = [place for place in every if f"{place[0]}: {place[1]}" in args.cases]
    started = time.perf_counter()
    tests = TESTS[-1:] if args.alone else TESTS
    print(f"| n = {args.n:,} | " + " | ".join(tests) + " |")
    print("| --- |" + " ---: |" * len(tests))
    for family, case in every:
        found = []
        for k in range(args.repeats):
            rng = np.random.default_rng([args.n, k])
            sides = pair(case, family, args.n, rng)
            found.append([rejects(*sides, k)] if args.alone else rejections(*sides, k))
        cells = [f"{100 * share:.0f}" for share in np.mean(found, axis=0)]
        print(f"| {family}: {case} | " + " | ".join(cells) + " |", flush=True)
    print(f"{args.repeats} repeats, {time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
