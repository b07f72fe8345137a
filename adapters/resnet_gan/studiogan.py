"""Files of POSTECH-CVLab/PyTorch-StudioGAN (``model=G*-weights-step=*.pth``): its two ResNets.

Guarantees that a file whose keys fit both ResNets is taken for the one whose sizes are usual, which
is said, or not without ``condition``.

Keys: ``linear0``, ``blocks.I.0.{bn1,bn2,conv2d0,conv2d1,conv2d2}`` (``conv2d0`` the shortcut),
attention as an entry of its own, ``bn4``, ``conv2d5``. Conditional norms have linear maps ``gain``
and ``bias`` of the one-hot class (``resnet``), or of a piece of z after the shared embedding of the
class, if there is one (``big_resnet``); the scale is 1 + gain. Spectral norm is torch's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.weights import Layout

from ..catalog.resnet_gan import ResNetGANOptions
from ..shapes import shape_of, side_of
from .parsing import Naming

EPSILON = 1e-4
LAYOUT = Layout(
    "StudioGAN",
    ("linear0.bias", "blocks.0.0.conv2d0.bias", "blocks.0.0.conv2d1.bias", "conv2d5.bias"),
    r"(linear0|shared|blocks\.\d+\.\d+\.\w+|bn4|conv2d5)(\.\w+)+|blocks\.\d+\.\d+\.sigma",
)
NAMING = Naming(
    heads={
        "linear": "linear0",
        "output_norm": "bn4",
        "output": "conv2d5",
        "embedding": "shared",
    },
    residual={
        "conv1": "conv2d1",
        "conv2": "conv2d2",
        "shortcut": "conv2d0",
        "norm1": "bn1",
        "norm2": "bn2",
    },
    attention={
        "theta": "conv1x1_theta",
        "phi": "conv1x1_phi",
        "g": "conv1x1_g",
        "o": "conv1x1_attn",
        "gamma": "sigma",
    },
    tables={"gain.weight": "gain.weight", "offset.weight": "bias.weight"},
)
_WHOLE_Z = 64
"""A piece of z is shorter than this, a whole z is not (StudioGAN's configs: 20, 80 to 140)."""
_BLOCK = re.compile(r"blocks\.(\d+)\.0\.")
_GAIN = "blocks.0.0.bn1.gain.weight"


def structure(
    path: Path, tensors: Mapping[str, Tensor], options: ResNetGANOptions
) -> dict[str, Any]:
    """The values of the config of a file.

    Args:
        path: the file, for messages.
        tensors: its own, without spectral norms.
        options: ``condition``.

    Raises:
        StateMismatchError: keys or shapes that no such network has.
        UsageError: the keys leave open what the norms take, or the option does not fit.
    """
    for name, why in (
        ("blocks.0.0.conv2d3.weight", "its blocks are bottlenecks (big_resnet_deep)"),
        ("info_mix_linear.weight", "it takes codes of InfoGAN (info_mix_linear)"),
        ("info_proj_linear.weight", "it takes codes of InfoGAN (info_proj_linear)"),
    ):
        if name in tensors:
            raise StateMismatchError(f"{path}: a StudioGAN file, but {why}, which is not read")
    numbers = {int(match[1]) for key in tensors if (match := _BLOCK.match(key))}
    blocks = [_block(path, tensors, f"blocks.{i}.0") for i in range(max(numbers) + 1)]
    values, first = shape_of(path, tensors, "linear0.weight", 2)
    return {
        **_condition(path, tensors, first, blocks, options.condition),
        "bottom": side_of(path, "linear0.weight", values, blocks[0]["channels_in"]),
        "blocks": blocks,
        "colours": shape_of(path, tensors, "conv2d5.weight", 4)[0],
        "epsilon": EPSILON,
    }


def _block(path: Path, tensors: Mapping[str, Tensor], name: str) -> dict[str, Any]:
    if f"{name}.conv1x1_theta.weight" in tensors:
        width = shape_of(path, tensors, f"{name}.conv1x1_theta.weight", 4)[1]
        widths = dict.fromkeys(("channels_in", "channels_inside", "channels_out"), width)
        return {"kind": "attention", "upsample": False, "native": name, **widths}
    inside, before = shape_of(path, tensors, f"{name}.conv2d1.weight", 4)[:2]
    after = shape_of(path, tensors, f"{name}.conv2d2.weight", 4)[0]
    return {
        "channels_in": before,
        "channels_inside": inside,
        "channels_out": after,
        "native": name,
    }


def _condition(
    path: Path,
    tensors: Mapping[str, Tensor],
    first: int,
    blocks: list[dict[str, Any]],
    asked: str | None,
) -> dict[str, Any]:
    """What the norms take: nothing, the class, or pieces of z (after the class's embedding)."""
    if _GAIN not in tensors:
        _check_asked(path, asked, None)
        return {"z_dim": first}
    width = shape_of(path, tensors, _GAIN, 2)[1]
    pieces = 1 + sum(block.get("kind") != "attention" for block in blocks)
    in_pieces = {"z_dim": first * pieces, "condition": "chunks", "centre": 1}
    if "shared.weight" in tensors:
        _check_asked(path, asked, "chunks")
        classes, embedding = shape_of(path, tensors, "shared.weight", 2)
        if width != embedding + first:
            raise StateMismatchError(
                f"{path}: linear0 takes {first} numbers, the norms {width} and shared.weight gives "
                f"{embedding}: these do not fit together"
            )
        return {**in_pieces, "classes": classes, "embedding_dim": embedding}
    by_class = {"z_dim": first, "condition": "class", "classes": width, "centre": 1}
    if width != first:
        _check_asked(path, asked, "class")
        return by_class
    if asked is None and first >= _WHOLE_Z:
        raise UsageError(
            f"{path}: linear0 and the norms take {first} numbers each: either there are {first} "
            f"classes (condition=class), or z has {first * pieces} numbers that are cut into "
            f"{pieces} pieces (condition=chunks); the file does not say which"
        )
    if asked is None:
        said = f"condition=chunks, z of {first * pieces} numbers is cut into {pieces} pieces "
        return {**in_pieces, "assumed": [f"{said}(not {first} classes and as many numbers in z)"]}
    return by_class if asked == "class" else in_pieces


def _check_asked(path: Path, asked: str | None, found: str | None) -> None:
    if asked not in (None, found):
        what = f"those of condition={found}" if found else "those of an unconditional network"
        raise UsageError(f"{path}: condition={asked}, but its keys are {what}")
