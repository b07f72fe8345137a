"""Which units make a class: their strengths α, optimised for the average causal effect.

Guarantees: the same seed gives the same units; preset ``paper`` takes the published code's steps
(Bau et al., ICLR 2019, section 3.2 and ``aceoptimize``), and ``published`` also its mistake of
reading the insertion's score at the ablated cell; with ``budget`` the strengths sum to at most m.

With r the map, k the class's mean of each unit, p a cell where the class is in one image and q a
cell where it could grow in another, and s the soft score of the class over the pixels of a cell:

    loss = s(f((1 − α) r at p))_p − s(f((1 − α) r + α k at q))_q  (+ λ Σ α²)

The published code needs λ: too small, and most α end at 1, so that ranking by them is ranking ties.
``budget`` needs none: α stays in {0 ≤ α ≤ 1, Σ α ≤ m}, "the best m units", and the first term is
what an evaluation measures: the score over the whole image after ablation everywhere, as a share of
what is there without an edit (the paper divides by the mean area of rare classes, too).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seeingkit.errors import UsageError
from seeingkit.models.edits import UnitEdit
from seeingkit.system.progress import progress_bar

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
        searched, present: the images, and in each a cell where the class is.
        others, candidates: other images, and in each a cell where it could grow; without any
            candidate only the ablation counts.
        k: (U,) inserted.
    """

    searched: Sample
    present: Cells
    others: Sample
    candidates: Cells
    k: Tensor


class Optimised(NamedTuple):
    """The strengths of units.

    Attributes:
        alpha: (T + 1, U) before each update, and at the end.
        losses: (T,) mean loss of the pairs of each update, without the penalty.
        penalties: (T,) λ Σ α².
        ranking: (U,) units by their strength at the end; ties by the mean over the updates.
    """

    alpha: Tensor
    losses: Tensor
    penalties: Tensor
    ranking: tuple[int, ...]


def capped_simplex(values: Tensor, most: float) -> Tensor:
    """The nearest point with 0 ≤ a ≤ 1 and Σ a ≤ most (Euclid).

    a = clamp(v − τ, 0, 1) with τ ≥ 0 as small as the sum allows; found by bisection in float64.

    >>> capped_simplex(torch.tensor([2.0, 0.5, 0.5, -1.0]), 1.5)
    tensor([1.0000, 0.2500, 0.2500, 0.0000])
    """
    exact = values.detach().double()
    if float(exact.clamp(0, 1).sum()) <= most:
        return exact.clamp(0, 1).to(values)
    low, high = 0.0, float(exact.max())
    for _ in range(100):
        middle = (low + high) / 2
        if float((exact - middle).clamp(0, 1).sum()) > most:
            low = middle
        else:
            high = middle
    return (exact - high).clamp(0, 1).to(values)


def start_strengths(
    units: int, scores: Sequence[float] | Tensor | None, budget: int | None
) -> Tensor:
    """α before the first update: scores of the units / the largest (the paper's: IoU).

    Args:
        scores: (U,) of any ranking; None: all alike, m / U or 1/2.

    Raises:
        UsageError: not one score for each unit, or none above 0.

    >>> start_strengths(2, [0.1, 0.2], None)
    tensor([0.5000, 1.0000])
    """
    if scores is None:
        return torch.full((units,), 0.5 if budget is None else min(1.0, budget / units))
    given = torch.as_tensor(scores, dtype=torch.float32).flatten()
    if len(given) != units:
        raise UsageError(f"{len(given)} scores for {units} units; give one for each")
    if not bool(torch.isfinite(given).all()) or not float(given.max()) > 0:
        raise UsageError("scores of units are finite, and at least one is above 0")
    scaled = given / given.max()
    return scaled if budget is None else capped_simplex(scaled, budget)


