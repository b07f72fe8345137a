"""The layouts of ProGAN files: each becomes a config and tensors under our network's names.

Guarantees that every key, shape and value was checked under the file's own names before a network
is built for it, and that no file of these layouts is mistaken for another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError
from seeingkit.weights import (
    Checkpoint,
    Layout,
    Near,
    Network,
    check_finite,
    check_state,
    find_network,
    nearest,
    networks_with,
    outline,
    portable_config,
    state_dict,
)

from ..catalog.progan import ProGANOptions
from ..configs import check_colours
from . import ablation, gan_zoo, tensorflow
from .ablation import Variant, ablation_network
from .config import ProGANConfig
from .growing import growing_network
from .network import network

FAMILY = "progan"
_LAYER = re.compile(r"(?:layer|features\.)(\d+)\.")
_STORED_SCALE = re.compile(r"(?:features\.\d+|output)\.wscale\.scale")
_OLD = "features.0.conv.weight"
LAYOUTS = (
    Layout(
        "ganseeing .pth",
        ("layer1.conv.weight", "layer1.wscale.b"),
        r"(layer\d+|output_\d+x\d+)\.(conv\.weight|wscale\.b)",
    ),
    Layout(
        "ganseeing .pth, old numbering",
        (_OLD, "features.1.conv.weight", "output.conv.weight"),
        r"(features\.\d+|output)\.(conv\.(weight|bias)|wscale\.(b|scale)|norm\.\w+)",
    ),
)
_BATCHES = "num_batches_tracked"  # not in files of before 2018; nothing reads it


def recognise(checkpoint: Checkpoint) -> str | None:
    """The layout of a file of this family, or None."""
    plain, old = (networks_with(checkpoint, layout.marks) for layout in LAYOUTS)
    if plain:
        return LAYOUTS[0].name
    if any(all(k.startswith(("features.", "output.")) for k in n.tree) for n in old):
        return LAYOUTS[1].name
    for layout in gan_zoo.LAYOUTS:
        if networks_with(checkpoint, layout.marks):
            return layout.name
    return tensorflow.layout(checkpoint)


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, (*LAYOUTS, *gan_zoo.LAYOUTS))


def _network(checkpoint: Checkpoint, key: str | None) -> Network | None:
    """The generator in a file, also one that lacks some tensors, which are named later."""
    for marks in (*(layout.marks for layout in LAYOUTS), ("layer1.conv.weight",), (_OLD,)):
        found = find_network(checkpoint, marks, "ProGAN generator", key)
        if found is not None:
            return found
    return None


def build(config: ProGANConfig) -> nn.Sequential:
    """The network of a config, with random numbers in it (or none, on ``meta``)."""
    if config.network == "growing":
        return growing_network(config)
    if config.variant != "progan":
        return ablation_network(config.sizes, config.variant)
    return network(config.sizes)


def contents(
    checkpoint: Checkpoint, options: ProGANOptions
) -> tuple[ProGANConfig, Mapping[str, Tensor], str]:
    """The config of a file's network, its tensors under that network's names, and its place.

    Args:
        checkpoint: the file.
        options: ``variant``, which ablation, or None to detect it; ``final`` and ``alpha``, of
            files of pytorch_GAN_zoo; ``key``, the place of the network in the file.

    Raises:
        UsageError: an option contradicts the file, or is needed; or ``key`` does not choose one
            network.
        StateMismatchError: the file does not fit (names the key).
    """
    values = portable_config(checkpoint, FAMILY)
    if values is not None:
        return ProGANConfig.validated(checkpoint.path, values), checkpoint.content, ""
    if tensorflow.layout(checkpoint) is not None:
        return *tensorflow.read_tensorflow(checkpoint), ""
    if (of_zoo := gan_zoo.find(checkpoint, options.key)) is not None:
        return *gan_zoo.read_gan_zoo(checkpoint, of_zoo, options), of_zoo.where
    variant = options.variant
    network = _network(checkpoint, options.key)
    if network is None:
        raise StateMismatchError(
            f"{checkpoint.path}: not a ProGAN generator: neither layer1.conv.weight nor {_OLD} "
            f"among its {outline(checkpoint.content)}"
        )
    tensors = state_dict(checkpoint, network.tree, network.where)
    old = _OLD in tensors
    found_variant: Variant = "progan"
    if old:
        found_variant = ablation.recognise(checkpoint.path, tensors, variant)
        if found_variant == "progan":
            tensors = _without_stored_scales(checkpoint.path, tensors)
    sizes = _sizes(checkpoint.path, tensors, old)
    size = 2 ** len(sizes)
    colours = tensors.get("output.conv.weight" if old else f"output_{size}x{size}.conv.weight")
    if colours is not None and colours.ndim == 4:
        check_colours(checkpoint.path, len(colours))
    assumed = ["clamp=true, the hard tanh of ganseeing (gandissect has none)"]
    if old and variant is None and found_variant in ("equallr", "pixelwisenorm"):
        assumed.append(f"variant={found_variant}, by the file's name")
    config = ProGANConfig.validated(
        checkpoint.path, {"sizes": sizes, "variant": found_variant, "assumed": assumed}
    )
    with torch.device("meta"):
        expected = build(config).state_dict()
    names = {key: _file_name(key) if old else key for key in expected}
    for key, name in names.items():
        if key.endswith(_BATCHES) and name not in tensors:
            tensors[name] = torch.zeros((), dtype=torch.int64)
    check_state(checkpoint.path, tensors, {names[key]: value for key, value in expected.items()})
    for name, tensor in tensors.items():
        check_finite(checkpoint.path, name, tensor)
    return config, {key: tensors[name] for key, name in names.items()}, network.where


def _without_stored_scales(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept = {}
    for key, tensor in tensors.items():
        if _STORED_SCALE.fullmatch(key) is None:
            kept[key] = tensor
        elif tuple(tensor.shape) != (1,):
            raise StateMismatchError(
                f"{path}: {key} has shape {tuple(tensor.shape)}, expected (1,)"
            )
    return kept


def _sizes(path: Path, tensors: Mapping[str, Tensor], old: bool) -> tuple[int, ...]:
    """Channels of z, 4x4, 8x8, …: input of the first layer, then outputs of every other one."""
    numbers = {int(m[1]) + old for key in tensors if (m := _LAYER.match(key))}
    count = max(numbers)
    sizes: list[int] = []
    for k in range(1, count + 1, 2):
        key = f"features.{k - 1}.conv.weight" if old else f"layer{k}.conv.weight"
        if key not in tensors:
            raise StateMismatchError(f"{path}: missing key {key}; the last layer is {count}")
        shape = tuple(tensors[key].shape)
        if len(shape) != 4 or 0 in shape:
            raise StateMismatchError(
                f"{path}: {key} has shape {shape}, expected (C_out, C_in, k, k)"
            )
        sizes += [shape[0]] if sizes else [shape[1], shape[0]]
    return tuple(sizes)


def _file_name(key: str) -> str:
    """The old numbering's name of a tensor: layer K is ``features.{K-1}``."""
    layer, _, rest = key.partition(".")
    if layer.startswith("output"):
        return f"output.{rest}"
    return f"features.{int(layer.removeprefix('layer')) - 1}.{rest}"
