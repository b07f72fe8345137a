"""ESPNet (Mehta et al., ECCV 2018, arXiv 1803.06815) under the key names of its published weights.

Guarantees that depths, widths, the number of outputs and the decoder's skip connection are read
from the shapes of the weights. Two decoders were published under the same keys: the Cityscapes
files join the 16 stem channels to the decoder, the CamVid file also the 3 of the shrunken photo.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError
from seeingkit.weights import WeightsFile, check_state, load_into

MARK = "encoder.level1.conv.weight"
"""A tensor that every file of this network has, and no other."""
STRIDE = 8  # both sides of the input must be multiples of this
EPSILON = 1e-3  # of every batch normalisation
MOST_BLOCKS = 200  # in a row, as published 8 at most
RATES = (1, 2, 4, 8, 16)  # dilations of the branches of an ESP block (paper, section 3.1)
_COUNTER = "num_batches_tracked"


def named(**parts: nn.Module) -> nn.Sequential:
    """Layers applied in turn, each under its own name."""
    return nn.Sequential(OrderedDict(parts))


def conv(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Convolution without bias that keeps the grid (divided by ``stride``, rounded up)."""
    padding = kernel // 2 * dilation
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)


def shrink(x: Tensor) -> Tensor:
    """Half the size (rounded up): 3x3 means, the zeros around the edge counted in."""
    return F.avg_pool2d(x, 3, stride=2, padding=1)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


def _norm_act(channels: int) -> nn.Sequential:
    return named(bn=_norm(channels), act=nn.PReLU(channels))


