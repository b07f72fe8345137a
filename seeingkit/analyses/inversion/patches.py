"""Generator samples that are as hard to reach as photos, though all of them can be drawn.

Guarantee: image k is a function of the generator, the seed and k: sample k of one series, with a
square of sample k of another series in it. Every object of it comes from the generator; the whole
does not, so inversion reaches it about as well as a photo (a sample as it is, far better).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seeingkit.contracts import ImageSource
from seeingkit.images import SamplerSource

SIDES = (0.3, 0.5)
"""Least and most side of the square, in sides of the image. With these, PSNR is about that of
photos on the embedded generators (docs/inversion.md has the numbers)."""
SERIES = 7_000_003
"""Added to the seed of the samples (once for the picture, twice for the square), so that both
series are others than those that calibrate or are compared."""


class PatchedSamples(ImageSource):
    """Samples of a generator with a square of another sample in each.

    Args:
        own: generator samples; n, seed, labels and preset are theirs.

    >>> own = SamplerSource(seeingkit.load_generator("progan:minichurches"), 4)
    >>> PatchedSamples(own).read([0]).shape
    torch.Size([1, 3, 256, 256])
    """

    kind = "generator samples with a foreign patch"
    seed: int

    def __init__(self, own: SamplerSource) -> None:
        self.seed, self.preset, self.generator = own.seed, own.preset, own.generator
        self.name, self.labels = f"{own.name}, patched", own.labels
        whole, other = (
            SamplerSource(
                own.sampler,
                len(own),
                own.seed + step * SERIES,
                own.labels or None,
                preset=own.preset,
                batch=own.batch,
            )
            for step in (1, 2)
        )
        self.whole, self.other = whole, other
        self.ids = tuple(f"{item}-patched" for item in whole.ids)
        text = json.dumps([whole.fingerprint, other.fingerprint, *SIDES])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def condition(self, index: int) -> int | None:
        """The class of both samples of an image, or None of an unconditional generator."""
        return self.whole.condition(index)

    def square(self, index: int, size: int) -> tuple[int, int, int]:
        """Top, left and side of the square in image ``index`` of ``size`` pixels."""
        random = np.random.default_rng([self.seed, int(index)])
        side = max(1, round(random.uniform(*SIDES) * size))
        top, left = random.integers(0, size - side + 1, 2)
        return int(top), int(left), side

    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, H, W) float32 in [-1, 1]; ``ImageError`` for a sample with NaN or Inf."""
        rows = [int(k) for k in indices]
        images, others = self.whole.read(rows), self.other.read(rows)
        for place, row in enumerate(rows):
            top, left, side = self.square(row, images.shape[-1])
            area = (place, slice(None), slice(top, top + side), slice(left, left + side))
            images[area] = others[area]
        return images


def squares(source: PatchedSamples, rows: Sequence[int], size: int) -> Tensor:
    """(N, size, size) bool: the pixels of each image's square."""
    masks = torch.zeros(len(rows), size, size, dtype=torch.bool)
    for mask, row in zip(masks, rows, strict=True):
        top, left, side = source.square(row, size)
        mask[top : top + side, left : left + side] = True
    return masks
