"""The loss that the strengths α of units are optimised for, and its gradient.

Guarantees: preset ``paper`` has the published code's loss (Bau et al., ICLR 2019, section 3.2 and
``aceoptimize``), and ``published`` also its mistake of reading the insertion's score at the ablated
cell; images are not rounded, so that gradients pass.

With r the map, k the class's mean of each unit, p a cell where the class is in one image and q a
cell where it could grow in another, and s the soft score of the class over the pixels of a cell:

    loss = s(f((1 − α) r at p))_p − s(f((1 − α) r + α k at q))_q  (+ λ Σ α²)

The published code needs λ: too small, and most α end at 1, so that ranking by them is ranking ties.
``budget`` needs none: α stays in {0 ≤ α ≤ 1, Σ α ≤ m}, "the best m units", and the first term is
what an evaluation measures: the score over the whole image after ablation everywhere, as a share of
what is there without an edit (the paper divides by the mean area of rare classes, too).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seeingkit.errors import UsageError
from seeingkit.models.edits import UnitEdit

from .candidates import Cells
from .cells import cell_masks, cell_means
from .subjects import Integers, Sample, Starts, Subject


@dataclass(frozen=True)
class AlphaSettings:
    """The objective and its optimiser (Adam).

    Attributes:
        budget: largest Σ α; None: each α stays in [0, 1].
        penalty: λ of Σ α² for each pair of images.
        rate: of Adam.
        updates: how many; pairs: of images in each.
        ablated: where the first term ablates and reads: ``cell`` or ``everywhere``.
        read_at: the cell of which the insertion's score is read: the one it is made at
            (``candidate``), or by the published mistake the ``present`` one.
    """

    budget: int | None = 20
    penalty: float = 0.0
    rate: float = 0.05
    updates: int = 60
    pairs: int = 8
    ablated: Literal["cell", "everywhere"] = "everywhere"
    read_at: Literal["candidate", "present"] = "candidate"

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 1:
            raise UsageError(f"a budget of {self.budget} units; choose at least one")
        if self.updates < 0 or self.pairs < 1 or self.rate <= 0 or self.penalty < 0:
            raise UsageError(
                "updates and penalty are not negative, pairs and rate above 0; "
                f"not {self.updates}, {self.penalty:g}, {self.pairs} and {self.rate:g}"
            )


PAPER = AlphaSettings(budget=None, penalty=0.005, rate=0.01, updates=500, pairs=20, ablated="cell")
PUBLISHED = AlphaSettings(
    budget=None,
    penalty=0.005,
    rate=0.01,
    updates=500,
    pairs=20,
    ablated="cell",
    read_at="present",
)
ALPHA_PRESETS = {"budget": AlphaSettings(), "paper": PAPER, "published": PUBLISHED}
"""By name; ``paper`` and ``published`` are 10 epochs of 1,000 pairs."""


class Pairs(NamedTuple):
    """The pairs of one update: places in the lists of present and of candidate cells, (P,)."""

    present: Integers
    candidate: Integers


class Places(NamedTuple):
    """The cells that the loss is measured at.

    Attributes:
        searched, present: the images, and in each a cell where the class is; without any only the
            insertion counts.
        others, candidates: other images, and in each a cell where it could grow; without any
            candidate only the ablation counts.
        k: (U,) inserted.
    """

    searched: Sample
    present: Cells
    others: Sample
    candidates: Cells
    k: Tensor


class Objective:
    """The loss of pairs of images, and its gradient, a few images at a time."""

    def __init__(
        self, subject: Subject, label: int, places: Places, settings: AlphaSettings
    ) -> None:
        self.subject, self.label, self.places, self.settings = subject, label, places, settings
        self.units = tuple(range(subject.units))
        self.k = places.k.to(subject.generator.device)
        self.present = self.candidates = None
        if len(places.present.rows):
            self.present = Starts(subject, _part(places.searched, places.present))
        if len(places.candidates.rows):
            self.candidates = Starts(subject, _part(places.others, places.candidates))
        everywhere = settings.ablated == "everywhere" and self.present is not None
        self.whole = self._mean_score() if everywhere else 1.0

    def _mean_score(self) -> float:
        """Mean over the images of the class's score without an edit."""
        assert self.present is not None
        total, rows = 0.0, range(len(self.places.present.rows))
        with torch.no_grad():
            for part in _batches(rows, self.subject.batch):
                images = self.subject.images(self.present[part])
                scores = self.subject.scores(images, self.label)
                total += float(scores.mean((1, 2)).double().sum())
        if not total > 0:
            raise UsageError("the segmenter's score of the class is 0 in all images searched")
        return total / len(rows)

    def backward(self, alpha: Tensor, pairs: Pairs) -> float:
        """The sum of the losses of some pairs; their gradient is added to that of alpha."""
        total = 0.0
        many = max(len(pairs.present), len(pairs.candidate))
        for at in _batches(range(many), self.subject.batch):
            if self.present is not None:
                loss = self._remaining(alpha, pairs.present[list(at)])
                loss.backward()
                total += float(loss.detach())
            if self.candidates is not None:
                loss = -self._inserted(alpha, pairs, list(at))
                loss.backward()
                total += float(loss.detach())
        return total

    def _remaining(self, alpha: Tensor, chosen: Integers) -> Tensor:
        assert self.present is not None
        cells = self.places.present.cells[chosen]
        mask = None
        if self.settings.ablated == "cell":
            mask = cell_masks(cells, self.subject.extent)
        edit = UnitEdit(self.subject.layer, self.units, alpha, 0.0, mask)
        images = self.subject.images(self.present[chosen.tolist()], [edit])
        scores = self.subject.scores(images, self.label)
        if mask is None:
            return scores.mean((1, 2)).sum() / self.whole
        return self._at(scores, cells)

    def _inserted(self, alpha: Tensor, pairs: Pairs, at: list[int]) -> Tensor:
        assert self.candidates is not None
        chosen = pairs.candidate[at]
        cells = self.places.candidates.cells[chosen]
        mask = cell_masks(cells, self.subject.extent)
        edit = UnitEdit(self.subject.layer, self.units, alpha, self.k, mask)
        images = self.subject.images(self.candidates[chosen.tolist()], [edit])
        scores = self.subject.scores(images, self.label)
        if self.settings.read_at == "present":
            cells = self.places.present.cells[pairs.present[at]]
        return self._at(scores, cells)

    def _at(self, scores: Tensor, cells: Integers) -> Tensor:
        """The sum over the images of the mean score in one cell of each."""
        means = cell_means(scores, self.subject.boundary).flatten(1)
        return means[torch.arange(len(means)), torch.from_numpy(cells)].sum()


def _part(sample: Sample, cells: Cells) -> Sample:
    """The images of a sample that have a cell."""
    return Sample([sample.indices[row] for row in cells.rows], sample.seed, sample.labels)


def _batches(rows: range, size: int) -> list[range]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]
