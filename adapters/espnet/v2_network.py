"""ESPNetv2 for segmentation (Mehta et al., CVPR 2019, arXiv 1811.11431), keys as published.

Guarantees that widths, depths, branches, decoder widths and the number of outputs are read from the
shapes of the weights, so that any ``s`` (0.5 to 2.0 were published) loads without being named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .network import conv, count_blocks, named, shrink

STRIDE = 32  # both sides of the input must be multiples of this
PHOTO = 3  # channels of the photo that every shrinking block sees again
SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)  # grids of the decoder's pyramid, relative to its own
SMALLEST = 5  # no grid of the decoder's pyramid is smaller
REACHES = {"level2_0": 13, "level3_0": 11, "level3": 9, "level4_0": 9, "level4": 7}
"""Largest receptive field of a dilated branch at each level; beyond it the rate falls back to 1."""


def _conv_norm_act(inputs: int, outputs: int, kernel: int, **how: int) -> nn.Sequential:
    first = conv(inputs, outputs, kernel, **how)
    return named(conv=first, bn=nn.BatchNorm2d(outputs), act=nn.PReLU(outputs))


def _norm_act(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))


def _decoder_conv(inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Sequential:
    first = conv(inputs, outputs, kernel, groups=groups)
    return named(cbr=nn.Sequential(first, nn.BatchNorm2d(outputs), nn.PReLU(outputs)))


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=True)


def rates(branches: int, reach: int) -> list[int]:
    """Dilations of the 3x3 branches of an EESP block, lowest first (paper, section 3.2)."""
    wanted = range(1, branches + 1)  # a 3x3 kernel of rate d reaches over 2 d + 1 pixels
    return sorted(rate if 2 * rate + 1 <= reach else 1 for rate in wanted)


class EESP(nn.Module):
    """Extremely efficient spatial pyramid of depth-wise dilated convolutions (section 3.1)."""

    def __init__(
        self, inputs: int, outputs: int, branches: int, reach: int, *, stride: int = 1
    ) -> None:
        super().__init__()
        if outputs % branches:
            raise ValueError(f"{outputs} channels do not divide into {branches} branches")
        width = outputs // branches
        self.stride = stride
        self.proj_1x1 = _conv_norm_act(inputs, width, 1, groups=branches)
        self.spp_dw = nn.ModuleList(
            named(conv=conv(width, width, 3, stride=stride, dilation=rate, groups=width))
            for rate in rates(branches, reach)
        )
        self.conv_1x1_exp = named(
            conv=conv(outputs, outputs, 1, groups=branches), bn=nn.BatchNorm2d(outputs)
        )
        self.br_after_cat = named(bn=nn.BatchNorm2d(outputs), act=nn.PReLU(outputs))
        self.module_act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        reduced = self.proj_1x1(x)
        fused = accumulate(branch(reduced) for branch in self.spp_dw)
        out: Tensor = self.conv_1x1_exp(self.br_after_cat(torch.cat(list(fused), dim=1)))
        # A block that shrinks leaves its activation to the sum it is part of.
        return out if self.stride > 1 else self.module_act(out + x)


class StridedEESP(nn.Module):
    """Halves the grid: means and an EESP side by side, plus a look at the photo (section 3.3)."""

    def __init__(self, inputs: int, outputs: int, branches: int, reach: int) -> None:
        super().__init__()
        self.eesp = EESP(inputs, outputs - inputs, branches, reach, stride=2)
        self.inp_reinf = nn.Sequential(
            _conv_norm_act(PHOTO, PHOTO, 3),
            named(conv=conv(PHOTO, outputs, 1), bn=nn.BatchNorm2d(outputs)),
        )
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor, photo: Tensor) -> Tensor:
        """(N, inputs, H, W) and the photo at (H / 2, W / 2) to (N, outputs, H / 2, W / 2)."""
        halved = torch.cat([shrink(x), self.eesp(x)], dim=1)
        out: Tensor = self.act(halved + self.inp_reinf(photo))
        return out


class Gate(nn.Module):
    """Brings encoder features to the decoder's width, each channel scaled by a global weight."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), conv(inputs, outputs, 1), nn.Sigmoid()
        )
        self.expansion_layer = _decoder_conv(inputs, outputs, 3, math.gcd(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        out: Tensor = self.expansion_layer(x) * self.wt_layer(x)
        return out


class PyramidPool(nn.Module):
    """Depth-wise convolutions on five grids, merged channel by channel.

    Args:
        inputs, width, outputs: channels coming in, on each grid, and going out.
        last: whether this gives the logits (with a bias, without normalisation).
    """

    def __init__(self, inputs: int, width: int, outputs: int, *, last: bool = False) -> None:
        super().__init__()
        joined = width * len(SCALES)
        self.stages = nn.ModuleList(conv(width, width, 3, groups=width) for _ in SCALES)
        self.projection_layer = _decoder_conv(inputs, width, 1)
        self.merge_layer = nn.Sequential(
            named(br=_norm_act(joined)),
            nn.ChannelShuffle(len(SCALES)),
            _decoder_conv(joined, width, 3, groups=width),
            nn.Conv2d(width, outputs, 1, bias=last),
        )
        self.br = None if last else named(br=_norm_act(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        x = self.projection_layer(x)
        height, width = x.shape[-2:]
        maps = []
        for scale, stage in zip(SCALES, self.stages, strict=True):
            rows = max(SMALLEST, math.ceil(height * scale))
            columns = max(SMALLEST, math.ceil(width * scale))
            if scale < 1:
                seen = stage(F.adaptive_avg_pool2d(x, (rows, columns)))
                maps.append(_resize(seen, height, width))
            elif scale > 1:
                seen = stage(_resize(x, rows, columns))
                maps.append(F.adaptive_avg_pool2d(seen, (height, width)))
            else:
                maps.append(stage(x))
        merged: Tensor = self.merge_layer(torch.cat(maps, dim=1))
        return merged if self.br is None else self.br(merged)


@dataclass(frozen=True)
class ESPNetV2Layout:
    """The structure of an ESPNetv2, read from the shapes of its weights.

    Attributes:
        classes: number of outputs.
        widths: encoder channels at 1/2, 1/4, 1/8 and 1/16 of the input grid.
        depths: number of EESP blocks after the shrinking ones at 1/8 and 1/16.
        branches: branches of an EESP block.
        decoder: decoder channels at 1/16, 1/8 and 1/4.
        pool: channels of the decoder's pyramids.
    """

    classes: int
    widths: tuple[int, int, int, int]
    depths: tuple[int, int]
    branches: int
    decoder: tuple[int, int, int]
    pool: int

    def describe(self) -> dict[str, object]:
        """The structure as options of the segmenter's info."""
        return {"s": self.widths[1] / 64, **asdict(self)}


def read_layout(state: Mapping[str, Tensor]) -> ESPNetV2Layout:
    """Read the layout of an ESPNetv2 from its weights.

    Raises:
        KeyError: names a weight that is missing.
    """

    def rows(key: str) -> int:
        return state[key].shape[0]

    return ESPNetV2Layout(
        classes=rows("bu_dec_l4.merge_layer.3.weight"),
        widths=(
            rows("base_net.level1.conv.weight"),
            rows("base_net.level2_0.act.weight"),
            rows("base_net.level3_0.act.weight"),
            rows("base_net.level4_0.act.weight"),
        ),
        depths=(
            count_blocks(state, "base_net.level3.", ".module_act.weight"),
            count_blocks(state, "base_net.level4.", ".module_act.weight"),
        ),
        branches=count_blocks(state, "base_net.level2_0.eesp.spp_dw.", ".conv.weight"),
        decoder=(
            rows("bu_dec_l1.merge_layer.3.weight"),
            rows("bu_dec_l2.merge_layer.3.weight"),
            rows("bu_dec_l3.merge_layer.3.weight"),
        ),
        pool=rows("bu_dec_l1.projection_layer.cbr.0.weight"),
    )


class _Encoder(nn.Module):
    def __init__(self, layout: ESPNetV2Layout) -> None:
        super().__init__()
        stem, second, third, fourth = layout.widths
        k = layout.branches
        if k < 1:
            raise ValueError("base_net.level2_0.eesp.spp_dw has no branch")
        self.level1 = _conv_norm_act(PHOTO, stem, 3, stride=2)
        self.level2_0 = StridedEESP(stem, second, k, REACHES["level2_0"])
        self.level3_0 = StridedEESP(second, third, k, REACHES["level3_0"])
        self.level3 = nn.Sequential(
            *(EESP(third, third, k, REACHES["level3"]) for _ in range(layout.depths[0]))
        )
        self.level4_0 = StridedEESP(third, fourth, k, REACHES["level4_0"])
        self.level4 = nn.Sequential(
            *(EESP(fourth, fourth, k, REACHES["level4"]) for _ in range(layout.depths[1]))
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Feature maps at 1/2, 1/4, 1/8 and 1/16."""
        quarter = shrink(shrink(x))
        eighth = shrink(quarter)
        first = self.level1(x)
        second = self.level2_0(first, quarter)
        third = self.level3(self.level3_0(second, eighth))
        fourth = self.level4(self.level4_0(third, shrink(eighth)))
        return first, second, third, fourth


class ESPNetV2(nn.Module):
    """Encoder and decoder: (N, 3, H, W) to logits (N, classes, H, W); H, W multiples of 32."""

    def __init__(self, layout: ESPNetV2Layout) -> None:
        super().__init__()
        self.layout = layout
        stem, second, third, fourth = layout.widths
        deep, middle, shallow = layout.decoder
        self.base_net = _Encoder(layout)
        self.bu_dec_l1 = PyramidPool(fourth, layout.pool, deep)
        self.bu_dec_l2 = PyramidPool(deep, layout.pool, middle)
        self.bu_dec_l3 = PyramidPool(middle, layout.pool, shallow)
        self.bu_dec_l4 = PyramidPool(shallow, layout.pool, layout.classes, last=True)
        self.merge_enc_dec_l2 = Gate(third, deep)
        self.merge_enc_dec_l3 = Gate(second, middle)
        self.merge_enc_dec_l4 = Gate(stem, shallow)
        self.bu_br_l2 = _norm_act(deep)
        self.bu_br_l3 = _norm_act(middle)
        self.bu_br_l4 = _norm_act(shallow)

    def forward(self, x: Tensor) -> Tensor:
        """Photos, normalised as the weights expect, to logits on the same grid."""
        first, second, third, fourth = self.base_net(x)
        out = self.bu_dec_l1(fourth)
        out = self.bu_dec_l2(self.bu_br_l2(self.merge_enc_dec_l2(third) + _grow(out)))
        out = self.bu_dec_l3(self.bu_br_l3(self.merge_enc_dec_l3(second) + _grow(out)))
        out = self.bu_dec_l4(self.bu_br_l4(self.merge_enc_dec_l4(first) + _grow(out)))
        return _resize(out, *x.shape[-2:])


def _grow(x: Tensor) -> Tensor:
    return _resize(x, 2 * x.shape[-2], 2 * x.shape[-1])
