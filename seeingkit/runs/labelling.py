"""Reads chosen images of one side again, labels them again, and maps where classes are in them.

Guarantees: each image is read and segmented once, whatever it is needed for; a map does not depend
on the size of the batches, apart from pixels whose two best scores lie within float rounding; only
the images that were asked for as pictures are kept in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.contracts import ImageSource, Segmenter
from seeingkit.images.preprocess import quantise
from seeingkit.report.pictures.places import PlaceMap, grid_of, pooled
from seeingkit.system.devices import in_batches
from seeingkit.system.progress import Bar

Labelled = tuple[NDArray[np.uint8], NDArray[Any]]
"""A picture (H, W, 3) uint8, and its labels (h, w) uint8 or uint16."""


@dataclass(frozen=True)
class Wanted:
    """What is needed of the images of one side; images are numbers in their source.

    Attributes:
        pictures: images that are shown.
        mapped: for each class, by label number, the images that its map is made of.
        showing: for each class, how many images of the side show it.
    """

    pictures: frozenset[int] = frozenset()
    mapped: Mapping[int, Sequence[int]] = field(default_factory=dict)
    showing: Mapping[int, int] = field(default_factory=dict)

    @property
    def images(self) -> list[int]:
        """All of them, ascending."""
        return sorted(self.pictures.union(*self.mapped.values()))


@dataclass
class _Sums:
    """Sums of pooled masks of classes, on a grid that the first image gives."""

    mapped: Mapping[int, frozenset[int]]
    grid: tuple[int, int] | None = None
    sums: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, image: int, labels: NDArray[Any]) -> None:
        """Add one image, labels (h, w), to the classes whose map it is part of."""
        self.grid = self.grid or grid_of(*labels.shape)
        for index, images in self.mapped.items():
            if image in images:
                found = pooled(labels == index, self.grid)
                self.sums[index] = self.sums.get(index, 0.0) + found


def label_images(
    source: ImageSource, segmenter: Segmenter, wanted: Wanted, *, batch_size: int, bar: Bar
) -> tuple[dict[int, Labelled], dict[int, PlaceMap]]:
    """The pictures and the maps of places that are wanted of a source.

    Args:
        source: the images; segmenter: with the labels of the maps.
        wanted: which images.
        batch_size: images at once; halved when memory runs out.
        bar: counts images.

    Returns:
        pictures with their labels by number in the source; maps by label number.

    Raises:
        ImageError: an image that can no longer be read.
        ModelError: memory ran out with a single image.
    """
    small = np.uint8 if len(segmenter.vocabulary) <= 256 else np.uint16
    sums = _Sums({index: frozenset(images) for index, images in wanted.mapped.items()})
    pictures: dict[int, Labelled] = {}

    def work(images: Tensor) -> NDArray[Any]:
        maps = segmenter.label_maps(images.to(segmenter.device))[:, 0]
        return maps.cpu().numpy().astype(small)

    places = wanted.images
    for start in range(0, len(places), batch_size):
        batch = places[start : start + batch_size]
        images = source.read(batch)
        with torch.inference_mode():
            parts, _ = in_batches(work, images, batch_size, "use --device cpu")
        for k, labels in enumerate(map_ for part in parts for map_ in part):
            sums.add(batch[k], labels)
            if batch[k] in wanted.pictures:
                # Copies, for views would keep their whole batch in memory.
                pictures[batch[k]] = quantise(images[k : k + 1])[0].numpy(), labels.copy()
        bar.advance(len(batch))
    return pictures, {index: _map(index, wanted, sums) for index in wanted.mapped}


def _map(index: int, wanted: Wanted, sums: _Sums) -> PlaceMap:
    """The map of one class."""
    images, showing = len(wanted.mapped[index]), wanted.showing[index]
    if not images:
        return PlaceMap(0, showing)
    mean = sums.sums[index] / images
    return PlaceMap(images, showing, np.clip(mean, 0, 1).astype(np.float32))
