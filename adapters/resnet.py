"""Deep-stem residual encoder (He et al. 2015, with three 3x3 convolutions as the stem).

Guarantees the layer names of the published segmentation encoders (``conv1 bn1 conv2 bn2 conv3 bn3
layer1..layer4``), the stride of a bottleneck on its 3x3 convolution, and that every width, block
count and block kind is read from the shapes of the weights: nothing is assumed from a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STAGES = ("layer1", "layer2", "layer3", "layer4")
BOTTLENECK_EXPANSION = 4


@dataclass(frozen=True)
class EncoderLayout:
    """Widths of a deep-stem residual encoder.

    Attributes:
        stem: channels after each of the three stem convolutions.
        block: ``basic`` (two 3x3) or ``bottleneck`` (1x1, 3x3, 1x1 with four times the width).
        widths: inner width of the blocks of each of the four stages.
        depths: number of blocks of each stage.
    """

    stem: tuple[int, int, int]
    block: Literal["basic", "bottleneck"]
    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four feature maps that the encoder gives."""
        expansion = BOTTLENECK_EXPANSION if self.block == "bottleneck" else 1
        return tuple(width * expansion for width in self.widths)


def read_layout(state: Mapping[str, Tensor]) -> EncoderLayout:
    """Read the layout from an encoder's weights.

    Raises:
        KeyError: names the weight that is missing.
    """
    stem = tuple(state[f"conv{i}.weight"].shape[0] for i in (1, 2, 3))
    widths = tuple(state[f"{stage}.0.conv1.weight"].shape[0] for stage in STAGES)
    depths = tuple(_count_blocks(state, stage) for stage in STAGES)
    block: Literal["basic", "bottleneck"] = (
        "bottleneck" if "layer1.0.conv3.weight" in state else "basic"
    )
    return EncoderLayout(stem, block, widths, depths)  # type: ignore[arg-type]


def _count_blocks(state: Mapping[str, Tensor], stage: str) -> int:
    count = 0
    while f"{stage}.{count}.conv1.weight" in state:
        count += 1
    return count


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution that keeps the grid (divided by ``stride``), without bias."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, then batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.bn2(self.conv2(x)).add_(shortcut)
        return F.relu(x, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolutions around a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * BOTTLENECK_EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, 4 width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = self.bn3(self.conv3(x)).add_(shortcut)
        return F.relu(x, inplace=True)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return conv_norm(inputs, outputs, 1, stride)


class DeepStemResNet(nn.Module):
    """Encoder with feature maps at 1/4, 1/8, 1/16 and 1/32 of the input grid."""

    def __init__(self, layout: EncoderLayout) -> None:
        super().__init__()
        self.layout = layout
        first, second, third = layout.stem
        self.conv1 = conv3x3(3, first, stride=2)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = conv3x3(first, second)
        self.bn2 = nn.BatchNorm2d(second)
        self.conv3 = conv3x3(second, third)
        self.bn3 = nn.BatchNorm2d(third)
        kind = Bottleneck if layout.block == "bottleneck" else BasicBlock
        inputs = third
        for index, stage in enumerate(STAGES):
            blocks = nn.Sequential()
            for block in range(layout.depths[index]):
                stride = 2 if block == 0 and index > 0 else 1
                blocks.append(kind(inputs, layout.widths[index], stride))
                inputs = layout.channels[index]
            self.add_module(stage, blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images (N, 3, H, W) to the four feature maps, finest first."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = F.relu(self.bn3(self.conv3(x)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        features = []
        for stage in STAGES:
            x = self.get_submodule(stage)(x)
            features.append(x)
        return features


def fold_norms(module: nn.Module) -> None:
    """Fold every batch normalisation into the convolution right before it, in place.

    Each pair must be registered next to each other, as everywhere here. The arithmetic is float64,
    so that the folded network equals the unfolded one to float32 rounding. Evaluation mode only.
    """
    children = list(module.named_children())
    for (name, conv), (after, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            dtype = conv.weight.dtype
            fused = fuse_conv_bn_eval(conv.double(), norm.double()).to(dtype)
            module.register_module(name, fused)
            module.register_module(after, nn.Identity())
    for _, child in children:
        fold_norms(child)
