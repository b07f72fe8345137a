"""Files of RKorzeniowski/BigBiGAN-PyTorch (``checkpoint_N.pth``): configs and tensors.

Guarantees that every key of a generator or an encoder was accounted for by name, and that spectral
norm is that of the original's evaluation: torch's own, with the vectors u and v as they are stored
(σ = u · W v, Miyato et al. 2018, section 2.1), or none where the file has plain weights.

A file holds one state dict of the whole model: ``generator.``, ``encoder.`` (BigGANs have none) and
critics, which are not read. ``layer.`` is the original's wrapper of spectral norm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint, Layout, check_finite, check_state

from .config import BOTTOM, BigBiGANConfig, BigBiGANEncoderConfig
from .network import BigBiGANEncoderNetwork, BigBiGANNetwork

GENERATOR = Layout(
    "BigBiGAN-PyTorch generator",
    ("pre_up_blocks.0.bn1.linear.weight", "post_up_blocks.0.bn1.linear.weight", "non_loc.gamma"),
    r"(pre_up_blocks|post_up_blocks|non_loc|linear|conv|bn|class_embedding)(\.\w+)*",
)
ENCODER = Layout(
    "BigBiGAN-PyTorch encoder",
    ("rev_blocks.0.res_block.conv1.layer.weight", "res_lin1.linear1.layer.weight", "conv.weight"),
    r"(rev_blocks|res_lin\d|linear_dist_params|conv)(\.\w+)*",
)
_COUNTER = ".num_batches_tracked"
_UNUSED = re.compile(r"rev_blocks\.\d+\.res_block\.skip_conv\.layer\.(weight|bias)")
"""The original has it in every block, and uses it where channels or size change: nowhere."""
_BLOCK = re.compile(r"(pre|post)_up_blocks\.(\d{1,3})\.")
_REVERSIBLE = re.compile(r"rev_blocks\.(\d{1,3})\.")
"""Of longer numbers there are no blocks: such keys are unexpected."""


def read_generator(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor]
) -> tuple[BigBiGANConfig, dict[str, Tensor]]:
    """Config and tensors, by our names and with spectral norm folded in, of a generator.

    Raises:
        StateMismatchError: a key is missing, unexpected, mis-shaped or not finite (names it).
    """
    path = checkpoint.path
    found = _checked(path, tensors)
    before, after = (_count(found, group) for group in ("pre", "post"))
    places = [f"pre_up_blocks.{k}" for k in range(before)]
    places += [f"post_up_blocks.{k}" for k in range(after)]
    widths = [_shape(path, found, f"{places[0]}.conv1.layer.weight", 4)[1]]
    widths += [_shape(path, found, f"{place}.conv1.layer.weight", 4)[0] for place in places]
    values, piece = _shape(path, found, "linear.layer.weight", 2)
    if values != widths[0] * BOTTOM**2:
        raise StateMismatchError(
            f"{path}: linear gives {values} values, no 4x4 map of {widths[0]} channels"
        )
    classes, embedding = 0, 0
    if "class_embedding.weight" in found:
        classes, embedding = _shape(path, found, "class_embedding.weight", 2)
    config = BigBiGANConfig.validated(
        path,
        {
            "z_dim": piece * (len(places) + 1),
            "classes": classes,
            "embedding_dim": embedding,
            "widths": tuple(widths),
            "attention": before,
            "colours": _shape(path, found, "conv.layer.weight", 4)[1],
            "assumed": (
                "by its keys it is BigBiGAN-PyTorch's: batch norms of epsilon 1e-05, ReLU, a "
                "sigmoid after the last",
            ),
        },
    )
    with torch.device("meta"):
        state = BigBiGANNetwork(config).state_dict()
    return config, _taken(path, found, state, lambda key: _native(key, places))


def read_encoder(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor]
) -> tuple[BigBiGANEncoderConfig, dict[str, Tensor]]:
    """Config and tensors, by our names, of an encoder; errors as ``read_generator``."""
    path = checkpoint.path
    found = {k: t for k, t in _checked(path, tensors).items() if not _UNUSED.fullmatch(k)}
    numbers = {int(m[1]) for key in found if (m := _REVERSIBLE.match(key))}
    blocks = tuple(k in numbers for k in range(max(numbers, default=-1) + 1))
    width, colours = _shape(path, found, "conv.weight", 4)[:2]
    outputs, hidden = _shape(path, found, "linear_dist_params.weight", 2)
    if outputs % 2:
        raise StateMismatchError(f"{path}: its {outputs} outputs are no means and deviations")
    config = BigBiGANEncoderConfig.validated(
        path,
        {
            "z_dim": outputs // 2,
            "colours": colours,
            "width": width,
            "blocks": blocks,
            "hidden": hidden,
            "assumed": (
                "by its keys it is BigBiGAN-PyTorch's: batch norms of epsilon 1e-05, leaky ReLU of "
                "slope 0.3 in the linear layers",
            ),
        },
    )
    with torch.device("meta"):
        state = BigBiGANEncoderNetwork(config).state_dict()
    places = [f"rev_blocks.{k}.res_block" for k, reversible in enumerate(blocks) if reversible]
    return config, _taken(path, found, state, lambda key: _native_encoder(key, places))


# --------------------------------------------------------------------------------------------- keys

_PARTS = {"embedding": "class_embedding", "attention": "non_loc", "output_norm": "bn"}
_PARTS |= {"query": "query_conv.layer", "key": "key_conv.layer", "value": "value_conv.layer"}
_PARTS |= {"shortcut": "skip_conv.layer", "conv1": "conv1.layer", "conv2": "conv2.layer"}
_PARTS |= {"norm1": "bn1", "norm2": "bn2", "norm": "bn"}
_ENCODER_PARTS = {"first": "conv", "last": "linear_dist_params", "norm1": "bn1", "norm2": "bn2"}
_ENCODER_PARTS |= {"conv1": "conv1.layer", "conv2": "conv2.layer"}
_LINEAR_PARTS = {"linear1": "linear1.layer", "linear2": "linear2.layer"}
_LINEAR_PARTS |= {"skip": "skip_linear.layer"}


def _native(key: str, places: list[str]) -> str:
    """The file's name of one of the generator's tensors."""
    head, *rest = key.split(".")
    if head in ("linear", "output"):
        return ".".join(("linear" if head == "linear" else "conv", "layer", *rest))
    if head == "blocks":
        head, rest = places[int(rest[0])], rest[1:]
    return ".".join((_PARTS.get(head, head), *(_PARTS.get(part, part) for part in rest)))


def _native_encoder(key: str, places: list[str]) -> str:
    """The file's name of one of the encoder's tensors."""
    head, *rest = key.split(".")
    if head in ("linear1", "linear2"):
        parts = (_LINEAR_PARTS.get(part, part) for part in rest)
        return ".".join((f"res_lin{head[-1]}", *parts))
    if head == "blocks":
        head, rest = places[int(rest[0])], rest[1:]
    parts = (_ENCODER_PARTS.get(part, part) for part in rest)
    return ".".join((_ENCODER_PARTS.get(head, head), *parts))


def _count(tensors: Mapping[str, Tensor], group: str) -> int:
    """One more than the last number of a group of blocks: a gap is named as a missing key."""
    found = [int(m[2]) for key in tensors if (m := _BLOCK.match(key)) and m[1] == group]
    return max(found, default=-1) + 1


def _shape(path: Path, tensors: Mapping[str, Tensor], key: str, axes: int) -> tuple[int, ...]:
    if key not in tensors:
        raise StateMismatchError(f"{path}: missing key {key}")
    shape = tuple(tensors[key].shape)
    if len(shape) != axes or 0 in shape:
        raise StateMismatchError(f"{path}: {key} has shape {shape}, expected {axes} axes")
    return shape


# ------------------------------------------------------------------------------------------- values


def _checked(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All but the counters of norms, finite, with spectral norm folded into the weights."""
    found: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if key.endswith(_COUNTER) and f"{key.removesuffix(_COUNTER)}.running_mean" in tensors:
            continue
        check_finite(path, key, tensor)
        if key.endswith(".running_var") and bool((tensor < 0).any()):
            raise StateMismatchError(f"{path}: {key} holds negative variances; it is damaged")
        stem, _, part = key.rpartition(".")
        if part in ("weight_u", "weight_v") and f"{stem}.weight_orig" in tensors:
            continue
        if part == "weight_orig":
            found[f"{stem}.weight"] = _normed(path, stem, tensors)
        else:
            found[key] = tensor
    return found


