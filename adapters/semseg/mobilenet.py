"""MobileNetV2 encoder (Sandler et al. 2018, table 2) as segmentation decoders use it.

Guarantees the layer names of semantic-segmentation-pytorch's encoder files (``features.0`` the
stem, ``features.1`` to ``features.17`` the blocks; the classifier and its 1x1 convolution are
gone), and that every width is read from the shapes of the weights. Strides are not in the weights:
they are the paper's, on features 0, 2, 4, 7 and 14.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from ..resnet import conv3x3, entry

STRIDED = (2, 4, 7, 14)
"""Blocks that halve the grid, beside the stem; the encoder gives their maps and the last one."""
FEATURES = 18
_DILATIONS = {32: (1, 1), 16: (1, 2), 8: (2, 4)}  # from feature 7 on, from feature 14 on


@dataclass(frozen=True)
class MobileNetLayout:
    """Widths of the encoder.

    Attributes:
        stem: channels after the first convolution.
        blocks: of each block, the channels inside and at its end.
        expanded: of each block, whether a 1x1 convolution widens its input first.
        step: input pixels to one of the coarsest map; below 32 by dilation in place of strides.
    """

    stem: int
    blocks: tuple[tuple[int, int], ...]
    expanded: tuple[bool, ...]
    step: Literal[8, 16, 32] = 32

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the five feature maps that the encoder gives."""
        return tuple(self.blocks[index - 1][1] for index in (*STRIDED, FEATURES - 1))


def read_layout(state: Mapping[str, Tensor], step: Literal[8, 16, 32] = 32) -> MobileNetLayout:
    """Read the layout from an encoder's weights.

    Raises:
        KeyError: names the weight that is missing.
    """
    blocks, expanded = [], []
    for index in range(1, FEATURES):
        name = f"features.{index}.conv"
        wide = f"{name}.6.weight" in state
        expanded.append(wide)
        last = state[f"{name}.{6 if wide else 3}.weight"]
        blocks.append((state[f"{name}.0.weight"].shape[0], last.shape[0]))
    return MobileNetLayout(
        state["features.0.0.weight"].shape[0], tuple(blocks), tuple(expanded), step
    )


class InvertedResidual(nn.Module):
    """1x1 (if ``expanded``), depthwise 3x3 with the stride, 1x1 without activation."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, expanded: bool, stride: int, dilation: int
    ) -> None:
        super().__init__()
        # A block keeps or lacks its shortcut whether or not its stride gave way to dilation.
        self.shortcut = stride == 1 and inputs == outputs
        kept, dilated = entry(stride, dilation)
        layers: list[nn.Module] = []
        if expanded:
            layers += [nn.Conv2d(inputs, hidden, 1, bias=False)]
            layers += [nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True)]
        layers += [conv3x3(inputs if not expanded else hidden, hidden, kept, dilated, hidden)]
        layers += [nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True)]
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out


class MobileNetV2(nn.Module):
    """Encoder with feature maps at 1/4, 1/8, 1/16, 1/32 and 1/32 of the input grid.

    None is coarser than 1/``layout.step``.
    """

    def __init__(self, layout: MobileNetLayout) -> None:
        super().__init__()
        self.layout = layout
        stem = conv3x3(3, layout.stem, stride=2)
        first = nn.Sequential(stem, nn.BatchNorm2d(layout.stem), nn.ReLU6(inplace=True))
        self.features = nn.Sequential(first)
        inputs = layout.stem
        for index in range(1, FEATURES):
            stride = 2 if index in STRIDED else 1
            seventh, fourteenth = _DILATIONS[layout.step]
            dilation = fourteenth if index >= 14 else seventh if index >= 7 else 1
            hidden, outputs = layout.blocks[index - 1]
            expanded = layout.expanded[index - 1]
            block = InvertedResidual(inputs, hidden, outputs, expanded, stride, dilation)
            self.features.append(block)
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images (N, 3, H, W) to five feature maps, finest first."""
        maps = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in STRIDED:
                maps.append(x)
        return [*maps, x]
