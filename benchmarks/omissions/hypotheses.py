"""Pairs of distributions in which the null of one claim is true and everything else may differ.

Guarantees: rows are area fractions that are not negative and sum to 1; rows of a side are
independent unless the family says that they come in bursts; which claims are false follows from the
construction, not from a simulation of the truth.

    python -m benchmarks.omissions.hypotheses --repeats 200

prints the table that ``docs/validation.md`` has.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seeingkit.system.writing import atomic_write

from .families import FAMILIES, Rows
from .summary import Rate
from .tables import percent, table
from .trials import code_digest

CLASSES = 30
SIZES = (200, 500, 2_000, 10_000)


@dataclass(frozen=True)
class Hypothesis:
    """A family of pairs and the claims that are false in it.

    Attributes:
        name, summary: for the table; claim: the kind that is false.
        draw: (n, rng) -> real and generated rows, and the groups of each side, if they have any.
        false: the numbers of the labels about which that claim is false.
    """

    name: str
    summary: str
    claim: str
    draw: Callable[[int, np.random.Generator], tuple[Rows, Rows, list[NDArray[np.intp]] | None]]
    false: range


def objects(n: int, rng: np.random.Generator, times: NDArray[np.float64], spread: float) -> Rows:
    """30 classes beside one that fills the rest; class k in ``times[k]`` as many images, 1 / that
    as large there. Presence falls from 24 to 0.4 % at ``times`` 1, area if present from 3 to 0.5 %;
    areas are lognormal with this standard deviation of the logarithm.
    """
    presence = np.geomspace(0.24, 0.004, CLASSES) * times
    area = np.geomspace(0.03, 0.005, CLASSES) / times
    size = np.exp(spread * rng.standard_normal((n, CLASSES)) - spread**2 / 2)
    found = (rng.random((n, CLASSES)) < presence) * area * size
    return _filled(found)


def _filled(found: Rows) -> Rows:
    """With a class 0 that takes the rest of the image; images that are too full are scaled."""
    found = found / np.maximum(found.sum(axis=1, keepdims=True) / 0.99, 1.0)
    return np.column_stack([1 - found.sum(axis=1), found])


def traded(times: float, spread: float) -> Callable[..., tuple[Rows, Rows, None]]:
    """Every second class is drawn ``times`` as often at 1 / ``times`` the size, the others less."""
    factors = np.where(np.arange(CLASSES) % 2 == 0, times, 1 / times)

    def draw(n: int, rng: np.random.Generator) -> tuple[Rows, Rows, None]:
        real = objects(n, rng, np.ones(CLASSES), spread)
        return real, objects(n, rng, factors, spread), None

    return draw


def enlarged(n: int, rng: np.random.Generator) -> tuple[Rows, Rows, None]:
    """The larger half of each class's areas is three times as large: the same images show it."""
    sides = [objects(n, rng, np.ones(CLASSES), 0.8)[:, 1:] for _ in range(2)]
    median = np.geomspace(0.03, 0.005, CLASSES) * np.exp(-(0.8**2) / 2)
    sides[1] = np.where(sides[1] > median, 3 * sides[1], sides[1])
    real, generated = map(_filled, sides)
    return real, generated, None


def skewed(n: int, rng: np.random.Generator) -> tuple[Rows, Rows, None]:
    """Every class is in every image, with one mean; generated areas are far more skew."""

    def side(spread: float) -> Rows:
        size = np.exp(spread * rng.standard_normal((n, CLASSES)) - spread**2 / 2)
        return _filled(np.geomspace(0.02, 0.002, CLASSES) * size)

    return side(0.3), side(1.0), None


