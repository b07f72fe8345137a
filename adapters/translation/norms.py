"""Norms of translators, by the statistics of the image itself or by those of the file.

Guarantees: row k of a result depends on row k only, whatever the statistics are. Upstream's test
scripts draw one image at a time in training mode, where a batch norm takes the mean and the biased
variance of that image's channel: the same numbers as an instance norm's (torch 2,
``BatchNorm2d`` and ``InstanceNorm2d``).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5
"""Added to variances: torch's usual one, which no file holds."""

NormKind = Literal["none", "instance", "affine"]
"""No norm; one without tensors; one with scale and shift."""

Statistics = Literal["image", "stored"]


class Norm(nn.Module):
    """A norm of maps (N, C, H, W).

    Args:
        channels: C.
        kind: ``none``, ``instance`` or ``affine``.
        tracked: whether the file has running statistics of it.
        statistics: which are used; ``stored`` needs ``tracked``.

    >>> Norm(2, "instance")(torch.ones(1, 2, 4, 4)).abs().max()
    tensor(0.)
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        channels: int,
        kind: NormKind,
        *,
        tracked: bool = False,
        statistics: Statistics = "image",
    ) -> None:
        super().__init__()
        self.kind, self.statistics = kind, statistics
        affine = kind == "affine"
        for name, first in (("weight", torch.ones), ("bias", torch.zeros)):
            value = nn.Parameter(first(channels)) if affine else None
            self.register_parameter(name, value)
        for name, first in (("running_mean", torch.zeros), ("running_var", torch.ones)):
            self.register_buffer(name, first(channels) if tracked else None)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) normalised."""
        if self.kind == "none":
            return x
        if self.statistics == "stored":
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=EPSILON
            )
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=EPSILON)


def drop(x: Tensor, seeds: Tensor | None, place: int) -> Tensor:
    """x with half of its numbers set to 0 and the others doubled, or as it is.

    Args:
        x: (N, C, H, W).
        seeds: (N,) int64, one an image; None: dropout is off.
        place: number of the layer, so that each has a mask of its own.

    >>> drop(torch.ones(1, 2, 8, 8), torch.tensor([3]), 0).unique()
    tensor([0., 2.])
    """
    if seeds is None:
        return x
    masks = []
    for seed in seeds.tolist():
        stream = torch.Generator().manual_seed(1_000 * int(seed) + place)
        masks.append(torch.rand(x.shape[1:], generator=stream) < 0.5)
    return x * (2.0 * torch.stack(masks)).to(x)
