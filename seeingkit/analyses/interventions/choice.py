"""Units that make a class, chosen by their causal effect on images that nothing is measured on.

Guarantees: cells, inserted values and the optimisation rest on two other series of latents
(``search_seeds``); the same arguments give the same units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from seeingkit.errors import UsageError
from seeingkit.results.interventions import UnitChoice

from .candidates import candidate_cells, present_cells
from .objective import ALPHA_PRESETS, AlphaSettings, Places
from .optimise import optimise
from .subjects import Sample, Subject, search_seeds

TRAINED = 100
"""Cells of each kind that units are chosen with, at most."""


class Choice(NamedTuple):
    """Units that an optimisation chose.

    Attributes:
        units: the strongest.
        k: (U,) the class's mean of each unit.
        record: for results.
    """

    units: tuple[int, ...]
    k: Tensor
    record: UnitChoice


def choose_units(
    subject: Subject,
    label: int,
    many: int,
    *,
    images: int = 200,
    seed: int = 0,
    labels: tuple[int, ...] = (),
    preset: str = "budget",
    scores: Sequence[float] | None = None,
) -> Choice:
    """The units that make a class, by optimising their causal effect on images of other seeds::

        choose_units(Subject(generator, segmenter, "r8.conv1"), 3, 20).units

    Args:
        subject: generator, layer and segmenter.
        label: the class.
        many: how many units; the budget of preset ``budget``.
        images: searched for cells, of each of two other series (``search_seeds``).
        seed: of the images that an effect will be measured on.
        labels: classes of a conditional generator, in turn.
        preset: ``budget``, ``paper`` or ``published`` (``optimise``).
        scores: of all units, to start from, such as IoU with the class.

    Raises:
        UsageError: more units than there are, an unknown preset, or no image shows the class.
    """
    if not 1 <= many <= subject.units:
        raise UsageError(f"choose 1 to {subject.units} units of {subject.layer!r}, not {many}")
    settings = ALPHA_PRESETS.get(preset)
    if settings is None:
        raise UsageError(f"no preset {preset!r}; there are: {', '.join(ALPHA_PRESETS)}")
    if settings.budget is not None:
        settings = AlphaSettings(budget=many)
    seeds = search_seeds(seed)
    present_sample, other_sample = (Sample(range(images), one, labels) for one in seeds)
    present = present_cells(subject, present_sample, label, TRAINED)
    candidates, _ = candidate_cells(subject, other_sample, label, present, TRAINED)
    places = Places(present_sample, present.train, other_sample, candidates, present.mean)
    found = optimise(subject, label, places, settings, start=scores, seed=seed)
    record = UnitChoice(
        label=subject.segmenter.vocabulary.names[label],
        preset=preset,
        alpha=found.alpha[-1].tolist(),
        ranking=list(found.ranking),
        budget=settings.budget,
        losses=found.losses.tolist(),
        present=len(present.train.rows),
        candidates=len(candidates.rows),
        seeds=seeds,
        images=images,
    )
    return Choice(found.ranking[:many], present.mean, record)