def films(n: int, rng: np.random.Generator) -> tuple[Rows, Rows, list[NDArray[np.intp]]]:
    """Films of 20 images, which all show a class or do not, against single images."""
    shown = np.repeat(rng.random((n // 20, CLASSES)) < 0.3, 20, axis=0)
    alone = rng.random((n, CLASSES)) < 0.3
    real, generated = (_filled(s * rng.uniform(0.01, 0.03, s.shape)) for s in (shown, alone))
    return real, generated, [np.repeat(np.arange(n // 20), 20), np.arange(n)]


OMITTED = 5
"""The last so many classes of ``crowded`` are missing from generated images."""


def crowded(n: int, rng: np.random.Generator) -> tuple[Rows, Rows, None]:
    """20 classes in every image; five of them, 8 % of the area, are left out before the rest fills
    the image, so that all others grow by the same factor.
    """

    def side(keep: float) -> Rows:
        areas = rng.gamma(np.geomspace(8, 0.4, 20), 1.0, (n, 20))
        areas[:, 20 - OMITTED :] *= keep
        return np.asarray(areas / areas.sum(axis=1, keepdims=True))

    return side(1.0), side(0.1), None


def bursts(named: bool) -> Callable[..., tuple[Rows, Rows, list[NDArray[np.intp]] | None]]:
    """Series of five images of one scene of the long-tail family, areas within about 5 %."""

    def draw(n: int, rng: np.random.Generator) -> tuple[Rows, Rows, list[NDArray[np.intp]] | None]:
        sides = []
        for _ in range(2):
            rows = np.repeat(FAMILIES["long-tail"].draw(n // 5, rng), 5, axis=0)
            rows = rows * np.exp(0.05 * rng.standard_normal(rows.shape))
            sides.append(rows / rows.sum(axis=1, keepdims=True))
        groups = [np.repeat(np.arange(n // 5), 5)] * 2
        return sides[0], sides[1], groups if named else None

    return draw


EVERY = range(336)
HYPOTHESES: tuple[Hypothesis, ...] = (
    *(
        Hypothesis(
            f"equal mean, × {times:g} as often",
            f"each class × {times:g} or 1/{times:g} as often at the inverse size, σ = {spread:g}",
            "area",
            traded(times, spread),
            EVERY,
        )
        for times, spread in ((1.5, 0.5), (2.0, 0.5), (2.0, 1.2), (3.0, 0.5))
    ),
    Hypothesis(
        "equal mean, one side skew",
        "each class in every image, σ = 0.3 against 1.0",
        "area",
        skewed,
        range(1, CLASSES + 1),
    ),
    Hypothesis(
        "same images, other area",
        "the larger half of each class's areas × 3",
        "images",
        enlarged,
        range(1, CLASSES + 1),
    ),
    Hypothesis(
        "other classes change",
        "five classes of 8 % left out, the rest fills the image in proportion",
        "area, in itself",
        crowded,
        range(20 - OMITTED),
    ),
    Hypothesis(
        "films, named", "20 alike images a film, --groups, against single ones", "any", films, EVERY
    ),
    Hypothesis("bursts, named", "series of five, --groups", "any", bursts(True), EVERY),
    Hypothesis("bursts, not named", "the same without --groups", "any", bursts(False), EVERY),
)


def claims(real: Rows, generated: Rows, groups: object, seed: int) -> list[tuple[int, set[str]]]:
    """Of each class: its number and the kinds of claims that are made about it."""
    from seeingkit.statistics import Pool, compare_classes
    from seeingkit.statistics.blocks import Units
    from seeingkit.statistics.resampling import permute

    pool = Pool(100 * real, 100 * generated, groups)  # type: ignore[arg-type]
    labels = [(str(k), "object") for k in range(real.shape[1])]
    permuted = permute(Units(pool), permutations=0, seed=seed)
    found = []
    for record in compare_classes(pool, labels, permuted=permuted):
        kinds = set()
        if record.area_claim != "no evidence":
            kinds |= {"area", "any"} | (set() if record.composition else {"area, in itself"})
        if record.images_claim != "no evidence":
            kinds |= {"images", "any"}
        found.append((record.index, kinds))
    return found


def measure(which: Hypothesis, n: int, repeats: int) -> Mapping[str, Rate]:
    """Rates over the repeats: ``false``: false claims ÷ all claims; ``any``: runs with one."""
    shares, runs = np.zeros(repeats), 0
    for repeat in range(repeats):
        rng = np.random.default_rng([repeat, n, len(which.name)])
        real, generated, groups = which.draw(n, rng)
        found = claims(real, generated, groups, repeat)
        wrong = sum(which.claim in kinds for k, kinds in found if k in which.false)
        every = sum(len(kinds & {"area", "images"}) for _, kinds in found)
        shares[repeat] = wrong / max(every, wrong, 1)
        runs += wrong > 0
    rate = Rate.of_means(shares)
    assert rate is not None
    return {"false": rate, "any": Rate.of_share(runs, repeats)}


def _row(task: tuple[int, int, int]) -> tuple[str, ...]:
    place, n, repeats = task
    which = HYPOTHESES[place]
    found = measure(which, n, repeats)
    rates = percent(found["false"]), percent(found["any"])
    return (which.name, which.summary, which.claim, f"{n:,}", str(repeats), *rates)


def hypotheses_table(sizes: tuple[int, ...], repeats: int, processes: int = 1) -> str:
    """The table, in Markdown."""
    tasks = [
        (place, n, repeats if n <= 2_000 else max(20, repeats // 4))
        for place in range(len(HYPOTHESES))
        for n in sizes
    ]
    with ProcessPoolExecutor(processes, get_context("spawn")) as executor:
        rows = list(executor.map(_row, tasks))
    heads = ("family", "what differs", "false claim", "n", "repeats")
    return table((*heads, "false ÷ all claims, %", "runs with a false one, %"), rows)


def kept_table(folder: Path, repeats: int, *, write_only: bool = False) -> str:
    """The table that was made by the code of now, or a new one that is then kept."""
    path = folder / "trials" / code_digest() / f"hypotheses-{repeats}.md"
    if not path.exists():
        if write_only:
            return ""
        made = hypotheses_table(SIZES, repeats, os.cpu_count() or 1)
        with atomic_write(path) as stream:
            stream.write(made.encode())
    return path.read_text(encoding="utf-8")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--n", type=int, action="append", default=[])
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    print(hypotheses_table(tuple(args.n) or SIZES, args.repeats, args.processes))


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
