"""Files of kwotsin/mimicry (``netG_*_steps.pth``): SNGAN, SAGAN, cGAN-PD, WGAN-GP and others.

Guarantees that what the keys leave open (where attention stands, whether blocks enlarge, the last
activation) follows from a stated rule, which is among the assumptions, or is asked for.

Keys: ``l1``, ``blockK.{c1,c2,c_sc,b1,b2}`` from K = 2 on, ``bN`` and ``cN`` with the next number;
``attn_block``. Conditional norms have ``bn`` without parameters, and a table ``embed`` of (scale,
offset) that is not centred at 1. Spectral norm is torch's, or mimicry's own (``sn_u``).
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

LAYOUT = Layout(
    "mimicry",
    ("l1.bias", "block2.c1.bias", "block2.c2.bias"),
    r"(l1|block\d+\.(c1|c2|c_sc|b1|b2)|attn_block|[bc]\d+)(\.\w+)+",
)
_BLOCK = re.compile(r"block(\d+)\.c1\.")
_FIRST = 2
_ATTENTION = {3: 2, 5: 3}
"""Blocks before the attention of the published networks, by the number of their blocks."""


def structure(
    path: Path, tensors: Mapping[str, Tensor], options: ResNetGANOptions
) -> dict[str, Any]:
    """The values of the config of a file.

    Args:
        path: the file, for messages.
        tensors: its own, without spectral norms.
        options: ``attention``.

    Raises:
        StateMismatchError: keys or shapes that no such network has, or that leave open which
            blocks enlarge.
        UsageError: the keys leave open where attention stands, or the option does not fit.
    """
    last = max(int(match[1]) for key in tensors if (match := _BLOCK.match(key)))
    blocks = [_block(path, tensors, number) for number in range(_FIRST, last + 1)]
    assumed = []
    if any(not block["shortcut"] for block in blocks):
        assumed.append(_without_growth(path, blocks))
    embed = "block2.b1.embed.weight"
    classes = shape_of(path, tensors, embed, 2)[0] if embed in tensors else 0
    values, z_dim = shape_of(path, tensors, "l1.weight", 2)
    bottom = side_of(path, "l1.weight", values, blocks[0]["channels_in"])
    if "attn_block.theta.weight" in tensors:
        before, said = _attention(path, tensors, blocks, options.attention)
        assumed += said
        width = blocks[before - 1]["channels_out"]
        widths = dict.fromkeys(("channels_in", "channels_inside", "channels_out"), width)
        attention = {"kind": "attention", "upsample": False, "native": "attn_block", **widths}
        blocks.insert(before, attention)
    elif options.attention is not None:
        raise UsageError(f"{path}: attention={options.attention}, but the file has none")
    return {
        "z_dim": z_dim,
        "classes": classes,
        "condition": "class" if classes else "none",
        "bottom": bottom,
        "blocks": blocks,
        "colours": shape_of(path, tensors, f"c{last + 1}.weight", 4)[0],
        "upsampling": "bilinear",
        "assumed": assumed,
    }


def _block(path: Path, tensors: Mapping[str, Tensor], number: int) -> dict[str, Any]:
    name = f"block{number}"
    inside, before = shape_of(path, tensors, f"{name}.c1.weight", 4)[:2]
    return {
        "channels_in": before,
        "channels_inside": inside,
        "channels_out": shape_of(path, tensors, f"{name}.c2.weight", 4)[0],
        "shortcut": f"{name}.c_sc.weight" in tensors,
        "native": name,
    }


def _without_growth(path: Path, blocks: list[dict[str, Any]]) -> str:
    """Blocks of files in which some have no shortcut convolution, and so do not enlarge.

    A block has one if it enlarges or changes its channels, so that those that change them leave
    open whether they enlarge; in mimicry's own network of this kind, cGAN-PD's for 128 pixels, no
    block does.
    """
    keeps = [block["channels_in"] == block["channels_out"] for block in blocks]
    if any(kept and block["shortcut"] for kept, block in zip(keeps, blocks, strict=True)):
        lacking = next(block["native"] for block in blocks if not block["shortcut"])
        raise StateMismatchError(
            f"{path}: {lacking} has no shortcut convolution, so it does not enlarge its map as "
            "others do; which blocks do is not in the file"
        )
    for block in blocks:
        block["upsample"] = False
    return "no block enlarges its map, as in mimicry's CGANPDGenerator128"


def _attention(
    path: Path,
    tensors: Mapping[str, Tensor],
    blocks: list[dict[str, Any]],
    asked: int | None,
) -> tuple[int, list[str]]:
    """Number of blocks before the attention, and what was assumed about it."""
    width = shape_of(path, tensors, "attn_block.theta.weight", 4)[1]
    fitting = [k for k, block in enumerate(blocks, start=1) if block["channels_out"] == width]
    if not fitting:
        raise StateMismatchError(f"{path}: attn_block takes {width} channels, no block gives them")
    if asked is not None:
        if asked not in fitting:
            listed = " or ".join(map(str, fitting))
            raise UsageError(
                f"{path}: attention={asked}: attn_block takes {width} channels, as there are "
                f"after block {listed}"
            )
        return asked, []
    published = _ATTENTION.get(len(blocks))
    if published in fitting:
        where = f"attention={published} blocks before it, as in mimicry's SAGAN"
        return published, [where] if len(fitting) > 1 else []
    if len(fitting) > 1:
        listed = ", ".join(map(str, fitting))
        raise UsageError(
            f"{path}: attn_block fits after {listed} blocks, and which it is, is not in the file; "
            "give attention=, the number of blocks before it"
        )
    return fitting[0], []


def naming(tensors: Mapping[str, Tensor]) -> Naming:
    """The names of a file's tensors; those of the last norm and convolution are numbered on."""
    last = max(int(match[1]) for key in tensors if (match := _BLOCK.match(key))) + 1
    return Naming(
        heads={"linear": "l1", "output_norm": f"b{last}", "output": f"c{last}"},
        residual={
            "conv1": "c1",
            "conv2": "c2",
            "shortcut": "c_sc",
            "norm1": "b1",
            "norm2": "b2",
        },
        attention={name: name for name in ("theta", "phi", "g", "o", "gamma")},
        tables={"gain.weight": "embed.weight", "offset.weight": "embed.weight"},
        halves=True,
    )
