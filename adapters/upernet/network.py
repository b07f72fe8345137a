"""The network of Unified Perceptual Parsing (Xiao et al. 2018, section 3, and figure 4).

Guarantees the layer names of the published encoder and decoder files, and that every width, class
count and head is read from the weights: a pyramid pooling module (precise region pooling over the
whole map, see ``prroi``) on the coarsest feature map, a feature pyramid, and four heads: scenes
from the pooled map, materials from the finest pyramid level, objects and parts from the fusion of
all levels. Heads that the weights do not have are not built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError
from seeingkit.weights import check_state

from ..logits import resized
from ..resnet import DeepStemResNet, conv_norm, fold_norms, read_layout
from .prroi import PrRoIPool

POOL_SCALES = (1, 2, 3, 6)
HEADS = ("scene", "object", "part", "material")
# Left behind by synchronised batch normalisation, or a mere counter: running_mean and running_var
# are what inference uses.
_BOOKKEEPING = ("_tmp_running_mean", "_tmp_running_var", "_running_iter", "num_batches_tracked")


@dataclass(frozen=True)
class DecoderLayout:
    """Widths of a UPerNet decoder.

    Attributes:
        inputs: channels of the encoder's four feature maps, finest first.
        pooled: channels of each pooled branch (512 in the published files).
        width: channels of the pyramid (512, or 256 in the lite variant).
        classes: output channels of each head that exists.
    """

    inputs: tuple[int, ...]
    pooled: int
    width: int
    classes: Mapping[str, int]


def read_decoder_layout(state: Mapping[str, Tensor]) -> DecoderLayout:
    """Read the layout from a decoder's weights.

    Raises:
        KeyError: names the weight that is missing.
    """
    lateral = tuple(state[f"fpn_in.{i}.0.weight"].shape[1] for i in range(3))
    pooled, top = state["ppm_conv.0.0.weight"].shape[:2]
    classes = {
        head: state[key].shape[0]
        for head in HEADS
        if (key := f"{head}_head.{2 if head == 'scene' else 1}.weight") in state
    }
    width = state["conv_fusion.0.weight"].shape[0]
    return DecoderLayout((*lateral, top), pooled, width, classes)


def conv_norm_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return conv_norm(inputs, outputs, kernel).append(nn.ReLU(inplace=True))


class PyramidDecoder(nn.Module):
    """Pyramid pooling on the coarsest map, then a feature pyramid over all of them.

    Args:
        inputs: channels of the encoder's four feature maps, finest first.
        pooled: channels of each pooled branch.
        width: channels of the pyramid.
        pooling: makes the pooling to a grid of so many cells a side.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        pooled: int,
        width: int,
        pooling: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        *lateral, top = inputs
        self.ppm_pooling = nn.ModuleList(pooling(scale) for scale in POOL_SCALES)
        self.ppm_conv = nn.ModuleList(conv_norm_relu(top, pooled, 1) for _ in POOL_SCALES)
        self.ppm_last_conv = conv_norm_relu(top + len(POOL_SCALES) * pooled, width, 3)
        self.fpn_in = nn.ModuleList(conv_norm_relu(channels, width, 1) for channels in lateral)
        self.fpn_out = nn.ModuleList(
            nn.Sequential(conv_norm_relu(width, width, 3)) for _ in lateral
        )

    def pool(self, x: Tensor) -> Tensor:
        """The coarsest map (N, inputs[-1], h, w) beside its pooled branches: (N, width, h, w)."""
        branches = [x]
        for pool, layers in zip(self.ppm_pooling, self.ppm_conv, strict=True):
            # Bilinear weights sum to 1, so a 1x1 convolution (and its normalisation) may go before
            # the resizing, where the map is smaller; the ReLU may not.
            conv, norm, _ = layers.children()
            small = norm(conv(pool(x)))
            branches.append(F.relu(resized(small, x.shape[-2:]), inplace=True))
        out: Tensor = self.ppm_last_conv(torch.cat(branches, 1))
        return out

    def levels(self, features: Sequence[Tensor], top: Tensor) -> list[Tensor]:
        """The pyramid, finest first, each (N, width, h, w) on the grid of its feature map.

        Args:
            features: the encoder's four maps, finest first.
            top: ``pool`` of the last one.
        """
        levels = [top]  # coarsest first
        for index in reversed(range(len(self.fpn_in))):
            lateral = self.fpn_in[index](features[index])
            top = lateral + resized(top, lateral.shape[-2:])
            levels.append(self.fpn_out[index](top))
        return levels[::-1]


def stack_levels(levels: Sequence[Tensor]) -> Tensor:
    """All levels on the grid of the first: (N, sum of channels, h, w)."""
    return torch.cat([resized(x, levels[0].shape[-2:]) for x in levels], 1)


