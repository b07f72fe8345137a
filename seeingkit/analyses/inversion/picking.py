"""The choice of photos to invert: those with classes that the generator omits.

Guarantee: the choice is a function of the areas and the seed alone.
"""

from __future__ import annotations

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
    if pick == "most":
        return [int(k) for k in having[:count]]
    if pick == "random":
        places = np.sort(random.permutation(len(having))[:count])
        return [int(k) for k in having[places]]
    return [int(random.choice(part)) for part in np.array_split(having, count)]


def target_classes(comparison: Comparison, limit: int = 8) -> list[int]:
    """Numbers of the omitted classes, else of the reduced ones; most area lost first."""
    records = [c for c in comparison.results.classes if c.category != "material"]
    if comparison.real.vocabulary.has_background:
        records = [c for c in records if c.index]
    for wanted in ("omitted", "reduced"):
        chosen = [c for c in records if c.verdict == wanted]
        if chosen:
            chosen.sort(key=lambda c: (c.generated_area - c.real_area, c.index))
            return [c.index for c in chosen[:limit]]
    return []


def pick_photos(
    comparison: Comparison, per_class: int, pick: Pick, ids: tuple[str, ...] = (), seed: int = 0
) -> dict[str, str | None]:
    """Ids of the photos to invert, each with the class it was picked for.

    A photo is taken once, for the first class that it is picked for. Where no class is omitted or
    reduced, ``per_class`` photos are drawn from all.

    Raises:
        UnknownNameError: an id of the list that no real image has.
        UsageError: a list without ids.
    """
    tally = comparison.real
    if pick == "list" or ids:
        if not ids:
            raise UsageError("--pick list needs the ids of images: --ids ID,ID,…")
        known = set(tally.ids)
        for item in ids:
            if item not in known:
                raise UnknownNameError("real image", item, tally.ids)
        return dict.fromkeys(ids)
    found: dict[str, str | None] = {}
    taken: set[int] = set()
    names = comparison.real.vocabulary.names
    for index in target_classes(comparison):
        areas = _areas(tally, index)
        areas[list(taken)] = 0  # replaced, so that each class gets its number
        for row in pick_rows(areas, per_class, pick, seed + index):
            taken.add(row)
            found[tally.ids[row]] = names[index]
    if not found:
        drawn = np.random.default_rng(seed).permutation(len(tally))[:per_class]
        found = {tally.ids[row]: None for row in drawn}
    return found


def pick_own(comparison: Comparison, count: int, seed: int = 0) -> list[str]:
    """Ids of generator samples for calibration: half at random, half with the lost classes.

    Omitted classes are rare among samples, and their calibration needs samples that have them.
    """
    tally = comparison.generated
    random = np.random.default_rng(seed + 1)
    chosen = dict.fromkeys(
        tally.ids[row] for row in np.sort(random.permutation(len(tally))[: (count + 1) // 2])
    )
    queues = [
        iter(pick_rows(_areas(tally, index), count, "most")) for index in target_classes(comparison)
    ]
    while queues and len(chosen) < min(count, len(tally)):
        for queue in list(queues):
            row = next(queue, None)
            if row is None:
                queues.remove(queue)
            elif len(chosen) < count:
                chosen.setdefault(tally.ids[row])
    rest = (tally.ids[row] for row in random.permutation(len(tally)))
    for item in rest:
        if len(chosen) >= min(count, len(tally)):
            break
        chosen.setdefault(item)
    return list(chosen)


def _areas(tally: Tally, index: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = tally.sparse_percent(0)[:, [index]].toarray().ravel()
    return found
