"""Labels merged into the classes of a class list: in tallies, in label maps, in a segmenter.

Guarantees that merging is exact (whole numbers stay whole, no pixel is counted twice, an image's
pixels stay its pixels), that merging step by step equals merging at once, and that the coarse
vocabulary depends on the names alone, so that two segmenters merged by the same list compare.

How a name finds its labels: the whole name of a label, else the first of a label's synonyms
("person, individual"), else any synonym; always regardless of case, hyphens and underscores. A name
with a category in front ("material: glass") means labels of that category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from seeingkit.contracts import Label, Segmenter, Vocabulary
from seeingkit.errors import TallyError, UnknownNameError, UsageError
from seeingkit.models.wrapped import WrappedSegmenter

from .. import Tally
from .classmap import NOTHING, OTHER, ClassMap, normalised, read_classes, synonyms

DROPPED = -1
"""Class number of a label that is left out."""


@dataclass(frozen=True)
class Merge:
    """A class list, worked out for one vocabulary.

    Attributes:
        classes: the list.
        fine: the labels before.
        coarse: the classes after; number 0 is the background where there is one.
        numbers: class number of each label, ``DROPPED`` for those left out.
        absent: classes of the list that no label of this vocabulary belongs to. They are not in
            ``coarse``, so that a class which a segmenter cannot see is never taken for missing.
    """

    classes: ClassMap
    fine: Vocabulary
    coarse: Vocabulary
    numbers: tuple[int, ...]
    absent: tuple[str, ...] = ()

    @property
    def matrix(self) -> sparse.csr_array:
        """(planes x labels, planes x classes) of zeros and ones, int64: counts times this."""
        kept = [label for label, number in enumerate(self.numbers) if number != DROPPED]
        places = kept, [self.numbers[label] for label in kept]
        ones, shape = np.ones(len(kept), np.int64), (len(self.fine), len(self.coarse))
        of_plane = sparse.csr_array((ones, places), shape=shape)
        return sparse.csr_array(sparse.block_diag([of_plane] * len(self.fine.planes)))

    def label_maps(self, maps: Tensor) -> Tensor:
        """Label maps of any shape, int64, as class maps; dropped labels become 0 ("-")."""
        table = torch.tensor(self.numbers, dtype=torch.int64, device=maps.device).clamp(min=0)
        return table[maps]


def merge_into(classes: ClassMap, vocabulary: Vocabulary) -> Merge:
    """Work a class list out for a vocabulary.

    Raises:
        UnknownNameError: the list names a label that the vocabulary lacks (lists near ones), unless
            the list allows it.
        UsageError: a label falls into two classes, is in none where that is an error, or no class
            has any label here.
    """
    finder = LabelFinder(vocabulary)
    owner: dict[int, str] = {}
    for name, members in classes.classes.items():
        for member in members:
            found = finder.labels(classes.names(member))
            if not found and classes.missing == "error":
                where = f"label (class {name!r} of the class list {classes.name!r})"
                raise UnknownNameError(where, member, vocabulary.names)
            for label in found:
                if owner.setdefault(label, name) != name:
                    raise UsageError(
                        f"class list {classes.name!r}: label {vocabulary.names[label]!r} is in the "
                        f"classes {owner[label]!r} and {name!r}"
                    )
    if classes.classes and not owner:
        shown = ", ".join(repr(name) for name in vocabulary.names[:5])
        raise UsageError(
            f"class list {classes.name!r}: no class has a label of this segmenter, which knows "
            f"{shown} …"
        )
    free = [label for label in range(len(vocabulary)) if label not in owner]
    if free and classes.unmapped == "error":
        shown = ", ".join(repr(vocabulary.names[label]) for label in free[:5])
        more = f" and {len(free) - 5} more" if len(free) > 5 else ""
        raise UsageError(f"class list {classes.name!r}: no class has {shown}{more}")
    return _number(classes, vocabulary, owner, free)


def _number(
    classes: ClassMap, vocabulary: Vocabulary, owner: dict[int, str], free: list[int]
) -> Merge:
    present = set(owner.values())
    empty = classes.empty_class
    kept: list[int] = []
    if classes.unmapped == OTHER:
        owner = {**owner, **dict.fromkeys(free, OTHER)}
        empty = empty or OTHER
        present.add(OTHER)
    elif classes.unmapped == "keep":
        kept = free
    ordered = [name for name in classes.classes if name in present and name != empty]
    if OTHER in present and OTHER not in (*ordered, empty):
        ordered.append(OTHER)
    names: list[str] = [] if empty is None else [empty]
    nothing = vocabulary.has_background and 0 in kept and empty is None
    if nothing:
        names.append(vocabulary.names[0])
        kept = kept[1:]
    elif classes.unmapped == "drop" and empty is None:
        names.append(NOTHING)  # where label maps put what is dropped; tallies count nothing there
    has_background = bool(names)
    names += ordered
    for label in kept:
        if vocabulary.names[label] in names:
            raise UsageError(
                f"class list {classes.name!r}: class {vocabulary.names[label]!r} lacks the label "
                "of that name, which would be kept beside it; list it in a class"
            )
    places = {name: number for number, name in enumerate(names)}
    numbers = [places.get(owner.get(label, ""), DROPPED) for label in range(len(vocabulary))]
    if nothing:
        numbers[0] = 0
    for label in kept:
        numbers[label] = len(names)
        names.append(vocabulary.names[label])
    labels = tuple(Label(name, _category(vocabulary, numbers, k)) for k, name in enumerate(names))
    return Merge(
        classes,
        vocabulary,
        Vocabulary(labels, vocabulary.planes, has_background, vocabulary.unit),
        tuple(numbers),
        tuple(name for name in classes.classes if name not in present and name != empty),
    )


def _category(vocabulary: Vocabulary, numbers: Sequence[int], number: int) -> str:
    found = {label.category for label, k in zip(vocabulary, numbers, strict=True) if k == number}
    return found.pop() if len(found) == 1 else "object"


class LabelFinder:
    """Labels of a vocabulary by name (the module says how a name finds them)."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.tables: tuple[dict[str, list[int]], ...] = ({}, {}, {})
        for number, label in enumerate(vocabulary):
            parts = synonyms(label.name)
            names = [normalised(label.name)], parts[:1], parts
            for table, keys in zip(self.tables, names, strict=True):
                for key in keys:
                    table.setdefault(key, []).append(number)

    def labels(self, names: Sequence[str]) -> list[int]:
        """Numbers of the labels that any of the names means."""
        return list(dict.fromkeys(number for name in names for number in self._labels(name)))

    def _labels(self, name: str) -> list[int]:
        wanted = normalised(name)
        for table in self.tables:
            if wanted in table:
                return table[wanted]
        category, colon, rest = name.partition(":")
        if not colon:
            return []
        category = normalised(category)
        return [
            number
            for number in self._labels(rest.strip())
            if normalised(self.vocabulary.labels[number].category) == category
        ]


