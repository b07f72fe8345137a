"""A class that is missing: are there units that draw it when they are inserted?

Guarantees: units and values are searched in other images than the effect is measured on; the null
of the claim is "the insertion adds nothing of the class, or no more than random units at the same
places"; at each place the image is compared with itself, and the places of an image count as one.

Units are ranked by the gradient of the segmenter's score at the place of an insertion
(``interventions.optimise`` with a budget). The values are the mean of each unit where the class is,
if the generator shows it at all (Bau et al., ICLR 2019, section 3.2), or the quantile 0.99 of each
unit, as GANPaint inserts; of both the one that adds more in the searched images is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seeingkit.analyses.interventions.candidates import (
    Cells,
    candidate_cells,
    present_cells,
    unit_quantiles,
)
from seeingkit.analyses.interventions.choice import TRAINED
from seeingkit.analyses.interventions.differences import by_image, column_of, flip_test
from seeingkit.analyses.interventions.effects import Intervention, Measured, measure
from seeingkit.analyses.interventions.kept import stored_once
from seeingkit.analyses.interventions.objective import AlphaSettings, Places
from seeingkit.analyses.interventions.optimise import optimise
from seeingkit.analyses.interventions.parts import made_by, subject_identity
from seeingkit.analyses.interventions.subjects import Integers, Sample, Subject, search_seeds
from seeingkit.errors import UsageError
from seeingkit.statistics.arrays import Floats
from seeingkit.system.addresses import Place

from .settings import TracingSettings

QUANTILE = 0.99
"""Of each unit over all cells: what GANPaint inserts (published client)."""
LEAST_SEEN = 8
"""Searched images that show a class, below which its mean of each unit is not asked for."""


class Drawn(NamedTuple):
    """An insertion that was searched and measured.

    Attributes:
        units: strongest first; values: "mean" or "0.99"; k: (U,) of all units.
        seen: searched images that show the class.
        sample, mask: (n · places rows), (rows, 1, h, w): where it was inserted.
        measured: without, with these units, and with each random set.
        sets: the random units.
    """

    units: tuple[int, ...]
    values: str
    k: Tensor
    seen: int
    sample: Sample
    mask: Tensor
    measured: Measured
    sets: list[tuple[int, ...]]


def patch_side(extent: tuple[int, int]) -> int:
    """Cells a side of an insertion: three of eight, odd, so that it has a middle.

    >>> patch_side((8, 8)), patch_side((4, 4)), patch_side((32, 32))
    (3, 1, 13)
    """
    side = max(1, 3 * min(extent) // 8)
    return side if side % 2 else side + 1


def random_places(indices: range, places: int, extent: tuple[int, int], seed: int) -> Integers:
    """Flat numbers of cells, ``places`` for each image and none twice: (n, places).

    An image's cells depend on the seed and its number alone.

    >>> random_places(range(3), 2, (8, 8), 0).shape
    (3, 2)
    """
    size = extent[0] * extent[1]
    rows = [
        np.random.default_rng([seed, index, 41]).permutation(size)[: min(places, size)]
        for index in indices
    ]
    return np.stack(rows).astype(np.int64)


def patch_masks(cells: Integers, extent: tuple[int, int]) -> Tensor:
    """Square patches of cells around some cells, cut at the edge: (N, 1, h, w) of 0 and 1.

    >>> patch_masks(np.array([0]), (4, 4)).sum()
    tensor(1.)
    """
    reach = patch_side(extent) // 2
    rows, columns = torch.from_numpy(cells // extent[1]), torch.from_numpy(cells % extent[1])
    down = (torch.arange(extent[0]) - rows[:, None]).abs() <= reach
    across = (torch.arange(extent[1]) - columns[:, None]).abs() <= reach
    return (down[:, :, None] & across[:, None, :]).float()[:, None]


def other_units(
    units: Sequence[int], available: int, sets: int, seed: int
) -> list[tuple[int, ...]]:
    """Random sets of as many units beside these; of all units where too few are left.

    >>> sorted(other_units([0, 2], 4, 1, 0)[0])
    [1, 3]
    """
    rest = np.setdiff1d(np.arange(available), units)
    rest = rest if len(rest) >= len(units) else np.arange(available)
    draws = (np.random.default_rng([seed, j, 43]) for j in range(sets))
    return [tuple(int(u) for u in draw.permutation(rest)[: len(units)]) for draw in draws]


def draw_missing(
    subject: Subject,
    label: int,
    settings: TracingSettings,
    labels: tuple[int, ...] = (),
    *,
    store: Place | None = None,
) -> Drawn:
    """Search units that draw a class, and insert them in other images::

        draw_missing(Subject(generator, segmenter, "r8.conv1"), 5, TracingSettings("r8.conv1"))

    Args:
        subject: generator, layer and segmenter.
        label: the class.
        settings: numbers of units and images.
        labels: classes of a conditional generator, in turn.
        store: folder of counts and choices (``interventions.parts``); None: nothing is kept.

    Raises:
        UsageError: a layer without a map, or more units than it has.
    """
    found = _candidates(subject, label, settings, labels, store)
    trial, mask = _places(subject, settings, labels, settings.strength_seed, settings.search // 2)
    edits = [Intervention.insertion(one.units, one.k, mask) for one in found]
    tried = measure(subject, trial, edits, "insertions tried", store=store)
    column = column_of(subject.segmenter.vocabulary, label)
    best = found[int(tried.after[:, :, column].sum(1).argmax())]
    sample, mask = _places(subject, settings, labels, settings.effect_seed, settings.n)
    sets = other_units(best.units, subject.units, settings.random, settings.effect_seed)
    edits = [Intervention.insertion(units, best.k, mask) for units in (best.units, *sets)]
    measured = measure(subject, sample, edits, "insertions", store=store)
    return Drawn(best.units, best.values, best.k, best.seen, sample, mask, measured, sets)


class _Candidate(NamedTuple):
    units: tuple[int, ...]
    values: str
    k: Tensor
    seen: int


def _candidates(
    subject: Subject,
    label: int,
    settings: TracingSettings,
    labels: tuple[int, ...],
    store: Place | None,
) -> list[_Candidate]:
    """Units for each kind of value, searched once for all runs that share a store."""
    budget = AlphaSettings(budget=settings.units_of(subject.units))
    first, second = (
        Sample(range(settings.search), seed, labels) for seed in search_seeds(settings.seed)
    )

    def make() -> tuple[dict[str, Tensor], dict[str, Any]]:
        found = _searched(subject, label, budget, first, second, settings)
        rest = [[list(one.units), one.values, one.seen] for one in found]
        return {"k": torch.stack([one.k for one in found])}, {"found": rest}

    of_both = [subject_identity(subject, each) for each in (first, second)]
    identity: list[object] = ["units that draw", *of_both]
    identity += [label, asdict(budget), settings.seed, settings.search]
    identity += [TRAINED, LEAST_SEEN, QUANTILE]
    words = f"units that draw {subject.segmenter.vocabulary.names[label]}"
    tensors, content = stored_once(store, identity, words, made_by(subject), make)
    return [
        _Candidate(tuple(units), values, k, seen)
        for (units, values, seen), k in zip(content["found"], tensors["k"], strict=True)
    ]


def _searched(
    subject: Subject,
    label: int,
    budget: AlphaSettings,
    first: Sample,
    second: Sample,
    settings: TracingSettings,
) -> list[_Candidate]:
    found = []
    seen = 0
    try:
        present = present_cells(subject, first, label, TRAINED)
        seen = present.seen
    except UsageError:  # no image shows it
        present = None
    if present is not None and seen >= LEAST_SEEN:
        cells, _ = candidate_cells(subject, second, label, present, TRAINED)
        places = Places(first, present.train, second, cells, present.mean)
        best = optimise(subject, label, places, budget, seed=settings.seed)
        found.append(_Candidate(best.ranking[: budget.budget], "mean", present.mean, seen))
    k = unit_quantiles(subject, first, (QUANTILE,))[0]
    many = min(TRAINED, settings.search)
    cells_of = random_places(range(many), 1, subject.extent, settings.seed)[:, 0]
    anywhere = Cells(np.arange(many), cells_of, np.zeros(many))
    nowhere = Cells(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    places = Places(first, nowhere, second, anywhere, k)
    best = optimise(subject, label, places, budget, seed=settings.seed)
    found.append(_Candidate(best.ranking[: budget.budget], "0.99", k, seen))
    return found


def _places(
    subject: Subject, settings: TracingSettings, labels: tuple[int, ...], seed: int, images: int
) -> tuple[Sample, Tensor]:
    """Rows of images with their patches."""
    cells = random_places(range(images), settings.places, subject.extent, seed)
    numbers = np.repeat(np.arange(images), cells.shape[1]).tolist()
    return Sample(numbers, seed, labels), patch_masks(cells.ravel(), subject.extent)


def areas_of(found: Drawn, column: int) -> tuple[Floats, Floats]:
    """Areas of a class without the insertion (n,), and with each edit (E, n), percent."""
    measured, scale = found.measured, 100 / found.measured.pixels
    before = by_image(measured.before[:, column], measured.images) * scale
    after = [by_image(each[:, column], measured.images) * scale for each in measured.after]
    return before, np.stack(after)


def drawing_p(before: Floats, after: Floats, seed: int) -> float:
    """p of "adds nothing, or no more than random units": the larger of both (intersection–union).

    One-sided in effect: 1 where the chosen units add less than either, or than any random set.
    The test against 0 and that against the mean of the random sets are sign flips over images.

    Args:
        before: (n,) areas; after: (E, n), the chosen units first.

    >>> drawing_p(np.zeros(9), np.array([[1.0] * 9, [0.0] * 9]), 0) < 0.05
    True
    """
    own, others = after[0], after[1:]
    if own.mean() <= before.mean() or own.mean() <= others.mean(axis=1).max():
        return 1.0
    against = flip_test(others.mean(axis=0), own, seed).p
    return float(max(flip_test(before, own, seed).p, against))
