"""False claims and power of the paired comparison, where the truth is known; a table for the page.

Each family draws pairs of images (areas in percent of 24 classes) in which one null is true and
everything else may differ:

- *exchangeable*: both images of a pair are noisy copies of one scene, the noise of one kind;
- *heavy tails*: the same with noise of Student's t with 2 degrees on logarithms;
- *rare classes*: shown by 1 to 12 % of the scenes;
- *nothing changed*: most images equal their partner to the pixel;
- *twice as often, half the size*: of other scenes than the first image's (area null alone);
- *a third as often, three times the size*: within the same pairs (area null alone);
- *skewed*: area times an exponential variable of mean 1 (area null alone);
- *very skewed*: area times a log-normal variable of mean 1 and log sd 1.5 (area null alone);
- *half of the classes lost*: twelve classes lose half of their area in each image, twelve are
  exchangeable: false claims among claims.

Run: ``python benchmarks/paired.py --repeats 1000 400 --n 13 50 500``
"""

# ruff: noqa: E402  (thread counts are read at import)

from __future__ import annotations

import argparse
import os
import zlib
from collections.abc import Callable

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np

from seeingkit.results.paired import PairedClass
from seeingkit.statistics import Pool, fsd_of_rows
from seeingkit.statistics.paired import compare_paired
from seeingkit.statistics.signflips import sign_flip_tests
from seeingkit.statistics.swaps import swap_test

CLASSES = 24
LABELS = [(f"class {k}", "object") for k in range(CLASSES)]
PRESENCE = np.geomspace(0.95, 0.05, CLASSES)
RARE = np.geomspace(0.12, 0.01, CLASSES)
MANY = 200
"""Pairs from which on the fewer repeats are made."""

Array = np.ndarray
Family = Callable[[np.random.Generator, int], tuple[Array, Array, Array]]
"""Draws n pairs: areas of both sides, and (L,) whether the null of the area holds."""


def scenes(rng: np.random.Generator, n: int, presence: Array = PRESENCE) -> Array:
    """(n, L) areas before noise: present or not, log-normal sizes, at most a few percent each."""
    sizes = np.exp(rng.normal(0.0, 1.0, (n, CLASSES)))
    return np.where(rng.random((n, CLASSES)) < presence, sizes, 0.0)


def noisy(rng: np.random.Generator, scene: Array, spread: float = 0.5, lost: float = 0.1) -> Array:
    """A copy with log-normal noise, in which each class is lost with some probability."""
    kept = rng.random(scene.shape) >= lost
    return np.asarray(scene * np.exp(rng.normal(0.0, spread, scene.shape)) * kept)


