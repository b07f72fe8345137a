"""The two networks of the StyleGAN2 recipe (Karras et al., CVPR 2020), able to grow.

Guarantees that the generator's parameters are those of the ``stylegan2`` adapter's network and that
its images at the full resolution are the adapter's, so that the finished network is an ordinary
StyleGAN2. Only the computation differs in training: half-precision convolutions of scaled maps
instead of one kernel per sample.

Growing needs nothing that the finished network lacks, because its image is the sum of one RGB
output per resolution (figure 7, skip): a new resolution starts as the upsampled sum so far, and its
own RGB output fades in.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit_adapters.resampling import convolve_up, upsample
from seeingkit_adapters.stylegan2.config import StyleGAN2Config
from seeingkit_adapters.stylegan2.layers import EPSILON, LEAK, SynthesisLayer, ToRGB
from seeingkit_adapters.stylegan2.network import network

from .growing import EqualConv, GrowingDiscriminator


class GrowingStyleGAN2(nn.Module):
    """A StyleGAN2 generator of architecture skip that can stop at any of its resolutions.

    Args:
        config: of the adapter's network; unconditional, leaky ReLU, no clamp, noise maps stored.
        half: whether feature maps are bfloat16 (parameters, styles and images stay float32).
    """

    def __init__(self, config: StyleGAN2Config, *, half: bool = False) -> None:
        super().__init__()
        self.config = config
        self.dtype = torch.bfloat16 if half else torch.float32
        self.network = network(config)

    def map(self, z: Tensor) -> Tensor:
        """z (N, z_dim) to w (N, w_dim), both float32, nothing truncated."""
        w: Tensor = self.network.mapping(z)
        return w

    def forward(
        self,
        w: Tensor,
        resolution: int,
        alpha: float = 1.0,
        noise: torch.Generator | None = None,
    ) -> Tensor:
        """w (N, w_dim) to float32 images (N, 3, resolution, resolution).

        Args:
            w: one for all layers.
            resolution: one of ``config.resolutions``.
            alpha: weight of the newest RGB output while it fades in, in [0, 1].
            noise: draws each layer's noise anew; None takes the stored maps.
        """
        synthesis = self.network.synthesis
        x = synthesis.block(4).const.expand(len(w), -1, -1, -1)
        x = x.to(self.dtype, memory_format=torch.channels_last)
        image: Tensor | None = None
        for r in self.config.resolutions:
            block = synthesis.block(r)
            if image is not None:
                x = self._convolve(block.conv0, x, w, noise, up=True)
                image = upsample(image, self.config.resample_filter)
            x = self._convolve(block.conv1, x, w, noise)
            assert block.torgb is not None  # architecture skip
            rgb = self._rgb(block.torgb, x, w)
            if image is not None:
                rgb = image + (rgb * alpha if r == resolution and alpha < 1.0 else rgb)
            image = rgb
            if r == resolution:
                return image
        raise ValueError(f"{resolution} is not one of {self.config.resolutions}")

    def _convolve(
        self,
        layer: SynthesisLayer,
        x: Tensor,
        w: Tensor,
        noise: torch.Generator | None,
        *,
        up: bool = False,
    ) -> Tensor:
        """Modulated convolution, noise, bias and activation.

        Scaling the input by the style and the output by the demodulation is the published fused
        kernel (section 2.2, equations 1 and 3) with one kernel for the whole batch.
        """
        style, weight = layer.affine(w), layer.weight
        power = weight.square().sum(dim=(2, 3))
        demodulation = torch.rsqrt(F.linear(style.square(), power) + EPSILON)
        x = x * style.to(x.dtype)[:, :, None, None]
        kernel = weight.to(x.dtype)
        if up:
            x = convolve_up(x, kernel, self.config.resample_filter)
        else:
            x = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2)
        if noise is None:
            spots = layer.noise_const
        else:
            size = x.shape[-1]
            spots = torch.randn(len(x), 1, size, size, generator=noise)
        # The gain of the activation goes through it: leaky ReLU is positively homogeneous.
        gain = math.sqrt(2.0)
        x = x * (demodulation * gain).to(x.dtype)[:, :, None, None]
        x = x + (spots * (layer.noise_strength * gain)).to(x.dtype)
        x = x + (layer.bias * gain).to(x.dtype)[:, None, None]
        return F.leaky_relu(x, LEAK)

    def _rgb(self, layer: ToRGB, x: Tensor, w: Tensor) -> Tensor:
        """One resolution's RGB output, float32: modulated 1x1 convolution, not demodulated."""
        weight = layer.weight
        style = layer.affine(w) / math.sqrt(weight[0].numel())
        x = F.conv2d(x * style.to(x.dtype)[:, :, None, None], weight.to(x.dtype))
        return x.float() + layer.bias[:, None, None]


class _Residual(nn.Module):
    """Two convolutions to half the size, and a 1x1 one around them; variance kept (figure 7)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv0 = EqualConv(channels_in, channels_in, 3, 1)
        self.conv1 = EqualConv(channels_in, channels_out, 3, 1, halve=True)
        self.skip = nn.Parameter(torch.randn(channels_out, channels_in, 1, 1))
        self.scale = 1.0 / math.sqrt(channels_in)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H / 2, W / 2)."""
        around = F.conv2d(F.avg_pool2d(x, 2), self.skip * self.scale)
        y: Tensor = self.conv1(self.conv0(x))
        return (y + around) * math.sqrt(0.5)


class ResidualDiscriminator(GrowingDiscriminator):
    """StyleGAN2's residual discriminator, entered at any resolution.

    The filter before each halving is a box, by which the training pictures are halved too, not the
    published one of four taps: it and the convolution are one kernel. The discriminator is not
    shipped.

    Args:
        sizes: channels of z (not used), then of each resolution from 4x4 on.
        group: images per group of the minibatch standard deviation.
    """

    def __init__(self, sizes: Sequence[int], group: int = 4) -> None:
        super().__init__(sizes, group)
        channels = sizes[1:]
        self.blocks = nn.ModuleList(
            _Residual(above, below) for below, above in itertools.pairwise(channels)
        )
