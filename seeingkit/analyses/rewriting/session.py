"""Editing by hand, step by step: regions, matches, edits on top of each other, undo and redo.

Guarantees: a step that fails leaves everything as it was; nothing of the generator is changed, so
undoing an edit, or a strength of 0, gives the same images to the bit; an image is made alone, so
that it depends on no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.contracts import Generator, RewritableGenerator, Site, State
from seeingkit.errors import UsageError
from seeingkit.models.edits import Edit, run
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit, rewritable
from seeingkit.system.addresses import Place
from seeingkit.system.progress import progress_bar

from .bench import Bench, latent_of
from .directions import context_keys, mean_key, query_direction
from .draft import Draft, Kind
from .moments import KeyMoments, keys_identity
from .plan import MOMENT_IMAGES, bench_of, check_plan, plan, usual_moments
from .published import PublishedSettings
from .query import Match, ranked, scores
from .regions import PhotoRegion, Region, Request
from .requestfiles import request_of

SEARCHED = 200
"""Images in which matches are searched."""
REMEMBERED = 8
"""Second moments of edited generators that are kept."""
BEST_PLACES = 0.01
"""Of all places that were searched, the share that counts as matching."""


@dataclass(frozen=True, eq=False)
class Matching:
    """An image that matches, and where.

    Attributes:
        match: its best place.
        cells: (h, w) bool of the map of keys: the places among the best 1 % of all that were
            searched.
    """

    match: Match
    cells: NDArray[np.bool_]


class Session(Draft):
    """Edits of one generator by hand.

    Args:
        generator: of tier 3; edits that it has are the first that can be undone.
        seed: of the images that are numbered.
        labels: of a conditional generator: image i is of class labels[i % len(labels)]; default:
            all classes in turn.
        key_seed: of the run, for a series of images whose keys an edit leaves as they are; default:
            ``seed``.
        key_images: images of it.
        folder: where moments of keys are stored; None: nowhere.

    Attributes:
        base: the generator without edits.
        edits: in their order; undone: that can be done again, the next one last.

    Raises:
        UsageError: a generator without sites.

    >>> session = Session(seeingkit.load_generator("progan:minichurches"), key_images=2)
    >>> mask = np.zeros((64, 64), np.uint8); mask[20:40, 20:40] = 255
    >>> session.copy(Region(3, mask)); session.paste(Region(5, mask))
    >>> session.execute("r16.conv1", rank=2).rank, len(session.edits)
    (2, 1)
    >>> session.undo(); torch.equal(session.image(5), session.image(5, edited=False))
    True
    """

    def __init__(
        self,
        generator: RewritableGenerator,
        *,
        seed: int = 0,
        labels: Sequence[int] = (),
        key_seed: int | None = None,
        key_images: int = MOMENT_IMAGES,
        folder: Place | None = None,
    ) -> None:
        rewritable(generator)
        super().__init__(seed, labels, classes=len(generator.info.class_names))
        self.base: RewritableGenerator = generator
        self.edits: tuple[WeightEdit, ...] = ()
        if isinstance(generator, RewrittenGenerator):
            self.base, self.edits = generator.base, generator.edits
        self.undone: tuple[WeightEdit, ...] = ()
        self.generator = self._with(self.edits)
        self.key_seed = seed if key_seed is None else key_seed
        self.key_images, self.folder = key_images, folder
        self._moments: dict[str, KeyMoments] = {}

    # ------------------------------------------------------------------------------------- images

    @torch.no_grad()
    def image(self, index: int, *, edited: bool = True, change: Edit | None = None) -> Tensor:
        """An image, (1, 3, R, R).

        Args:
            index: its number.
            edited: with the edits; else as the generator is without them.
            change: of units at a boundary, beside them (``seeingkit.UnitEdit``).
        """
        generator: Generator = self.generator if edited else self.base
        changes = [] if change is None else [change]
        return run(generator, self._start(generator, index), edits=changes)[0].x

    @torch.no_grad()
    def unit_means(self, layer: str, units: Sequence[int], region: Region) -> list[float]:
        """The mean of each unit of a layer in the cells of a region, without edits.

        Raises:
            UsageError: units that the layer lacks, a layer without a map, or a region too small.

        ``session.unit_means("r8.conv1", [3, 5], session.copied)``
        """
        boundary = self.base.boundary(layer)
        if boundary.extent is None:
            raise UsageError(f"{boundary.name!r} has no map of cells")
        if not units or not 0 <= min(units) <= max(units) < boundary.shape[0]:
            raise UsageError(f"units of {boundary.name!r} are 0 to {boundary.shape[0] - 1}")
        area = region.area(boundary.extent).double()
        x = self.base.advance(self._start(self.base, region.index), boundary.name).x[0]
        found = (x[list(units)].double().cpu() * area).sum((1, 2)) / area.sum()
        means: list[float] = found.float().tolist()
        return means

    def _start(self, generator: Generator, index: int) -> State:
        return generator.begin(latent_of(generator, index, self.seed, self.labels))

    # -------------------------------------------------------------------------------------- edits

    def moments(self, site: Site) -> KeyMoments:
        """Second moment of the keys of a site, with the edits that there are.

        Those without edits are stored in the folder, a few others are remembered.
        """
        known = keys_identity(self.generator, site)
        if known not in self._moments:
            folder = None if self.edits else self.folder
            labels = self.labels
            given: dict[str, Any] = {"images": self.key_images, "folder": folder, "labels": labels}
            found = usual_moments(self.generator, site, self.key_seed, **given)
            self._moments = {**dict(list(self._moments.items())[1 - REMEMBERED :]), known: found}
        return self._moments[known]

    def matches(
        self, site: str, many: int = 12, *, images: int = SEARCHED, kind: Kind = "context"
    ) -> list[Matching]:
        """The images whose places match the examples of the context best, best first.

        Args:
            site: name of the site whose keys are compared.
            many: of them.
            images: that are searched, from number 0 on.
            kind: ``copy``: match what is copied instead.

        Raises:
            UsageError: no such region yet, or one that is too small.
        """
        regions = self.examples if kind != "copy" else tuple(filter(None, [self.copied]))
        if not regions:
            raise UsageError("nothing to match yet: paint a region first")
        place = self.generator.site(site)
        bench = Bench(self.generator, place, self.seed, self.labels)
        for region in regions:
            region.area(place.keys)
        key = mean_key(*context_keys(bench, regions))
        direction, maps = query_direction(self.moments(place), key), []
        with progress_bar(f"matches at {place.name}", images, "images") as bar:
            for index in range(images):
                maps += scores(bench, direction, [index])
                bar.advance(1)
        level = float(np.quantile(torch.stack(maps).cpu().numpy(), 1 - BEST_PLACES))
        found = ranked(range(images), maps)[:many]
        return [Matching(one, (maps[one.index] > level).cpu().numpy()) for one in found]

    def execute(
        self,
        site: str,
        rank: int | None = None,
        keep: float | None = None,
        *,
        protect: bool = True,
    ) -> WeightEdit:
        """Plan an edit of the request on top of the edits that there are, and apply it.

        Args:
            site, rank, keep: see ``plan.plan``.
            protect: leave the contexts of the earlier edits' requests as they are.

        Raises:
            UsageError, UnknownNameError: as ``plan.plan``.
        """
        request = self.request
        earlier = [one for one in map(_request_of, self.edits) if one] if protect else []
        contexts = [region for one in earlier for region in one.contexts]
        if any(isinstance(region, PhotoRegion) for region in contexts):
            raise UsageError(
                "an earlier edit has contexts of photos, which its file does not hold: execute "
                "without protecting earlier edits"
            )
        place = self.generator.site(site)
        given: dict[str, Any] = {"rank": rank, "keep": keep, "protect": earlier}
        bench = bench_of(self.generator, place, request)
        check_plan(bench, request, "closed", rank, keep, 0, PublishedSettings())
        edit = plan(self.generator, request, site, moments=self.moments(place), **given)
        self._become((*self.edits, edit), ())
        return edit

    def undo(self) -> None:
        """Take the last edit back.

        Raises:
            UsageError: there is none.
        """
        if not self.edits:
            raise UsageError("there is no edit to undo")
        self._become(self.edits[:-1], (*self.undone, self.edits[-1]))

    def redo(self) -> None:
        """Apply the edit that was undone last once more.

        Raises:
            UsageError: there is none.
        """
        if not self.undone:
            raise UsageError("no edit was undone")
        self._become((*self.edits, self.undone[-1]), self.undone[:-1])

    def strength(self, x: float) -> None:
        """The strength of the last edit: 1 as planned, 0 nothing, below 0 the reverse.

        Earlier edits keep theirs, for later ones were planned on them.

        Raises:
            UsageError: there is no edit, or a strength beyond ±10.
        """
        if not self.edits:
            raise UsageError("there is no edit whose strength could be set")
        if not -10 <= x <= 10:
            raise UsageError(f"strength {x}: give a number from -10 to 10")
        self._become((*self.edits[:-1], self.edits[-1].at(x)), self.undone)

    def load(self, *paths: str | Path) -> None:
        """Apply edits of files, in order, on top of those that there are.

        Raises:
            RunError: no such file, or no edit.
            UsageError: of another generator, or planned after edits that are not there.

        ``session.load("first.safetensors", "second.safetensors")``
        """
        self._become((*self.edits, *map(WeightEdit.load, paths)), ())

    def save(self, path: str | Path) -> list[Path]:
        """Write the edits; returns the files in the order in which ``--edit`` takes them.

        Args:
            path: of a single edit; of several, their number stands before the file's ending.

        Raises:
            UsageError: there is no edit.

        ``session.save("tree.safetensors")``
        """
        if not self.edits:
            raise UsageError("there is no edit to save")
        path = Path(path)
        names = [path]
        if len(self.edits) > 1:
            last = len(self.edits) + 1
            names = [path.with_name(f"{path.stem}-{k}{path.suffix}") for k in range(1, last)]
        return [edit.save(name) for edit, name in zip(self.edits, names, strict=True)]

    def _become(self, edits: tuple[WeightEdit, ...], undone: tuple[WeightEdit, ...]) -> None:
        self.generator = self._with(edits)  # first: it may refuse them
        self.edits, self.undone = edits, undone

    def _with(self, edits: tuple[WeightEdit, ...]) -> RewritableGenerator:
        return RewrittenGenerator(self.base, edits) if edits else self.base


def _request_of(edit: WeightEdit) -> Request | None:
    """The request that an edit was planned for; None where its file has none."""
    return None if edit.request is None else request_of(dict(edit.request), "the edit's request")
