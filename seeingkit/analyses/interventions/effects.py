"""Ablation and insertion of units: what every class loses and gains in the same images.

Guarantees: an image with an edit is compared with the same image without it; the generator runs up
to the layer once for a group of images and ``parts.BLOCK`` edits, and only what comes after it for
each edit; memory does not grow with the number of images but for the counts.

Bau et al. (ICLR 2019, section 3.2): with r the map at the layer, U the units and P the places,
ablation is r ← 0 and insertion r ← k at U and P; the average causal effect (ACE) of U on class c is
the mean area of c with insertion less that with ablation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.contracts import State
from seeingkit.errors import UsageError
from seeingkit.models.edits import UnitEdit
from seeingkit.system.addresses import Place
from seeingkit.system.tensors import tensor_digest

from .parts import Change, EditCounts, counted
from .subjects import Integers, Sample, Subject

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Intervention:
    """An edit of units for all images of a sample: r ← (1 − α · mask) · r + α · mask · value.

    Attributes:
        units: numbers, each once.
        value: a number, one per unit, (units,), or one per row and unit, (n, units).
        alpha: strength in [0, 1], of the same shapes.
        mask: places, (h, w) or (n, 1, h, w) in [0, 1]; None is everywhere.

    >>> Intervention.ablation([3, 5]).value
    0.0
    """

    units: tuple[int, ...]
    value: float | Tensor = 0.0
    alpha: float | Tensor = 1.0
    mask: Tensor | None = None

    @classmethod
    def ablation(
        cls, units: Sequence[int], mask: Tensor | None = None, alpha: float | Tensor = 1.0
    ) -> Self:
        """Units set to 0."""
        return cls(tuple(int(unit) for unit in units), 0.0, alpha, mask)

    @classmethod
    def insertion(cls, units: Sequence[int], k: Tensor, mask: Tensor | None = None) -> Self:
        """Units set to their values in k.

        Args:
            k: of all units of the layer, (U,), or of each row of the sample, (n, U).

        Raises:
            UsageError: k of another shape, or too short for the units.
        """
        numbers = [int(unit) for unit in units]
        if k.ndim not in (1, 2) or (numbers and max(numbers) >= k.shape[-1]):
            raise UsageError(
                f"k has shape {tuple(k.shape)}; give a value for each unit of the layer, (units,) "
                "or (images, units)"
            )
        return cls(tuple(numbers), k[..., numbers], 1.0, mask)

    def of_rows(self, rows: range) -> Intervention:
        """The same for some rows of the sample alone."""
        part = slice(rows.start, rows.stop)

        def some(given: float | Tensor) -> float | Tensor:
            return given[part] if isinstance(given, Tensor) and given.ndim == 2 else given

        mask = self.mask
        if mask is not None and mask.ndim == 4:
            mask = mask[part]
        return Intervention(self.units, some(self.value), some(self.alpha), mask)

    def edit(self, layer: str, rows: range) -> UnitEdit:
        """The edit of some rows of the sample, standing at the layer."""
        own = self.of_rows(rows)
        return UnitEdit(layer, own.units, own.alpha, own.value, own.mask)

    def images(self, subject: Subject, state: State, rows: range) -> Tensor:
        """The edited images of some rows, whose state at the layer is given."""
        return subject.images(state, [self.edit(subject.layer, rows)])

    def identity(self, rows: range) -> list[object]:
        """Everything of the edit of some rows, as JSON; tensors by their digests.

        >>> Intervention.ablation([3]).identity(range(2))
        [[3], 0.0, 1.0, None]
        """
        own = self.of_rows(rows)
        parts = (own.value, own.alpha, own.mask)
        return [
            list(own.units),
            *(tensor_digest(one) if isinstance(one, Tensor) else one for one in parts),
        ]

    def check(self, subject: Subject, sample: Sample) -> None:
        """Refuse what does not fit, before any image is drawn.

        Raises:
            UsageError: units, values, strengths or a mask of another size or range.
        """
        subject.checked(self.units)
        n, units = len(sample), len(self.units)
        for name, given in (("alpha", self.alpha), ("value", self.value)):
            shape = tuple(torch.as_tensor(given).shape)
            if shape not in ((), (units,), (n, units)):
                raise UsageError(
                    f"{name} has shape {shape}; give a number, one for each unit: ({units},), or "
                    f"one for each image and unit: {(n, units)}"
                )
            if not bool(torch.isfinite(torch.as_tensor(given)).all()):
                raise UsageError(f"{name} has NaN or Inf")
        for name, part in (("alpha", self.alpha), ("mask", self.mask)):
            inside = part is None or bool(
                ((torch.as_tensor(part) >= 0) & (torch.as_tensor(part) <= 1)).all()
            )
            if not inside:
                raise UsageError(f"{name} goes from 0 to 1")
        if self.mask is not None:
            extent = subject.extent
            if tuple(self.mask.shape) not in (extent, (n, 1, *extent)):
                raise UsageError(
                    f"mask has shape {tuple(self.mask.shape)}; allowed: {extent} or "
                    f"{(n, 1, *extent)}"
                )


class Measured(NamedTuple):
    """Counts of a sample without an edit and with each of E interventions.

    Attributes:
        before: (n, planes · labels) pixels of each label without an edit, plane-major.
        after: (E, n, planes · labels) the same with each intervention.
        moved: (E, n) share of the pixels whose label in the first plane is another one.
        changes: (E, labels, labels) pixels of all images by their label before (rows) and after,
            in the first plane; of the first interventions alone where ``tables`` says so.
        pixels: of a label map.
        images: (n,) numbers of the images; rows of one number belong together.
    """

    before: Integers
    after: Integers
    moved: Floats
    changes: Integers
    pixels: int
    images: Integers


def measure(
    subject: Subject,
    sample: Sample,
    interventions: Sequence[Change],
    title: str = "interventions",
    *,
    store: Place | None = None,
    tables: int | None = None,
) -> Measured:
    """Count the classes of a sample without an edit and with each intervention.

    Args:
        subject, sample: the images.
        interventions: edits of units, or other changes.
        title: of the progress.
        store: folder in which counts are kept and met again (``parts``); None: nowhere.
        tables: so many of the first interventions have ``changes``, the others zeros; None: all.

    Raises:
        UsageError: an intervention that does not fit; nothing has been drawn then.
        ModelError: the generator or the segmenter gives what it must not.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> subject = Subject(generator, segmenter, "r8.conv1")
    >>> measure(subject, Sample(range(2)), [Intervention.ablation([13])]).after.shape
    (1, 2, 23)
    """
    for each in interventions:
        each.check(subject, sample)
    edits = len(interventions)
    found = counted(subject, sample, [None, *interventions], title=title, folder=store)
    return gathered(subject, sample, edits, found, tables=edits if tables is None else tables)


def gathered(
    subject: Subject,
    sample: Sample,
    edits: int,
    parts: Iterable[tuple[int, range, EditCounts]],
    *,
    tables: int,
) -> Measured:
    """The counts of a sample from those of its parts.

    Args:
        subject, sample: the images.
        edits: number of edits.
        parts: as of ``parts.counted``; edit 0 is none.
        tables: so many of the first edits have ``changes``.

    ``gathered(subject, sample, 1, counted(subject, sample, [None, edit], title="edit"), tables=1)``
    """
    n, labels, tables = len(sample), subject.labels, min(tables, edits)
    columns = labels * len(subject.segmenter.vocabulary.planes)
    all_counts = np.zeros((edits + 1, n, columns), np.int64)
    moved = np.zeros((edits, n))
    changes = np.zeros((tables, labels, labels), np.int64)
    pixels = 0
    for number, rows, found in parts:
        part, pixels = slice(rows.start, rows.stop), found.pixels
        all_counts[number, part] = found.counts
        if number:
            moved[number - 1, part] = found.moved / found.pixels
        if 0 < number <= tables:
            first, second, many = found.pairs.T
            changes[number - 1, first, second] += many
    images = np.asarray(sample.indices, dtype=np.int64)
    return Measured(all_counts[0], all_counts[1:], moved, changes, pixels, images)


def random_sets(
    units: Sequence[int], available: int, sets: int, seed: int = 0
) -> list[tuple[int, ...]]:
    """Sets of as many units, drawn from all units of the layer: the control of an intervention.

    Set j depends on (seed, j, how many units) alone.

    >>> len(random_sets([3, 5], available=8, sets=4)[0])
    2
    """
    size = len(units)
    return [
        tuple(
            int(unit) for unit in np.random.default_rng([seed, j, 29]).permutation(available)[:size]
        )
        for j in range(sets)
    ]
