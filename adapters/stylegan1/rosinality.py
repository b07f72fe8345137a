"""The .model files of rosinality/style-based-gan-pytorch (StyleGAN v1).

Guarantees that every key of all resolutions was checked under its own name before anything is
converted, and that the resolution is never guessed: the file does not hold it.

What the file does not hold (``model.py``): the scale of each weight is sqrt(2 / fan-in), for noise
strengths sqrt(2 / C); an upsampling layer fused with its convolution stores the transposed kernel
[in, out, k, k] and divides it by 4; biases come before blur and noise; gammas are whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.weights import (
    Checkpoint,
    Layout,
    Network,
    check_finite,
    check_state,
    find_network,
    state_dict,
)

from ..configs import check_colours
from ..tensorflow_networks import Converted, Recipes
from .files import Contents
from .network import StyleGAN1Config

LAYOUT = "rosinality .model"
INSTANCE_EPSILON = 1e-5  # torch's own default
_FIRST = "generator.progression.0.conv1.input"
_BLOCK = re.compile(r"generator\.progression\.(\d+)\.")
_STYLE = re.compile(r"style\.(\d+)\.linear\.weight_orig")
_BLUR = re.compile(r"generator\.progression\.\d+\.conv1\.[12]\.(weight|weight_flip)")
_BLUR_KERNEL = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16


NAMES = Layout(
    LAYOUT,
    (_FIRST,),
    r"style\.\d+\.linear\.\w+|generator\.(progression\.\d+|to_rgb\.\d+)(\.\w+)+",
)


def find_rosinality(checkpoint: Checkpoint, key: str | None = None) -> Network | None:
    """The generator in a file (of a training checkpoint its ``g_running``), or None.

    Raises:
        UsageError: ``key`` does not choose one of several.
    """
    return find_network(checkpoint, NAMES.marks, "StyleGAN generator", key)


def read_rosinality(
    checkpoint: Checkpoint, network: Network, resolution: int | None, alpha: float
) -> Contents:
    """Read a network of a file.

    Args:
        checkpoint: the file.
        network: as ``find_rosinality`` found it.
        resolution: side of the image, one of those the file has layers for.
        alpha: weight of that resolution's RGB against the previous one's.

    Raises:
        UsageError: no resolution given, or one that the file has no layers for (lists them).
        StateMismatchError: keys, shapes or values that do not fit (named).
    """
    tensors = state_dict(checkpoint, network.tree, network.where)
    blocks = 1 + max((int(m[1]) for key in tensors if (m := _BLOCK.match(key))), default=0)
    depth = len([key for key in tensors if _STYLE.fullmatch(key)])
    if blocks > 11:
        raise StateMismatchError(f"{checkpoint.path}: has {blocks} blocks, more than any StyleGAN")
    shapes = _shapes(checkpoint, tensors, blocks, depth)
    kernels = {key: tensors.pop(key) for key in list(tensors) if _blur_of(key, tensors)}
    check_state(checkpoint.path, tensors, shapes)
    for key, tensor in tensors.items():
        check_finite(checkpoint.path, key, tensor)
    for key, kernel in kernels.items():
        _check_blur(checkpoint, key, kernel)
    step = _step(checkpoint, blocks, resolution)
    config = StyleGAN1Config.validated(
        checkpoint.path,
        {
            "latent": shapes["style.1.linear.weight_orig"][1],
            "mapping": [shapes["style.1.linear.weight_orig"][0]] * depth,
            "channels": [shapes[f"{_block(i)}.conv2.conv.bias"][0] for i in range(step + 1)],
            "instance_epsilon": INSTANCE_EPSILON,
            "bias_first": True,
            "noise": "resolution",
            "stored_noise": False,
            "alpha": alpha if step > 0 else 1.0,
            "assumed": ("noise=none: the file holds no maps", "alpha=1: no blending"),
        },
    )
    converted = Converted(_recipes(tensors, config))
    return Contents(LAYOUT, config, converted, mean=False, where=network.where)


def _block(i: int) -> str:
    return f"generator.progression.{i}"


def _blur_of(key: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a key is a blur kernel: conv1.2 after a convolution, conv1.1 after a fused one."""
    if _BLUR.fullmatch(key) is None:
        return False
    layer = key.rpartition(".")[0]
    return layer.endswith(".2") or f"{layer[:-1]}0.weight" in tensors


def _check_blur(checkpoint: Checkpoint, key: str, kernel: Tensor) -> None:
    fits = kernel.ndim == 4 and tuple(kernel.shape[1:]) == (1, 3, 3)
    if not fits or not torch.allclose(kernel.float(), _BLUR_KERNEL.expand_as(kernel), atol=1e-4):
        raise StateMismatchError(
            f"{checkpoint.path}: {key} is not the blur [1, 2, 1] of these networks"
        )


