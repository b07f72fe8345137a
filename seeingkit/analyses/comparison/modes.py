"""Modes of two tallies of a classifier: which classes are drawn at all, and as they were asked.

Guarantee: only tallies whose every image has one class are counted so; a class that was asked for
is matched with the label of its name, or by number where no name fits and there are as many.
"""

from __future__ import annotations

import numpy as np

from seeingkit.results import AskedClass, ModesResult
from seeingkit.statistics.arrays import Integers
from seeingkit.statistics.modes import count_modes
from seeingkit.statistics.presence import presence_interval
from seeingkit.tallies import Tally


def compare_modes(real: Tally, generated: Tally, *, seed: int, level: float) -> ModesResult | None:
    """The modes of generated images beside those of real ones; None for other units.

    Args:
        real, generated: tallies of one vocabulary.
        seed: of the simulations; level: false discovery rate of claims about modes.

    >>> tally = Tally.from_fractions([[1.0]])
    >>> compare_modes(tally, tally, seed=0, level=0.05)
    """
    vocabulary = real.vocabulary
    if vocabulary.unit != "class":
        return None
    tables = {real.record.confusion, generated.record.confusion}
    confusion = tables.pop() if len(tables) == 1 else None
    if confusion is not None and confusion.labels != len(vocabulary):
        confusion = None
    found = count_modes(
        images_of(real),
        images_of(generated),
        vocabulary.names,
        confusion=confusion,
        level=level,
        seed=seed,
    )
    asked, by = _asked(generated)
    return found.model_copy(update={"asked": asked, "asked_by": by})


def images_of(tally: Tally) -> Integers:
    """(L,) images of each class.

    >>> images_of(Tally.from_fractions([[1.0, 0.0], [1.0, 0.0]]))
    array([2, 0])
    """
    return np.asarray(np.rint(tally.counts.sum(axis=0)), np.int64).reshape(-1)


def _asked(generated: Tally) -> tuple[list[AskedClass], str]:
    """What is read where each class of a conditional generator was asked for."""
    conditions = generated.conditions
    if conditions is None or not (conditions >= 0).any():
        return [], ""
    names, labels = generated.record.class_names, generated.vocabulary.names
    classes = np.unique(conditions[conditions >= 0]).tolist()
    by_name = {k: labels.index(names[k]) for k in classes if k < len(names) and names[k] in labels}
    if len(by_name) == len(classes):
        places, by = by_name, "name"
    elif not by_name and max(classes) < len(labels) and len(names) in (0, len(labels)):
        places, by = {k: k for k in classes}, "number"
    else:
        return [], ""
    read = generated.counts
    return [
        _asked_class(k, names, labels, place, read[conditions == k].sum(axis=0))
        for k, place in places.items()
    ], by


def _asked_class(
    number: int, names: tuple[str, ...], labels: tuple[str, ...], place: int, counts: Integers
) -> AskedClass:
    counts = np.asarray(np.rint(counts), np.int64).reshape(-1)
    n, right = int(counts.sum()), int(counts[place])
    low, high = presence_interval([right], n)
    others = counts.copy()
    others[place] = 0
    most = int(others.argmax())
    return AskedClass(
        label=number,
        name=names[number] if number < len(names) else str(number),
        read_as=labels[place],
        images=n,
        right=right,
        right_ci=(float(low[0]), float(high[0])),
        modes=int((counts > 0).sum()),
        other=labels[most] if others[most] else None,
        other_images=int(others[most]),
    )
