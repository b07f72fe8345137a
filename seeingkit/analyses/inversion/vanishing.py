"""Losses of class area from photo to reconstruction, one for each (image, class) pair.

Guarantees: photo and reconstruction are segmented in the same way (8 bits, the same preset, the
same segmenter); a class vanishes from an image where at least half of its area is gone. A loss is
no omission by itself: ``verdicts`` compares how often classes vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import Segmenter
from seeingkit.images.preprocess import apply, quantise, to_tensor
from seeingkit.results import VANISHED, LostClass
from seeingkit.specs import Preset

MIN_AREA = 0.25
"""Area threshold in percent of the image, below which a class does not count as present."""
BANDS = tuple(MIN_AREA * 2**k for k in range(1, 7))
"""Ends of the bands of like area, in percent of the image: a factor of 2 each, all above 16 one."""


def label_maps(
    images: Tensor, segmenter: Segmenter, preset: Preset, batch_size: int = 16
) -> NDArray[np.int64]:
    """Object labels (N, H, W) of images (N, 3, R, R) in [-1, 1], seen as the PNGs they would be."""
    maps = []
    for batch in images.split(batch_size):
        pictures = quantise(batch).cpu().numpy()
        prepared = np.stack([apply(Image.fromarray(picture), preset) for picture in pictures])
        with torch.inference_mode():
            labels = segmenter.label_maps(to_tensor(prepared).to(segmenter.device))[:, 0]
        maps.append(labels.cpu().numpy())
    return np.concatenate(maps)


def areas(maps: NDArray[np.int64], labels: int) -> NDArray[np.float64]:
    """Percent of each image with each label, (N, L), of maps (N, H, W)."""
    flat = maps.reshape(len(maps), -1)
    counts = np.stack([np.bincount(row, minlength=labels) for row in flat])
    return counts.astype(np.float64) * (100 / flat.shape[1])


@dataclass(frozen=True, eq=False)
class Losses:
    """Losses of all (image, class) pairs of some images and their reconstructions.

    Attributes:
        names: label names by number.
        label: (P,) number of the class of each pair.
        area: (P,) percent of the image that the class covers, at least ``MIN_AREA``.
        lost: (P,) share of that area that is missing in the reconstruction; below 0: it has grown.
    """

    names: tuple[str, ...]
    label: NDArray[np.int64]
    area: NDArray[np.float64]
    lost: NDArray[np.float64]

    @staticmethod
    def measure(
        before: NDArray[np.float64],
        after: NDArray[np.float64],
        names: Sequence[str],
        has_background: bool,
    ) -> Losses:
        """From areas (N, L), in percent, of images and of their reconstructions.

        ``Losses.measure(areas(maps, 23), areas(again, 23), names, True).vanished.mean()``.
        """
        counted = before >= MIN_AREA
        if has_background:
            counted[:, 0] = False
        rows, labels = np.nonzero(counted)
        area = before[rows, labels]
        return Losses(tuple(names), labels, area, (area - after[rows, labels]) / area)

    @property
    def vanished(self) -> NDArray[np.bool_]:
        """(P,) whether at least half of the area is gone."""
        return self.lost >= VANISHED

    @property
    def band(self) -> NDArray[np.int64]:
        """(P,) number of the band of like area."""
        return np.digitize(self.area, BANDS)

    def of(self, labels: Sequence[int]) -> Losses:
        """The pairs of these classes."""
        return self.take(np.isin(self.label, list(labels)))

    def take(self, pairs: NDArray[np.bool_]) -> Losses:
        """Some of the pairs."""
        return Losses(self.names, self.label[pairs], self.area[pairs], self.lost[pairs])

    @staticmethod
    def join(parts: Sequence[Losses]) -> Losses:
        """All pairs of several sets of images with the same labels."""
        label, area, lost = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("label", "area", "lost")
        )
        return Losses(parts[0].names, label, area, lost)

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs that vanish, and pairs, in each band of like area."""
        size = len(BANDS) + 1
        return (
            np.bincount(self.band[self.vanished], minlength=size),
            np.bincount(self.band, minlength=size),
        )


def lost_classes(
    photo: NDArray[np.float64],
    reconstruction: NDArray[np.float64],
    names: Sequence[str],
    has_background: bool,
) -> list[LostClass]:
    """Losses of one photo by class, most area lost first.

    Args:
        photo, reconstruction: (L,) percent of area with each label.
        names: of the labels.
        has_background: label 0 is no object.
    """
    found = Losses.measure(photo[None].copy(), reconstruction[None], names, has_background)
    records = [
        LostClass(
            label=names[label],
            photo_area=float(area),
            reconstruction_area=float(reconstruction[label]),
            lost=float(lost),
        )
        for label, area, lost in zip(found.label, found.area, found.lost, strict=True)
    ]
    return sorted(records, key=lambda record: (-record.gone, -record.photo_area))
