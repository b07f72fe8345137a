"""Files of the ResNet generator of WGAN-GP (``GoodGenerator``), as jalola's code saves them.

Keys: ``ln1``, ``rbK.{bn1,bn2,conv_shortcut.conv.conv,conv_1.conv.conv,conv_2.conv}`` from K = 1 on,
``bn``, ``conv1.conv``. The original repeats the map four times and moves depth to space, which is
what repeating the nearest pixel gives. ``conv_1`` has no bias.

Source: Gulrajani et al., NIPS 2017; jalola/improved-wgan-pytorch after igul222's gan_64x64.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from seeingkit.weights import Layout

from ..shapes import shape_of, side_of
from .parsing import Naming

LAYOUT = Layout(
    "WGAN-GP ResNet",
    ("ln1.bias", "rb1.conv_1.conv.conv.weight", "rb1.conv_2.conv.bias", "conv1.conv.bias"),
    r"(ln1|bn|rb\d+\.(bn1|bn2|conv_shortcut|conv_1|conv_2)|conv1\.conv)(\.\w+)+",
)
NAMING = Naming(
    heads={"linear": "ln1", "output_norm": "bn", "output": "conv1.conv"},
    residual={
        "conv1": "conv_1.conv.conv",
        "conv2": "conv_2.conv",
        "shortcut": "conv_shortcut.conv.conv",
        "norm1": "bn1",
        "norm2": "bn2",
    },
    attention={},
)
_BLOCK = re.compile(r"rb(\d+)\.")


def structure(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The values of the config of a file.

    Args:
        path: the file, for messages.
        tensors: its own, by name.

    Raises:
        StateMismatchError: keys or shapes that no such network has.
    """
    last = max(int(match[1]) for key in tensors if (match := _BLOCK.match(key)))
    blocks = [_block(path, tensors, f"rb{number}") for number in range(1, last + 1)]
    values, z_dim = shape_of(path, tensors, "ln1.weight", 2)
    return {
        "z_dim": z_dim,
        "bottom": side_of(path, "ln1.weight", values, blocks[0]["channels_in"]),
        "blocks": blocks,
        "colours": shape_of(path, tensors, "conv1.conv.weight", 4)[0],
    }


def _block(path: Path, tensors: Mapping[str, Tensor], name: str) -> dict[str, Any]:
    inside, before = shape_of(path, tensors, f"{name}.conv_1.conv.conv.weight", 4)[:2]
    return {
        "channels_in": before,
        "channels_inside": inside,
        "channels_out": shape_of(path, tensors, f"{name}.conv_2.conv.weight", 4)[0],
        "biased": False,
        "native": name,
    }
