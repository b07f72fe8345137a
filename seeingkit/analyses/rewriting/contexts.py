"""Contexts of a request that no candidate is planned on, and how well keys tell contexts apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from seeingkit.contracts import Segmenter
from seeingkit.models.weightedits import WeightEdit
from seeingkit.specs import PRESETS, Preset

from .bench import Bench
from .effects import WholeSubject
from .moments import KeyMoments
from .regions import Region, Request


class Split(NamedTuple):
    """Contexts that candidates are planned on, and those that are held out."""

    planned: tuple[Region, ...]
    held: tuple[Region, ...]


def split(contexts: tuple[Region, ...]) -> Split:
    """Every third context is held out; of two the second, of one none.

    >>> mask = np.full((8, 8), 255, np.uint8)
    >>> [len(part) for part in split(tuple(Region(k, mask) for k in range(6)))]
    [4, 2]
    """
    out = range(1, 2) if len(contexts) == 2 else range(2, len(contexts), 3)
    return Split(
        tuple(region for k, region in enumerate(contexts) if k not in out),
        tuple(contexts[k] for k in out),
    )


class HeldOut:
    """Held-out contexts at a site: how much of their regions becomes of a wanted class.

    Args:
        bench: the generator at the site, with the images of the request.
        segmenter: names the classes.
        regions: of its images.
        wanted: names of classes.
        preset: of pictures before they are segmented.

    ``HeldOut(bench, segmenter, held, ["tree"]).gain(edit)``
    """

    def __init__(
        self,
        bench: Bench,
        segmenter: Segmenter,
        regions: Sequence[Region],
        wanted: Sequence[str],
        preset: Preset | None = None,
    ) -> None:
        self.bench, self.regions = bench, tuple(regions)
        self.labels = [segmenter.vocabulary.index(name) for name in wanted]
        native = preset or PRESETS["native"]
        self.subject = WholeSubject(bench.generator, segmenter, bench.site.before, native)
        self.before = self._shown(None)

    def gain(self, edit: WeightEdit) -> float | None:
        """The share with the edit − that without, in [-1, 1]; None without a region."""
        if not self.regions:
            return None
        return self._shown(edit) - self.before

    def _shown(self, edit: WeightEdit | None) -> float:
        kernel = None
        if edit is not None:
            kernel = self.bench.kernel + edit.change().to(self.bench.kernel)
        shown = whole = 0.0
        for region in self.regions:
            images = self.bench.image(region, kernel)
            maps = self.subject.label_maps(images, [region.name])[0]
            area = region.area((int(maps.shape[-2]), int(maps.shape[-1]))).to(maps.device)
            there = torch.isin(maps, torch.tensor(self.labels, device=maps.device)).any(0)
            shown += float(area[there].double().sum())
            whole += float(area.double().sum())
        return shown / whole if whole else 0.0


def with_contexts(request: Request, contexts: Sequence[Region]) -> Request:
    """The same request with other contexts.

    ``with_contexts(request, split(request.contexts).planned)``
    """
    return replace(request, context=tuple(contexts))


def separation(bench: Bench, regions: Sequence[Region], moments: KeyMoments) -> float:
    """How well keys tell regions from the rest of their images: area under the ROC curve.

    Each region is told by the direction of the others (``query``), a single one by its own; the
    mean over the regions, in [0, 1].

    Args:
        bench: the generator at a site.
        regions: of its images.
        moments: of the keys of the site.

    ``separation(bench, request.contexts, moments)``
    """
    inverse = moments.of_places().power(-1)
    sums, maps, areas = [], [], []
    for region in regions:
        keys = bench.keys(region)[0].double().cpu()
        area = region.area((keys.shape[1], keys.shape[2])).double()
        maps.append(keys)
        areas.append(area)
        sums.append((keys * area).sum((1, 2)) / area.sum())
    told = []
    for number, (keys, area) in enumerate(zip(maps, areas, strict=True)):
        others = [each for k, each in enumerate(sums) if k != number] or sums
        direction = inverse @ torch.stack(others).mean(0)
        scores = torch.einsum("chw,c->hw", keys, direction)
        told.append(_auc(scores[area >= min(0.5, float(area.max()))], scores[area == 0]))
    return float(np.mean(told))


def _auc(inside: Tensor, outside: Tensor) -> float:
    """How often a number inside is above one outside; a half where there is none outside."""
    if not len(outside):
        return 0.5
    ranks = rankdata(torch.cat([inside, outside]).numpy())[: len(inside)]
    most = len(inside) * len(outside)
    return float((ranks.sum() - len(inside) * (len(inside) + 1) / 2) / most)
