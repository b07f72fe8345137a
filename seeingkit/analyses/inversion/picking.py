"""The choice of photos to invert: those with classes that the generator omits.

Guarantee: the choice is a function of the areas and the seed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.tallies import Tally

from ..comparison.compare import Comparison
from .config import Pick
from .vanishing import MIN_AREA


def pick_rows(
    areas: NDArray[np.float64], count: int, pick: Pick = "stratified", seed: int = 0
) -> list[int]:
    """Rows of images that contain a class.

    Args:
        areas: (N,) percent of each image that the class covers.
        count: how many at most.
        pick: ``stratified``: one drawn from each of ``count`` equal groups by area, so that small
            and large objects are both seen; ``random``; ``most``: those with most of it.
        seed: of the draws.

    Returns:
        different rows, largest area first.
    """
    having = np.nonzero(areas >= MIN_AREA)[0]
    having = having[np.argsort(-areas[having], kind="stable")]
    count = min(count, len(having))
    if count <= 0:
        return []
    random = np.random.default_rng(seed)
    if pick not in ("random", "most"):
        return [int(random.choice(part)) for part in np.array_split(having, count)]
    if pick == "random":
        having = having[np.sort(random.permutation(len(having))[:count])]
    return [int(row) for row in having[:count]]


def target_classes(comparison: Comparison, limit: int = 8) -> list[int]:
    """Numbers of the omitted classes, else of the reduced ones; most area lost first."""
    records = [c for c in comparison.results.classes if c.category != "material"]
    if comparison.real.vocabulary.has_background:
        records = [c for c in records if c.index]
    records.sort(key=lambda c: (c.generated_area - c.real_area, c.index))
    omitted, reduced = (
        [c.index for c in records if c.verdict == verdict] for verdict in ("omitted", "reduced")
    )
    return (omitted or reduced)[:limit]


def drawn_classes(comparison: Comparison) -> frozenset[str]:
    """Labels of the objects of which generated images show more than half of the real area.

    Areas alone, so that no verdict of a comparison is needed: classes of which it lacks evidence
    are drawn as far as anyone knows.
    """
    records = [c for c in comparison.results.classes if c.category != "material"]
    shown = (c for c in records if c.real_area > 0 and c.generated_area > 0.5 * c.real_area)
    return frozenset(c.label for c in shown)


def pick_photos(
    comparison: Comparison,
    per_class: int,
    pick: Pick,
    ids: tuple[str, ...] = (),
    seed: int = 0,
    *,
    classes: Sequence[str] = (),
) -> dict[str, str | None]:
    """Ids of the photos to invert, each with the class it was picked for.

    A photo is taken once, for the first class that it is picked for: first the named ``classes``,
    so that their photos depend on the real images alone, then those that are omitted or reduced.
    Where there is no class, ``per_class`` photos are drawn from all.

    Raises:
        UnknownNameError: an id of the list that no real image has, or no such class.
        UsageError: a list without ids.
    """
    tally = comparison.real
    if pick == "list" or ids:
        check_listed(ids, tally.ids)
        return dict.fromkeys(ids)
    check_classes(classes, tally.vocabulary.names)
    named = [tally.vocabulary.names.index(name) for name in classes]
    found: dict[int, str] = {}
    for index in dict.fromkeys([*named, *target_classes(comparison)]):
        areas = _areas(tally, index)
        areas[list(found)] = 0  # replaced, so that each class gets its number
        rows = pick_rows(areas, per_class, pick, seed + index)
        found |= dict.fromkeys(rows, tally.vocabulary.names[index])
    if not found:
        drawn = np.random.default_rng(seed).permutation(len(tally))[:per_class]
        return dict.fromkeys(tally.ids[row] for row in drawn)
    return {tally.ids[row]: name for row, name in found.items()}


def check_classes(classes: Sequence[str], there: Sequence[str]) -> None:
    """Classes whose photos are asked for are in the vocabulary.

    >>> check_classes(["tree"], ["sky", "tree"])

    Raises:
        UnknownNameError: one is not.
    """
    for name in classes:
        if name not in there:
            raise UnknownNameError("class", name, there)


def check_listed(ids: Sequence[str], there: Sequence[str]) -> None:
    """Listed ids are of images that are there.

    >>> check_listed(["a.png"], ["a.png", "b.png"])

    Raises:
        UnknownNameError: an id that no image has.
        UsageError: no ids.
    """
    if not ids:
        raise UsageError("--pick list needs the ids of images: --ids ID,ID,…")
    unknown = set(ids) - set(there)
    for item in ids:
        if item in unknown:
            raise UnknownNameError("real image", item, there)


def pick_own(comparison: Comparison, count: int, seed: int = 0) -> list[str]:
    """Ids of generator samples for calibration: half at random, half with the lost classes.

    Omitted classes are rare among samples, and their calibration needs samples that have them.
    """
    tally = comparison.generated
    random = np.random.default_rng(seed + 1)
    chosen = dict.fromkeys(
        tally.ids[row] for row in np.sort(random.permutation(len(tally))[: (count + 1) // 2])
    )
    ranked = [pick_rows(_areas(tally, k), count, "most") for k in target_classes(comparison)]
    having = (row for rows in zip_longest(*ranked) for row in rows if row is not None)
    for row in chain(having, random.permutation(len(tally))):
        if len(chosen) >= min(count, len(tally)):
            break
        chosen.setdefault(tally.ids[row])
    return list(chosen)


def _areas(tally: Tally, index: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = tally.sparse_percent(0)[:, [index]].toarray().ravel()
    return found
