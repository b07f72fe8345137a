"""The classes and images that a report shows, chosen from results and areas.

Every choice is a function of the results, or of areas and a seed, so that a report made again shows
the same. Nothing here draws or writes.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import UsageError
from seeingkit.results import ClassResult, Results, UncoveredImage, is_background

Side = Literal["real", "generated"]
SIDES: tuple[Side, Side] = ("real", "generated")
LABELS = 30
"""The figure has the classes with the largest real area, at most so many."""
CLASSES = 8
"""At most so many classes have examples."""
EXAMPLES = 12
"""At most so many examples of a class and side."""
SCENES = 12
"""At most so many of the least covered real images are shown, as pictures or in words."""


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

    The omitted ones, those that lost most area first, then the reduced ones; where there are
    none of either, the classes of the figure with the largest relative change.
    """
    shown = [record for record in results.classes if in_figure(record)]
    shown.sort(key=lambda record: (record.generated_area - record.real_area, record.index))
    lost = [record for record in shown if record.omitted]
    lost += [r for r in shown if r.verdict == "reduced" and not r.composition]
    lost += [record for record in shown if record.verdict == "in fewer images"]
    if not lost:
        largest = sorted(shown, key=lambda record: -record.real_area)[:LABELS]
        lost = sorted(largest, key=lambda record: -abs(record.relative_difference or 0.0))
    return [record.label for record in lost[:limit]]


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
    areas: NDArray[Any], count: int = EXAMPLES, seed: int = 0, *, side: Side = "real"
) -> NDArray[np.int64]:
    """The images to show as examples of a class.

    Real: only images that contain the class, the half with most of it first, then random ones of
    the rest. Generated: those with most of it, filled up with random images that lack it.

    >>> pick_examples(np.array([0.0, 3.0, 7.0]), count=2).tolist()
    [2, 1]

    Args:
        areas: (N,) area of the class in each image, at least 0.
        count: how many at most.
        seed: of the random part.
        side: ``real`` or ``generated``.

    Returns:
        at most ``count`` different row numbers, int64.

    Raises:
        UsageError: areas of another shape, negative or not finite.
    """
    values = np.asarray(areas, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise UsageError("areas of a class must be one finite number, at least 0, per image")
    draw = np.random.default_rng(seed)
    order = np.argsort(-values, kind="stable")
    having = order[: int((values > 0).sum())]
    if side == "real":
        first = having[: (count + 1) // 2]
        rest = having[len(first) :]
    else:
        first = having[:count]
        rest = order[len(having) :]
    more = draw.permutation(rest)[: max(0, count - len(first))]
    return np.concatenate([first, more]).astype(np.int64)
