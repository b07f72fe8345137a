"""Rankings of a layer's units by how much they have to do with artifacts, on images of the search.

Guarantees: a ranking is a function of models, images and real images of the search; units of equal
score stand in the order of their numbers. No score is a claim: the first of a ranking are the
largest of many, so their own scores flatter them.

- ``by_ablation``: distance of the images from the real ones − that with the unit ablated alone.
  All units on the first quarter of the images, then the best of them on all images.
- ``by_images``: distance from the real images of the images in which the unit is strongest, less
  that of as many images drawn at random (the automatic variant of Bau et al., ICLR 2019, of which
  no code was published).
- ``marks.by_marks``: agreement with painted regions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seeingkit.statistics.frechet import frechet, moments
from seeingkit.system.addresses import Place
from seeingkit.system.progress import progress_bar

from ..effects import Floats, Intervention
from ..kept import Part, stored_each
from ..parts import made_by, subject_identity
from ..subjects import Starts, Subject
from .spaces import Space, edited_rows

FIRST = 4
"""The first round has this part of the images; this part of the units comes to the second."""
LEAST_FIRST = 50
"""Images of the first round, at least."""
LEAST_KEPT = 8
"""Units of the second round, at least."""
DRAWS = 64
"""Random sets of images that the strongest ones are compared with."""


class Ranking(NamedTuple):
    """Units of a layer, the most suspicious first.

    Attributes:
        order: (U,) numbers of units.
        scores: (U,) of each unit, by its number, the greater the more suspicious; of several
            rounds the last one the unit was in.
        rounds: (U,) the last round of each unit, from 1.
        passes: images that were made and looked at for it.
    """

    order: tuple[int, ...]
    scores: Floats
    rounds: tuple[int, ...]
    passes: int


def by_ablation(
    subject: Subject,
    starts: Starts,
    space: Space,
    real: Floats,
    *,
    alpha: float = 1.0,
    most: int = 1,
    store: Place | None = None,
) -> Ranking:
    """Rank units by the gain of ablating each alone.

    Args:
        starts: images of the search, at the layer.
        space: in which distances are taken.
        real: (N, D) rows of real images of the search.
        alpha: strength of the ablation.
        most: largest number of units that will be tested.
        store: folder in which the rows of each unit are kept and met again; None: nowhere.

    ::

        by_ablation(subject, Starts(subject, sample), AreaSpace(segmenter), real).order[:5]
    """
    n, units = len(starts.sample), subject.units
    first = min(n, max(LEAST_FIRST, n // FIRST))
    kept = min(units, max(LEAST_KEPT, units // FIRST, 2 * most))
    scores, rounds, passes = np.zeros(units), np.ones(units, np.int64), 0
    goal = moments(real)
    chosen: Sequence[int] = range(units)
    plan = [(1, first, kept)] if first == n or kept == units else [(1, first, kept), (2, n, kept)]
    if len(plan) == 1:
        plan = [(1, n, kept)]
    for number, many, left in plan:
        found = _ablated_rows(subject, starts, range(many), space, chosen, alpha, store)
        base = frechet(moments(edited_rows(subject, starts, range(many), space)), goal).value
        with progress_bar(f"units, round {number}", len(chosen), "units") as bar:
            for part in found:
                unit = chosen[part.number]
                scores[unit] = base - frechet(moments(part.tensors["rows"].numpy()), goal).value
                rounds[unit] = number
                bar.advance(1, resumed=not part.made)
        passes += many * (1 + len(chosen))
        chosen = sorted(chosen, key=lambda unit: (-scores[unit], unit))[:left]
    order = sorted(range(units), key=lambda unit: (-rounds[unit], -scores[unit], unit))
    return Ranking(tuple(order), scores, tuple(rounds.tolist()), passes)


def _ablated_rows(
    subject: Subject,
    starts: Starts,
    rows: range,
    space: Space,
    units: Sequence[int],
    alpha: float,
    store: Place | None,
) -> Iterator[Part]:
    """Rows of some images without each unit, one unit a file."""
    # Rounding in the networks may follow the batch, and a search that goes on ends as one at once.
    whole = [subject_identity(subject, starts.sample), space.identity(), subject.batch, alpha]
    images = [int(starts.sample.indices[row]) for row in rows]

    def make(number: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        change = Intervention.ablation([units[number]], alpha=alpha)
        found = edited_rows(subject, starts, rows, space, change)
        return {"rows": torch.from_numpy(found)}, {}

    identities = [["rows without a unit", *whole, images, unit] for unit in units]
    words = ["images without a unit"] * len(units)  # one row of ``store ls``
    return stored_each(store, identities, words, made_by(subject), make)


def peaks(subject: Subject, starts: Starts) -> Floats:
    """(n, U) the greatest value of each unit in each image."""
    found = []
    for first in range(0, len(starts.sample), subject.batch):
        x = starts[range(first, min(first + subject.batch, len(starts.sample)))].x
        found.append((x if x.ndim == 2 else x.flatten(2).amax(2)).double().cpu().numpy())
    return np.concatenate(found)


def strongest(values: Floats, many: int) -> list[list[int]]:
    """For each unit the rows in which it is strongest, greatest first; of equal ones the first.

    >>> strongest(np.array([[0.0, 2.0], [3.0, 2.0], [1.0, 5.0]]), 2)
    [[1, 2], [2, 0]]
    """
    order = np.argsort(-values, axis=0, kind="stable")[:many]
    return [[int(row) for row in column] for column in order.T]


def by_images(
    subject: Subject, starts: Starts, space: Space, real: Floats, *, seed: int = 0
) -> Ranking:
    """Rank units by the distance from the real images of the images in which they are strongest.

    Args:
        starts, space, real: as of ``by_ablation``.
        seed: of the random sets of images.

    ::

        by_images(subject, Starts(subject, sample), AreaSpace(segmenter), real).order[:5]
    """
    n = len(starts.sample)
    many = max(20, n // 10)
    own, goal = edited_rows(subject, starts, range(n), space), moments(real)
    rng = np.random.default_rng([seed, 31])
    drawn = [rng.permutation(n)[:many] for _ in range(DRAWS)]
    usual = float(np.mean([frechet(moments(own[rows]), goal).value for rows in drawn]))
    scores = np.array(
        [
            frechet(moments(own[rows]), goal).value - usual
            for rows in strongest(peaks(subject, starts), many)
        ]
    )
    order = sorted(range(subject.units), key=lambda unit: (-scores[unit], unit))
    return Ranking(tuple(order), scores, (1,) * subject.units, n)
