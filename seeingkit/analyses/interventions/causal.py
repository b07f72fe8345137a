"""Average causal effects: of units together, and of each unit of a layer alone.

Guarantees: every image is compared with itself; single units are measured on a series of latents of
their own (``SINGLE_SERIES``), so that a ranking by their effects is tested on other images; claims
of single units are corrected over all units and classes (Benjamini and Hochberg 1995).

The null of a unit and a class: ablation and insertion of the unit move the class's area in an image
up as often and as far as down (sign flips). Simulated with 60 units, 3 classes and skewed effects,
all null (``tests/analyses/interventions/test_causal.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from seeingkit.contracts import Vocabulary
from seeingkit.results.effects import CausalEffect, SingleUnits, UnitEffect
from seeingkit.statistics.arrays import defined
from seeingkit.statistics.signflips import FlipTest, flips_needed, sign_flip_tests
from seeingkit.system.addresses import Place

from .differences import MISS, Areas, by_image, column_of, flip_test
from .effects import Floats, Intervention, Measured, measure
from .subjects import Sample, Subject

COLUMNS = 64
"""Pairs of a unit and a class that are tested at once: it bounds the memory for sign flips."""


def causal_effect(
    measured: Measured,
    vocabulary: Vocabulary,
    label: int,
    inserted: int,
    ablated: int,
    *,
    seed: int = 0,
) -> CausalEffect:
    """ACE of units on a class (Bau et al. 2019, equation 5): area inserted − area ablated.

    Args:
        inserted, ablated: numbers of the two interventions, of the same units.
    """
    column = column_of(vocabulary, label)
    sides = measured.after[ablated, :, [column]].T, measured.after[inserted, :, [column]].T
    areas = Areas.of(*sides, measured)
    before = float(measured.before[:, column].mean()) * 100 / measured.pixels
    test = flip_test(areas.before[:, 0], areas.after[:, 0], seed)
    low, high = test.mean_interval(MISS)
    return CausalEffect(
        label=vocabulary.names[label],
        value=test.mean,
        pixels=test.mean * measured.pixels / 100,
        low=defined(low),
        high=defined(high),
        p=test.p,
        relative=test.mean / before if before else None,
    )


def single_units(
    subject: Subject,
    sample: Sample,
    label: int | None,
    k: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    seed: int = 0,
    level: float = 0.05,
    store: Place | None = None,
) -> SingleUnits:
    """The effect of each unit of the layer alone, on one class or on all.

    Args:
        subject, sample: the images; none that an effect of all units is measured on.
        label: the class; None: all classes that occur, by ablation alone.
        k: (U,) values that are inserted for the class; None: ablation alone.
        mask: cells where units are changed; None: everywhere.
        seed: of random sign flips.
        level: false discovery rate over units and classes.
        store: folder of counts, as of ``measure``.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> subject = Subject(generator, segmenter, "r8.conv1")
    >>> len(single_units(subject, Sample(range(2)), 3).effects)  # doctest: +SKIP
    128
    """
    units, vocabulary = range(subject.units), subject.segmenter.vocabulary
    edits = [Intervention.ablation([unit], mask) for unit in units]
    if k is not None and label is not None:
        edits += [Intervention.insertion([unit], k, mask) for unit in units]
    found = measure(subject, sample, edits, "single units", store=store, tables=0)
    labels = range(len(vocabulary)) if label is None else [label]
    columns = [column_of(vocabulary, one) for one in labels]
    scale = 100 / found.pixels
    before = by_image(found.before[:, columns], found.images) * scale
    after = np.stack([by_image(each[:, columns], found.images) * scale for each in found.after])
    effects, tested = _effects(
        before,
        after[: len(units)],
        after[len(units) :] if len(after) > len(units) else None,
        [vocabulary.names[one] for one in labels],
        seed=seed,
        level=level,
    )
    ranked = sorted(effects, key=lambda one: (-one.value, one.unit))
    return SingleUnits(
        label=None if label is None else vocabulary.names[label],
        n=len(before),
        seed=sample.seed,
        level=level,
        units=len(units),
        tested=tested,
        effects=ranked if label is not None else [one for one in ranked if one.claimed],
        ranking=[] if label is None else [one.unit for one in ranked],
    )


def unit_effects(
    before: Floats,
    ablated: Floats,
    inserted: Floats | None,
    names: Sequence[str],
    *,
    seed: int = 0,
    level: float = 0.05,
) -> list[UnitEffect]:
    """The effects of units, each alone, on classes that occur.

    Args:
        before: (n, C) areas without an edit, percent of the image.
        ablated: (U, n, C) with each unit set to 0.
        inserted: (U, n, C) with each unit set to its value; None: without.
        names: of the classes.
        seed: of random sign flips.
        level: false discovery rate over all pairs of a unit and a class.

    Returns:
        unit by unit, class by class; a class that is nowhere is left out.

    >>> before, gone = np.full((9, 1), 20.0), np.zeros((1, 9, 1))
    >>> (found,) = unit_effects(before, gone, None, ["tree"])
    >>> found.value, found.claimed
    (20.0, True)
    """
    return _effects(before, ablated, inserted, names, seed=seed, level=level)[0]


def _effects(
    before: Floats,
    ablated: Floats,
    inserted: Floats | None,
    names: Sequence[str],
    *,
    seed: int,
    level: float,
) -> tuple[list[UnitEffect], int]:
    """``unit_effects``, and how many pairs of a unit and a class were tested."""
    live = [c for c in range(before.shape[1]) if before[:, c].any() or ablated[:, :, c].any()]
    pairs = [(unit, c) for unit in range(len(ablated)) for c in live]
    if not pairs:
        return [], 0
    first = np.stack([ablated[unit, :, c] for unit, c in pairs], axis=1)
    upper = [before[:, c] if inserted is None else inserted[unit, :, c] for unit, c in pairs]
    second = np.stack(upper, axis=1)
    tests = _flip_tests(first, second, seed, flips_needed(len(pairs), level, 1))
    p = np.array([test.p for test in tests])
    testable = 2.0 ** (1.0 - (first != second).sum(axis=0)) <= level
    q = adjusted_in(p, testable)
    found = []
    for place, ((unit, c), test) in enumerate(zip(pairs, tests, strict=True)):
        low, high = test.mean_interval(MISS)
        gained = None if inserted is None else float((inserted[unit, :, c] - before[:, c]).mean())
        found.append(
            UnitEffect(
                unit=unit,
                label=names[c],
                ablated=float((ablated[unit, :, c] - before[:, c]).mean()),
                inserted=gained,
                value=test.mean,
                low=defined(low),
                high=defined(high),
                p=test.p,
                q=float(q[place]),
                claimed=bool(q[place] <= level),
            )
        )
    return found, int(testable.sum())


def _flip_tests(first: Floats, second: Floats, seed: int, flips: int) -> list[FlipTest]:
    """The test of each column; all have the same random flips, however many are tested at once."""
    tests: list[FlipTest] = []
    for start in range(0, first.shape[1], COLUMNS):
        part = slice(start, start + COLUMNS)
        sides = first[:, part], second[:, part]
        tests += sign_flip_tests(*sides, seed=seed, flips=flips, most_cut=MISS)
    return tests


def adjusted_in(p: Floats, tested: NDArray[np.bool_]) -> Floats:
    """Benjamini and Hochberg's q of the p that are tested; 1 for the others.

    >>> adjusted_in(np.array([0.01, 0.9, 0.001]), np.array([True, True, False]))
    array([0.02, 0.9 , 1.  ])
    """
    q = np.ones(len(p))
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested])
    return q