def _step(checkpoint: Checkpoint, blocks: int, resolution: int | None) -> int:
    sizes = [4 << i for i in range(blocks)]
    known = ", ".join(f"{i} ({size})" for i, size in enumerate(sizes))
    if resolution is None:
        raise UsageError(
            f"{checkpoint.path}: a rosinality file does not hold its resolution: give the option "
            f"step or resolution; steps (and pixels): {known}"
        )
    if resolution not in sizes:
        raise UsageError(
            f"{checkpoint.path}: has no layers for {resolution} pixels; steps (and pixels): {known}"
        )
    return sizes.index(resolution)


def _shapes(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], blocks: int, depth: int
) -> dict[str, tuple[int, ...]]:
    """The shape of every key but the blur kernels, from the sizes that a few of them give."""

    def size(key: str, axis: int, axes: int) -> int:
        if key not in tensors:
            raise StateMismatchError(f"{checkpoint.path}: missing keys {key}")
        shape = tuple(tensors[key].shape)
        if len(shape) != axes or 0 in shape:
            raise StateMismatchError(
                f"{checkpoint.path}: {key} has shape {shape}, expected {axes} axes, none empty"
            )
        return shape[axis]

    check_colours(checkpoint.path, size("generator.to_rgb.0.conv.bias", 0, 1))
    w = size("style.1.linear.weight_orig", 0, 2)
    shapes: dict[str, tuple[int, ...]] = {}
    for i in range(depth):
        name = f"style.{2 * i + 1}.linear"
        shapes |= {f"{name}.weight_orig": (w, w), f"{name}.bias": (w,)}
    inputs = 0
    for i in range(blocks):
        c, block = size(f"{_block(i)}.conv2.conv.bias", 0, 1), _block(i)
        if i == 0:
            shapes[_FIRST] = (1, c, 4, 4)
        elif f"{block}.conv1.0.weight" in tensors:
            shapes[f"{block}.conv1.0.weight"] = (inputs, c, 3, 3)
            shapes[f"{block}.conv1.0.bias"] = (c,)
        else:
            shapes[f"{block}.conv1.1.conv.weight_orig"] = (c, inputs, 3, 3)
            shapes[f"{block}.conv1.1.conv.bias"] = (c,)
        shapes[f"{block}.conv2.conv.weight_orig"] = (c, c, 3, 3)
        shapes[f"{block}.conv2.conv.bias"] = (c,)
        for k in (1, 2):
            shapes[f"{block}.noise{k}.weight_orig"] = (1, c, 1, 1)
            shapes[f"{block}.adain{k}.style.linear.weight_orig"] = (2 * c, w)
            shapes[f"{block}.adain{k}.style.linear.bias"] = (2 * c,)
        shapes[f"generator.to_rgb.{i}.conv.weight_orig"] = (3, c, 1, 1)
        shapes[f"generator.to_rgb.{i}.conv.bias"] = (3,)
        inputs = c
    return shapes


def _recipes(tensors: Mapping[str, Tensor], config: StyleGAN1Config) -> Recipes:
    recipes: Recipes = {"mean_style": lambda: torch.zeros(config.style)}

    def put(ours: str, layer: str) -> None:
        """A layer of weight (out, in, …), scaled by its fan-in, and bias."""
        scale = math.sqrt(2.0 / tensors[f"{layer}.weight_orig"][0].numel())
        recipes[f"{ours}.weight"] = lambda: tensors[f"{layer}.weight_orig"].float() * scale
        recipes[f"{ours}.bias"] = lambda: tensors[f"{layer}.bias"]

    def put_fused(ours: str, layer: str) -> None:
        """A transposed kernel [in, out, 3, 3]: mirrored, it is that of a convolution."""
        scale = math.sqrt(2.0 / (9 * tensors[f"{layer}.weight"].shape[0])) / 4
        recipes[f"{ours}.weight"] = lambda: (
            tensors[f"{layer}.weight"].float().transpose(0, 1).flip(2, 3) * scale
        )
        recipes[f"{ours}.bias"] = lambda: tensors[f"{layer}.bias"]

    for i in range(len(config.mapping)):
        put(f"mapping.dense.{i}", f"style.{2 * i + 1}.linear")
    for number in range(config.layers):
        i, k = divmod(number, 2)
        ours, block = f"layers.r{config.resolutions[i]}_conv{k}", _block(i)
        if number == 0:
            recipes[f"{ours}.const"] = lambda: tensors[_FIRST][0]
        elif k == 1:
            put(ours, f"{block}.conv2.conv")
        elif f"{block}.conv1.0.weight" in tensors:
            put_fused(ours, f"{block}.conv1.0")
        else:
            put(ours, f"{block}.conv1.1.conv")
        recipes[f"{ours}.noise_strength"] = _noise_strength(
            tensors[f"{block}.noise{k + 1}.weight_orig"]
        )
        put(f"{ours}.style", f"{block}.adain{k + 1}.style.linear")
    last = len(config.channels) - 1
    put("rgb", f"generator.to_rgb.{last}.conv")
    if config.alpha < 1:
        put("previous_rgb", f"generator.to_rgb.{last - 1}.conv")
    return recipes


def _noise_strength(weight: Tensor) -> Callable[[], Tensor]:
    return lambda: weight.float().flatten() * math.sqrt(2.0 / weight.numel())
