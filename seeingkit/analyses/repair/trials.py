"""Edits of a repair in images: which of them shows the class most often, and at which price.

Guarantees: the images are made without and with all edits at once, and no effect is reported of
the images in which an edit was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seeingkit.contracts import RewritableGenerator
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit
from seeingkit.specs import Preset
from seeingkit.system.progress import progress_bar

from ..interventions.effects import Floats, Measured, gathered
from ..interventions.parts import EditCounts, counts_of
from ..interventions.subjects import Sample, pixels_of
from ..rewriting.effects import WeightChange, WholeSubject, in_front
from ..rewriting.goals import Wanted
from ..rewriting.groundwork import Groundwork
from ..rewriting.reach import ValueReach
from .objects import ObjectFinder, Part
from .reachable import SiteReach
from .settings import RepairSettings


@dataclass(frozen=True, eq=False)
class Candidate:
    """An edit that may bring a class back.

    Attributes:
        site: what was found at its site.
        rank, keep: directions, and weight of what other places move.
        reach: share of the wanted change; control: of places beside the class.
    """

    site: SiteReach
    rank: int
    keep: float
    reach: ValueReach
    control: ValueReach | None

    @property
    def edit(self) -> WeightEdit:
        """The edit: as of ``seeingkit rewrite``, but for where keys and values come from."""
        return self._edit(self.site.wanted)

    @property
    def beside(self) -> WeightEdit | None:
        """The edit of the places beside the class; None where there are none.

        Raises:
            UsageError: the places have fewer keys than the rank.
        """
        return None if self.site.control is None else self._edit(self.site.control)

    def _edit(self, wanted: Wanted) -> WeightEdit:
        bench, moments = self.site.bench, self.site.moments
        return Groundwork.of_values(bench, wanted, moments, self.rank).edit(self.rank, self.keep)


def candidates_of(reaches: Sequence[SiteReach], settings: RepairSettings) -> list[Candidate]:
    """The edits that bring left-out photos nearest to their values: one of each rank of a site.

    ``candidates_of([site_reach(bench, moments, photos, settings)], settings)[0].rank``
    """
    every = [
        Candidate(site, rank, keep, own, beside)
        for site in reaches
        for (rank, keep), (own, beside) in site.values.items()
    ]
    best: dict[tuple[str, int], Candidate] = {}
    for one in sorted(every, key=lambda each: -each.reach.net):
        best.setdefault((one.site.bench.site.name, one.rank), one)
    return list(best.values())[: settings.trials]


@dataclass(frozen=True, eq=False)
class Looked:
    """What was seen in the images of a sample, with one edit or without any.

    Attributes:
        objects: of each image, largest first.
        pixels: (n,) of the class, in the first view.
        moved: (n,) share of the labels that are others than without the edit.
        total: pixels of a label map.
    """

    objects: list[list[Part]]
    pixels: NDArray[np.int64]
    moved: Floats
    total: int

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(n,) whether an image shows an object of the class."""
        return np.array([bool(parts) for parts in self.objects])

    @property
    def area(self) -> float:
        """Mean area of the class, percent."""
        return float(100 * self.pixels.mean() / self.total)


class Looks(NamedTuple):
    """What was seen in the images of a sample, and their counts.

    Attributes:
        seen: without an edit first.
        measured: of every class.
    """

    seen: list[Looked]
    measured: Measured


def look(
    generator: RewritableGenerator,
    edits: Sequence[WeightEdit],
    finder: ObjectFinder,
    preset: Preset,
    sample: Sample,
    title: str,
) -> Looks:
    """Look for a class in images without an edit, and with each of some edits by itself; every
    image is made once, whatever is counted in it.

    Args:
        generator: without the edits.
        edits: of it.
        finder: of objects of the class.
        preset: of pictures before they are segmented.
        sample: the images.
        title: of the progress.

    ``look(generator, [edit], finder, preset, Sample(range(100)), "search").seen[1].area``
    """
    subject = whole_subject(generator, edits, finder, preset)
    changes = [WeightChange(RewrittenGenerator(generator, [edit]).weights) for edit in edits]
    found: list[list[tuple[list[Part], int, float]]] = [[] for _ in (None, *edits)]
    parts: list[tuple[int, range, EditCounts]] = []
    with progress_bar(title, len(sample), "images") as bar, torch.no_grad():
        for rows, state in subject.states(sample):
            before = None
            for k, change in enumerate((None, *changes)):
                images = subject.images(state) if change is None else None
                if change is not None:
                    images = change.images(subject, state, rows)
                assert images is not None
                subject.check(images)
                maps, objects = finder.seen(subject.pictures(images))
                before = maps if before is None else before
                counts = counts_of(before, maps, subject.labels)
                pixels = pixels_of(maps, finder.label).flatten(1).sum(1).tolist()
                moved = (counts.moved / counts.pixels).tolist()
                found[k] += zip(objects, pixels, moved, strict=True)
                parts.append((k, rows, counts))
            bar.advance(len(rows))
    measured = gathered(subject, sample, len(edits), parts, tables=len(edits))
    seen = [
        Looked(
            [objects for objects, _, _ in each],
            np.array([pixels for _, pixels, _ in each], np.int64),
            np.array([moved for _, _, moved in each], np.float64),
            measured.pixels,
        )
        for each in found
    ]
    return Looks(seen, measured)


def whole_subject(
    generator: RewritableGenerator,
    edits: Sequence[WeightEdit],
    finder: ObjectFinder,
    preset: Preset,
) -> WholeSubject:
    """The generator at the first boundary that lies in front of all edits."""
    first = in_front(generator, [generator.site(edit.site) for edit in edits])
    return WholeSubject(generator, finder.segmenter, first, preset)


def chosen(looks: Sequence[Looked], most_moved: float) -> int:
    """The number of the edit whose images show the class most often, among those that change no
    more labels than allowed; of equal ones that with more area. Where all change more, the one that
    changes least.

    Args:
        looks: without an edit first.
        most_moved: share of the labels, in (0, 1].

    >>> some = Looked([[]], np.array([3]), np.array([0.5]), 9)
    >>> chosen([some, some, Looked([[]], np.array([4]), np.array([0.05]), 9)], 0.1)
    1
    """
    edits = range(len(looks) - 1)
    moved = [float(one.moved.mean()) for one in looks[1:]]
    allowed = [k for k in edits if moved[k] <= most_moved]
    if not allowed:
        return min(edits, key=lambda k: moved[k])
    return max(allowed, key=lambda k: (int(looks[k + 1].shown.sum()), looks[k + 1].area, -k))
