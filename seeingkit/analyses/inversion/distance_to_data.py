"""Out-of-distribution distance: how far a photo is from the images the generator learnt from.

Guarantee: the distance is a ratio with a stated reference, never a silent filter. Every photo is
inverted; one that lies outside the reference images is marked, because classes may vanish from it
for the reason that the generator never saw such a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seeingkit.contracts import Features
from seeingkit.contracts.features import check_features
from seeingkit.errors import UsageError

THUMBNAIL = 8
USUAL = 0.99


@dataclass(frozen=True, eq=False)
class DistanceToData:
    """Distances to reference images, by perceptual features averaged over the picture.

    Without features, by thumbnails of 8x8 pixels. These tell day from night and a street from a
    church, but not one kind of building from another::

        distance = DistanceToData.of(references, "512 images of churches", features)
        outside = distance.ratio(photos) > 1

    Attributes:
        signatures: (M, D) float64, of the reference images.
        usual: the distance to the nearest other reference image that 99 of 100 stay below.
        reference: the reference images and how images are compared, for people.
        features: how images are compared, or None for thumbnails.
    """

    signatures: Tensor
    usual: float
    reference: str
    features: Features | None = None

    @staticmethod
    def of(images: Tensor, reference: str, features: Features | None = None) -> DistanceToData:
        """From reference images (M, 3, H, W) in [-1, 1]; ``UsageError`` for fewer than two."""
        if len(images) < 2:
            raise UsageError("at least two reference images are needed")
        found = signatures(images, features)
        distances = torch.cdist(found, found)
        distances.fill_diagonal_(torch.inf)
        usual = float(torch.quantile(distances.min(1).values, USUAL))
        by = features.name if features is not None else "8x8 thumbnails"
        return DistanceToData(found, max(usual, 1e-6), f"{reference}, compared by {by}", features)

    def ratio(self, images: Tensor) -> Tensor:
        """Distance to the nearest reference image over the usual one, (N,) float64."""
        found = signatures(images, self.features)
        return torch.cdist(found, self.signatures).min(1).values / self.usual


def signatures(images: Tensor, features: Features | None, batch_size: int = 32) -> Tensor:
    """(N, 3, H, W) to (N, D) float64: mean features, or 192 numbers of an 8x8 thumbnail."""
    if features is None:
        return F.adaptive_avg_pool2d(images.cpu().double(), THUMBNAIL).flatten(1)
    rows = []
    with torch.inference_mode():
        for batch in images.split(batch_size):
            layers = check_features(features(batch.to(features.device)), len(batch), features.name)
            rows.append(torch.cat([x.flatten(2).mean(2).double().cpu() for x in layers], dim=1))
    return torch.cat(rows).clone()
