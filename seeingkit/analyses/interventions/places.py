"""Where a class can grow: the same units inserted at every cell, by what stands there already.

Guarantees: each image is compared with itself without the insertion; all places of an image are one
cluster in the intervals of the table; cells that the image does not show are a row of their own.

As the table of doors in Bau et al. (ICLR 2019, section 4.4, figure 11): a door grows on a wall and
not in the sky.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats

from seeingkit.errors import UsageError
from seeingkit.results.curves import CellEffect, ClassUnder, ContextEffect, ContextMap
from seeingkit.statistics.ratios import ratio_of_sums
from seeingkit.system.addresses import Place

from .cells import OUTSIDE, cell_masks, labels_under
from .differences import by_image, column_of, student
from .effects import Floats, Intervention, measure
from .parts import GROUP
from .subjects import Integers, Sample, Subject


class Insertions(NamedTuple):
    """Insertions at single cells of images.

    Attributes:
        cells: (C,) flat numbers.
        gained: (C, n) change of the class's pixels, in its own plane.
        context: (C, n) label of the first plane under the middle of the cell before; ``OUTSIDE``
            where the image does not show it.
        before: (n,) pixels of the class.
        pixels: of a label map.
        images: (n,) numbers of the images.
        changed: (C, n, labels) the same as ``gained`` of every class.
    """

    cells: Integers
    gained: Integers
    context: Integers
    before: Integers
    pixels: int
    images: Integers
    changed: Integers


def insert_at_cells(
    subject: Subject,
    sample: Sample,
    units: Sequence[int],
    k: torch.Tensor,
    label: int,
    cells: Sequence[int] | None = None,
    *,
    store: Place | None = None,
) -> Insertions:
    """Insert units at one cell after another.

    Args:
        units: what is inserted.
        k: value of every unit of the layer, (U,).
        label: the class that is measured.
        cells: flat numbers, such as of ``cell_grid``; default: all cells of the map.
        store: folder of counts, as of ``measure``.

    Raises:
        UsageError: units or cells that the layer does not have.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> subject = Subject(generator, seeingkit.load_segmenter("upernet:minichurches"), "r8.conv1")
    >>> found = insert_at_cells(subject, Sample([0]), [13, 112], torch.ones(128), 3, cells=[0, 9])
    >>> found.gained.shape
    (2, 1)
    """
    height, width = subject.extent
    numbers = np.arange(height * width) if cells is None else np.asarray(cells, np.int64)
    if not len(numbers):
        raise UsageError("no cell to insert at")
    masks = cell_masks(numbers, subject.extent)
    edits = [Intervention.insertion(units, k, mask=mask[0]) for mask in masks]
    found = measure(subject, sample, edits, "insertions", store=store, tables=0)
    vocabulary = subject.segmenter.vocabulary
    columns = [column_of(vocabulary, one) for one in range(len(vocabulary))]
    changed = found.after[:, :, columns] - found.before[:, columns]
    return Insertions(
        cells=numbers.astype(np.int64),
        gained=changed[:, :, label],
        context=_classes_under(subject, sample)[:, numbers].T,
        before=found.before[:, columns[label]],
        pixels=found.pixels,
        images=found.images,
        changed=changed,
    )


def _classes_under(subject: Subject, sample: Sample) -> Integers:
    """The label under the middle of each cell without an edit, (n, cells)."""
    parts = []
    for start in range(0, len(sample), GROUP):
        rows = range(start, min(start + GROUP, len(sample)))
        with torch.no_grad():
            maps = subject.label_maps(subject.images(subject.start(sample, rows)))
        parts.append(labels_under(maps[:, 0], subject.boundary).cpu().numpy())
    return np.asarray(np.concatenate(parts), dtype=np.int64)


def cell_grid(extent: tuple[int, int], step: int = 1) -> list[int]:
    """Every ``step``-th cell of a map in both directions, as flat numbers.

    Raises:
        UsageError: a step below 1.

    >>> cell_grid((4, 4), 2)
    [5, 7, 13, 15]
    """
    if step < 1:
        raise UsageError(f"a grid of every {step} cells; give at least 1")
    height, width = extent
    start = step // 2
    return [
        row * width + column
        for row in range(start, height, step)
        for column in range(start, width, step)
    ]


def context_map(
    found: Insertions,
    subject: Subject,
    units: Sequence[int],
    label: int,
    *,
    level: float = 0.05,
    matrix: bool = False,
) -> ContextMap:
    """The record of insertions at cells: a map, and a table by what stood there.

    Args:
        matrix: the table also for every other class that changes.
    """
    vocabulary = subject.segmenter.vocabulary
    gained = np.asarray(found.gained * (100 / found.pixels), dtype=np.float64)
    width = subject.extent[1]
    by_cell = by_image(gained.T, found.images)
    cells = []
    for c, cell in enumerate(found.cells.tolist()):
        mean, low, high = student(by_cell[:, c])
        row, column = divmod(cell, width)
        cells.append(CellEffect(row=row, column=column, effect=mean, low=low, high=high))
    contexts = context_effects(gained, found.context, found.images, vocabulary.names, level)
    return ContextMap(
        label=vocabulary.names[label],
        units=[int(unit) for unit in units],
        n=len(by_cell),
        extent=subject.extent,
        window=subject.boundary.window,
        level=level,
        cells=cells,
        contexts=contexts,
        matrix=context_matrix(
            np.asarray(found.changed * (100 / found.pixels), dtype=np.float64),
            found.context,
            found.images,
            vocabulary.names,
            level,
        )
        if matrix
        else [],
    )


def context_effects(
    gained: Floats, context: Integers, images: Integers, names: Sequence[str], level: float = 0.05
) -> list[ContextEffect]:
    """Mean effect by the class under the cell, with the places of an image as one cluster.

    The largest effect stands first, and classes of too few images last.

    Of a class: the sum of the effects in an image over its places there, as a ratio of sums over
    images (``statistics.ratios``); below ``FEWEST`` images there is neither p nor interval.

    Args:
        gained, context: (C, n).
        images: (n,) numbers of the images.
        names: of the labels.
        level: false discovery rate over the rows.

    >>> gained = np.array([[1.0, 2.0, 1.5, 1.0]])
    >>> context_effects(gained, np.array([[1, 1, 1, 0]]), np.arange(4), ["sky", "road"])[0].effect
    1.5
    """
    rows = _contexts(gained, context, images)
    found = [
        ContextEffect(**row, label=_name(under, names), q=q, claimed=q is not None and q <= level)
        for (under, row), q in zip(rows, _adjusted(row for _, row in rows), strict=True)
    ]
    return sorted(found, key=lambda each: (each.q is None, -each.effect))


def context_matrix(
    changed: Floats, context: Integers, images: Integers, names: Sequence[str], level: float = 0.05
) -> list[ClassUnder]:
    """As ``context_effects`` for every class that changes anywhere, corrected over all pairs.

    Args:
        changed: (C, n, labels) areas; context: (C, n).
        images: (n,) numbers of the images.
        names: of the labels.
        level: false discovery rate over all pairs of a class under the cell and one that changes.

    >>> changed = np.ones((1, 6, 2)) * [1.0, 0.0]
    >>> (row,) = context_matrix(changed, np.ones((1, 6), int), np.arange(6), ["sky", "road"])
    >>> row.under, row.label, row.effect
    ('road', 'sky', 1.0)
    """
    pairs = [
        (label, under, row)
        for label in range(changed.shape[2])
        if changed[:, :, label].any()
        for under, row in _contexts(changed[:, :, label], context, images)
    ]
    found = [
        ClassUnder(
            **row,
            under=_name(under, names),
            label=names[label],
            q=q,
            claimed=q is not None and q <= level,
        )
        for (label, under, row), q in zip(pairs, _adjusted(p[2] for p in pairs), strict=True)
    ]
    return sorted(found, key=lambda each: -abs(each.effect))


def _name(label: int, names: Sequence[str]) -> str:
    return "" if label == OUTSIDE else names[label]


def _contexts(
    gained: Floats, context: Integers, images: Integers
) -> list[tuple[int, dict[str, Any]]]:
    """The numbers of each label under a cell, without correction."""
    _, place = np.unique(images, return_inverse=True)
    size = int(place.max()) + 1
    rows = []
    for label in np.unique(context).tolist():
        here = context == label
        totals = (gained * here).sum(axis=0), here.sum(axis=0).astype(np.float64)
        sums, many = (np.bincount(place, each, size).astype(np.float64) for each in totals)
        sums, many = sums[many > 0], many[many > 0]
        found = ratio_of_sums(sums, many)
        row: dict[str, Any] = {"effect": found.value, "low": found.low, "high": found.high}
        row["p"] = found.p
        rows.append((label, row | {"places": int(many.sum()), "images": len(many)}))
    return rows


def _adjusted(rows: Iterable[dict[str, Any]]) -> list[float | None]:
    """Benjamini and Hochberg's q of the rows with a p, None for the others."""
    every = [row["p"] for row in rows]
    tested = [p for p in every if p is not None]
    q = iter(stats.false_discovery_control(tested).tolist() if tested else [])
    return [None if p is None else next(q) for p in every]