def _normed(path: Path, stem: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """W / (u · W v); of a transposed convolution, rows of W are its outputs."""
    # copies: sums over mapped memory round by where in the file the tensor lies
    weight = tensors[f"{stem}.weight_orig"].to(torch.float32, copy=True)
    outputs = 1 if stem.rpartition(".")[0] == "conv" and weight.ndim == 4 else 0
    matrix = weight.transpose(0, outputs).flatten(1)
    expected = {f"{stem}.weight_u": matrix.shape[:1], f"{stem}.weight_v": matrix.shape[1:]}
    check_state(path, {name: tensors[name] for name in expected if name in tensors}, expected)
    u, v = (tensors[name].to(torch.float32, copy=True) for name in expected)
    sigma = float(torch.dot(u, torch.mv(matrix, v)))
    if not math.isfinite(sigma) or sigma == 0.0:
        raise StateMismatchError(f"{path}: {stem}.weight_orig has spectral norm {sigma:g}")
    return weight / sigma


def _taken(
    path: Path,
    found: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    native: Callable[[str], str],
) -> dict[str, Tensor]:
    """The tensors by our names, once all of them are as the network has them."""
    names = {key: native(key) for key in state}
    check_state(path, found, {name: state[key] for key, name in names.items()})
    return {key: found[name] for key, name in names.items()}
