"""How often true labels are taken for shifted or reordered without reason, and how often they are.

``seeingkit.statistics.renumbering`` refuses true labels whose numbers fit the segmentation far
better when they are moved by one or reordered. Here the numbers are right (the null) and only the
segmenter differs, from good to hopeless, in ways that try to look like a shift; then the same
segmenters with shifted and reordered numbers (the power). An image shows seven labels of unequal
area. In most families a label is called alike in all images, which is the worst case: errors do not
average out. Where many labels are always called by one wrong name, the null of ``renumbering`` is
broken on purpose; these families stand below the line.

    python benchmarks/renumbering.py --repeats 500
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from seeingkit.statistics.renumbering import better_numbers

Rates = NDArray[np.float64]
Family = Callable[[np.random.Generator, int], Rates]
Order = Callable[[int], NDArray[np.intp]]


def errs_at_random(recall: float) -> Family:
    """Each label keeps a share ``recall``; the rest goes to random names."""

    def rates(rng: np.random.Generator, labels: int) -> Rates:
        wrong = rng.dirichlet(np.full(labels, 0.3), labels)
        return np.asarray(recall * np.eye(labels) + (1 - recall) * wrong)

    return rates


def calls_by_one_wrong_name(rng: np.random.Generator, labels: int) -> Rates:
    """Each label is called by one name that was drawn for it, for 90 % of its area."""
    return np.asarray(0.9 * np.eye(labels)[rng.integers(labels, size=labels)] + 0.1 / labels)


def half_by_one_wrong_name(rng: np.random.Generator, labels: int) -> Rates:
    """As above for half of the labels; the others by their own name."""
    own = rng.random(labels)[:, None] < 0.5
    return np.where(own, 0.9 * np.eye(labels) + 0.1 / labels, calls_by_one_wrong_name(rng, labels))


def calls_all_by_few_names(rng: np.random.Generator, labels: int) -> Rates:
    """Everything is called by one of three names."""
    few = rng.choice(labels, 3, replace=False)
    return np.asarray(np.eye(labels)[rng.choice(few, labels)])


def takes_neighbours(share: float) -> Family:
    """A share of the labels is called by the next name of the list, the others by their own."""

    def rates(rng: np.random.Generator, labels: int) -> Rates:
        called = np.arange(labels) + (rng.random(labels) < share)
        return np.asarray(0.85 * np.eye(labels)[called % labels] + 0.15 / labels)

    return rates


NULLS: dict[str, Family] = {
    "recall 0.9": errs_at_random(0.9),
    "recall 0.5": errs_at_random(0.5),
    "recall 0.2": errs_at_random(0.2),
    "recall 0": errs_at_random(0.0),
    "three names for all": calls_all_by_few_names,
    "a fifth taken for neighbours": takes_neighbours(0.2),
}
BROKEN: dict[str, Family] = {
    "half taken for neighbours": takes_neighbours(0.5),
    "half by one wrong name each": half_by_one_wrong_name,
    "all by one wrong name each": calls_by_one_wrong_name,
}
POWER = {f"recall {recall}": errs_at_random(recall) for recall in (0.9, 0.7, 0.5)}


def areas(rng: np.random.Generator, labels: int, images: int) -> Rates:
    """(images, labels) shares of pictures of seven labels each."""
    common = rng.permutation(1 / np.arange(1, labels + 1))
    # The seven greatest of log p + Gumbel noise: drawn one after the other without putting back.
    shown = np.argsort(-np.log(common) - rng.gumbel(size=(images, labels)), axis=1)[:, :7]
    found = np.zeros((images, labels))
    np.put_along_axis(found, shown, rng.dirichlet(np.full(7, 0.5), images), axis=1)
    return found


def share(
    family: Family,
    labels: int,
    images: int,
    repeats: int,
    order: Order | None = None,
    anew: bool = False,
) -> float:
    """Percent of repeats in which other numbers are found; ``anew``: rates of each image."""
    found = 0
    for seed in range(repeats):
        rng = np.random.default_rng([seed, labels, images])
        seen = areas(rng, labels, images)
        if anew:
            pixels = sum(row[:, None] * family(rng, labels) for row in seen)
        else:
            pixels = seen.sum(axis=0)[:, None] * family(rng, labels)
        rows = np.zeros((labels + 1, labels), np.int64)
        rows[:labels] = np.rint(65_536 * np.asarray(pixels))
        shown = np.append((seen > 0).sum(axis=0), 0)
        if order is not None:
            places = order(labels)
            rows, shown = rows[places], shown[places]
        found += better_numbers(rows, (*range(labels), -1), shown[:labels]) is not None
    return 100 * found / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=500)
    repeats = parser.parse_args().repeats
    sizes = [(labels, images) for labels in (11, 19, 150) for images in (1, 16, 200)]
    print("percent of repeats · " + " · ".join(f"{a} labels, {b} images" for a, b in sizes))

    def line(title: str, family: Family, order: Order | None = None, anew: bool = False) -> None:
        cells = (share(family, a, b, repeats, order, anew) for a, b in sizes)
        print(f"{title:44} " + "  ".join(f"{cell:5.1f}" for cell in cells), flush=True)

    for name, family in NULLS.items():
        line(f"numbers right, {name}", family)
    line("numbers right, a wrong name in each image", calls_by_one_wrong_name, anew=True)
    print("-" * 44)
    for name, family in BROKEN.items():
        line(f"numbers right, {name}", family)
    for name, family in POWER.items():
        line(f"one too high, {name}", family, lambda n: np.roll(np.arange(n + 1), 1))
        line(f"reversed, {name}", family, lambda n: np.append(np.arange(n)[::-1], n))


if __name__ == "__main__":
    main()
