"""Encoder networks: one small inverse for each layer, and a ResNet from the image.

Guarantees that every network fits any generator: shapes come from the boundaries alone, maps and
vectors alike, and row k of an output depends on row k of the input only (in eval mode).

The shapes follow Bau et al. 2019, section 3.2 and ``encoder_net.py`` of its code: each e_i is two
3x3 convolutions and a 1x1 that goes down where the layer went up; e_1 ends in a latent of unit mean
square; e_f is a ResNet of basic blocks whose total stride is image size / extent of the cut.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seeingkit.contracts import Boundary
from seeingkit.errors import UsageError

Shape = tuple[int, ...]


def unit_mean_square(x: Tensor) -> Tensor:
    """x divided by the root mean square over axis 1: "pixel norm" (Karras et al. 2018, §4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class Standardise(nn.Module):
    """(x - mean) / std with fixed statistics of the generator's own features; or pixel norm.

    Args:
        pixelnorm: use pixel norm instead, as the paper's code does for ProGAN. It forgets the
            length of each feature vector, so the default suits generators without pixel norm too.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, pixelnorm: bool = False) -> None:
        super().__init__()
        self.pixelnorm = pixelnorm
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def fit(self, x: Tensor) -> None:
        """Take mean and std of each channel from samples x (N, C, …)."""
        if self.pixelnorm:
            return
        flat = x.detach().transpose(0, 1).flatten(1)
        self.mean.copy_(flat.mean(1))
        self.std.copy_(flat.std(1).clamp_min(1e-3 * float(flat.std()) + 1e-8))

    def _broadcast(self, x: Tensor) -> tuple[Tensor, Tensor]:
        size = (1, -1, *([1] * (x.ndim - 2)))
        return self.mean.reshape(size), self.std.reshape(size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape, about zero mean and unit variance."""
        if self.pixelnorm:
            return unit_mean_square(x)
        mean, std = self._broadcast(x)
        return (x - mean) / std

    def undo(self, x: Tensor) -> Tensor:
        """The inverse of ``forward``; pixel norm has none, and leaves x as it is."""
        if self.pixelnorm:
            return x
        mean, std = self._broadcast(x)
        return x * std + mean


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, activation: nn.Module | None = None
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        activation or nn.LeakyReLU(0.2),
    )


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.LeakyReLU(0.2)
    )


class LayerInverse(nn.Module):
    """e_i: from x at one boundary to x at the boundary before.

    Args:
        above, below: shapes without the batch axis, (C, H, W) or vectors.
        normal: x below is a standard normal latent, so its estimate gets unit mean square.
    """

    def __init__(
        self, above: Shape, below: Shape, *, normal: bool = False, pixelnorm: bool = False
    ) -> None:
        super().__init__()
        self.below, self.normal = tuple(below), normal
        self.maps, self.to_maps = _is_map(above), _is_map(below)
        wide = max(above[0], below[0])
        if self.maps and self.to_maps:
            self.inward = Standardise(above[0], pixelnorm)
            self.outward = Standardise(below[0], pixelnorm)
            self.stride, self.size = _down(above, below)
            self.body: nn.Module = nn.Sequential(
                _convolution(above[0], wide, 3), _convolution(wide, wide, 3)
            )
            self.head: nn.Module = nn.Conv2d(wide, below[0], 1, self.stride)
        else:
            # To or from a vector: one layer that sees everything, then one that mixes.
            sizes = [math.prod(above), math.prod(below)]
            hidden = max(above[0] if self.maps else sizes[0], sizes[1])
            self.inward = Standardise(above[0] if self.maps else sizes[0], pixelnorm)
            self.outward = Standardise(sizes[1], pixelnorm)
            self.body = _dense(sizes[0], hidden)
            self.head = nn.Linear(hidden, sizes[1])
            self.size = None
        _he(self)

    def fit(self, above: Tensor, below: Tensor) -> None:
        """Take the scale of both sides from samples (N, …)."""
        self.inward.fit(above if self.maps else above.flatten(1))
        if not self.normal:
            self.outward.fit(below if self.maps and self.to_maps else below.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, *above) to (N, *below)."""
        if self.maps and self.to_maps:
            y = self.body(self.inward(x))
            if self.size is not None:
                y = F.adaptive_avg_pool2d(y, self.size)
            return self.outward.undo(self.head(y))
        x = self.inward(x if self.maps else x.flatten(1))
        y = self.head(self.body(x.flatten(1)))
        y = unit_mean_square(y) if self.normal else self.outward.undo(y)
        return y.reshape(len(y), *self.below)


class _Block(nn.Module):
    """Basic residual block (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, 3, stride, nn.ReLU())
        self.second = _convolution(outputs, outputs, 3)[:2]
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.skip = _convolution(inputs, outputs, 1, stride)[:2]

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.skip(x))


