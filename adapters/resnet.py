"""Deep-stem residual encoder (He et al. 2015, with three 3x3 convolutions as the stem).

Guarantees the layer names of the published segmentation encoders (``conv1 bn1 conv2 bn2 conv3 bn3
layer1..layer4``), the stride of a bottleneck on its 3x3 convolution, and that every width, block
count, block kind and group count (ResNeXt, Xie et al. 2017) is read from the shapes of the weights:
nothing is assumed from a name. Dilation leaves no trace in the weights, so it is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

ENCODER = "encoder of semantic-segmentation-pytorch or Unified Perceptual Parsing"
ENCODER_MARKS = ("conv1.weight", "conv3.weight", "bn3.weight", "layer4.0.conv1.weight")
"""Tensors of every encoder with a deep stem."""
STAGES = ("layer1", "layer2", "layer3", "layer4")
BOTTLENECK_EXPANSION = 4
MOST_BLOCKS = 500  # of a stage; ResNet-1001 has 111
DILATIONS = {32: (1, 1, 1, 1), 16: (1, 1, 1, 2), 8: (1, 1, 2, 4)}
"""Dilation of the four stages, by the input pixels to one of the coarsest map."""


@dataclass(frozen=True)
class EncoderLayout:
    """Widths of a deep-stem residual encoder.

    Attributes:
        stem: channels after each of the three stem convolutions.
        block: ``basic`` (two 3x3) or ``bottleneck`` (1x1, 3x3, 1x1 with ``expansion`` times the
            width).
        widths: inner width of the blocks of each of the four stages.
        depths: number of blocks of each stage.
        expansion: of a bottleneck; 4, or 2 in ResNeXt.
        groups: of a bottleneck's 3x3 convolution.
        step: input pixels to one of the coarsest map: 32, or with dilation in place of the last
            strides (Yu et al. 2017) 16 or 8.
    """

    stem: tuple[int, int, int]
    block: Literal["basic", "bottleneck"]
    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    expansion: int = BOTTLENECK_EXPANSION
    groups: int = 1
    step: Literal[8, 16, 32] = 32

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four feature maps that the encoder gives."""
        expansion = self.expansion if self.block == "bottleneck" else 1
        return tuple(width * expansion for width in self.widths)


def read_layout(state: Mapping[str, Tensor], step: Literal[8, 16, 32] = 32) -> EncoderLayout:
    """Read the layout from an encoder's weights.

    Raises:
        KeyError: names the weight that is missing.
        ValueError: channels that no such network has.
    """
    stem = tuple(state[f"conv{i}.weight"].shape[0] for i in (1, 2, 3))
    widths = tuple(state[f"{stage}.0.conv1.weight"].shape[0] for stage in STAGES)
    depths = tuple(_count_blocks(state, stage) for stage in STAGES)
    if max(depths) > MOST_BLOCKS:
        raise ValueError(f"stages of {depths} blocks")
    if "layer1.0.conv3.weight" not in state:
        return EncoderLayout(stem, "basic", widths, depths, step=step)  # type: ignore[arg-type]
    inner, grouped = state["layer1.0.conv2.weight"].shape[:2]
    outputs = state["layer1.0.conv3.weight"].shape[0]
    if not grouped or inner % grouped or not inner or outputs % inner or not outputs:
        raise ValueError(f"a bottleneck of {grouped}, {inner} and {outputs} channels")
    return EncoderLayout(
        stem,  # type: ignore[arg-type]
        "bottleneck",
        widths,  # type: ignore[arg-type]
        depths,  # type: ignore[arg-type]
        expansion=outputs // inner,
        groups=inner // grouped,
        step=step,
    )


def _count_blocks(state: Mapping[str, Tensor], stage: str) -> int:
    count = 0
    while f"{stage}.{count}.conv1.weight" in state:
        count += 1
    return count


def conv3x3(
    inputs: int, outputs: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    """3x3 convolution that keeps the grid (divided by ``stride``), without bias."""
    return nn.Conv2d(
        inputs,
        outputs,
        3,
        stride=stride,
        padding=dilation,
        dilation=dilation,
        groups=groups,
        bias=False,
    )


def entry(stride: int, dilation: int) -> tuple[int, int]:
    """Stride and dilation of the convolution that a block's stride is on.

    A dilated block gives its stride up, and the convolution that had it is dilated by half as much
    as the others (semantic-segmentation-pytorch, ``ResnetDilated``).
    """
    if dilation == 1 or stride == 1:
        return (stride if dilation == 1 else 1), dilation
    return 1, dilation // 2


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, then batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; with a dilation above 1 the stride is given up."""

    def __init__(self, inputs: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, width, *entry(stride, dilation))
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.bn2(self.conv2(x)).add_(shortcut)
        return F.relu(x, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolutions around a shortcut.

    With a dilation above 1 the stride is given up.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int = 1,
        dilation: int = 1,
        expansion: int = BOTTLENECK_EXPANSION,
        groups: int = 1,
    ) -> None:
        super().__init__()
        outputs = width * expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, *entry(stride, dilation), groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, expansion * width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = self.bn3(self.conv3(x)).add_(shortcut)
        return F.relu(x, inplace=True)


def _shortcut(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return conv_norm(inputs, outputs, 1, entry(stride, dilation)[0])


class DeepStemResNet(nn.Module):
    """Encoder with feature maps at 1/4, 1/8, 1/16 and 1/32 of the input grid.

    None is coarser than 1/``layout.step``.
    """

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
        inputs = third
        for index, (stage, dilation) in enumerate(zip(STAGES, DILATIONS[layout.step], strict=True)):
            blocks, width = nn.Sequential(), layout.widths[index]
            for block in range(layout.depths[index]):
                stride = 2 if block == 0 and index > 0 else 1
                if layout.block == "basic":
                    blocks.append(BasicBlock(inputs, width, stride, dilation))
                else:
                    more = layout.expansion, layout.groups
                    blocks.append(Bottleneck(inputs, width, stride, dilation, *more))
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
