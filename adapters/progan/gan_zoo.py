"""Progressive GANs of pytorch_GAN_zoo (torch.hub ``PGAN``).

Guarantees that the record beside the network is followed, that without one the last activation is
asked for, and that every key was checked under its own name before anything is converted.

Keys: ``formatLayer`` (linear, to C x 4 x 4), ``groupScale0.0``, ``scaleLayers.K.{0,1}``,
``toRGBLayers.K``, each with ``.module``, or without in older files. The arithmetic is that of
``growing``, but for the scale of the equalised rate: sqrt(2 / fan-in) everywhere, RGB included, and
applied after the bias was added, so that the bias is scaled too. ``alpha`` is the weight of the
*previous* resolution's RGB, 1 less ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
    shown,
    state_dict,
)

from ..catalog.progan import ProGANOptions
from ..gan_zoo import Attributes, attributes_of, check_record, final_of, number, record_of
from ..shapes import shape_of
from ..tensorflow_networks import Converted
from .config import ProGANConfig
from .network import equalised_scale

_NAMES = r"(formatLayer|groupScale0\.0|scaleLayers\.\d+\.[01]|toRGBLayers\.\d+)"
LAYOUTS = (
    Layout(
        "pytorch_GAN_zoo PGAN",
        (
            "formatLayer.module.weight",
            "groupScale0.0.module.weight",
            "toRGBLayers.0.module.weight",
        ),
        rf"{_NAMES}\.module\.(weight|bias)",
    ),
    Layout(
        "pytorch_GAN_zoo PGAN, older names",
        ("formatLayer.weight", "groupScale0.0.weight", "toRGBLayers.0.weight"),
        rf"{_NAMES}\.(weight|bias)",
    ),
)
_DEFAULTS: Mapping[str, Any] = {
    "alpha": 0,
    "leakyReluLeak": 0.2,
    "perChannelNormalization": True,
    "equalizedlR": True,
}
"""Of the original's class, which a config overrides where it has a value."""
_SCALE = re.compile(r"scaleLayers\.(\d+)\.")
Recipes = dict[str, Callable[[], Tensor]]


def find(checkpoint: Checkpoint, key: str | None) -> Network | None:
    """The generator of a file, or None if it is of other layouts.

    Raises:
        UsageError: several fit and ``key`` chooses none of them.
    """
    for layout in LAYOUTS:
        found = find_network(checkpoint, layout.marks, "ProGAN generator", key)
        if found is not None:
            return found
    return None


def read_gan_zoo(
    checkpoint: Checkpoint, network: Network, options: ProGANOptions
) -> tuple[ProGANConfig, Mapping[str, Tensor]]:
    """Config and tensors, under the names of ``growing_network``, of a network of this layout.

    Args:
        checkpoint: the file.
        network: of ``find``.
        options: ``final`` and ``alpha`` stand for a record that is not there.

    Raises:
        StateMismatchError: a key, shape or value that does not fit (named).
        UsageError: there is no record and ``final`` is not given; or an option contradicts it.
    """
    path = checkpoint.path
    given = state_dict(checkpoint, network.tree, network.where)
    tensors = {_plain(name): tensor for name, tensor in given.items()}
    if len(tensors) < len(given):
        raise StateMismatchError(f"{path}: layers are there with .module and without")
    for name, tensor in tensors.items():
        check_finite(path, name, tensor)
    sizes, colours = _sizes(path, tensors)
    check_state(path, tensors, _shapes(sizes, colours))
    record = record_of(network)
    if record is None:
        values = _without_record(path, options, sizes)
    else:
        values = _recorded(path, record, options, sizes, colours)
    assumed = list(values.pop("assumed"))
    if options.key is None and network.averaged:
        assumed.append(f"key={network.where}, the running average of the weights")
    equalised = values.pop("equalised")
    assumed.append("z is drawn from N(0, 1)")
    config = ProGANConfig.validated(
        path,
        {
            "sizes": sizes,
            "network": "growing",
            "first_bias": "map",
            "image_channels": colours,
            "clamp": False,
            "assumed": assumed,
            **values,
        },
    )
    return config, Converted(_recipes(tensors, config, equalised))


# ---------------------------------------------------------------------------------- keys and shapes


def _plain(name: str) -> str:
    """``formatLayer.module.weight`` as older files have it."""
    layer, _, leaf = name.rpartition(".")
    return f"{layer.removesuffix('.module')}.{leaf}"


def _sizes(path: Path, tensors: Mapping[str, Tensor]) -> tuple[tuple[int, ...], int]:
    """Length of z, channels at 4x4, 8x8, …, and colours."""
    latent = shape_of(path, tensors, "formatLayer.weight", 2)[1]
    first = shape_of(path, tensors, "groupScale0.0.weight", 4)[0]
    numbers = {int(match[1]) for name in tensors if (match := _SCALE.match(name))}
    others = [
        shape_of(path, tensors, f"scaleLayers.{k}.0.weight", 4)[0]
        for k in range(max(numbers, default=-1) + 1)
    ]
    colours = shape_of(path, tensors, "toRGBLayers.0.weight", 4)[0]
    return (latent, first, *others), colours


