"""Where else a key matches: images of the generator ranked by their best place.

The score of a place is (C⁻¹ k) · k', k being the mean key of a region and k' that of the place
(ECCV 2020, section 3.2, and "Match" in the published notebook).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .bench import Bench
from .directions import context_keys, mean_key, query_direction
from .moments import FLOOR, KeyMoments
from .regions import Region


@dataclass(frozen=True)
class Match:
    """The best place of an image.

    Attributes:
        index: number of the image.
        score: of the place.
        place: row and column in the map of keys.
    """

    index: int
    score: float
    place: tuple[int, int]


def scores(bench: Bench, direction: Tensor, indices: Sequence[int]) -> list[Tensor]:
    """The score of every place, a map (h, w) for each image.

    Args:
        bench: the generator at the site.
        direction: (C_in,) of ``query_direction``.
        indices: of images.
    """
    along = direction.float()
    return [
        torch.einsum("chw,c->hw", bench.keys(index)[0], along.to(bench.weight)) for index in indices
    ]


def matches(
    bench: Bench,
    moments: KeyMoments,
    region: Region,
    indices: Sequence[int],
    *,
    floor: float | None = FLOOR,
) -> list[Match]:
    """Images ranked by how well their best place matches a region, best first.

    Args:
        bench: the generator at the site.
        moments: of its keys.
        region: of one of its images.
        indices: of images that are looked at.
        floor: of the inverse, see ``KeyMoments.power``.

    ``matches(bench, moments, Region(3, mask), range(200))[0].index``
    """
    direction = query_direction(moments, mean_key(*context_keys(bench, (region,))), floor)
    return ranked(indices, scores(bench, direction, indices))


def ranked(indices: Sequence[int], maps: Sequence[Tensor]) -> list[Match]:
    """Images by the best place of their maps of scores (h, w), best first.

    >>> ranked([3, 7], [torch.zeros(2, 2), torch.eye(2)])[0]
    Match(index=7, score=1.0, place=(0, 0))
    """
    found = []
    for index, scored in zip(indices, maps, strict=True):
        row, column = divmod(int(scored.argmax()), scored.shape[1])
        found.append(Match(int(index), float(scored.max()), (row, column)))
    return sorted(found, key=lambda match: (-match.score, match.index))