def _conv_norm_act(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    bn, act = _norm(outputs), nn.PReLU(outputs)
    return named(conv=conv(inputs, outputs, 3, stride=stride), bn=bn, act=act)


def _double(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False)


class Pyramid(nn.Module):
    """Reduce, dilate at five rates, fuse: the ESP block (paper, section 3.1, figure 1).

    The branches of rates 2 to 16 are summed one onto another before they are joined, which removes
    the gridding of dilated convolutions; the branch of rate 1 takes the channels left over.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        width = outputs // len(RATES)
        first = outputs - (len(RATES) - 1) * width
        kernel = 1 if stride == 1 else 3
        self.c1 = named(conv=conv(inputs, width, kernel, stride=stride))
        for rate in RATES:
            branch = conv(width, first if rate == 1 else width, 3, dilation=rate)
            self.add_module(f"d{rate}", named(conv=branch))

    def fuse(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride), before normalisation."""
        x = self.c1(x)
        first, *others = (self.get_submodule(f"d{rate}")(x) for rate in RATES)
        return torch.cat([first, *accumulate(others)], dim=1)


class ESPDown(Pyramid):
    """An ESP block that halves the grid."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, stride=2)
        self.bn = _norm(outputs)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
        out: Tensor = self.act(self.bn(self.fuse(x)))
        return out


class ESPBlock(Pyramid):
    """An ESP block, around a shortcut where it keeps the width."""

    def __init__(self, inputs: int, outputs: int, *, shortcut: bool = True) -> None:
        super().__init__(inputs, outputs)
        self.bn = _norm_act(outputs)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        fused = self.fuse(x)
        out: Tensor = self.bn(x + fused if self.shortcut else fused)
        return out


@dataclass(frozen=True)
class ESPNetLayout:
    """The structure of an ESPNet, read from the shapes of its weights.

    Attributes:
        classes: number of outputs.
        p, q: number of ESP blocks at 1/4 and at 1/8 of the input grid.
        widths: channels at 1/2, 1/4 and 1/8 (16, 64 and 128 as published).
        joins_photo: whether the decoder's skip connection also holds the shrunken photo.
    """

    classes: int
    p: int
    q: int
    widths: tuple[int, int, int]
    joins_photo: bool

    def describe(self) -> dict[str, object]:
        """The structure as options of the segmenter's info."""
        return asdict(self)


def count_blocks(state: Mapping[str, Tensor], before: str, after: str) -> int:
    """How many keys ``before + "0" + after``, ``before + "1" + after`` … there are."""
    count = 0
    while f"{before}{count}{after}" in state:
        count += 1
    if count > MOST_BLOCKS:
        raise ValueError(f"{count} blocks {before}*")
    return count


def read_layout(state: Mapping[str, Tensor]) -> ESPNetLayout:
    """Read the layout of an ESPNet from its weights.

    Raises:
        KeyError: names a weight that is missing.
        ValueError: the decoder joins a number of channels that neither published decoder joins.
    """
    classes = state["classifier.weight"].shape[0]
    stem = state["encoder.level1.conv.weight"].shape[0]
    joined = state["conv.conv.weight"].shape[1] - classes
    if joined not in (stem, stem + 3):
        raise ValueError(f"conv.conv.weight joins {joined} channels to {classes} outputs")
    return ESPNetLayout(
        classes=classes,
        p=count_blocks(state, "encoder.level2.", ".c1.conv.weight"),
        q=count_blocks(state, "encoder.level3.", ".c1.conv.weight"),
        widths=(
            stem,
            state["encoder.level2_0.bn.weight"].shape[0],
            state["encoder.level3_0.bn.weight"].shape[0],
        ),
        joins_photo=joined == stem + 3,
    )


class _Encoder(nn.Module):
    def __init__(self, layout: ESPNetLayout) -> None:
        super().__init__()
        stem, middle, deep = layout.widths
        self.level1 = _conv_norm_act(3, stem, stride=2)
        self.b1 = _norm_act(stem + 3)
        self.level2_0 = ESPDown(stem + 3, middle)
        self.level2 = nn.Sequential(*(ESPBlock(middle, middle) for _ in range(layout.p)))
        self.b2 = _norm_act(2 * middle + 3)
        self.level3_0 = ESPDown(2 * middle + 3, deep)
        self.level3 = nn.Sequential(*(ESPBlock(deep, deep) for _ in range(layout.q)))
        self.b3 = _norm_act(2 * deep)
        self.classifier = named(conv=conv(2 * deep, layout.classes, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The stem, the stem with the photo (1/2), the middle (1/4), class maps (1/8)."""
        half = shrink(x)
        stem = self.level1(x)
        joined = self.b1(torch.cat([stem, half], dim=1))
        entry = self.level2_0(joined)
        middle = self.b2(torch.cat([self.level2(entry), entry, shrink(half)], dim=1))
        entry = self.level3_0(middle)
        deep = self.b3(torch.cat([entry, self.level3(entry)], dim=1))
        return stem, joined, middle, self.classifier(deep)


class ESPNet(nn.Module):
    """Encoder and decoder: (N, 3, H, W) to logits (N, classes, H, W); H, W multiples of 8."""

    def __init__(self, layout: ESPNetLayout) -> None:
        super().__init__()
        self.layout = layout
        classes, (stem, middle, _) = layout.classes, layout.widths
        skip = stem + 3 if layout.joins_photo else stem
        self.encoder = _Encoder(layout)
        self.level3_C = named(conv=conv(2 * middle + 3, classes, 1))
        self.br = _norm(classes)
        self.conv = _conv_norm_act(skip + classes, classes)
        self.up_l3 = nn.Sequential(_double(classes))
        self.combine_l2_l3 = nn.Sequential(
            _norm_act(2 * classes), ESPBlock(2 * classes, classes, shortcut=False)
        )
        self.up_l2 = nn.Sequential(_double(classes), _norm_act(classes))
        self.classifier = _double(classes)

    def forward(self, x: Tensor) -> Tensor:
        """Photos, normalised as the weights expect, to logits on the same grid."""
        stem, joined, middle, deep = self.encoder(x)
        quarter = torch.cat([self.level3_C(middle), self.up_l3(self.br(deep))], dim=1)
        half = self.up_l2(self.combine_l2_l3(quarter))
        skip = joined if self.layout.joins_photo else stem
        logits: Tensor = self.classifier(self.conv(torch.cat([half, skip], dim=1)))
        return logits


class _Layout(Protocol):
    def describe(self) -> dict[str, object]: ...


LayoutT = TypeVar("LayoutT", bound=_Layout)
NetworkT = TypeVar("NetworkT", bound=nn.Module)


def build(
    file: WeightsFile,
    read: Callable[[Mapping[str, Tensor]], LayoutT],
    network: Callable[[LayoutT], NetworkT],
    what: str,
) -> NetworkT:
    """A network filled from a file, in evaluation mode; every key and shape is checked first.

    Batch counters, which inference never uses, may be in the file or not. Nothing is allocated
    before the shapes were checked.

    Raises:
        StateMismatchError: names the key that is missing, unexpected, of a wrong shape or value.
    """
    tensors = file.tensors
    try:
        with torch.device("meta"):
            module = network(read(tensors))
    except KeyError as error:
        raise StateMismatchError(f"{file.path}: missing key {error.args[0]}; no {what}") from None
    except (IndexError, ValueError, RuntimeError) as error:
        raise StateMismatchError(f"{file.path}: shapes of no {what}: {error}") from None
    counters = {k: v for k, v in module.state_dict().items() if k.endswith(_COUNTER)}
    missing = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in counters.items()} | tensors
    check_state(file.path, missing, module.state_dict())
    for key, value in tensors.items():
        if key not in counters and not value.is_floating_point():
            raise StateMismatchError(f"{file.path}: {key} holds {value.dtype}, expected floats")
        if key.endswith("running_var") and bool((value < 0).any()):
            raise StateMismatchError(f"{file.path}: {key} holds a negative variance; file damaged")
    module.to_empty(device="cpu")
    load_into(module, WeightsFile(file.path, missing, file.metadata, file.sha256))
    return module.eval().requires_grad_(False)
