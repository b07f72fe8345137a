"""One intervention from models to record: choose units if asked, measure, compare with chance.

Guarantees: units, inserted values and cells are searched on other series of latents than the effect
is measured on (``search_seeds``); the same arguments give the same record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor

from seeingkit.contracts import Boundary, Generator, Segmenter
from seeingkit.errors import UsageError
from seeingkit.results.interventions import (
    ContextMap,
    Curve,
    Effect,
    InterventionResults,
    Kind,
)
from seeingkit.specs import PRESETS, Preset
from seeingkit.tallies.record import model_record

from .candidates import present_cells
from .cells import box_mask
from .choice import TRAINED, choose_units
from .curves import curve as curve_of
from .differences import causal_effect, effect, random_units
from .effects import Intervention, measure, random_sets
from .places import cell_grid, context_map, insert_at_cells
from .subjects import Sample, Subject, search_seeds


@dataclass(frozen=True)
class Wanted:
    """What is done and measured.

    Attributes:
        kind: of the edit.
        label: the class that is asked for.
        mask: cells where units are changed.
        random: sets of as many random units.
        curve: numbers of units for a curve of effects; empty: none.
        context: every so manieth cell for a map of insertions; 0: none.
        level: false discovery rate.
        searched: images of each series with which units were chosen; 0: they were not.
    """

    kind: Kind
    label: int | None
    mask: Tensor | None
    random: int
    curve: tuple[int, ...]
    context: int
    level: float
    searched: int = 0

    def check(self, choose: bool, values: bool) -> None:
        """Refuse what needs a class where none is named, before any work.

        Args:
            choose: units shall be chosen.
            values: what is inserted is given.

        Raises:
            UsageError: names what is missing.
        """
        needs = {
            "to choose units": choose,
            "an insertion without values": self.kind == "insertion" and not values,
            "a curve": bool(self.curve),
            "a map of insertions": bool(self.context),
        }
        asked = next((what for what, there in needs.items() if there), None)
        if self.label is None and asked is not None:
            raise UsageError(f"{asked}: name the class that it is for")
        if values and (self.kind == "ablation" or choose):
            raise UsageError("values are for an insertion of units that are named")
        if any(number < 1 for number in self.curve):
            raise UsageError(f"a curve is of 1 unit or more, not of {min(self.curve)}")
        if self.random < 0 or self.context < 0 or not 0 < self.level < 1:
            raise UsageError(
                "random sets and cells are numbers from 0, and the level is between 0 and 1; not "
                f"{self.random}, {self.context} and {self.level:g}"
            )


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
    search: int = 200,
    preset: Preset | None = None,
    batch_size: int = 8,
    level: float = 0.05,
) -> InterventionResults:
    """Ablate or insert units of a layer, and tell what every class loses and gains.

    Args:
        generator: of tier 2 (with layers).
        segmenter: names the classes.
        layer: name or alias of a boundary.
        units: numbers of units; or how many shall be chosen for the class ``label``, by optimising
            their causal effect.
        insert: set the units to values instead of to 0.
        label: the class that is asked for: chosen for, compared with random units, and with
            ``insert`` given by its mean activations.
        values: inserted, one for each unit of ``units``; default: the mean of each unit where the
            class is.
        box: part of the image where units are changed: top, left, bottom, right from 0 to 1;
            default: everywhere.
        n: images 0 to n - 1 that the effect is measured on.
        seed: of these; two other series are searched (``search_seeds``).
        labels: classes of a conditional generator, in turn; default: all.
        random: sets of as many random units, as control.
        curve: numbers of units for a curve of the effect on ``label``.
        context: insert at every so manieth cell, for a map of where ``label`` can grow; 0: not.
        search: images of each other series that are searched for units, values and cells.
        preset: of pictures before they are segmented; default: ``native``.
        batch_size: images at once; no result depends on it but for rounding.
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
    subject = Subject(generator, segmenter, layer, preset or PRESETS["native"], batch_size)
    sample = Sample(range(n), seed, tuple(labels)) if n > 1 else None
    if sample is None:
        raise UsageError(f"n = {n}: an effect needs at least two images")
    if box is not None and subject.boundary.kind == "style":
        raise UsageError(f"{subject.boundary.name} is a style and has no map: leave the box out")
    wanted = Wanted(
        kind="insertion" if insert else "ablation",
        label=None if label is None else subject.label(label),
        mask=None if box is None else box_mask(subject.boundary, box),
        random=random,
        curve=tuple(int(number) for number in curve),
        context=context,
        level=level,
        searched=search if isinstance(units, int) else 0,
    )
    wanted.check(isinstance(units, int), values is not None)
    if subject.boundary.kind == "style":
        check_style(subject.boundary, wanted, isinstance(units, int), values is not None)
    choice = None
    if isinstance(units, int):
        assert wanted.label is not None
        choice = choose_units(
            subject, wanted.label, units, images=search, seed=seed, labels=sample.labels
        )
    chosen = subject.checked(choice.units if choice else units)  # type: ignore[arg-type]
    given = None if values is None else _values(values, chosen)
    k = choice.k if choice else None
    if k is None and given is None and (insert or context):
        assert wanted.label is not None
        searched = Sample(range(search), search_seeds(seed)[0], sample.labels)
        k = present_cells(subject, searched, wanted.label, TRAINED).mean
    found = _results(subject, sample, chosen, wanted, given, k)
    record = None if choice is None else choice.record
    return found.model_copy(update={"box": box, "choice": record})


