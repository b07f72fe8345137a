"""Cells where a class is, cells where it could grow, and the constants that are inserted.

Guarantees: with ``CODE`` the cells are those of the published code of GAN Dissection for the same
images; by default what is chosen for an image depends on that image alone.

The loss of the optimisation of units is measured at few cells (Bau et al., ICLR 2019, section 3.2):
almost nowhere does an edit of one cell change a class, so places where it does are searched first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from seeingkit.errors import UsageError
from seeingkit.models.edits import UnitEdit
from seeingkit.system.progress import progress_bar

from .cells import cell_masks, cell_means
from .effects import Floats, Intervention
from .subjects import Integers, Sample, Subject, pixels_of


@dataclass(frozen=True)
class Search:
    """How cells are searched.

    Attributes:
        probes: cells at which an insertion is tried in each image.
        group: images that share their probes, which are drawn one group after the other from one
            stream of numbers; None: each image has its own, by its number.
        probed_alone: whether only cells that were probed, and gained, are chosen; the published
            code lets a cell that was not probed stand for a gain of 0.
        first_of_ties: whether of equally strong images the first are chosen; the published code
            leaves that to the sorting of torch, and many images have a cell full of a class.
        left_over: the published code never takes an edit back, so that what it compares a group's
            probes with has k at the last cell probed in the group before.
    """

    probes: int = 5
    group: int | None = None
    probed_alone: bool = True
    first_of_ties: bool = True
    left_over: bool = False


CODE = Search(group=10, probed_alone=False, first_of_ties=False, left_over=True)
"""The search of the published code (``aceoptimize``)."""

UNIFORM = 1 / 10
"""Added to the popularity of every cell before probes are drawn, in means of it."""


class Cells(NamedTuple):
    """A cell in each of some images.

    Attributes:
        rows: (n,) of the sample that was searched, increasing.
        cells: (n,) flat numbers.
        scores: (n,) of the search: the share of the class in the cell, or pixels gained.
    """

    rows: Integers
    cells: Integers
    scores: Floats

    def part(self, start: int, stop: int) -> Cells:
        """Some of them by their places."""
        chosen = slice(start, stop)
        return Cells(self.rows[chosen], self.cells[chosen], self.scores[chosen])


class Present(NamedTuple):
    """Cells where a class is.

    Attributes:
        train, held_out: the strongest cell of the images that have the most of the class in one
            cell; ``held_out`` are for evaluation.
        popularity: (h · w,) images of ``train`` whose cell it is.
        mean: (U,) k: mean of each unit over all cells of all images, each cell weighted by the
            share of the class in it.
        seen: images that show the class at all.
    """

    train: Cells
    held_out: Cells
    popularity: Integers
    mean: torch.Tensor
    seen: int


def present_cells(
    subject: Subject,
    sample: Sample,
    label: int,
    train: int,
    held_out: int = 0,
    search: Search | None = None,
) -> Present:
    """The cells of a sample that a class fills most, and the class's mean of each unit.

    Args:
        label: the class.
        train, held_out: how many images; fewer are given where fewer show the class.
        search: how ties are settled.

    Raises:
        UsageError: no image shows the class.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> found = present_cells(Subject(generator, segmenter, "r8.conv1"), Sample(range(4)), 2, 3)
    >>> found.mean.shape, len(found.train.rows)
    (torch.Size([128]), 3)
    """
    best, cells = np.zeros(len(sample)), np.zeros(len(sample), np.int64)
    sums = torch.zeros(subject.units, dtype=torch.float64)
    whole = 0.0
    with torch.no_grad(), progress_bar("cells of the class", len(sample), "images") as bar:
        for rows, state in subject.states(sample):
            maps = subject.label_maps(subject.images(state))
            shares = cell_means(pixels_of(maps, label).float(), subject.boundary)
            sums += (state.x.double() * shares[:, None].double()).sum((0, 2, 3)).cpu()
            whole += float(shares.double().sum())
            strongest = shares.flatten(1).max(1)
            best[rows.start : rows.stop] = strongest.values.cpu().numpy()
            cells[rows.start : rows.stop] = strongest.indices.cpu().numpy()
            bar.advance(len(rows))
    if not whole:
        name = subject.segmenter.vocabulary.names[label]
        raise UsageError(f"none of {len(sample)} images shows {name!r}; search more images")
    found = _strongest(best, cells, train + held_out, search or Search())
    return Present(
        train=found.part(0, train),
        held_out=found.part(max(train, len(found.rows) - held_out), len(found.rows)),
        popularity=np.bincount(
            found.cells[:train], minlength=subject.extent[0] * subject.extent[1]
        ).astype(np.int64),
        mean=(sums / whole).float(),
        seen=int((best > 0).sum()),
    )


def candidate_cells(
    subject: Subject,
    sample: Sample,
    label: int,
    present: Present,
    train: int,
    held_out: int = 0,
    search: Search | None = None,
    seed: int = 1,
) -> tuple[Cells, Cells]:
    """Cells without a class, where its area grows most when k is inserted into all units.

    Args:
        sample: other images than those of ``present``.
        present: gives k and the popularity that probes are drawn by.
        train, held_out: how many images.
        search: how; default ``Search()``.
        seed: of the probes.

    Returns:
        cells for training and for evaluation; empty where nothing was gained anywhere.
    """
    search = search or Search()
    drawn = probes(sample, present.popularity, search, seed)
    gains = np.full((len(sample), len(present.popularity)), -np.inf)
    absent = np.zeros(gains.shape, bool)
    k = Intervention.insertion(range(subject.units), present.mean)
    with torch.no_grad(), progress_bar("candidate cells", len(sample), "images") as bar:
        for rows, state in subject.states(sample):
            part = slice(rows.start, rows.stop)
            edits = _left_over(subject, rows, drawn, k, search)
            mask = pixels_of(subject.label_maps(subject.images(state, edits)), label)
            shares = cell_means(mask.float(), subject.boundary).flatten(1)
            absent[part] = (shares == 0).cpu().numpy()
            before = mask.flatten(1).sum(1)
            for probe in range(drawn.shape[1]):  # a small map has fewer cells than that
                cells = drawn[part, probe]
                edit = replace(k, mask=cell_masks(cells, subject.extent)).edit(
                    subject.layer, range(len(rows))
                )
                after = pixels_of(subject.label_maps(subject.images(state, [edit])), label)
                gained = after.flatten(1).sum(1) - before
                gains[np.arange(part.start, part.stop), cells] = gained.cpu().numpy()
            bar.advance(len(rows))
    if search.probed_alone:
        gains[~absent] = -np.inf
    else:
        gains = np.where(np.isinf(gains), 0.0, gains) * absent
    cells = gains.argmax(axis=1)
    best = gains[np.arange(len(gains)), cells]
    found = _strongest(best, cells, train + held_out, search)
    return found.part(0, train), found.part(max(train, len(found.rows) - held_out), len(found.rows))


def _left_over(
    subject: Subject, rows: range, drawn: Integers, k: Intervention, search: Search
) -> list[UnitEdit]:
    """The edit that the published code forgets to take back, of some rows; none by default."""
    if not search.left_over or search.group is None:
        return []
    before = np.array([row // search.group * search.group - 1 for row in rows])
    masks = cell_masks(drawn[before, -1], subject.extent)
    masks[torch.from_numpy(before < 0)] = 0
    return [replace(k, mask=masks).edit(subject.layer, range(len(rows)))]


def _strongest(scores: Floats, cells: Integers, many: int, search: Search) -> Cells:
    """The images of the largest scores, in the order of their numbers; without those of none."""
    least = 0.0 if search.probed_alone else -np.inf
    negative = torch.from_numpy(-scores).float()
    order = torch.sort(negative, stable=search.first_of_ties).indices.numpy()[:many]
    rows = np.sort(order[scores[order] > least])
    return Cells(rows, cells[rows], scores[rows])


def probes(sample: Sample, popularity: Integers, search: Search, seed: int = 1) -> Integers:
    """Cells at which an insertion is tried: (n, probes), no cell twice in an image.

    Drawn with the popularity of each cell, mixed with a uniform share.

    >>> probes(Sample(range(3)), np.array([1, 0, 5, 2]), Search(probes=2)).shape
    (3, 2)
    """
    weights = popularity.astype(np.float64)
    weights += weights.mean() * UNIFORM
    weights /= weights.sum()
    many = min(search.probes, len(weights))
    if search.group is not None:
        stream = np.random.RandomState(seed)
        groups = -(-len(sample) // search.group)
        drawn = [
            stream.choice(len(weights), size=many, replace=False, p=weights) for _ in range(groups)
        ]
        return np.repeat(np.stack(drawn), search.group, axis=0)[: len(sample)].astype(np.int64)
    rows = [
        np.random.default_rng([seed, sample.seed, index]).choice(
            len(weights), size=many, replace=False, p=weights
        )
        for index in sample.indices
    ]
    return np.stack(rows).astype(np.int64)


def unit_quantiles(subject: Subject, sample: Sample, shares: tuple[float, ...]) -> torch.Tensor:
    """Quantiles of each unit over all cells of a sample: (len(shares), U).

    GANPaint inserts the quantile .99. Midpoints (i + .5) / n are interpolated (Hazen). All values
    are held in memory: n · h · w · U floats.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> unit_quantiles(Subject(generator, segmenter, "r8.conv1"), Sample(range(2)), (0.99,)).shape
    torch.Size([1, 128])
    """
    maps = [state.x.transpose(0, 1).flatten(1).cpu() for _, state in subject.states(sample)]
    values = torch.cat(maps, 1).numpy()
    return torch.from_numpy(np.quantile(values, shares, axis=1, method="hazen")).float()
