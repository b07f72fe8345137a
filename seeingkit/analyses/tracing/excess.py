"""A class that is in excess: which units make it, and does less of them bring its area back?

Guarantees: units and strength are searched in other images than the effect is measured on, and
those are not the images in which the excess was claimed. Units are chosen by their causal effect
(``interventions.choice``); all are scaled by 1 − strength, everywhere. The null of the claim is
"the area does not fall, or no more than with random units at the same strength".
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse, special

from seeingkit.analyses.interventions.choice import choose_units
from seeingkit.analyses.interventions.differences import column_of
from seeingkit.analyses.interventions.effects import Intervention, Measured, measure
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.results.tracing import DistanceChange, StrengthPoint
from seeingkit.statistics.arrays import Floats
from seeingkit.statistics.frechet import frechet, moments
from seeingkit.statistics.gains import SWAPS, PairedDistances
from seeingkit.system.addresses import Place

from .missing import drawing_p, other_units
from .settings import TracingSettings

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
"""At which the area is measured, to find the strength that has the real one."""


class Scaled(NamedTuple):
    """Units scaled down, and what was measured.

    Attributes:
        units: strongest first.
        strength: of the ablation; strengths: areas by which it was found.
        sample: the images; measured: without, with these units, and with each random set.
        sets: the random units.
    """

    units: tuple[int, ...]
    strength: float
    strengths: list[StrengthPoint]
    sample: Sample
    measured: Measured
    sets: list[tuple[int, ...]]


def scale_excess(
    subject: Subject,
    label: int,
    real_area: float,
    settings: TracingSettings,
    labels: tuple[int, ...] = (),
    *,
    store: Place | None = None,
) -> Scaled:
    """Choose the units of a class, and the strength at which it has its real area::

        scale_excess(subject, 3, real_area=4.1, settings=TracingSettings("r8.conv1"))

    Args:
        subject: generator, layer and segmenter.
        label: the class; real_area: its mean area in real images, percent.
        settings: numbers of units and images.
        labels: classes of a conditional generator, in turn.
        store: folder of counts and choices (``interventions.parts``); None: nothing is kept.

    Raises:
        UsageError: more units than there are, or no searched image shows the class.
    """
    choice = choose_units(
        subject,
        label,
        settings.units_of(subject.units),
        images=settings.search,
        seed=settings.seed,
        labels=labels,
        store=store,
    )
    trial = Sample(range(settings.search), settings.strength_seed, labels)
    edits = [Intervention.ablation(choice.units, alpha=each) for each in STRENGTHS]
    tried = measure(subject, trial, edits, "strengths", store=store)
    column = column_of(subject.segmenter.vocabulary, label)
    scale = 100 / tried.pixels
    areas = [tried.before[:, column].mean(), *tried.after[:, :, column].mean(1)]
    points = [
        StrengthPoint(strength=strength, area=float(area * scale))
        for strength, area in zip((0.0, *STRENGTHS), areas, strict=True)
    ]
    strength = meeting(points, real_area)
    sample = Sample(range(settings.n), settings.effect_seed, labels)
    sets = other_units(choice.units, subject.units, settings.random, settings.effect_seed)
    edits = [Intervention.ablation(units, alpha=strength) for units in (choice.units, *sets)]
    measured = measure(subject, sample, edits, "scaled units", store=store)
    return Scaled(choice.units, strength, points, sample, measured, sets)


def meeting(points: list[StrengthPoint], area: float) -> float:
    """The smallest strength at which the line through the points falls to an area; 1: nowhere.

    Never 0: where the searched images have no excess, it is the first strength that was tried.

    >>> points = [StrengthPoint(strength=s, area=a) for s, a in ((0, 8), (0.5, 4), (1, 2))]
    >>> meeting(points, 5.0), meeting(points, 1.0)
    (0.375, 1.0)
    """
    for here, there in pairwise(points):
        if there.area <= area:
            if here.area <= area:
                return there.strength
            share = (here.area - area) / (here.area - there.area)
            return float(here.strength + share * (there.strength - here.strength))
    return 1.0


def lowering_p(before: Floats, after: Floats, seed: int) -> float:
    """p of "does not fall, or no more than with random units": ``drawing_p`` of the loss.

    >>> lowering_p(np.ones(9), np.array([[0.0] * 9, [1.0] * 9]), 0) < 0.05
    True
    """
    most = max(float(before.max()), float(after.max()))
    return drawing_p(most - before, most - after, seed)


def distance_change(
    real: sparse.csr_array, measured: Measured, labels: int, seed: int, swaps: int = SWAPS
) -> DistanceChange:
    """FSD from the real images before and after, without a claim yet.

    Args:
        real: (N, L) areas of the first plane in percent.
        measured: the chosen units first, then the random sets.
        labels: L.
        seed: of halves and permutations.
        swaps: of the swap test.
    """
    scale = 100 / measured.pixels
    before = np.asarray(measured.before[:, :labels] * scale, np.float64)
    after = [np.asarray(each[:, :labels] * scale, np.float64) for each in measured.after]
    gain = PairedDistances(real, before, after[:1], seed=seed).gain(0, swaps=swaps)
    t = abs(gain.value) / gain.error if gain.error else 0.0
    p = max(float(2 * special.ndtr(-t)), gain.p_swap or 0.0)
    own = moments(real)
    first, second, *others = (frechet(own, moments(rows)).value for rows in (before, *after))
    return DistanceChange(
        before=first,
        after=second,
        difference=0.0 - gain.value,
        low=0.0 - gain.high,
        high=0.0 - gain.low,
        p=p,
        random=others,
    )


def difference_to_real(after: Floats, real: Floats) -> tuple[float, float, float]:
    """Mean area after − real, and its 95 % interval: (difference, low, high), normal.

    >>> difference_to_real(np.array([1.0, 3.0]), np.array([2.0, 2.0]))[0]
    0.0
    """
    difference = float(after.mean() - real.mean())
    variance = after.var(ddof=1) / len(after) + real.var(ddof=1) / len(real)
    reach = float(special.ndtri(0.975) * np.sqrt(variance))
    return difference, difference - reach, difference + reach
