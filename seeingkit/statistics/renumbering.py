"""True labels that seem to have other numbers than was said: shifted by one, or in another order.

Guarantees: a poor segmenter alone is no reason to doubt the numbers, and neither are few images or
few labels: then nothing is found. What is found is a function of the counts.

**Shifted.** Let a be the pixel accuracy, C[t, p] the pixels of true label t that are called p, both
under the numbers moved by s = 1 or -1, and a_0 the accuracy as given. Of the K labels that the move
gives pixels to, h are called by their own name more often than by any other. Null: the labels are
called by names that have nothing to do with the order of the list; then, of L names, h is at most
binomial with K and 1 / (L - 1). The shift is found where 2 P(Bin(K, 1 / (L - 1)) ≥ h) ≤ ``LEVEL``
(two shifts are looked at), h > K / 2, a ≥ ``FITTING`` and a ≥ ``FAR_BETTER`` a_0.

**In another order.** The permutation of labels with the greatest accuracy (by
``linear_sum_assignment``) fits any data better than the numbers given, so agreement is asked for
label by label: at least ``FEWEST`` labels that it moves, and more than half of those looked at,
have an IoU of at least one half under it, and its accuracy is as above. Looked at are labels that
``FEW_IMAGES`` images or more show. Null: from image to image a label is called by other names; one
that is always called by the same wrong name has another number, whoever is to blame.

Measured with 500 trials a cell, lists of 11, 19 and 150 labels, 1, 16 and 200 images
(``benchmarks/renumbering.py``): where either null is true, other numbers are found in no trial, at
recalls from 0 to 0.9. The nulls are broken where a segmenter takes labels for their neighbours in
the list (a fifth of them: 0 to 2 %; half: 8 to 25 %), or always calls labels by one wrong name
(half of them: 0 to 6 %). A shift is found in every trial at recalls of 0.5 and more; another order
with 16 images in 58 to 100 % at 0.7, never at 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binom

from .arrays import Floats, Integers

LEVEL = 0.001
"""Error rate of the shift under its null."""
FITTING = 0.5
"""Smallest pixel accuracy, and smallest IoU of a label, of an order that fits."""
FAR_BETTER = 2.0
"""Times the accuracy as given."""
FEWEST = 5
"""Labels at least that another order moves and fits."""
FEW_IMAGES = 5
"""A label that fewer images show says nothing about the order."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Renumbering:
    """Other numbers of the true labels that fit the segmentation far better.

    Attributes:
        shift: 1: the true labels' numbers are one too high; -1: one too low; None: another order.
        given, accuracy: pixel accuracy with the numbers as given, and with these.
        order: (label, name it is called by), of the labels that another order moves and fits.
    """

    shift: int | None
    given: float
    accuracy: float
    order: tuple[tuple[int, int], ...] = ()


def folded(counts: Counts, numbers: Sequence[int] | Integers) -> Counts:
    """Counts by segmenter's label: (L, L), true by row, from (T, L) by number in the label maps.

    Args:
        numbers: the segmenter's label of each of the T numbers; negative: none, not counted.
    """
    of = np.asarray(numbers, dtype=np.intp)
    square = np.zeros((counts.shape[1], counts.shape[1]), np.int64)
    np.add.at(square, of[of >= 0], counts[of >= 0])
    return square


def better_numbers(
    counts: Counts, numbers: Sequence[int], shown: Sequence[int] | NDArray[np.int64]
) -> Renumbering | None:
    """Other numbers that fit far better than those given (see this module), or None.

    ``better_numbers(counts, range(len(counts)), shown)`` where the maps have the segmenter's own
    numbers.

    Args:
        counts: (T, L) pixels, number in the label maps by row, predicted label by column.
        numbers: as of ``folded``.
        shown: (L,) images whose true labels, as given, show the label.
    """
    given = folded(counts, numbers)
    if not given.sum() or counts.shape[1] < 3:
        return None
    accuracy = _accuracy(given)
    found = [shift for s in (1, -1) if (shift := _shifted(counts, numbers, s, accuracy))]
    if found:
        return max(found, key=lambda one: one.accuracy)
    return _reordered(given, np.flatnonzero(np.asarray(shown) >= FEW_IMAGES), accuracy)


def moved(numbers: Sequence[int], shift: int) -> Integers:
    """Labels of the numbers in the maps, if these are ``shift`` too high: number k means k - s."""
    of = np.asarray(numbers, dtype=np.intp)
    places = np.arange(len(of)) - shift
    inside = (places >= 0) & (places < len(of))
    return np.where(inside, of[places.clip(0, len(of) - 1)], -1)


def _shifted(
    counts: Counts, numbers: Sequence[int], shift: int, given: float
) -> Renumbering | None:
    """A shift, if it fits."""
    new = moved(numbers, shift)
    square = folded(counts, new)
    accuracy = _accuracy(square)
    if not _far_better(accuracy, given):
        return None
    kept = new == np.asarray(numbers, dtype=np.intp)
    changed = folded(counts, np.where(kept, -1, new))
    labels = np.flatnonzero(changed.sum(axis=1))
    called = changed[labels].argmax(axis=1)
    chance = 1 / (counts.shape[1] - 1)
    hits = int((called == labels).sum())
    p = 2 * binom.sf(hits - 1, len(labels), chance)
    fits = p <= LEVEL and 2 * hits > len(labels)
    return Renumbering(shift, given, accuracy) if fits else None


def _reordered(square: Counts, labels: Integers, given: float) -> Renumbering | None:
    """Another order of these labels, if it fits."""
    if len(labels) < FEWEST:
        return None
    _, called = linear_sum_assignment(square[labels], maximize=True)
    both = square[labels, called].astype(np.float64)
    accuracy = float(both.sum() / max(int(square[labels].sum()), 1))
    if not _far_better(accuracy, given):
        return None
    union: Floats = square[labels].sum(axis=1) + square.sum(axis=0)[called] - both
    fits = (both >= FITTING * union) & (called != labels)
    if fits.sum() < FEWEST or 2 * fits.sum() <= len(labels):
        return None
    pairs = zip(labels[fits].tolist(), called[fits].tolist(), strict=True)
    return Renumbering(None, given, accuracy, tuple(pairs))


def _far_better(accuracy: float, given: float) -> bool:
    return accuracy >= FITTING and accuracy >= FAR_BETTER * given


def _accuracy(square: Counts) -> float:
    """Pixel accuracy; 0 where nothing is counted."""
    return float(square.diagonal().sum() / max(int(square.sum()), 1))