def apply_classes(tally: Tally, classes: ClassMap) -> Tally:
    """The tally of the classes: each image's counts added up, its pixels unchanged.

    The identity and the record say which class list was applied, so that merged and plain tallies,
    or tallies merged in different ways, are never compared by accident.

    Raises:
        UnknownNameError, UsageError: as ``merge_into``.
    """
    merge = merge_into(classes, tally.vocabulary)
    counts = sparse.csr_array(tally.counts @ merge.matrix.astype(tally.counts.dtype))
    counts.sum_duplicates()
    counts.eliminate_zeros()
    identity = tally.identity
    if identity is not None:
        steps = [*identity.segmenter.get("classes", ()), classes.identity()]
        segmenter = {**identity.segmenter, "classes": steps}
        identity = identity.model_copy(update={"segmenter": segmenter})
    record = tally.record.model_copy(
        update={
            "class_list": {**classes.identity(), "absent": list(merge.absent)},
            "confusion": None,  # it is about the labels before
        }
    )
    return replace(tally, counts=counts, vocabulary=merge.coarse, identity=identity, record=record)


def shared_classes(classes: ClassMap, *vocabularies: Vocabulary) -> tuple[ClassMap, list[str]]:
    """A class list cut down to the classes that all vocabularies have labels for.

    For comparing two segmenters, or a segmenter and true labels: a class that one of them does not
    know would else look missing. Names that only some of them know are allowed; a name that none
    knows is an error unless the list allows it.

    Returns:
        the list, and the names of the classes that were taken out (their labels are then unmapped).

    Raises:
        UnknownNameError: a name that no vocabulary knows.
        TallyError: no class is left.
    """
    finders = [LabelFinder(vocabulary) for vocabulary in vocabularies]
    known = [name for vocabulary in vocabularies for name in vocabulary.names]
    kept: dict[str, tuple[str, ...]] = {}
    for name, members in classes.classes.items():
        found = [[finder.labels(classes.names(member)) for finder in finders] for member in members]
        for member, places in zip(members, found, strict=True):
            if not any(places) and classes.missing == "error":
                where = f"label (class {name!r} of the class list {classes.name!r})"
                raise UnknownNameError(where, member, known)
        everywhere = all(any(places[k] for places in found) for k in range(len(finders)))
        if everywhere or name == classes.empty_class:
            kept[name] = members
    if not set(kept) - {classes.empty_class}:
        raise TallyError(f"class list {classes.name!r}: the vocabularies have no class in common")
    taken = [name for name in classes.classes if name not in kept]
    return classes.model_copy(update={"classes": kept, "missing": "allow"}), taken


class MappedSegmenter(WrappedSegmenter):
    """A segmenter whose labels are the classes of a class list.

    Its label maps have the vocabulary that ``apply_classes`` gives tallies of the same segmenter.

    Attributes:
        segmenter: the one that looks at images.
        merge: how its labels become classes.
    """

    def __init__(self, segmenter: Segmenter, classes: ClassMap) -> None:
        super().__init__(segmenter)
        self.merge = merge_into(classes, segmenter.vocabulary)
        self.vocabulary = self.merge.coarse

    @property
    def thread_safe(self) -> bool:  # type: ignore[override]
        """As the other segmenter."""
        return self.segmenter.thread_safe

    def added_options(self) -> dict[str, Any]:
        """The class list."""
        return {"classes": self.merge.classes.identity()}

    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to class maps (N, planes, H', W') int64."""
        return self.merge.label_maps(self.segmenter.label_maps(images))

    def score(self, images: Tensor, label: int) -> Tensor:
        """The scores of the class's labels, summed: (N, H', W') in [0, 1], differentiable.

        Raises:
            UsageError: no such class.
        """
        if not 0 <= label < len(self.vocabulary):
            raise UsageError(f"no class {label}; there are {len(self.vocabulary)}")
        members = [k for k, number in enumerate(self.merge.numbers) if max(number, 0) == label]
        if not members:
            return self.segmenter.score(images, 0) * 0
        first, *more = (self.segmenter.score(images, member) for member in members)
        return sum(more, first).clamp(max=1.0)


def in_classes(segmenter: Segmenter, classes: str | None) -> Segmenter:
    """A segmenter as pictures show it: its labels merged by a class list's name, if there is one.

    Images are tallied with its own labels, so that one tally serves any class list.
    """
    return segmenter if classes is None else MappedSegmenter(segmenter, read_classes(classes))
