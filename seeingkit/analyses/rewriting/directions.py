"""Directions of keys that an edit may use: those of the context, away from all other keys.

With C the second moment of keys, C⁻¹ k is the direction along which the value of k changes while
other keys change least (ECCV 2020, equation 8). Several keys span a subspace, which is reduced in
whitened coordinates (section 3.3 and the published code).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.errors import UsageError

from .bench import Bench
from .moments import FLOOR, KeyMoments
from .regions import Region

Method = Literal["zca", "svd", "mean"]


def context_keys(
    bench: Bench, regions: tuple[Region, ...], kernel: tuple[int, int] = (1, 1)
) -> tuple[Tensor, Tensor]:
    """Keys of the places that regions cover, and how much of each place they cover.

    Args:
        bench: the generator at the site.
        regions: of its images.
        kernel: above 1 x 1: keys are the patches around the places.

    Returns:
        (P, D) float64 and (P,) float64 in (0, 1].
    """
    keys, weights = [], []
    padding = (kernel[0] // 2, kernel[1] // 2)
    for region in regions:
        found = bench.keys(region)
        rows = F.unfold(found.double(), kernel, padding=padding)[0].T
        area = region.area((found.shape[2], found.shape[3])).flatten().double().to(rows.device)
        keys.append(rows[area > 0])
        weights.append(area[area > 0])
    return torch.cat(keys).cpu(), torch.cat(weights).cpu()


def mean_key(keys: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean, (D,), of keys (P, D)."""
    return weights @ keys / weights.sum()


def query_direction(moments: KeyMoments, key: Tensor, floor: float | None = FLOOR) -> Tensor:
    """C⁻¹ k of length 1, (D,): places whose key has a great product with it match k.

    >>> moments = KeyMoments(10, 10 * torch.diag(torch.tensor([4.0, 1.0])).double(), 2)
    >>> query_direction(moments, torch.tensor([4.0, 0.0]).double()).tolist()
    [1.0, 0.0]
    """
    found: Tensor = moments.power(-1, floor) @ key
    unit: Tensor = found / found.norm().clamp_min(torch.finfo(found.dtype).tiny)
    return unit


def directions(
    moments: KeyMoments,
    keys: Tensor,
    weights: Tensor,
    rank: int = 1,
    *,
    method: Method = "zca",
    floor: float | None = FLOOR,
) -> Tensor:
    """The directions of an edit, (rank, D) float64.

    Args:
        moments: of the site.
        keys: (P, D) of the context.
        weights: (P,) of them.
        rank: how many.
        method: ``zca``, orthonormal: the main directions of the whitened keys, whitened once more.
            ``svd``: the main directions of C⁻¹ k. ``mean``: the mean of C⁻¹ k, for rank 1.
        floor: of inverses, see ``KeyMoments.power``.

    Raises:
        UsageError: a rank above the number of keys, or of numbers in a key.
    """
    most = min(keys.shape)
    if not 1 <= rank <= most or (method == "mean" and rank > 1):
        most = 1 if method == "mean" else most
        raise UsageError(
            f"rank {rank}: the context has {len(keys)} keys of {keys.shape[1]} numbers; take 1 to "
            f"{most}, or paint more context"
        )
    if method == "zca":
        whiten = moments.power(-0.5, floor)
        whitened = weights[:, None] * (keys @ whiten)
        _, _, main = torch.linalg.svd(whitened, full_matrices=False)
        found: Tensor = torch.linalg.qr((main[:rank] @ whiten).T)[0]
        signs = torch.sign(found.T @ whitened.sum(0))
        oriented: Tensor = found.T * torch.where(signs == 0, 1.0, signs)[:, None]
        return oriented
    adjusted = (weights[:, None] * keys) @ moments.power(-1, floor)
    average: Tensor = adjusted.mean(0)
    if method == "mean":
        single: Tensor = average / average.norm()
        return single[None]
    found = torch.linalg.svd(adjusted, full_matrices=False)[2][:rank]
    return torch.cat([-found[:1], found[1:]]) if float(found[0] @ average) < 0 else found


def strongest_units(moments: KeyMoments, keys: Tensor, weights: Tensor, count: int) -> list[int]:
    """The units of the keys whose squares stand out most in the context, strongest first.

    The weighted mean of k² over E[k²], unit by unit: what the original erases.
    """
    mean_square = moments.covariance.diagonal()
    ratio = (keys.square() / mean_square).nan_to_num(0.0)  # a unit that is 0 everywhere
    score = weights @ ratio / weights.sum()
    found: list[int] = score.sort(descending=True, stable=True).indices[:count].tolist()
    return found
