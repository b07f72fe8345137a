"""Encoder and decoder pairs of semantic-segmentation-pytorch (Zhou et al. 2018, ADE20K).

Guarantees the layer names of its files; that the kind of encoder (ResNet, ResNeXt, MobileNetV2,
HRNetV2) and of decoder (``c1``, ``ppm``, ``upernet``; deep supervision was for training only) and
every width is read from the weights; and that a pair whose widths do not fit is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError
from seeingkit.weights import fill

from .. import resnet
from ..logits import resized
from ..resnet import DeepStemResNet, fold_norms
from ..upernet.network import (
    POOL_SCALES,
    PyramidDecoder,
    conv_norm_relu,
    stack_levels,
    without_bookkeeping,
)
from . import hrnet, mobilenet
from .hrnet import HRNetV2
from .mobilenet import MobileNetV2

Step = Literal[8, 16, 32]
DecoderKind = Literal["c1", "ppm", "upernet"]

_TRAINING_ONLY = ("cbr_deepsup.", "conv_last_deepsup.")


class C1Decoder(nn.Module):
    """One 3x3 convolution on the last map, then the classes."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.cbr = conv_norm_relu(inputs, width, 3)
        self.conv_last = nn.Conv2d(width, classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Feature maps, finest first, to logits (N, classes, h, w) on the last one's grid."""
        logits: Tensor = self.conv_last(self.cbr(features[-1]))
        return logits


class PPMDecoder(nn.Module):
    """Pyramid pooling on the last map (Zhao et al. 2017), then the classes."""

    def __init__(self, inputs: int, pooled: int, width: int, classes: int) -> None:
        super().__init__()
        self.ppm = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(scale), *conv_norm_relu(inputs, pooled, 1))
            for scale in POOL_SCALES
        )
        self.conv_last = nn.Sequential(
            *conv_norm_relu(inputs + len(POOL_SCALES) * pooled, width, 3),
            nn.Identity(),  # dropout, in training
            nn.Conv2d(width, classes, 1),
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Feature maps, finest first, to logits (N, classes, h, w) on the last one's grid."""
        x = features[-1]
        branches = [x, *(resized(pool(x), x.shape[-2:]) for pool in self.ppm)]
        logits: Tensor = self.conv_last(torch.cat(branches, 1))
        return logits


class UPerNetDecoder(PyramidDecoder):
    """UPerNet with one head (Xiao et al. 2018); pools by plain averages, unlike Unified Parsing."""

    def __init__(self, inputs: Sequence[int], pooled: int, width: int, classes: int) -> None:
        super().__init__(inputs, pooled, width, nn.AdaptiveAvgPool2d)
        self.conv_last = nn.Sequential(
            conv_norm_relu(len(inputs) * width, width, 3), nn.Conv2d(width, classes, 1)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Four feature maps, finest first, to logits (N, classes, h, w) on the first one's grid."""
        levels = self.levels(features, self.pool(features[-1]))
        logits: Tensor = self.conv_last(stack_levels(levels))
        return logits


class EncoderDecoder(nn.Module):
    """Both halves; keys ``encoder.*`` and ``decoder.*``.

    Attributes:
        classes: output channels.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        """Prepared images (N, 3, H, W) to logits (N, classes, h, w), before any softmax."""
        logits: Tensor = self.decoder(self.encoder(x))
        return logits


# ---------------------------------------------------------------------------------------- building


DECODERS: dict[DecoderKind, tuple[str, ...]] = {
    "upernet": ("ppm_conv.0.0.weight", "conv_last.1.weight"),
    "ppm": ("ppm.0.1.weight",),
    "c1": ("cbr.0.weight",),
}
"""Tensors that tell each kind of decoder from the others."""


def decoder_kind(state: Mapping[str, Tensor], path: Path) -> DecoderKind:
    """Which decoder these weights are of.

    Raises:
        StateMismatchError: none that is known.
    """
    for kind, marks in DECODERS.items():
        if all(mark in state for mark in marks):
            return kind
    if any(key.startswith("object_head.") for key in state):
        raise StateMismatchError(
            f"{path}: a decoder of Unified Perceptual Parsing; use --segmenter upernet"
        )
    raise StateMismatchError(f"{path}: no decoder of kind c1, ppm or upernet; keys are unknown")


def undilated(encoder_state: Mapping[str, Tensor], decoder: DecoderKind) -> bool:
    """Whether the published pairs of this kind keep their strides: HRNet, ResNeXt and UPerNet do.

    Dilation is not in the files; this is the default where neither option nor name gives it.
    """
    first = encoder_state.get("layer1.0.conv2.weight")
    grouped = first is not None and first.ndim == 4 and first.shape[0] > first.shape[1] > 0
    basic = "layer1.0.conv3.weight" not in encoder_state
    return decoder == "upernet" or _is_hrnet(encoder_state) or (grouped and not basic)


def _is_hrnet(state: Mapping[str, Tensor]) -> bool:
    return "stage2.0.branches.0.0.conv1.weight" in state


def _encoder(state: Mapping[str, Tensor], step: Step, path: Path) -> nn.Module:
    try:
        if "features.0.0.weight" in state:
            return MobileNetV2(mobilenet.read_layout(state, step))
        if _is_hrnet(state):
            if step != 32:
                raise StateMismatchError(f"{path}: HRNet has no dilation; leave the option out")
            return HRNetV2(hrnet.read_layout(state))
        return DeepStemResNet(resnet.read_layout(state, step))
    except KeyError as error:
        raise StateMismatchError(f"{path}: no encoder that is known: {error} missing") from None
    except (IndexError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise StateMismatchError(
            f"{path}: no encoder can be built of its shapes ({error})"
        ) from None


def _decoder(
    state: Mapping[str, Tensor], channels: tuple[int, ...], path: Path, encoder_path: Path
) -> tuple[nn.Module, int]:
    kind = decoder_kind(state, path)
    try:
        module, inputs, classes = _build_decoder(kind, state)
    except KeyError as error:
        raise StateMismatchError(f"{path}: no {kind} decoder: {error} missing") from None
    except (IndexError, ValueError, RuntimeError) as error:
        raise StateMismatchError(f"{path}: no {kind} decoder has its shapes ({error})") from None
    expected = channels if kind == "upernet" else channels[-1:]
    if inputs != expected:
        raise StateMismatchError(
            f"{path}: the {kind} decoder takes {inputs} channels, the encoder {encoder_path} gives "
            f"{expected}; they are not a pair"
        )
    return module, classes


def _build_decoder(
    kind: DecoderKind, state: Mapping[str, Tensor]
) -> tuple[nn.Module, tuple[int, ...], int]:
    if kind == "c1":
        width, inputs = state["cbr.0.weight"].shape[:2]
        classes = state["conv_last.weight"].shape[0]
        return C1Decoder(inputs, width, classes), (inputs,), classes
    if kind == "ppm":
        pooled, inputs = state["ppm.0.1.weight"].shape[:2]
        width, classes = state["conv_last.0.weight"].shape[0], state["conv_last.4.weight"].shape[0]
        return PPMDecoder(inputs, pooled, width, classes), (inputs,), classes
    pooled, top = state["ppm_conv.0.0.weight"].shape[:2]
    lateral = tuple(state[f"fpn_in.{i}.0.weight"].shape[1] for i in range(3))
    width, classes = state["conv_last.0.0.weight"].shape[0], state["conv_last.1.weight"].shape[0]
    return UPerNetDecoder((*lateral, top), pooled, width, classes), (*lateral, top), classes


def build(
    encoder_state: Mapping[str, Tensor],
    decoder_state: Mapping[str, Tensor],
    step: Step,
    encoder_path: Path,
    decoder_path: Path,
) -> EncoderDecoder:
    """A network of the weights' own layout with the weights in it, float32, evaluation mode.

    Args:
        encoder_state: without, or (as our own files are) with its normalisations folded.
        decoder_state: the same.
        step: input pixels to one of the coarsest map.
        encoder_path, decoder_path: the files, for messages.

    Raises:
        StateMismatchError: names the file and the key that is missing, unexpected, of the wrong
            shape, or NaN.
    """
    encoder_state = without_bookkeeping(encoder_state)
    decoder_state = {
        key: value
        for key, value in without_bookkeeping(decoder_state).items()
        if not key.startswith(_TRAINING_ONLY)
    }
    with torch.device("meta"):  # no memory before the shapes are checked
        encoder = _encoder(encoder_state, step, encoder_path)
        channels: tuple[int, ...] = encoder.layout.channels  # type: ignore[union-attr,assignment]
        decoder, classes = _decoder(decoder_state, channels, decoder_path, encoder_path)
    for module, state, path in (
        (encoder, encoder_state, encoder_path),
        (decoder, decoder_state, decoder_path),
    ):
        module.eval()
        if not any(key.endswith(".running_mean") for key in state):
            fold_norms(module)
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.num_batches_tracked = None  # a counter, absent from some files
        fill(module, state, path)
        _check_variances(module, path)
    return EncoderDecoder(encoder, decoder, classes).eval().requires_grad_(False)


def _check_variances(module: nn.Module, path: Path) -> None:
    for key, value in module.state_dict().items():
        if key.endswith(".running_var") and bool((value < 0).any()):
            raise StateMismatchError(f"{path}: {key} is negative; the file is damaged")
