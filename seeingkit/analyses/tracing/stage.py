"""From the claims of a comparison to units: every missing and every excess class of it.

Guarantees: all claims of a tracing are corrected together (Benjamini and Hochberg 1995): for each
missing class "inserted units draw it", for each excess one "less of its units, less of it" and
"less of them changes the distance". Classes are taken from the comparison as they stand there; the
effects are measured on images that took no part in it.

Null of the correction: no unit has to do with any class. An edit that does nothing in particular
still moves the distance, which is claimed in its direction, nearer or farther.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.stage import LayerDissection, dissect_layers
from seeingkit.analyses.interventions.differences import column_of, effect, random_units
from seeingkit.analyses.interventions.subjects import Subject, search_seeds
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.results import ClassResult, is_background
from seeingkit.results.effects import Effect
from seeingkit.results.tracing import (
    ClassUnits,
    ExcessClass,
    MissingClass,
    RandomControl,
    TracingResult,
)
from seeingkit.statistics.gains import SWAPS
from seeingkit.system.addresses import Place
from seeingkit.tallies import Tally

from .excess import Scaled, difference_to_real, distance_change, lowering_p, scale_excess
from .missing import Drawn, areas_of, draw_missing, drawing_p, patch_side
from .settings import TracingSettings

MISSING = ("omitted", "reduced", "in fewer images")
EXCESS = ("excess",)
"""Verdicts of the comparison."""

Shown = Callable[[Subject, Drawn | Scaled, int], tuple[str, str] | None]
"""Draws the pictures of a class and returns their files."""


class Traced(NamedTuple):
    """Classes of a comparison to be traced: missing ones and ones in excess, by their records."""

    missing: list[ClassResult]
    excess: list[ClassResult]


def claimed_classes(classes: Sequence[ClassResult], most: int) -> Traced:
    """The classes with a verdict, largest difference of area first, at most so many of each kind.

    Background, and marks of composition alone, are not asked for.

    >>> claimed_classes([], 6).missing
    []
    """

    def of(verdicts: tuple[str, ...]) -> list[ClassResult]:
        found = [
            one
            for one in classes
            if one.verdict in verdicts and not is_background(one) and not one.composition
        ]
        return sorted(found, key=lambda one: -abs(one.generated_area - one.real_area))[:most]

    return Traced(of(MISSING), of(EXCESS))


def named_classes(classes: Sequence[ClassResult], names: Sequence[str]) -> Traced:
    """The classes of these names, by the direction of their difference, with or without a verdict.

    Raises:
        UsageError: a class that the comparison does not have.

    >>> named_classes([], [])
    Traced(missing=[], excess=[])
    """
    known = {one.label: one for one in classes}
    for name in names:
        if name not in known:
            raise UsageError(f"--class {name}: the comparison has no such class")
    chosen = [known[name] for name in dict.fromkeys(names)]
    missing = [one for one in chosen if one.generated_area < one.real_area]
    return Traced(missing, [one for one in chosen if one not in missing])


def trace_classes(
    subject: Subject,
    real: Tally,
    chosen: Traced,
    settings: TracingSettings,
    source: SamplerSource,
    *,
    store: str | Place | None = None,
    counts: Place | None = None,
    draw: Shown | None = None,
) -> TracingResult:
    """Trace classes to units of a layer.

    Args:
        subject: the generator that was compared, its layer, the segmenter.
        real: of the comparison, with the segmenter's vocabulary.
        chosen: the classes.
        settings: numbers of units and images.
        source: images of the generator, of which units are dissected.
        store: of finished parts of dissections; default: the cache.
        counts: folder of counts and choices (``interventions.parts``); None: nothing is kept.
        draw: makes the pictures; default: none.

    Raises:
        UsageError: a layer without a map, or more units than it has.

    ::

        chosen = claimed_classes(results.classes, 6)
        trace_classes(subject, real, chosen, settings, source).missing[0].draws
    """
    labels = tuple(source.labels)
    level_images = max(DissectionConfig().level_images, source.every_class)
    most = subject.generator.images_at_most(further_seed(source.seed, Series.LEVELS))
    if most is not None:  # images that are given, and not drawn without end
        level_images = min(level_images, most)
    config = DissectionConfig(layers=(settings.layer,), level_images=level_images)
    (dissected,) = dissect_layers(source, subject.segmenter, config, store=store)
    # The smallest p of a swap test must pass the correction even if it alone does.
    tests = len(chosen.missing) + 2 * len(chosen.excess)
    swaps = max(SWAPS, math.ceil(2 * tests / settings.level))
    untraced: list[tuple[str, str]] = []
    missing, excess = list[MissingClass](), list[ExcessClass]()
    for record in chosen.missing:
        label = subject.label(record.label)
        found = draw_missing(subject, label, settings, labels, store=counts)
        pictures = None if draw is None else draw(subject, found, label)
        agreement = agreement_of(dissected, record.label)
        missing.append(_missing(subject, record, agreement, found, settings, pictures))
    for record in chosen.excess:
        label = subject.label(record.label)
        try:
            scaled = scale_excess(subject, label, record.real_area, settings, labels, store=counts)
        except UsageError as error:  # no searched image shows it: rare, and in excess by presence
            untraced.append((record.label, str(error)))
            continue
        pictures = None if draw is None else draw(subject, scaled, label)
        agreement = agreement_of(dissected, record.label)
        excess.append(_excess(subject, record, agreement, scaled, settings, real, swaps, pictures))
    return _corrected(
        TracingResult(
            layer=subject.boundary.name,
            units=settings.units_of(subject.units),
            n=settings.n,
            seed=settings.effect_seed,
            searched=settings.search,
            search_seeds=(*search_seeds(settings.seed), settings.strength_seed),
            dissected=len(source),
            level=settings.level,
            patch=patch_side(subject.extent),
            places=settings.places,
            missing=missing,
            excess=excess,
            untraced=untraced,
        )
    )


def agreement_of(found: LayerDissection, name: str) -> ClassUnits:
    """The units of a dissected layer that agree with a class.

    ``agreement_of(dissect_layers(source, segmenter, config)[0], "tree").units``.
    """
    columns = [k for k, (_, label) in enumerate(found.classes) if label.name == name]
    if not columns:
        return ClassUnits()
    agree = found.found
    excess = (agree.iou - agree.chance)[:, columns]
    unit, place = np.unravel_index(int(excess.argmax()), excess.shape)
    column = columns[int(place)]
    return ClassUnits(
        units=[int(u) for u in np.flatnonzero(np.isin(found.labels, columns))],
        claimed=int(agree.claimed[:, columns].any(axis=1).sum()),
        best=int(unit),
        iou=float(agree.iou[unit, column]),
        chance=float(agree.chance[unit, column]),
    )


def _missing(
    subject: Subject,
    record: ClassResult,
    agreement: ClassUnits,
    found: Drawn,
    settings: TracingSettings,
    pictures: tuple[str, str] | None,
) -> MissingClass:
    before, after = areas_of(
        found, column_of(subject.segmenter.vocabulary, subject.label(record.label))
    )
    about, control = _about(subject, found, record, settings, _effect(subject, found, settings))
    return MissingClass(
        label=record.label,
        verdict=record.verdict,
        real_area=record.real_area,
        generated_area=record.generated_area,
        agreement=agreement,
        searched=settings.search,
        seen=found.seen,
        values="mean" if found.values == "mean" else "0.99",
        units=list(found.units),
        **about,
        p=drawing_p(before, after, settings.effect_seed),
        random=control,
        pictures=pictures,
    )


def _excess(
    subject: Subject,
    record: ClassResult,
    agreement: ClassUnits,
    found: Scaled,
    settings: TracingSettings,
    real: Tally,
    swaps: int,
    pictures: tuple[str, str] | None,
) -> ExcessClass:
    vocabulary, measured = subject.segmenter.vocabulary, found.measured
    column = column_of(vocabulary, subject.label(record.label))
    scale = 100 / measured.pixels
    before = np.asarray(measured.before[:, column] * scale, np.float64)
    after = np.asarray(measured.after[:, :, column] * scale, np.float64)
    everything = _effect(subject, found, settings)
    about, control = _about(subject, found, record, settings, everything)
    real_areas = real.percent(column // len(vocabulary))[:, column % len(vocabulary)]
    to_real, low, high = difference_to_real(after[0], real_areas)
    seed = settings.effect_seed
    return ExcessClass(
        label=record.label,
        verdict=record.verdict,
        real_area=record.real_area,
        generated_area=record.generated_area,
        agreement=agreement,
        units=list(found.units),
        strength=found.strength,
        strengths=found.strengths,
        **about,
        to_real=to_real,
        to_real_low=low,
        to_real_high=high,
        p=lowering_p(before, after, seed),
        random=control,
        distance=distance_change(real.sparse_percent(), measured, len(vocabulary), seed, swaps),
        classes=everything.classes,
        moved=everything.moved,
        pictures=pictures,
    )


def _effect(subject: Subject, found: Drawn | Scaled, settings: TracingSettings) -> Effect:
    """The effect of the chosen units on all classes."""
    vocabulary, seed = subject.segmenter.vocabulary, settings.effect_seed
    return effect(found.measured, vocabulary, 0, seed=seed, level=settings.level)


def _about(
    subject: Subject,
    found: Drawn | Scaled,
    record: ClassResult,
    settings: TracingSettings,
    everything: Effect,
) -> tuple[dict[str, Any], RandomControl]:
    """Area without and with the edit, and random units beside it."""
    vocabulary, label = subject.segmenter.vocabulary, subject.label(record.label)
    numbered = dict(enumerate(found.sets, 1))
    seed = settings.effect_seed
    beside = random_units(found.measured, vocabulary, [label], 0, numbered, seed=seed)
    control = beside.classes[0]
    own = [one for one in everything.classes if one.label == record.label]
    area: dict[str, Any] = dict.fromkeys(("before", "after", "difference", "low", "high"), 0.0)
    if own:  # else no image shows it, with or without
        area = {name: getattr(own[0], name) for name in area}
    return area, RandomControl(
        sets=len(found.sets),
        lowest=control.lowest,
        highest=control.highest,
        against=control.against,
        low=control.low,
        high=control.high,
        p=control.p,
    )


def _corrected(found: TracingResult) -> TracingResult:
    """The claims, corrected together."""
    tests = [one.p for one in found.missing]
    tests += [p for one in found.excess for p in (one.p, one.distance.p)]
    q = iter(stats.false_discovery_control(tests).tolist() if tests else [])
    missing, excess = [], []
    for each in found.missing:
        value = next(q)
        missing.append(each.model_copy(update={"q": value, "draws": value <= found.level}))
    for one in found.excess:
        value, of_distance = next(q), next(q)
        claimed = of_distance <= found.level
        nearer = "nearer" if one.distance.difference < 0 else "farther"
        distance = one.distance.model_copy(
            update={"q": of_distance, "direction": nearer if claimed else "no evidence"}
        )
        update = {"q": value, "lowers": value <= found.level, "distance": distance}
        excess.append(one.model_copy(update=update))
    return found.model_copy(update={"missing": missing, "excess": excess})