def _shapes(sizes: tuple[int, ...], colours: int) -> dict[str, tuple[int, ...]]:
    latent, first, *others = sizes
    shapes: dict[str, tuple[int, ...]] = {}

    def put(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

    put("formatLayer", 16 * first, latent)
    put("groupScale0.0", first, first, 3, 3)
    put("toRGBLayers.0", colours, first, 1, 1)
    before = first
    for k, width in enumerate(others):
        put(f"scaleLayers.{k}.0", width, before, 3, 3)
        put(f"scaleLayers.{k}.1", width, width, 3, 3)
        put(f"toRGBLayers.{k + 1}", colours, width, 1, 1)
        before = width
    return shapes


# ----------------------------------------------------------------------------------------- settings


def _recorded(
    path: Path,
    record: Mapping[str, Any],
    options: ProGANOptions,
    sizes: tuple[int, ...],
    colours: int,
) -> dict[str, Any]:
    """The settings that the record holds, checked against the tensors."""
    said = {
        "latentVectorDim": sizes[0],
        "depthScale0": sizes[1],
        "depthOtherScales": list(sizes[2:]),
        "dimOutput": colours,
    }
    check_record(path, record, said)
    assumed = [
        f"{name}={value}, the code's default (the file's config does not say it)"
        for name, value in _DEFAULTS.items()
        if name not in record
    ]
    record = {**_DEFAULTS, **record}
    if record["perChannelNormalization"] is not True:
        raise StateMismatchError(
            f"{path}: config: perChannelNormalization is off, which the original's own code cannot "
            "run"
        )
    equalised = record["equalizedlR"]
    if type(equalised) is not bool:
        raise StateMismatchError(f"{path}: config: equalizedlR is {shown(equalised)}, not a bool")
    alpha = number(path, record, "alpha", 0, 1) if sizes[2:] else 0.0
    final = final_of(path, record)
    for name, value in (("final", final), ("alpha", alpha)):
        asked = getattr(options, name)
        if asked not in (None, value):
            raise UsageError(f"{path}: {name}={asked}, but the file's config says {value}")
    found = attributes_of(path, record, sizes[0])
    return {
        **_blended(alpha, final, found),
        "leak": number(path, record, "leakyReluLeak", 0, 1),
        "equalised": equalised,
        "assumed": assumed,
    }


def _without_record(path: Path, options: ProGANOptions, sizes: tuple[int, ...]) -> dict[str, Any]:
    if options.final is None:
        raise UsageError(
            f"{path}: a network of pytorch_GAN_zoo without its config, which says what comes after "
            "the last layer; give the file as it was saved, or final=none (losses WGANGP, the "
            "default, and Logistic) or final=tanh (DCGAN, MSE)"
        )
    assumed = ["leaky ReLU of 0.2 and equalised rates, the defaults (the file has no config)"]
    if options.alpha is None and sizes[2:]:
        assumed.insert(0, "alpha=0, no blending with the previous resolution")
    return {
        **_blended(options.alpha or 0.0, options.final, Attributes()),
        "leak": 0.2,
        "equalised": True,
        "assumed": assumed,
    }


def _blended(alpha: float, final: str, found: Attributes) -> dict[str, Any]:
    return {
        "alpha": 1.0 - alpha,
        "final": final,
        "labels": sum(found.sizes),
        "attributes": found.sizes,
        "names": found.names,
    }


# ------------------------------------------------------------------------------------------- values


def _recipes(tensors: Mapping[str, Tensor], config: ProGANConfig, equalised: bool) -> Recipes:
    """Our tensors: W' = W s / g and b' = b s, with the original's scale s and ours, g."""
    recipes: Recipes = {}

    def put(ours: str, name: str, kernel: int) -> None:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        fan_in = math.prod(weight.shape[1:])
        scale = math.sqrt(2.0 / fan_in) if equalised else 1.0
        own = equalised_scale(weight.shape[1], kernel, rgb=kernel == 1)
        change = {4: _first_kernel, 1: _coloured}.get(kernel, lambda x: x)
        change_bias = {4: lambda x: x.reshape(-1, 4, 4), 1: _coloured}.get(kernel, lambda x: x)
        recipes[f"{ours}.conv.weight"] = lambda: change(weight.to(torch.float32)) * (scale / own)
        recipes[f"{ours}.wscale.b"] = lambda: change_bias(bias.to(torch.float32)) * scale

    put("layer1", "formatLayer", 4)
    put("layer2", "groupScale0.0", 3)
    scales = len(config.sizes) - 2
    for k in range(scales):
        for half in (0, 1):
            put(f"layer{3 + 2 * k + half}", f"scaleLayers.{k}.{half}", 3)
    side = 4 << scales
    put(f"output_{side}x{side}", f"toRGBLayers.{scales}", 1)
    if config.alpha < 1:
        put("previous", f"toRGBLayers.{scales - 1}", 1)
    return recipes


def _first_kernel(weight: Tensor) -> Tensor:
    """(16 C, D) to the kernel (C, D, 4, 4) that meets a single pixel padded by 3."""
    return weight.reshape(-1, 4, 4, weight.shape[1]).permute(0, 3, 1, 2).flip(2, 3)


def _coloured(values: Tensor) -> Tensor:
    """(1 or 3, …) to (3, …): grey is three equal channels."""
    return values.expand(3, *values.shape[1:])
