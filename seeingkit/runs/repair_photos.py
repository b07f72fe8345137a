"""Photos of a class with their inversions, and true places of a class, for a repair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from seeingkit.analyses.comparison.checks.ground_truth import find_labels
from seeingkit.analyses.comparison.checks.label_numbers import check_range, numbering
from seeingkit.analyses.comparison.conditions import photo_classes
from seeingkit.analyses.interventions.subjects import pixels_of
from seeingkit.analyses.inversion.cuts import PreparedMethod
from seeingkit.analyses.inversion.photos import invert_source
from seeingkit.analyses.inversion.picking import pick_rows
from seeingkit.analyses.inversion.store import InversionStore
from seeingkit.analyses.repair.objects import Mask
from seeingkit.analyses.repair.reachable import ClassPhotos
from seeingkit.analyses.repair.real import Truth, resized
from seeingkit.contracts import Generator, ImageSource, Inversion, Segmenter
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.tallies import Tally

from .inversions import Store, beside_tallies, generator_preset, prepare_inverters
from .plan import Plan
from .sides import Sides, open_side


def true_places(
    source: ImageSource, segmenter: Segmenter, label: int, truth: str | None = None
) -> Truth | None:
    """True places of a class in images of a source; None: there are none of it.

    Args:
        source: the images.
        segmenter: names the class.
        label: its number.
        truth: as ``--truth`` of the analysis.

    Raises:
        SourceError: label maps that are missing or do not fit, when they are read.
        UsageError: a truth that was asked for and is not there.

    ::

        true_places(sides.real, sides.shown, 3)([0, 1])[0].mean()
    """
    if truth == "none":
        return None
    try:
        known = find_labels(source, segmenter, truth or "data")
        numbers, _ = numbering(known.names, segmenter)
    except UsageError:
        if truth is None:
            return None
        raise
    own = [number for number, named in enumerate(numbers) if named == label]
    if not own:
        return None
    there = set(known.indices)

    def read(rows: Sequence[int]) -> list[Mask | None]:
        chosen = [row for row in rows if row in there]
        maps = known.read(chosen)
        ids = [str(source.ids[row]) for row in chosen]
        check_range(maps, known.names, known.beyond, ids, known.against)
        found = dict(zip(chosen, torch.isin(maps, torch.tensor(own)).numpy(), strict=True))
        return [found.get(row) for row in rows]

    return read


@dataclass(frozen=True, eq=False)
class PhotoFinder:
    """Finds photos of classes among the real images, and inverts them.

    Attributes:
        plan: of the run, with an inverter.
        generator: that the photos are inverted by.
        source: the real images, at the generator's size.
        segmenter: names the classes.
        method: prepared at the cut.
        store: of the run.
        truth: as ``--truth`` of the analysis, where it held.
    """

    plan: Plan
    generator: Generator
    source: ImageSource
    segmenter: Segmenter
    method: PreparedMethod
    store: Store
    truth: str | None = None

    @classmethod
    def of(
        cls,
        plan: Plan,
        sides: Sides,
        generator: Generator,
        store: Store,
        truth: str | None = None,
    ) -> PhotoFinder:
        """Prepare the inverter; errors come before any long work."""
        size = generator_preset(generator)
        samples = SamplerSource(generator, 1, plan.config.seed, preset=size)
        (method,) = prepare_inverters(plan, samples).values()
        source = open_side(plan.real, replace(plan, preset=size))
        return cls(plan, generator, source, sides.shown, method, store, truth)

    def photos(self, real: Tally, label: int, count: int) -> ClassPhotos:
        """The photos with most of a class, inverted.

        Args:
            real: tally of the real images, in the segmenter's vocabulary.
            label: the class.
            count: photos.

        Raises:
            UsageError: fewer than three photos show it.
        """
        name = self.segmenter.vocabulary.names[label]
        places = {item: row for row, item in enumerate(self.source.ids)}
        areas = real.percent()[:, label]
        chosen = [real.ids[row] for row in pick_rows(areas, 2 * count, "most")]
        rows = [places[item] for item in chosen if item in places]
        images, good, _ = self.source.load(rows)
        if images is None:
            raise UsageError(f"no real image with {name} can be read")
        truth = true_places(self.source, self.segmenter, label, self.truth)
        told = [] if truth is None else [mask for mask in truth(list(good)) if mask is not None]
        by_truth = truth is not None and len(told) == len(good)
        masks = told if by_truth else self._seen(images, label)
        shown = [k for k, mask in enumerate(masks) if mask.any()][:count]
        if len(shown) < 3:
            raise UsageError(f"{len(shown)} real images show {name}; a repair needs 3 photos")
        rows = [good[k] for k in shown]
        found = invert_source(
            self.generator,
            self.source,
            self.method.inverter,
            prepared=self.method.prepared,
            rows=rows,
            labels=self._labels(real, rows),
            seed=self.plan.config.seed,
            batch_size=self.plan.config.batch_size,
            store=self._inversions(),
            title=f"invert photos of {name}",
        )
        if len(found.rows) < 3:
            raise UsageError(f"{len(found.rows)} photos of {name} could be inverted; 3 are needed")
        own = {row: k for k, row in enumerate(good)}
        return ClassPhotos(
            label,
            found.ids,
            found.images,
            [_white(masks[own[row]], images) for row in found.rows],
            Inversion.join(found.inversions).state,
            by_truth,
        )

    def _seen(self, images: Tensor, label: int) -> list[Mask]:
        with torch.no_grad():
            return list(pixels_of(self.segmenter.label_maps(images), label).cpu().numpy())

    def _inversions(self) -> InversionStore | None:
        folder = beside_tallies(self.store, "inversions")
        return None if folder is None else InversionStore(folder)

    def _labels(self, real: Tally, rows: Sequence[int]) -> list[int] | None:
        """The class of each photo, of a conditional generator."""
        if not self.generator.info.class_names:
            return None
        if (label := self.plan.config.inversion.label) is not None:
            return [label] * len(rows)
        known = photo_classes(self.generator, real)
        if known is None:
            raise UsageError(
                f"{self.generator.info.family} is conditional, and its photos have no classes: "
                "analyze with --label"
            )
        return [known[self.source.ids[row]] for row in rows]


def _white(mask: Mask, images: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A mask of any size as 0 and 255, of the images' size (nearest)."""
    return resized(mask, images.shape[2:]).astype(np.uint8) * 255