def exchangeable(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    scene = scenes(rng, n)
    return noisy(rng, scene), noisy(rng, scene), np.ones(CLASSES, bool)


def heavy_tails(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    scene = scenes(rng, n)
    sides = (scene * np.exp(np.clip(rng.standard_t(2, scene.shape), -6, 6)) for _ in range(2))
    return next(sides), next(sides), np.ones(CLASSES, bool)


def rare_classes(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    scene = scenes(rng, n, RARE)
    return noisy(rng, scene), noisy(rng, scene), np.ones(CLASSES, bool)


def nothing_changed(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    scene = scenes(rng, n)
    still = rng.random((n, 1)) < 0.7
    sides = (np.where(still, scene, noisy(rng, scene)) for _ in range(2))
    return next(sides), next(sides), np.ones(CLASSES, bool)


def twice_as_often(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    return scenes(rng, n, PRESENCE / 2), scenes(rng, n) / 2, np.ones(CLASSES, bool)


def other_shape(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    first = scenes(rng, n)
    return first, np.where(rng.random(first.shape) < 1 / 3, 3 * first, 0), np.ones(CLASSES, bool)


def skewed(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    first = scenes(rng, n)
    return first, first * rng.exponential(1.0, first.shape), np.ones(CLASSES, bool)


def very_skewed(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    first, sd = scenes(rng, n), 1.5
    return first, first * np.exp(rng.normal(-(sd**2) / 2, sd, first.shape)), np.ones(CLASSES, bool)


def half_lost(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    scene = scenes(rng, n)
    first, second = noisy(rng, scene), noisy(rng, scene)
    null = np.arange(CLASSES) % 2 == 0
    return first, np.where(null, second, second / 2), null


FAMILIES: dict[str, tuple[Family, bool]] = {
    "exchangeable": (exchangeable, True),
    "heavy tails": (heavy_tails, True),
    "rare classes": (rare_classes, True),
    "nothing changed": (nothing_changed, True),
    "half of the classes lost": (half_lost, True),
    "twice as often, half the size": (twice_as_often, False),
    "a third as often, three times the size": (other_shape, False),
    "skewed": (skewed, False),
    "very skewed": (very_skewed, False),
}
"""Family, and whether the null of the images (and of FSD, of nulls of all classes) holds, too."""


def share(false: list[float]) -> str:
    """Mean in percent with its Monte Carlo error."""
    rate = np.asarray(false)
    error = 100 * rate.std(ddof=1) / np.sqrt(len(rate))
    return f"{100 * rate.mean():.1f} ± {error:.1f}"


def false_share(claims: Array, null: Array) -> float:
    return float((claims & null).sum() / max(1, claims.sum()))


def draw(name: str, n: int, repeat: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()), n, repeat])


def rates(name: str, n: int, repeats: int) -> str:
    """One row of the table of false claims."""
    family, images_too = FAMILIES[name]
    area: list[float] = []
    images: list[float] = []
    vanished: list[float] = []
    swapped: list[float] = []
    found_area: list[float] = []
    for repeat in range(repeats):
        rng = draw(name, n, repeat)
        first, second, null = family(rng, n)
        found = compare_paired(first, second, LABELS, seed=repeat).classes
        held = np.array([null[c.index] for c in found])
        claimed = np.array([c.area_claim != "no evidence" for c in found])
        seen = np.array([c.images_claim != "no evidence" for c in found])
        area.append(false_share(claimed, held))
        images.append(false_share(seen, held))
        if not null.all():
            found_area.append(float(claimed[~held].mean()))
        vanished.append(float(np.mean([c.p_vanished <= 0.05 for c in found if null[c.index]])))
        if null.all() and repeat < 300:
            result = swap_test(
                Pool(first, second), fsd_of_rows(first, second), permutations=99, seed=repeat
            )
            assert result is not None
            swapped.append(float(result.p_value <= 0.05))
    cells = [name, str(n), str(repeats), share(area), share(images) if images_too else "–"]
    cells += [share(vanished) if images_too else "–"]
    cells += [share(swapped) if images_too and swapped else "–"]
    cells += [share(found_area) if found_area else "–"]
    return "| " + " | ".join(cells) + " |"


LOSSES = (("gone", 0.0), ("half of the area gone", 0.5))
SHOWN = (0.8, 0.4, 0.1)


def power(n: int, repeats: int) -> str:
    """Share of runs in which one class that loses area, among 24, is claimed; a row by n."""
    cells = [str(n)]
    for loss, kept in LOSSES:
        for presence in SHOWN:
            hits = []
            for repeat in range(repeats):
                rng = draw(f"power {loss} {presence}", n, repeat)
                scene = scenes(rng, n, np.r_[presence, PRESENCE[1:]])
                first, second = noisy(rng, scene), noisy(rng, scene)
                second[:, 0] = kept * second[:, 0]
                found = compare_paired(first, second, LABELS, seed=repeat).classes
                hits.append(any(_lost(c) for c in found if c.index == 0))
            cells.append(f"{100 * np.mean(hits):.0f}")
    return "| " + " | ".join(cells) + " |"


def _lost(record: PairedClass) -> bool:
    return record.area_claim == "less area" or record.images_claim == "in fewer images"


def coverage(n: int, repeats: int) -> list[str]:
    """Coverage of 95 % intervals of the mean and the relative difference, four kinds of pairs."""
    rows = []
    for name, ratio, kind in (
        ("symmetric", 1.0, "uniform"),
        ("symmetric, half of the area", 0.5, "uniform"),
        ("skewed, half of the area", 0.5, "exponential"),
        ("very skewed, half of the area", 0.5, "log-normal"),
    ):
        inside = []
        for repeat in range(repeats):
            rng = draw(f"coverage {name}", n, repeat)
            first = np.exp(rng.normal(0.0, 1.0, (n, 20)))
            factor = {
                "uniform": lambda r: r.uniform(0.0, 2.0, (n, 20)),
                "exponential": lambda r: r.exponential(1.0, (n, 20)),
                "log-normal": lambda r: np.exp(r.normal(-1.125, 1.5, (n, 20))),
            }[kind](rng)
            second = ratio * first * factor
            truth = (ratio - 1) * np.exp(0.5)
            for test in sign_flip_tests(first, second, seed=repeat, flips=1999):
                low, high = test.mean_interval(0.05)
                ends = test.ratio_interval(0.05)
                inside.append((low <= truth <= high, ends[0] <= ratio <= ends[1]))
        mean = 100 * np.mean(inside, axis=0)
        rows.append(f"| {name} | {n} | {mean[0]:.1f} | {mean[1]:.1f} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, nargs="+", default=[13, 50, 500])
    parser.add_argument("--repeats", type=int, nargs=2, default=[1000, 400])
    parser.add_argument("--only", default="", help="rates, power or coverage")
    args = parser.parse_args()

    def repeats(n: int) -> int:
        return int(args.repeats[n >= MANY])

    if args.only in ("", "rates"):
        head = "| family | n | runs | area | images | p of vanishing ≤ .05 | swap p ≤ .05 | power |"
        print(head + "\n" + "| --- |" + " ---: |" * 7)
        for name in FAMILIES:
            for n in args.n:
                print(rates(name, n, repeats(n)), flush=True)
    if args.only in ("", "power"):
        columns = [f"{loss}, in {100 * p:.0f} %" for loss, _ in LOSSES for p in SHOWN]
        print("\n| n | " + " | ".join(columns) + " |\n| ---: |" + " ---: |" * len(columns))
        for n in args.n:
            print(power(n, repeats(n) // 2), flush=True)
    if args.only in ("", "coverage"):
        print("\n| differences | n | mean | relative |\n| --- | ---: | ---: | ---: |")
        for n in args.n:
            print("\n".join(coverage(n, repeats(n) // 5)), flush=True)


if __name__ == "__main__":
    main()
