"""Units that make a class, chosen by their causal effect on images that nothing is measured on.

Guarantees: cells, inserted values and the optimisation rest on two other series of latents
(``search_seeds``); the same arguments give the same units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from torch import Tensor

from seeingkit.errors import UsageError
from seeingkit.results.interventions import UnitChoice
from seeingkit.system.addresses import Place

from .candidates import candidate_cells, present_cells
from .kept import stored_once
from .objective import ALPHA_PRESETS, AlphaSettings, Places
from .optimise import optimise
from .parts import made_by, subject_identity
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
    store: Place | None = None,
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
        store: folder in which the choice is kept and met again; None: nowhere.

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
    samples = (Sample(range(images), seeds[0], labels), Sample(range(images), seeds[1], labels))

    def make() -> tuple[dict[str, Tensor], dict[str, Any]]:
        found = _choose(subject, label, samples, settings, scores, seed)
        record = found.record.model_copy(update={"preset": preset})
        return {"k": found.k}, record.model_dump(mode="json")

    identity = ["choice", *_identities(subject, samples), label, asdict(settings), seed]
    identity += [images, TRAINED, None if scores is None else [float(x) for x in scores]]
    words = f"units of {subject.segmenter.vocabulary.names[label]}"
    tensors, content = stored_once(store, identity, words, made_by(subject), make)
    record = UnitChoice.model_validate(content)
    return Choice(tuple(record.ranking[:many]), tensors["k"], record)


def _identities(subject: Subject, samples: Sequence[Sample]) -> list[object]:
    return [subject_identity(subject, sample) for sample in samples]


def class_means(
    subject: Subject, sample: Sample, label: int, *, store: Place | None = None
) -> Tensor:
    """k: the mean of each unit where a class is, (U,), weighted by the share of it in each cell.

    Args:
        sample: the images that are searched.
        label: the class.
        store: folder in which it is kept and met again; None: nowhere.

    Raises:
        UsageError: no image shows the class.

    ::

        class_means(subject, Sample(range(200), search_seeds(0)[0]), 3)
    """

    def make() -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"k": present_cells(subject, sample, label, TRAINED).mean}, {}

    images = [int(index) for index in sample.indices]
    identity = ["means", *_identities(subject, [sample]), label, images]
    words = f"means of units in {subject.segmenter.vocabulary.names[label]}"
    return stored_once(store, identity, words, made_by(subject), make)[0]["k"]


def _choose(
    subject: Subject,
    label: int,
    samples: tuple[Sample, Sample],
    settings: AlphaSettings,
    scores: Sequence[float] | None,
    seed: int,
) -> Choice:
    """Search cells, optimise; the choice with the ranking of all units."""
    present_sample, other_sample = samples
    present = present_cells(subject, present_sample, label, TRAINED)
    candidates, _ = candidate_cells(subject, other_sample, label, present, TRAINED)
    places = Places(present_sample, present.train, other_sample, candidates, present.mean)
    found = optimise(subject, label, places, settings, start=scores, seed=seed)
    record = UnitChoice(
        label=subject.segmenter.vocabulary.names[label],
        preset="",
        alpha=found.alpha[-1].tolist(),
        ranking=list(found.ranking),
        budget=settings.budget,
        losses=found.losses.tolist(),
        present=len(present.train.rows),
        candidates=len(candidates.rows),
        seeds=(present_sample.seed, other_sample.seed),
        images=len(present_sample),
    )
    return Choice(found.ranking, present.mean, record)