class ImageEncoder(nn.Module):
    """e_f: from the image to x at the cut, a ResNet whose stride is image size / extent.

    Args:
        target: shape of x at the cut without the batch axis, (C, H, W) or a vector.
        width: channels of the first convolution; they double with each halving.
        most: channels at most.
        blocks: residual blocks for each halving after the first.
        normal: the target is a standard normal latent (the direct encoder).
    """

    def __init__(
        self,
        resolution: int,
        target: Shape,
        *,
        width: int = 32,
        most: int = 256,
        blocks: int = 2,
        normal: bool = False,
    ) -> None:
        super().__init__()
        self.target, self.normal = tuple(target), normal
        self.maps = maps = _is_map(target)
        extent = target[1] if maps else 4
        halvings = max(0, round(math.log2(resolution / extent)))
        channels = width
        stages: list[nn.Module] = [_convolution(3, width, 3, 2 if halvings else 1)]
        for _ in range(max(halvings - 1, 1)):
            wider = min(2 * channels, most)
            stride = 2 if halvings > 1 else 1
            stages.append(_Block(channels, wider, stride))
            stages += [_Block(wider, wider, 1) for _ in range(blocks - 1)]
            channels = wider
        self.trunk = nn.Sequential(*stages)
        self.size = (target[1], target[2]) if maps else (4, 4)
        self.outward = Standardise(target[0] if maps else math.prod(target))
        self.head: nn.Module
        if maps:
            self.head = nn.Conv2d(channels, target[0], 1)
        else:
            numbers = math.prod(target)
            hidden = max(channels, numbers)
            self.head = nn.Sequential(
                nn.Flatten(), *_dense(channels * 16, hidden), nn.Linear(hidden, numbers)
            )
        _he(self)

    def fit(self, target: Tensor) -> None:
        """Take the scale of the target from samples (N, …)."""
        if not self.normal:
            self.outward.fit(target if self.maps else target.flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, R, R) in [-1, 1] to (N, *target)."""
        y = self.trunk(images)
        if y.shape[2:] != self.size:
            y = F.adaptive_avg_pool2d(y, self.size)
        y = self.head(y)
        y = unit_mean_square(y) if self.normal else self.outward.undo(y)
        return y.reshape(len(y), *self.target)


class LayeredEncoder(nn.Module):
    """E = e_1 ∘ … ∘ e_n ∘ e_f, for ``boundaries`` from ``input`` to the cut."""

    def __init__(
        self,
        boundaries: Sequence[Boundary],
        resolution: int,
        *,
        pixelnorm: bool = False,
        width: int = 32,
        most: int = 256,
        blocks: int = 2,
    ) -> None:
        super().__init__()
        if len(boundaries) < 2:
            raise UsageError("a layered encoder needs a cut after the input")
        self.layers = nn.ModuleList(
            LayerInverse(above.shape, below.shape, normal=below.index == 0, pixelnorm=pixelnorm)
            for below, above in itertools.pairwise(boundaries)
        )
        self.image = ImageEncoder(
            resolution, boundaries[-1].shape, width=width, most=most, blocks=blocks
        )

    def inverse(self, i: int) -> LayerInverse:
        """e_i, counting from 1."""
        found: LayerInverse = self.layers[i - 1]  # type: ignore[assignment]
        return found

    def down(self, r: Tensor) -> Tensor:
        """x at the cut to x at the input: e_1 ∘ … ∘ e_n."""
        for layer in reversed(self.layers):
            r = layer(r)
        return r

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images to the latent, and to x at the cut."""
        r = self.image(images)
        return self.down(r), r


def _is_map(shape: Shape) -> bool:
    return len(shape) == 3 and shape[1] * shape[2] > 1


def _down(above: Shape, below: Shape) -> tuple[int, tuple[int, int] | None]:
    """Stride of the last convolution, or the size to pool to where no whole stride fits."""
    ratio = above[1] // below[1]
    if ratio >= 1 and (above[1], above[2]) == (ratio * below[1], ratio * below[2]):
        return ratio, None
    return 1, (below[1], below[2])


def _he(module: nn.Module) -> None:
    """He initialisation and zero biases, as in the paper's code."""
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight, a=0.2)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