def check_style(style: Boundary, wanted: Wanted, choose: bool, values: bool) -> None:
    """Refuse what a style cannot have, for it has no map: places, and means where a class is.

    Raises:
        UsageError: names it, and what to do.
    """
    needs = {
        "to choose units needs places where a class is; name --units": choose,
        "a map of insertions needs places": bool(wanted.context),
        "an insertion needs values; give --value": wanted.kind == "insertion" and not values,
    }
    asked = next((what for what, there in needs.items() if there), None)
    if asked is not None:
        raise UsageError(f"{style.name} is a style and has no map: {asked}")


def _values(values: Sequence[float] | Tensor, units: tuple[int, ...]) -> Tensor:
    given = torch.as_tensor(values, dtype=torch.float32).flatten()
    if len(given) != len(units):
        raise UsageError(f"{len(given)} values for {len(units)} units; give one for each")
    return given


def _results(
    subject: Subject,
    sample: Sample,
    units: tuple[int, ...],
    wanted: Wanted,
    given: Tensor | None,
    k: Tensor | None,
) -> InterventionResults:
    """Measure and describe; ``given``: values of the units, ``k``: of all units of the layer."""

    def edit(numbers: tuple[int, ...]) -> Intervention:
        if wanted.kind == "ablation":
            return Intervention.ablation(numbers, wanted.mask)
        if given is not None:  # random units are set to the same values
            return Intervention(numbers, given, 1.0, wanted.mask)
        assert k is not None
        return Intervention.insertion(numbers, k, wanted.mask)

    vocabulary, label = subject.segmenter.vocabulary, wanted.label
    causal = wanted.kind == "insertion" and label is not None
    opposite = [Intervention.ablation(units, wanted.mask)] if causal else []
    sets = random_sets(units, subject.units, wanted.random, sample.seed)
    edits = [edit(units), *opposite, *map(edit, sets)]
    measured = measure(subject, sample, edits)
    found = effect(measured, vocabulary, seed=sample.seed, level=wanted.level)
    labels = [label] if label is not None else claimed_labels(found, len(vocabulary))
    numbered = dict(enumerate(sets, 1 + len(opposite)))
    one = edits[0].value
    info = subject.generator.info
    return InterventionResults(
        seeingkit=version("seeingkit"),
        generator=model_record(info),
        segmenter=model_record(subject.segmenter.info),
        layer=subject.boundary.name,
        units=list(units),
        kind=wanted.kind,
        label=None if label is None else vocabulary.names[label],
        values=one.tolist() if isinstance(one, Tensor) else [],
        n=len(sample),
        seed=sample.seed,
        preset=subject.preset.name,
        eight_bits=subject.eight_bits,
        effect=found,
        random=random_units(measured, vocabulary, labels, 0, numbered, seed=sample.seed)
        if sets
        else None,
        causal=causal_effect(measured, vocabulary, label, 0, 1, seed=sample.seed)
        if causal and label is not None
        else None,
        curve=_curve(subject, sample, units, wanted),
        context=_context(subject, sample, units, wanted, given, k),
    )


def claimed_labels(found: Effect, labels: int) -> list[int]:
    """The numbers of the classes whose area an effect claims to change."""
    claimed = (each for each in found.classes if each.area_claim != "no evidence")
    return [each.index % labels for each in claimed]


def _curve(
    subject: Subject, sample: Sample, units: tuple[int, ...], wanted: Wanted
) -> Curve | None:
    if not wanted.curve or wanted.label is None:
        return None
    return curve_of(
        subject,
        sample,
        {"chosen": units},
        wanted.label,
        numbers=wanted.curve,
        chosen_with=[Sample(range(wanted.searched), one) for one in search_seeds(sample.seed)]
        if wanted.searched
        else (),
        random=wanted.random,
        seed=sample.seed,
        level=wanted.level,
    )


def _context(
    subject: Subject,
    sample: Sample,
    units: tuple[int, ...],
    wanted: Wanted,
    given: Tensor | None,
    k: Tensor | None,
) -> ContextMap | None:
    if not wanted.context or wanted.label is None:
        return None
    values = torch.zeros(subject.units) if k is None else k
    if given is not None:
        values = values.index_put((torch.tensor(units),), given)
    cells = cell_grid(subject.extent, wanted.context)
    found = insert_at_cells(subject, sample, units, values, wanted.label, cells)
    return context_map(found, subject, units, wanted.label, level=wanted.level)
