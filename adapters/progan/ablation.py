"""The ablated ProGAN generators of ganseeing (``proggan_ablation.py``, networks G128_*).

Guarantees that a file of these networks is never mistaken for another: three are known by their
keys; pixelwisenorm and equallr have the same keys as each other and as an old ProGAN file, and are
told apart by the stored scales, the file's published name or the option ``variant``, or refused.

============== ============ ===================== =========== ==========
variant        pixel norm   scale                 offset      activation
============== ============ ===================== =========== ==========
pixelwisenorm  every block  ``wscale.scale``      wscale.b    leaky ReLU
equallr        first, RGB   ``wscale.scale``      wscale.b    leaky ReLU
minibatch_disc first        none                  conv.bias   leaky ReLU
simple         none         none                  batch norm  ReLU
============== ============ ===================== =========== ==========
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.models.sites import LinearMap

from .network import (
    LEAK,
    equalised_scale,
    layer_shapes,
    pixel_norm,
    resolutions,
    upsamples,
)

Variant = Literal["progan", "equallr", "pixelwisenorm", "minibatch_disc", "simple"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

# Published names of files whose keys leave the variant open.
_FILE_NAMES: Mapping[str, Variant] = {
    "equalized-learning-rate": "equallr",
    "equallr": "equallr",
    "pixelwise-normalization": "pixelwisenorm",
    "pixelwisenorm": "pixelwisenorm",
}
# The originals measured an old file's scales on random weights, so they scatter by a few percent
# about the formula (by more in the small RGB block, which is not looked at); trained ones do not.
_SCALE_TOLERANCE = 0.05


class ScaledBias(nn.Module):
    """The trained scale and offset of ``wscale``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.b = nn.Parameter(torch.zeros(channels))


class AblationLayer(nn.Module):
    """One block of an ablated generator.

    Args:
        shape: (C_in, C_out, kernel).
        variant: which ablation.
        number: 1 … N, or None for the RGB block.
    """

    def __init__(self, shape: tuple[int, int, int], variant: Variant, number: int | None) -> None:
        super().__init__()
        channels_in, channels_out, kernel = shape
        rgb = number is None
        biased = variant == "minibatch_disc" or (rgb and variant == "simple")
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, bias=biased)
        padding = 0 if rgb else 3 if number == 1 else 1
        self.convolution = LinearMap(partial(F.conv2d, padding=padding), "conv.weight")
        self.upsample = number is not None and upsamples(number)
        self.rgb = rgb
        self.normalised = {
            "pixelwisenorm": True,
            "equallr": rgb or number == 1,
            "minibatch_disc": number == 1,
        }.get(variant, False)
        self.wscale: ScaledBias | None = None
        self.norm: nn.BatchNorm2d | None = None
        if variant in ("pixelwisenorm", "equallr"):
            self.wscale = ScaledBias(channels_out)
        if variant == "simple" and not rgb:
            self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, h, w) to (N, C_out, H, W)."""
        if self.normalised:
            x = pixel_norm(x)
        if self.upsample:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        if self.wscale is None:
            x = self.convolution(x, self.conv.weight, self.conv.bias)
        else:
            x = self.convolution(x, self.conv.weight, self.wscale.b, gain=self.wscale.scale)
        if self.norm is not None:
            return F.relu(self.norm(x))
        return x if self.rgb else F.leaky_relu(x, LEAK)


def ablation_network(sizes: Sequence[int], variant: Variant) -> nn.Sequential:
    """The whole generator under the names of ``network.network``, not clamped."""
    layers = nn.Sequential()
    for k, shape in enumerate(layer_shapes(sizes), start=1):
        layers.add_module(f"layer{k}", AblationLayer(shape, variant, k))
    size = resolutions(sizes)[-1]
    layers.add_module(f"output_{size}x{size}", AblationLayer((sizes[-1], 3, 1), variant, None))
    return layers


def recognise(path: Path, tensors: Mapping[str, Tensor], asked: Variant | None) -> Variant:
    """Which generator a file with ``features.i`` keys holds.

    Args:
        path: the file; its name and its folder's files are not opened.
        tensors: the file's, by key.
        asked: the option ``variant``, or None.

    Raises:
        UsageError: the option contradicts the keys.
        StateMismatchError: neither keys, scales, file name nor option tell.
    """
    first = "features.0."
    if f"{first}norm.running_mean" in tensors:
        possible: tuple[Variant, ...] = ("simple",)
    elif f"{first}conv.bias" in tensors:
        possible = ("minibatch_disc",)
    elif f"{first}wscale.scale" in tensors:
        possible = ("progan", "equallr", "pixelwisenorm")
    else:
        possible = ("progan",)
    if asked is not None:
        if asked not in possible:
            raise UsageError(
                f"{path}: variant={asked} does not fit its keys, which are those of "
                f"{' or '.join(possible)}"
            )
        return asked
    if len(possible) == 1:
        return possible[0]
    for fragment, variant in _FILE_NAMES.items():
        if fragment in path.name.lower():
            return variant
    if _untrained_scales(tensors):
        return "progan"
    raise StateMismatchError(
        f"{path}: its features.*.wscale.scale are trained values, and its keys fit both ablation "
        "networks equallr and pixelwisenorm; give the option variant=equallr or "
        "variant=pixelwisenorm (variant=progan ignores the scales)"
    )


def _untrained_scales(tensors: Mapping[str, Tensor]) -> bool:
    """Whether every stored scale equals that of the equalised learning rate."""
    for key, scale in tensors.items():
        name, dot, rest = key.partition(".wscale.scale")
        weight = tensors.get(f"{name}.conv.weight")
        if not dot or rest or not name.startswith("features."):
            continue
        if weight is None or weight.ndim != 4 or not weight.numel() or scale.numel() != 1:
            continue  # the check of keys and shapes names it
        expected = equalised_scale(weight.shape[1], weight.shape[2])
        if abs(float(scale) / expected - 1.0) > _SCALE_TOLERANCE:
            return False
    return True