class UPerDecoder(PyramidDecoder):
    """Pyramid pooling, feature pyramid and heads."""

    def __init__(self, layout: DecoderLayout) -> None:
        super().__init__(layout.inputs, layout.pooled, layout.width, PrRoIPool)
        self.layout = layout
        width = layout.width
        self.conv_fusion = conv_norm_relu(len(layout.inputs) * width, width, 3)
        for head, classes in layout.classes.items():
            layers = nn.Sequential(conv_norm_relu(width, width, 3))
            if head == "scene":
                layers.append(nn.AdaptiveAvgPool2d(1))
            layers.append(nn.Conv2d(width, classes, 1))
            self.add_module(f"{head}_head", layers)

    def forward(self, features: Sequence[Tensor], heads: Collection[str]) -> dict[str, Tensor]:
        """Logits of the requested heads, before any softmax.

        Args:
            features: the encoder's four maps, finest first.
            heads: any of ``scene``, ``object``, ``part``, ``material`` that exist.

        Returns:
            ``scene`` (N, classes, 1, 1); the others (N, classes, h, w) on the finest map's grid.
        """
        top = self.pool(features[-1])
        logits = {}
        if "scene" in heads:
            logits["scene"] = self.get_submodule("scene_head")(top)
        if not set(heads) - {"scene"}:
            return logits
        levels = self.levels(features, top)
        if "material" in heads:
            logits["material"] = self.get_submodule("material_head")(levels[0])
        if "object" in heads or "part" in heads:
            fused = self.conv_fusion(stack_levels(levels))
            for head in ("object", "part"):
                if head in heads:
                    logits[head] = self.get_submodule(f"{head}_head")(fused)
        return logits


class UPerNet(nn.Module):
    """Encoder and decoder together; keys ``encoder.*`` and ``decoder.*``."""

    def __init__(self, encoder: DeepStemResNet, decoder: UPerDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, x: Tensor, heads: Collection[str]) -> dict[str, Tensor]:
        """Prepared images (N, 3, H, W) to logits; see :meth:`UPerDecoder.forward`."""
        logits: dict[str, Tensor] = self.decoder(self.encoder(x), heads)
        return logits


def build(
    encoder_state: Mapping[str, Tensor],
    decoder_state: Mapping[str, Tensor],
    encoder_path: Path,
    decoder_path: Path,
) -> UPerNet:
    """A network of the weights' own layout with the weights in it, float32, evaluation mode.

    Raises:
        StateMismatchError: names the file and the key that is missing, unexpected, of the wrong
            shape, or NaN.
    """
    encoder_state = without_bookkeeping(encoder_state)
    decoder_state = without_bookkeeping(decoder_state)
    try:
        with torch.device("meta"):  # no memory before the shapes are checked
            encoder = DeepStemResNet(read_layout(encoder_state))
    except KeyError as error:
        raise StateMismatchError(f"{encoder_path}: no deep-stem encoder: {error} missing") from None
    except (IndexError, ValueError, RuntimeError) as error:
        raise StateMismatchError(f"{encoder_path}: no deep-stem encoder: {error}") from None
    try:
        layout = read_decoder_layout(decoder_state)
    except (KeyError, IndexError, ValueError) as error:
        raise StateMismatchError(f"{decoder_path}: no UPerNet decoder: {error} missing") from None
    if layout.inputs != encoder.layout.channels:
        raise StateMismatchError(
            f"{decoder_path}: fpn_in and ppm_conv take {layout.inputs} channels, the encoder "
            f"{encoder_path} gives {encoder.layout.channels}; they are not a pair"
        )
    try:
        with torch.device("meta"):
            decoder = UPerDecoder(layout)
    except (ValueError, RuntimeError) as error:
        raise StateMismatchError(f"{decoder_path}: no UPerNet decoder: {error}") from None
    _fill(encoder, encoder_state, encoder_path)
    _fill(decoder, decoder_state, decoder_path)
    return UPerNet(encoder, decoder).eval().requires_grad_(False)


def without_bookkeeping(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict without leftovers of synchronised normalisations, and counters."""
    return {k: v for k, v in state.items() if k.rpartition(".")[2] not in _BOOKKEEPING}


def _fill(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    check_state(path, state, without_bookkeeping(module.state_dict()))
    for key, value in state.items():
        if not value.is_floating_point() or not bool(torch.isfinite(value.float()).all()):
            raise StateMismatchError(f"{path}: {key} holds NaN, Inf or no floating-point numbers")
        if key.endswith("running_var") and bool((value < 0).any()):
            raise StateMismatchError(f"{path}: {key} holds a negative variance; file damaged")
    floats = {key: value.float() for key, value in state.items()}
    module.load_state_dict(floats, assign=True)


def for_inference(network: UPerNet) -> UPerNet:
    """Fold the normalisations and store the weights channels-last, in place; returns it."""
    fold_norms(network)
    network.requires_grad_(False)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
