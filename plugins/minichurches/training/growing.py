"""The two growing networks of progressive training (Karras et al., ICLR 2018, section 2, table 2).

Guarantees that the generator's parameters carry the published names of the finished network, so
that dropping the RGB outputs of the lower resolutions is the whole export.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit_adapters.progan.network import LEAK, feature_layers, resolutions, rgb_layer


class GrowingGenerator(nn.Module):
    """A ProGAN generator with one RGB output per resolution.

    Args:
        sizes: channels of z, then of each resolution from 4x4 on.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.resolutions = resolutions(sizes)
        for name, layer in feature_layers(sizes).named_children():
            self.add_module(name, layer)
        for resolution, channels in zip(self.resolutions, sizes[1:], strict=True):
            self.add_module(f"output_{resolution}x{resolution}", rgb_layer(channels))

    def forward(self, z: Tensor, resolution: int, alpha: float = 1.0) -> Tensor:
        """z (N, D) to float32 images (N, 3, resolution, resolution).

        Args:
            z: latents.
            resolution: one of ``resolutions``.
            alpha: weight of the newest resolution while it fades in, in [0, 1].
        """
        x = z[:, :, None, None]
        previous = x
        depth = self.resolutions.index(resolution) + 1
        for i in range(depth):
            previous = x
            x = self.get_submodule(f"layer{2 * i + 1}")(x)
            x = self.get_submodule(f"layer{2 * i + 2}")(x)
        image: Tensor = self.get_submodule(f"output_{resolution}x{resolution}")(x).float()
        if alpha < 1.0:
            half = resolution // 2
            coarse = self.get_submodule(f"output_{half}x{half}")(previous).float()
            image = torch.lerp(F.interpolate(coarse, scale_factor=2.0), image, alpha)
        return image

    def published(self) -> dict[str, Tensor]:
        """Tensors of the finished network under their published names."""
        last = f"output_{self.resolutions[-1]}x"
        return {
            key: value.detach().contiguous()
            for key, value in self.state_dict().items()
            if key.startswith(("layer", last))
        }


class EqualConv(nn.Module):
    """Convolution with unit-variance weights scaled at run time by sqrt(2 / fan-in)."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        padding: int = 0,
        *,
        halve: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.padding = padding
        self.stride = 2 if halve else 1
        self.scale = math.sqrt(2.0 / (channels_in * kernel * kernel))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H', W'), leaky ReLU applied.

        With ``halve`` the map is averaged over 2x2 before the activation: one 4x4 kernel of stride
        2 does both (the box-filtered 3x3 one), as ``fused_scale`` does in the original.
        """
        weight = self.weight * self.scale
        if self.stride == 2:
            weight = F.pad(weight, (1, 1, 1, 1))
            weight = F.avg_pool2d(weight, 2, stride=1)
        x = F.conv2d(x, weight, self.bias, stride=self.stride, padding=self.padding)
        return F.leaky_relu(x, LEAK)


class GrowingDiscriminator(nn.Module):
    """The generator mirrored, with the minibatch standard deviation as a last feature map.

    Args:
        sizes: as for ``GrowingGenerator``.
        group: images per group of the minibatch standard deviation.
    """

    def __init__(self, sizes: Sequence[int], group: int = 4) -> None:
        super().__init__()
        channels = list(sizes[1:])
        self.group = group
        self.resolutions = resolutions(sizes)
        self.from_rgb = nn.ModuleList(EqualConv(3, c, 1) for c in channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(EqualConv(c, c, 3, 1), EqualConv(c, below, 3, 1, halve=True))
            for below, c in itertools.pairwise(channels)
        )
        last = channels[0]
        self.last = nn.Sequential(EqualConv(last + 1, last, 3, 1), EqualConv(last, last, 4))
        self.score = nn.Linear(last, 1)
        nn.init.normal_(self.score.weight)

    def forward(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """Images (N, 3, R, R) to one float32 realness per image, (N,)."""
        top = self.resolutions.index(images.shape[-1])
        x = self.from_rgb[top](images)
        for i in range(top, 0, -1):
            x = self.blocks[i - 1](x)
            if i == top and alpha < 1.0:
                x = torch.lerp(self.from_rgb[i - 1](F.avg_pool2d(images, 2)), x, alpha)
        x = self.last(torch.cat([x, self._spread(x)], dim=1)).flatten(1)
        return F.linear(
            x.float(), self.score.weight / math.sqrt(x.shape[1]), self.score.bias
        ).squeeze(1)

    def _spread(self, x: Tensor) -> Tensor:
        """Standard deviation over each group of images, averaged to one map (section 3)."""
        n, c, h, w = x.shape
        group = math.gcd(self.group, n)
        grouped = x.float().reshape(group, n // group, c, h, w)
        deviation = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        return deviation.repeat(group).reshape(n, 1, 1, 1).expand(n, 1, h, w).to(x.dtype)
