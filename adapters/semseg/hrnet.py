"""HRNetV2 encoder (Sun et al. 2019, "High-Resolution Representations for Labeling Pixels").

Guarantees the layer names of semantic-segmentation-pytorch's encoder files (``conv1 conv2 layer1
transition1 stage2 transition2 stage3 transition3 stage4``), and that widths, depths and the number
of modules of each stage are read from the shapes of the weights. The four branches run at 1/4, 1/8,
1/16 and 1/32 of the input grid; the encoder gives one map, all branches on the finest grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..logits import resized
from ..resnet import BasicBlock, Bottleneck, conv3x3, conv_norm

STAGES = (2, 3, 4)
"""Stage k has k branches."""

MOST_BLOCKS = 32
"""Modules of a stage, and blocks of a branch, beyond which a file is taken to be damaged."""


@dataclass(frozen=True)
class StageLayout:
    """One stage: its exchange modules, and the width and number of blocks of each branch."""

    modules: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]


@dataclass(frozen=True)
class HRNetLayout:
    """Widths of the encoder.

    Attributes:
        stem: channels after each of the two strided convolutions.
        width: inner width of the bottlenecks of ``layer1``.
        depth: their number.
        expansion: their channels at the end, over the inner width.
        stages: the three stages.
    """

    stem: tuple[int, int]
    width: int
    depth: int
    expansion: int
    stages: tuple[StageLayout, StageLayout, StageLayout]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the one feature map that the encoder gives."""
        return (sum(self.stages[-1].widths),)


def read_layout(state: Mapping[str, Tensor]) -> HRNetLayout:
    """Read the layout from an encoder's weights.

    Raises:
        KeyError: names the weight that is missing.
        ValueError: channels that no such network has.
    """
    width = state["layer1.0.conv1.weight"].shape[0]
    outputs = state["layer1.0.conv3.weight"].shape[0]
    if not width or outputs % width:
        raise ValueError(f"a bottleneck of {width} and {outputs} channels")
    stages = []
    for stage in STAGES:
        branches = [f"stage{stage}.0.branches.{branch}" for branch in range(stage)]
        widths = tuple(state[f"{name}.0.conv1.weight"].shape[0] for name in branches)
        depths = tuple(_count(state, f"{name}.{{}}.conv1.weight") for name in branches)
        modules = _count(state, f"stage{stage}.{{}}.branches.0.0.conv1.weight")
        if not 0 < modules <= MOST_BLOCKS or max(depths) > MOST_BLOCKS:
            raise ValueError(f"stage{stage} of {modules} modules and {depths} blocks")
        stages.append(StageLayout(modules, widths, depths))
    if any(later.widths[:-1] != stage.widths for stage, later in pairwise(stages)):
        raise ValueError("branches that change their width between stages")
    return HRNetLayout(
        (state["conv1.weight"].shape[0], state["conv2.weight"].shape[0]),
        width,
        _count(state, "layer1.{}.conv1.weight"),
        outputs // width,
        (stages[0], stages[1], stages[2]),
    )


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    count = 0
    while pattern.format(count) in state:
        count += 1
    return count


def _down(inputs: int, outputs: int, relu: bool) -> nn.Sequential:
    layers = conv_norm(inputs, outputs, 3, 2)
    return layers.append(nn.ReLU(inplace=True)) if relu else layers


class ExchangeModule(nn.Module):
    """Branches of residual blocks, then each branch gets the sum of all (figure 2 of the paper)."""

    def __init__(self, layout: StageLayout) -> None:
        super().__init__()
        widths = layout.widths
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(depth)))
            for width, depth in zip(widths, layout.depths, strict=True)
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_exchange(widths, target, source) for source in range(len(widths)))
            for target in range(len(widths))
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """One map of each branch to one map of each branch."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for target, layers in enumerate(self.fuse_layers):
            grid = maps[target].shape[-2:]
            total = layers[0](maps[0])  # type: ignore[index]
            for source in range(1, len(maps)):
                total = total + resized(layers[source](maps[source]), grid)  # type: ignore[index]
            fused.append(F.relu(total))
        return fused


def _exchange(widths: Sequence[int], target: int, source: int) -> nn.Module:
    """From a branch to another: 1x1 convolution upwards, strided 3x3 convolutions downwards."""
    if source == target:
        return nn.Identity()
    if source > target:
        return conv_norm(widths[source], widths[target], 1)
    steps = target - source
    return nn.Sequential(
        *(_down(widths[source], widths[source], relu=True) for _ in range(steps - 1)),
        _down(widths[source], widths[target], relu=False),
    )


class HRNetV2(nn.Module):
    """Encoder with one feature map at 1/4 of the input grid."""

    def __init__(self, layout: HRNetLayout) -> None:
        super().__init__()
        self.layout = layout
        first, second = layout.stem
        self.conv1 = conv3x3(3, first, stride=2)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = conv3x3(first, second, stride=2)
        self.bn2 = nn.BatchNorm2d(second)
        self.layer1, inputs = nn.Sequential(), second
        for _ in range(layout.depth):
            self.layer1.append(Bottleneck(inputs, layout.width, expansion=layout.expansion))
            inputs = layout.width * layout.expansion
        before: tuple[int, ...] = (inputs,)
        for number, stage in zip(STAGES, layout.stages, strict=True):
            self.add_module(f"transition{number - 1}", _transition(before, stage.widths))
            modules = (ExchangeModule(stage) for _ in range(stage.modules))
            self.add_module(f"stage{number}", nn.Sequential(*modules))
            before = stage.widths

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images (N, 3, H, W) to one feature map in a list."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        maps = [self.layer1(x)]
        for number in STAGES:
            # A new branch begins from the coarsest one there is.
            sources = [*maps, maps[-1]]
            transition = self.get_submodule(f"transition{number - 1}")
            maps = [
                layer(source) for layer, source in zip(transition.children(), sources, strict=True)
            ]
            maps = self.get_submodule(f"stage{number}")(maps)
        return [torch.cat([resized(x, maps[0].shape[-2:]) for x in maps], 1)]


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """One layer for each branch of the next stage; the last branch is new, at half the grid."""
    layers = nn.ModuleList()
    for old, new in zip(before, after, strict=False):
        same = conv_norm(old, new, 3).append(nn.ReLU(inplace=True))
        layers.append(nn.Identity() if old == new else same)
    return layers.append(nn.Sequential(_down(before[-1], after[-1], relu=True)))
