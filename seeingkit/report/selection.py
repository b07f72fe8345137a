"""The classes and images that a report shows, chosen from results and areas.

Every choice is a function of the results, or of areas and a seed, so that a report made again shows
the same. Nothing here draws or writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import UsageError
from seeingkit.results import ClassResult, Results, UncoveredImage, is_background

Side = Literal["real", "generated"]
SIDES: tuple[Side, Side] = ("real", "generated")
Why = Literal["most", "random", "nearest composition"]
"""Why an example is shown: it has most of the class, was drawn at random, or shows the scene that
the class would be in without the class.
"""
LABELS = 30
"""The figure has the classes with the largest real area, at most so many."""
CLASSES = 8
"""At most so many classes have examples."""
EXAMPLES = 12
"""At most so many examples of a class and side."""
SCENES = 12
"""At most so many of the least covered real images are shown, as pictures or in words."""
MAPPED = 64
"""At most so many images of a class and side make the map of its places."""
MAPPED_IN_ALL = 192
"""At most so many images of a side make the maps of all classes."""


class Pick(NamedTuple):
    """An image to show as an example: its row in the tally, and why."""

    row: int
    why: Why


def is_judged(record: ClassResult) -> bool:
    """Whether findings speak of a class: not "no object", and not a material."""
    return record.category != "material" and not is_background(record)


def judged(results: Results) -> list[ClassResult]:
    """The classes that findings speak of, in the order of the results.

    Materials stay in the table of classes.
    """
    return [record for record in results.classes if is_judged(record)]


def in_figure(record: ClassResult) -> bool:
    """Whether the figure may show a class: judged, and in some real image."""
    return record.real_area > 0 and is_judged(record)


def choose_classes(results: Results, limit: int = CLASSES) -> list[str]:
    """The labels of the classes whose examples are worth a look.

    The omitted ones first, then the reduced ones, then those in fewer images; where there are none
    of these, all classes that the figure may show. Each of these groups is in the order of the
    evidence: by q-value, then by p-value, then by lost area, largest first.
    """
    shown = [record for record in results.classes if in_figure(record)]
    shown.sort(key=_evidence)
    lost = [record for record in shown if record.omitted]
    lost += [r for r in shown if r.verdict == "reduced" and not r.composition]
    lost += [record for record in shown if record.verdict == "in fewer images"]
    return [record.label for record in (lost or shown)[:limit]]


def _evidence(record: ClassResult) -> tuple[float, float, float, int]:
    """Sorts classes by the evidence for their difference, strongest first."""
    gained = record.generated_area - record.real_area
    return record.q_value, record.p_value, gained, record.index


def choose_scenes(results: Results, limit: int = SCENES) -> list[UncoveredImage]:
    """The real images without a generated image near them, least covered first."""
    return results.scenes.least_covered[:limit] if results.scenes is not None else []


def choose_beside(results: Results, limit: int = SCENES) -> list[tuple[str, str]]:
    """Real and generated images, by id, that a report shows beside each other.

    Least covered real images, each with the nearest generated one; of a paired comparison, the
    pairs in which a class differs most.
    """
    if results.paired is not None:
        return [(pair.real, pair.generated) for pair in results.paired.images[:limit]]
    return [(scene.image, scene.nearest) for scene in choose_scenes(results, limit)]


def pick_examples(
    areas: NDArray[Any],
    count: int = EXAMPLES,
    seed: int = 0,
    *,
    side: Side = "real",
    distances: NDArray[Any] | None = None,
) -> list[Pick]:
    """The images to show as examples of a class.

    Real: only images that contain the class, the half with most of it first, then random ones of
    the rest. Generated: those with most of it; where they are too few, images that lack it follow,
    those with the smallest distance first, or random ones where no distances are given.

    >>> pick_examples(np.array([0.0, 3.0, 7.0]), count=2)
    [Pick(row=2, why='most'), Pick(row=1, why='random')]

    Args:
        areas: (N,) area of the class in each image, at least 0.
        count: how many at most.
        seed: of the random part.
        side: ``real`` or ``generated``.
        distances: (N,) of generated images, how far the composition of each is from the real images
            that have the class, at least 0; infinite where it can't be said.

    Returns:
        at most ``count`` different rows.

    Raises:
        UsageError: areas of another shape, negative or not finite; distances that do not fit.
    """
    values = np.asarray(areas, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise UsageError("areas of a class must be one finite number, at least 0, per image")
    draw = np.random.default_rng(seed)
    order = np.argsort(-values, kind="stable")
    having = order[: int((values > 0).sum())]
    if side == "real":
        most, rest = np.split(having, [min(len(having), (count + 1) // 2)])
        near = rest[:0]
    else:
        most, rest = having[:count], order[len(having) :]
        near = _near(rest, distances, values)[: max(0, count - len(most))]
        rest = rest[~np.isin(rest, near)]
    more = draw.permutation(rest)[: max(0, count - len(most) - len(near))]
    picked: tuple[tuple[NDArray[Any], Why], ...] = (
        (most, "most"),
        (near, "nearest composition"),
        (more, "random"),
    )
    return [Pick(row, why) for rows, why in picked for row in rows.tolist()]


def _near(
    rows: NDArray[Any], distances: NDArray[Any] | None, areas: NDArray[Any]
) -> NDArray[np.int64]:
    """Those of some rows whose distance is known, nearest first."""
    if distances is None:
        return np.zeros(0, np.int64)
    away = np.asarray(distances, dtype=np.float64)
    if away.shape != areas.shape or not (away >= 0).all():
        raise UsageError("distances of compositions must be one number, at least 0, per image")
    # Rounded, so that copies stay in the order of their rows.
    rows = np.sort(rows[np.isfinite(away[rows])])
    return np.asarray(rows[np.argsort(away[rows].round(12), kind="stable")], dtype=np.int64)


def pick_mapped(
    showing: Sequence[NDArray[Any]],
    n: int,
    seed: int = 0,
    *,
    each: int = MAPPED,
    in_all: int = MAPPED_IN_ALL,
) -> list[NDArray[np.int64]]:
    """The images that the maps of the places of some classes are made of, of one side.

    All images are in one random order, and a class has the first of those that show it: a random
    sample of these for each class, in which as many images as possible serve several classes. All
    classes get one more image in turn until there are enough.

    >>> [rows.tolist() for rows in pick_mapped([np.array([0, 2]), np.array([2])], n=3)]
    [[0, 2], [2]]

    Args:
        showing: of each class, the rows of the images that show it.
        n: number of images of the side.
        seed: of the order.
        each: images of a class, at most.
        in_all: different images, at most.

    Returns:
        for each class the rows, ascending.
    """
    place = np.random.default_rng(seed).permutation(n)
    queues = [rows[np.argsort(place[rows], kind="stable")][:each].tolist() for rows in showing]
    taken: set[int] = set()
    turns = 0
    for turn in range(max(map(len, queues), default=0)):
        taken |= {queue[turn] for queue in queues if turn < len(queue)}
        if len(taken) > in_all:
            break
        turns = turn + 1
    return [np.array(sorted(queue[:turns]), dtype=np.int64) for queue in queues]
