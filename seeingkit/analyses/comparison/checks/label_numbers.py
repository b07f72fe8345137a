"""The segmenter's number of each true label, and true labels whose numbers seem to be others.

Guarantees: labels are matched by name, never by place; numbers that fit far better when they are
shifted by one or put in another order (``statistics.renumbering``) are refused with the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.contracts import Label, Segmenter, Vocabulary
from seeingkit.errors import SourceError, UsageError
from seeingkit.images.labelmaps import UNKNOWN
from seeingkit.statistics.renumbering import Counts, Renumbering, better_numbers
from seeingkit.tallies.vocabularies.classmap import normalised, synonyms
from seeingkit.tallies.vocabularies.merging import LabelFinder, MappedSegmenter, merge_into

_UNLABELLED = {"", "-", "unlabelled", "unlabeled", "void", "ignore", "ignored"}


def numbering(
    names: Sequence[str], segmenter: Segmenter
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The segmenter's number of each true label, by name.

    Names agree regardless of case, hyphens and underscores; a label of synonyms ("person,
    individual") agrees by any of them.

    Returns:
        a number for each name (``UNKNOWN`` for unlabelled ones and those that the segmenter
        lacks), and the names that it lacks.

    Raises:
        UsageError: no name agrees.
    """
    names = [name.strip() for name in names]
    wanted = _merged_names(names, segmenter) if isinstance(segmenter, MappedSegmenter) else names
    finder = LabelFinder(segmenter.vocabulary)
    numbers, missing = [], []
    for name, want in zip(names, wanted, strict=True):
        if normalised(name) in _UNLABELLED:
            numbers.append(UNKNOWN)
            continue
        # Of several labels of the name the first.
        numbers.append(next(iter(finder.labels([want, *synonyms(want)])), UNKNOWN))
        if numbers[-1] == UNKNOWN:
            missing.append(name)
    if max(numbers, default=UNKNOWN) == UNKNOWN:
        theirs = ", ".join(repr(name) for name in segmenter.vocabulary.names[:4])
        raise UsageError(
            f"the segmenter knows none of the true labels ({', '.join(map(repr, names[:4]))} …); "
            f"it has {theirs} …; name the numbers in labels.txt, or merge labels with --classes"
        )
    return tuple(numbers), tuple(missing)


def _merged_names(names: Sequence[str], segmenter: MappedSegmenter) -> list[str]:
    """The class of each true label, by the class list of the segmenter."""
    if isinstance(segmenter.segmenter, MappedSegmenter):
        names = _merged_names(names, segmenter.segmenter)
    update: dict[str, Any] = {"missing": "allow"}
    if segmenter.merge.classes.unmapped == "error":
        update["unmapped"] = "drop"
    classes = segmenter.merge.classes.model_copy(update=update)
    vocabulary = Vocabulary(tuple(map(Label, names)), has_background=False)
    try:
        merge = merge_into(classes, vocabulary)
    except UsageError as error:
        raise UsageError(f"the true labels do not fit the class list ({error})") from error
    return [merge.coarse.names[max(number, 0)] for number in merge.numbers]


def check_range(
    truth: Tensor, names: Sequence[str], beyond: bool, ids: Sequence[str], whose: str
) -> None:
    """Refuse numbers of true labels that no name belongs to.

    Args:
        truth: (N, H, W).
        names: of the numbers; ``beyond``: the number just beyond them means unlabelled.
        ids: of the N images.
        whose: labels, in words.

    Raises:
        SourceError: such a number; says which, in which image, and how many names there are.
    """
    most = len(names) - (not beyond)
    for item, row in zip(ids, truth, strict=True):
        low, high = int(row.min()), int(row.max())
        if low < UNKNOWN or high > most:
            raise SourceError(
                f"{whose}: number {low if low < UNKNOWN else high} in {item}, but the list has "
                f"{len(names)} names (unlabelled: {UNKNOWN}); leave the labels out: --truth none"
            )


def check_numbers(
    counts: Counts,
    numbers: Sequence[int],
    shown: NDArray[np.int64],
    *,
    names: Sequence[str],
    vocabulary: Vocabulary,
    whose: str,
) -> None:
    """Refuse true labels that fit the segmentation far better under other numbers.

    Args:
        counts, numbers, shown: as of ``statistics.renumbering.better_numbers``.
        names: of the numbers in the label maps.
        vocabulary: of the segmenter.
        whose: labels, in words.

    Raises:
        SourceError: they do; says which, both pixel accuracies, and how to say it.
    """
    found = better_numbers(counts, numbers, shown)
    if found is None:
        return
    fits = f"pixel accuracy {found.accuracy:.3f} instead of {found.given:.3f}"
    if found.shift is None:
        told = ", ".join(
            f"{vocabulary.names[a]!r} is called {vocabulary.names[b]!r}" for a, b in found.order[:3]
        )
        raise SourceError(
            f"{whose}: the numbers seem to be in another order than the segmenter's ({told} …: "
            f"{fits}); name them in labels.txt in the folder of label maps, or leave the labels "
            "out with --truth none"
        )
    raise SourceError(
        f"{whose}: the numbers seem shifted by one (each one too "
        f"{'high' if found.shift > 0 else 'low'}: {fits}); {_way_out(found, names)}, or leave the "
        "labels out with --truth none"
    )


def _way_out(found: Renumbering, names: Sequence[str]) -> str:
    """The lines of a file of names that undoes a shift."""
    right = ["void", *names] if found.shift == 1 else list(names[1:])
    lines = ", ".join(right[:3])
    return f"name them in labels.txt in the folder of label maps, one a line ({lines}, …)"
