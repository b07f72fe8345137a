"""One dissection: levels from one series of images, agreements and labels from another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seeingkit.contracts import Boundary, Generator, Label, Segmenter
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.images.given import check_enough
from seeingkit.system.addresses import Place
from seeingkit.system.digests import key_of

from .agreement import Floats, information_quality
from .bases import basis_of, check_basis
from .candidates import LayerLevels, classes_of, stored_levels
from .claims import LEAST_IOU, Agreements, agreements
from .config import DissectionConfig
from .grouping import check_groups
from .moments import Moments
from .observation import Layer, Observer, layers_of
from .parts import Parts, dissection_folder, observer_identity
from .presets import PRESETS, published_labels
from .responses import check_responses, response_of
from .series import GroupSeries


@dataclass(frozen=True, eq=False)
class LayerDissection:
    """What was found at a layer.

    Attributes:
        layer: where.
        classes: name and kind of each column, with its plane.
        levels: of its units, from the sample of the levels.
        sums: of the evaluated images.
        series: the same of each group of images, at the candidate pairs.
        found: agreements, intervals and claims.
        labels: (U,) the column of each unit's label, or -1.
        quality: (U, C) information quality ratios on the evaluated images.
    """

    layer: Layer
    classes: list[tuple[str, Label]]
    levels: LayerLevels
    sums: Moments
    series: GroupSeries
    found: Agreements
    labels: NDArray[np.int64]
    quality: Floats

    @property
    def by_iou(self) -> tuple[int, int]:
        """Units whose best IoU is above the bound, and units whose best IoU with label maps of
        other images is: what a bound on IoU alone would label, and how much of that says nothing.
        """
        own = self.found.iou.max(1, initial=0) > LEAST_IOU
        others = self.found.chance.max(1, initial=0) > LEAST_IOU
        return int(own.sum()), int(others.sum())


def dissect_layers(
    source: SamplerSource,
    segmenter: Segmenter,
    config: DissectionConfig,
    *,
    store: str | Place | None = None,
    on_bad: str = "skip",
) -> list[LayerDissection]:
    """Dissect the layers of a generator.

    Args:
        source: the images that are evaluated.
        segmenter: labels them.
        config: layers, rule, images of the levels.
        store: folder or address of finished parts; default: the cache.
        on_bad: ``fail``: the first image with NaN or Inf is an error; ``skip``: it is left out.

    Raises:
        UsageError: a source that is no generator with layers, a layer without a map, too few
            images (of a class, for a conditional generator), or channels whose responses take too
            many.
        ModelError: the generator or the segmenter broke its contract.

    >>> source = SamplerSource(seeingkit.load_generator("progan:minichurches"), 16)
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> config = DissectionConfig(layers=("r8.conv1",), level_images=32)
    >>> dissect_layers(source, segmenter, config)[0].layer.units
    128
    """
    generator = source.sampler
    if not isinstance(generator, Generator):
        raise UsageError(f"{generator.info.family} gives images only, so it has no layers")
    check_groups(source, config.level_images)
    check_enough(generator, len(source), apart=True)
    rule = PRESETS[config.preset]
    level_source = SamplerSource(
        generator,
        config.level_images,
        further_seed(source.seed, Series.LEVELS),
        source.labels or None,
        preset=source.preset,
    )
    level_source.name, level_source.range = source.name, source.range
    folder, boundaries = dissection_folder(store), layers_of(generator, config.layers)
    check_basis(config.basis, boundaries)
    seen = len(source), config.level_images
    check_responses(boundaries, config.units, *seen, generator.info.resolution, config.basis)
    layers = [_layer(boundary, config, level_source, folder) for boundary in boundaries]
    again = [_remembering(one) for one in layers]
    looking = Observer(level_source, segmenter, again, rule.side, on_bad)
    key = key_of(observer_identity(looking), config.level_images, repr(rule))
    levels = stored_levels(
        looking, config.level_images, rule, rule.least_iou, folder / key[:2] / f"{key}.safetensors"
    )
    watching = Observer(source, segmenter, layers, rule.side, on_bad)
    counted = Parts(watching, levels, folder).counted(len(source))
    return [
        _found(layer, level, total, series, segmenter, config)
        for layer, level, (total, series) in zip(layers, levels, counted, strict=True)
    ]


def _layer(
    boundary: Boundary, config: DissectionConfig, source: SamplerSource, folder: Place
) -> Layer:
    """A layer with its maps, or with the responses of its channels."""
    if boundary.kind != "style":
        return Layer(boundary, basis_of(config.basis, boundary, source, folder))
    response = response_of(source, boundary, config.units)
    return Layer(response.grid(source.sampler.info.resolution), response=response)


def _remembering(layer: Layer) -> Layer:
    """A layer for images that are looked at twice."""
    response = layer.response
    return layer if response is None else replace(layer, response=response.remembering())


def _found(
    layer: Layer,
    levels: LayerLevels,
    sums: Moments,
    series: GroupSeries,
    segmenter: Segmenter,
    config: DissectionConfig,
) -> LayerDissection:
    rule, vocabulary = PRESETS[config.preset], segmenter.vocabulary
    found = agreements(sums, levels.candidates, fdr=config.fdr, least_iou=rule.least_iou)
    labels = found.labels if rule.tested else published_labels(sums, levels.quality, rule)
    classes = [
        (vocabulary.planes[plane], vocabulary.labels[label])
        for plane, label in classes_of(levels.columns)
    ]
    if vocabulary.has_background:  # the published count leaves it out: IoU 0, no label
        nothing = np.array([label == 0 for _, label in classes_of(levels.columns)], bool)
        labels = np.where((labels >= 0) & nothing[labels], -1, labels)
    quality = information_quality(sums.both, sums.active, sums.area, max(sums.pixels, 1))
    return LayerDissection(layer, classes, levels, sums, series, found, labels, quality)
