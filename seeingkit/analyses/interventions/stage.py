"""One intervention from models to record: rank units if asked, measure, compare with chance.

Guarantees: what does not fit the layer is refused before any image is made; units, inserted values
and cells are searched on other series of latents than the effect is measured on (``search_seeds``),
and so is each unit alone; images that a dissection ranked units with are refused; the same
arguments give the same record, whoever shares the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

import torch
from torch import Tensor

from seeingkit.contracts import Generator, Segmenter
from seeingkit.results.curves import ContextMap, Curve
from seeingkit.results.effects import Effect, SingleUnits
from seeingkit.results.interventions import ChosenBy, InterventionResults
from seeingkit.specs import PRESETS, Preset
from seeingkit.tallies.record import model_record

from .causal import causal_effect, single_units
from .choice import Choice, choose_units, class_means
from .config import Ranking, intervention_config
from .curves import curve as curve_of
from .differences import effect, random_units
from .effects import Intervention, Measured, measure, random_sets
from .places import cell_grid, context_map, insert_at_cells
from .request import Edits, Request
from .subjects import Sample, Subject

LINES: dict[ChosenBy, str] = {
    "given": "these units",
    "optimised": "optimised",
    "single": "single effects",
    "iou": "IoU",
}
"""Names of rankings in a curve."""


class Intervened(NamedTuple):
    """What an intervention showed, and what its pictures are drawn with.

    Attributes:
        results: the record, without pictures.
        subject, sample: the images.
        edit: what was done to them.
        measured: counts, of which edit 0 is ``edit``.
    """

    results: InterventionResults
    subject: Subject
    sample: Sample
    edit: Intervention
    measured: Measured


def intervene(
    generator: Generator,
    segmenter: Segmenter,
    layer: str,
    units: Sequence[int] | int,
    *,
    insert: bool = False,
    label: str | None = None,
    values: Sequence[float] | Tensor | None = None,
    box: tuple[float, float, float, float] | None = None,
    n: int = 100,
    seed: int = 0,
    labels: Sequence[int] = (),
    random: int = 5,
    curve: Sequence[int] = (),
    context: int = 0,
    context_classes: bool = False,
    each: int = 0,
    by: Ranking = "optimised",
    search: int = 200,
    preset: Preset | None = None,
    level: float = 0.05,
) -> InterventionResults:
    """Ablate or insert units of a layer, and tell what every class loses and gains.

    Args:
        generator: of tier 2 (with layers).
        segmenter: names the classes.
        layer: name or alias of a boundary.
        units: numbers of units; or how many shall be chosen for the class ``label``.
        insert: set the units to values instead of to 0.
        label: the class that is asked for: chosen for, compared with random units, and with
            ``insert`` given by its mean activations.
        values: inserted, one for each unit of ``units``; default: the mean of each unit where the
            class is.
        box: part of the image where units are changed: top, left, bottom, right from 0 to 1;
            default: everywhere.
        n: images that the effect is measured on.
        seed: of the run; measured images, searched images and those of single units are further
            series of it (``contracts.latents.further_seed``).
        labels: classes of a conditional generator, in turn; default: all.
        random: sets of as many random units, as control.
        curve: numbers of units for a curve of the effect on ``label``.
        context: insert at every so manieth cell, for a map of where ``label`` can grow; 0: not.
        context_classes: the table of contexts also for every other class that changes.
        each: images on which each unit of the layer is changed alone; 0: not.
        by: ranking by which units are chosen.
        search: images of each other series that are searched for units, values and cells.
        preset: of pictures before they are segmented; default: ``native``.
        level: false discovery rate of claims over the classes.

    Returns:
        the effect with intervals, random units, and what else was asked for.

    Raises:
        UsageError: names, units or options that do not fit.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> found = intervene(generator, segmenter, "r8.conv1", [13, 112], n=4, random=0)
    >>> found.effect.n
    4
    """
    chosen = isinstance(units, int)
    given = () if values is None else torch.as_tensor(values).flatten().tolist()
    config = intervention_config(
        layer=layer,
        units=() if chosen else tuple(int(unit) for unit in units),  # type: ignore[union-attr]
        choose=units if chosen else None,
        by=by,
        insert=insert,
        label=label,
        values=tuple(given),
        box=box,
        random=random,
        curve=tuple(int(number) for number in curve),
        context=context,
        context_classes=context_classes,
        each=each,
        search=search,
    )
    subject = Subject(generator, segmenter, layer, preset or PRESETS["native"])
    asked = Request(subject, config, n=n, seed=seed, labels=tuple(labels), level=level)
    return execute(asked).results


def execute(asked: Request) -> Intervened:
    """Do all that was asked for.

    Raises:
        UsageError: no image shows the class.
        ModelError: the generator or the segmenter gives what it must not.
    """
    config, label = asked.config, asked.label
    choice = _choice(asked)
    k = choice.k if choice is not None else None
    if k is None and asked.needs_means:
        assert label is not None
        k = class_means(asked.subject, asked.searched[0], label, store=asked.store)
    single = _single(asked, label, k)
    units = _units(asked, choice, single)
    edits = Edits(units, config, asked.mask, k)
    found = _effect(asked, edits, label)
    record = found.results.model_copy(
        update={
            "choice": None if choice is None else choice.record,
            "single": single,
            "agreement": asked.agreement,
            "curve": _curve(asked, units, single, choice is not None),
            "context": _context(asked, edits, label),
        }
    )
    return found._replace(results=record)


def _choice(asked: Request) -> Choice | None:
    config, label = asked.config, asked.label
    if config.choose is None or config.by != "optimised":
        return None
    assert label is not None
    return choose_units(
        asked.subject,
        label,
        config.choose,
        images=config.search,
        seed=asked.seed,
        labels=asked.labels,
        store=asked.store,
    )


def _single(asked: Request, label: int | None, k: Tensor | None) -> SingleUnits | None:
    if asked.singles is None:
        return None
    return single_units(
        asked.subject,
        asked.singles,
        label,
        k,
        mask=asked.mask,
        seed=asked.seed,
        level=asked.level,
        store=asked.store,
    )


def _units(asked: Request, choice: Choice | None, single: SingleUnits | None) -> tuple[int, ...]:
    config = asked.config
    if config.choose is None:
        return asked.subject.checked(config.units)
    if choice is not None:
        return choice.units
    known = single if config.by == "single" else asked.agreement
    assert known is not None
    return tuple(known.ranking[: config.choose])


def _effect(asked: Request, edits: Edits, label: int | None) -> Intervened:
    config, subject, sample = asked.config, asked.subject, asked.sample
    vocabulary = subject.segmenter.vocabulary
    causal = config.insert and label is not None
    opposite = [Intervention.ablation(edits.units, edits.mask)] if causal else []
    sets = random_sets(edits.units, subject.units, config.random, asked.seed)
    wanted = [edits.of(edits.units), *opposite, *map(edits.of, sets)]
    measured = measure(subject, sample, wanted, "effect", store=asked.store, tables=1)
    found = effect(measured, vocabulary, seed=asked.seed, level=asked.level)
    labels = [label] if label is not None else claimed_labels(found, len(vocabulary))
    numbered = dict(enumerate(sets, 1 + len(opposite)))
    values = wanted[0].value
    given: ChosenBy = "given" if config.choose is None else config.by
    record = InterventionResults(
        seeingkit=version("seeingkit"),
        generator=model_record(subject.generator.info),
        segmenter=model_record(subject.segmenter.info),
        layer=subject.boundary.name,
        units=list(edits.units),
        edit="insertion" if config.insert else "ablation",
        chosen_by=given,
        label=config.label,
        values=values.tolist() if isinstance(values, Tensor) else [],
        n=len(sample),
        seed=sample.seed,
        preset=subject.preset.name,
        eight_bits=subject.eight_bits,
        box=config.box,
        effect=found,
    )
    if sets:
        record = record.model_copy(
            update={
                "random": random_units(measured, vocabulary, labels, 0, numbered, seed=asked.seed)
            }
        )
    if causal and label is not None:
        ace = causal_effect(measured, vocabulary, label, 0, 1, seed=asked.seed)
        record = record.model_copy(update={"causal": ace})
    return Intervened(record, subject, sample, wanted[0], measured)


def _curve(
    asked: Request, units: tuple[int, ...], single: SingleUnits | None, searched: bool
) -> Curve | None:
    config, label = asked.config, asked.label
    if not config.curve or label is None:
        return None
    own: ChosenBy = "given" if config.choose is None else config.by
    most = max(config.curve)
    rankings = {LINES[own]: units}
    for name, known in (("single", single), ("iou", asked.agreement)):
        if known is not None:  # the whole ranking, in place of as many as were chosen
            rankings[LINES[name]] = tuple(known.ranking[:most])  # type: ignore[index]
    return curve_of(
        asked.subject,
        asked.sample,
        rankings,
        label,
        numbers=config.curve,
        chosen_with=[*(asked.searched if searched else ()), *filter(None, [asked.singles])],
        random=config.random,
        seed=asked.seed,
        level=asked.level,
        mask=asked.mask,
        store=asked.store,
    )


def _context(asked: Request, edits: Edits, label: int | None) -> ContextMap | None:
    config, subject = asked.config, asked.subject
    if not config.context or label is None:
        return None
    cells = cell_grid(subject.extent, config.context)
    k = edits.values(subject.units)
    found = insert_at_cells(subject, asked.sample, edits.units, k, label, cells, store=asked.store)
    return context_map(
        found, subject, edits.units, label, level=asked.level, matrix=config.context_classes
    )


def claimed_labels(found: Effect, labels: int) -> list[int]:
    """The numbers of the classes whose area an effect claims to change."""
    claimed = (each for each in found.classes if each.area_claim != "no evidence")
    return [each.index % labels for each in claimed]