def drawn_pairs(present: int, candidates: int, settings: AlphaSettings, seed: int) -> list[Pairs]:
    """The pairs of all updates: each list is gone through in a random order, again and again.

    >>> [len(each.present) for each in drawn_pairs(5, 3, AlphaSettings(updates=2, pairs=4), 0)]
    [4, 4]
    """
    many = settings.updates * settings.pairs

    def orders(size: int, stream: int) -> Integers:
        if not size:
            return np.zeros(0, np.int64)
        draw = np.random.default_rng([seed, stream])
        rounds = [draw.permutation(size) for _ in range(-(-many // size))]
        return np.concatenate(rounds or [np.zeros(0, np.int64)])[:many].astype(np.int64)

    first, second = orders(present, 31), orders(candidates, 37)
    return [
        Pairs(*(each[u * settings.pairs : (u + 1) * settings.pairs] for each in (first, second)))
        for u in range(settings.updates)
    ]


def optimise(
    subject: Subject,
    label: int,
    places: Places,
    settings: AlphaSettings | None = None,
    *,
    start: Sequence[float] | Tensor | None = None,
    seed: int = 0,
    pairs: Sequence[Pairs] | None = None,
) -> Optimised:
    """Optimise the strengths of all units of the layer for one class.

    Args:
        label: the class.
        places: of ``candidates``.
        settings: default: a budget of 20 units.
        start: scores of the units (``start_strengths``).
        seed: of the order of pairs.
        pairs: those of each update, instead of random ones; to repeat a run.

    Raises:
        UsageError: no cell where the class is.
    """
    settings = settings or AlphaSettings()
    if not len(places.present.rows):
        raise UsageError("no cell where the class is; search more images")
    work = _Objective(subject, label, places, settings)
    if pairs is None:
        sizes = len(places.present.rows), len(places.candidates.rows)
        pairs = drawn_pairs(*sizes, settings, seed)
    first = start_strengths(subject.units, start, settings.budget)
    alpha = first.to(subject.generator.device).clone().requires_grad_(True)
    adam = torch.optim.Adam([alpha], lr=settings.rate)
    path, losses, penalties = [], [], []
    with progress_bar("strengths of units", len(pairs), "updates") as bar:
        for each in pairs:
            path.append(alpha.detach().cpu().clone())
            adam.zero_grad()
            losses.append(work.backward(alpha, each) / len(each.present))
            penalty = settings.penalty * alpha.pow(2).sum()
            (penalty * len(each.present)).backward()
            penalties.append(float(penalty.detach()))
            adam.step()
            with torch.no_grad():
                most = float(subject.units) if settings.budget is None else settings.budget
                alpha.copy_(capped_simplex(alpha, most))
            bar.advance(1)
    path.append(alpha.detach().cpu().clone())
    whole = torch.stack(path)
    return Optimised(whole, torch.tensor(losses), torch.tensor(penalties), ranked(whole))


def ranked(path: Tensor) -> tuple[int, ...]:
    """Units by their last strength, ties by their mean strength, then by number.

    >>> ranked(torch.tensor([[0.2, 0.9, 0.1], [1.0, 1.0, 0.0]]))
    (1, 0, 2)
    """
    last, mean = path[-1].double().numpy(), path.double().mean(0).numpy()
    return tuple(int(unit) for unit in np.lexsort((-mean, -last)))


class _Objective:
    """The loss of pairs of images, and its gradient, a few images at a time."""

    def __init__(
        self, subject: Subject, label: int, places: Places, settings: AlphaSettings
    ) -> None:
        self.subject, self.label, self.places, self.settings = subject, label, places, settings
        self.units = tuple(range(subject.units))
        self.k = places.k.to(subject.generator.device)
        self.present = Starts(subject, _part(places.searched, places.present))
        self.candidates = None
        if len(places.candidates.rows):
            self.candidates = Starts(subject, _part(places.others, places.candidates))
        self.whole = self._mean_score() if settings.ablated == "everywhere" else 1.0

    def _mean_score(self) -> float:
        """Mean over the images of the class's score without an edit."""
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
        for at in _batches(range(len(pairs.present)), self.subject.batch):
            loss = self._remaining(alpha, pairs.present[list(at)])
            loss.backward()
            total += float(loss.detach())
            if self.candidates is not None:
                loss = -self._inserted(alpha, pairs, list(at))
                loss.backward()
                total += float(loss.detach())
        return total

    def _remaining(self, alpha: Tensor, chosen: Integers) -> Tensor:
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
