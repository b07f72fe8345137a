"""Is a photo like the images the generator learnt from?

Guarantee: the answer is a ratio with a stated reference, never a silent filter. Every photo is
inverted; one that is unlike the reference images is marked, because what vanishes from it says less
about what the generator left out of its own kind of picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import UsageError

THUMBNAIL = 8
USUAL = 0.99


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Distances among reference images, as thumbnails of 8x8 pixels.

    Attributes:
        thumbnails: (M, 192).
        usual: the distance to the nearest other reference image that 99 of 100 stay below.
        reference: what the reference images are, for people.
    """

    thumbnails: Tensor
    usual: float
    reference: str

    @staticmethod
    def of(images: Tensor, reference: str) -> Familiarity:
        """From at least two reference images (M, 3, H, W) in [-1, 1]."""
        if len(images) < 2:
            raise UsageError("at least two reference images are needed")
        small = thumbnails(images)
        distances = torch.cdist(small, small)
        distances.fill_diagonal_(torch.inf)
        usual = float(torch.quantile(distances.min(1).values, USUAL))
        return Familiarity(small, max(usual, 1e-6), reference)

    def ratio(self, images: Tensor) -> Tensor:
        """Distance to the nearest reference image over the usual one, (N,); above 1 is unlike."""
        return torch.cdist(thumbnails(images), self.thumbnails).min(1).values / self.usual


def thumbnails(images: Tensor) -> Tensor:
    """(N, 3, H, W) to (N, 192) float64 by averaging over an 8x8 grid."""
    return F.adaptive_avg_pool2d(images.cpu().double(), THUMBNAIL).flatten(1)
