"""One dissection: levels from one series of images, agreements and labels from another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from seeingkit.contracts import Boundary, Generator, Label, Segmenter
from seeingkit.contracts.latents import further_seed
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.system.addresses import Place

from .agreement import Floats, information_quality
from .candidates import LayerLevels, classes_of, stored_levels
from .claims import LEAST_IOU, Agreements, agreements
from .config import DissectionConfig
from .moments import Moments
from .observation import GROUP, Basis, Layer, Observer, layer_maps, layers_of
from .parts import Parts, dissection_folder, key_of, observer_identity
from .presets import PRESETS, published_labels
from .responses import check_responses, response_of

LEVEL_SERIES = 1
"""Number of the series, beside that of the evaluated images, from which levels come."""


@dataclass(frozen=True, eq=False)
class LayerDissection:
    """What was found at a layer.

    Attributes:
        layer: where.
        classes: name and kind of each column, with its plane.
        levels: of its units, from the sample of the levels.
        sums: of the evaluated images.
        found: agreements, intervals and claims.
        labels: (U,) the column of each unit's label, or -1.
        quality: (U, C) information quality ratios on the evaluated images.
    """

    layer: Layer
    classes: list[tuple[str, Label]]
    levels: LayerLevels
    sums: Moments
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
) -> list[LayerDissection]:
    """Dissect the layers of a generator.

    Args:
        source: the images that are evaluated.
        segmenter: labels them.
        config: layers, rule, images of the levels.
        store: folder or address of finished parts; default: the cache.

    Raises:
        UsageError: a source that is no generator with layers, a layer without a map, too few
            images, or channels whose responses take too many.
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
    rule = PRESETS[config.preset]
    level_source = SamplerSource(
        generator,
        config.level_images,
        further_seed(source.seed, LEVEL_SERIES),
        source.labels or None,
        preset=source.preset,
    )
    level_source.name, level_source.range = source.name, source.range
    boundaries = layers_of(generator, config.layers)
    check_responses(boundaries, config.units, config.level_images + len(source), config.basis)
    layers = [_layer(boundary, config, level_source) for boundary in boundaries]
    looking = Observer(level_source, segmenter, [_remembering(one) for one in layers], rule.side)
    folder = dissection_folder(store)
    key = key_of(observer_identity(looking), config.level_images, repr(rule))
    levels = stored_levels(
        looking, config.level_images, rule, rule.least_iou, folder / key[:2] / f"{key}.safetensors"
    )
    watching = Observer(source, segmenter, layers, rule.side)
    sums = Parts(watching, levels, folder).moments(len(source))
    return [
        _found(layer, level, total, segmenter, config)
        for layer, level, total in zip(layers, levels, sums, strict=True)
    ]


def _layer(boundary: Boundary, config: DissectionConfig, source: SamplerSource) -> Layer:
    """A layer with its maps, or with the responses of its channels."""
    if boundary.kind != "style":
        return Layer(boundary, basis_of(config.basis, boundary, source))
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
    return LayerDissection(layer, classes, levels, sums, found, labels, quality)


def basis_of(kind: str, boundary: Boundary, source: SamplerSource) -> Basis:
    """The directions in which a layer is looked at.

    Args:
        kind: ``units``; ``pca``: principal components of the feature vectors of 64 images, by
            falling variance; ``random``: a random rotation of the channels (Zhou et al. 2018, the
            control of Network Dissection).
        boundary: the layer.
        source: images for ``pca``.
    """
    channels = boundary.shape[0]
    if kind == "units":
        return Basis()
    draw = torch.Generator().manual_seed(source.seed)
    if kind == "random":
        matrix, triangle = torch.linalg.qr(torch.randn(channels, channels, generator=draw))
        return Basis("random", (matrix * triangle.diagonal().sign()).T.contiguous())
    moment = torch.zeros(channels, channels, dtype=torch.float64)
    mean, count = torch.zeros(channels, dtype=torch.float64), 0
    for start in range(0, min(64, len(source)), GROUP):
        indices = range(start, min(start + GROUP, len(source)))
        maps, _ = layer_maps(source, [Layer(boundary)], indices)
        flat = maps[boundary.name].movedim(1, -1).reshape(-1, channels).double().cpu()
        moment, mean, count = moment + flat.T @ flat, mean + flat.sum(0), count + len(flat)
    mean = mean / count
    vectors = torch.linalg.eigh(moment / count - mean[:, None] * mean).eigenvectors.flip(1).T
    signs = torch.take_along_dim(vectors, vectors.abs().argmax(1, keepdim=True), 1).sign()
    return Basis("pca", (vectors * signs).float().contiguous())
