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
from seeingkit.weights import Checkpoint, check_finite, check_state, portable_config, state_dict

from . import ablation, tensorflow
from .ablation import Variant, ablation_network
from .config import ProGANConfig
from .growing import growing_network
from .network import network

FAMILY = "progan"
_LAYER = re.compile(r"(?:layer|features\.)(\d+)\.")
_STORED_SCALE = re.compile(r"(?:features\.\d+|output)\.wscale\.scale")
_BATCHES = "num_batches_tracked"  # not in files of before 2018; nothing reads it


def recognise(checkpoint: Checkpoint) -> str | None:
    """The layout of a file of this family, or None."""
    tree, _ = _torch_tree(checkpoint)
    keys = {str(key).removeprefix("module.") for key in tree}
    if "layer1.conv.weight" in keys and "layer1.wscale.b" in keys:
        return "ganseeing .pth"
    old = {"features.0.conv.weight", "features.1.conv.weight", "output.conv.weight"} <= keys
    if old and all(key.startswith(("features.", "output.")) for key in keys):
        return "ganseeing .pth, old numbering"
    return tensorflow.layout(checkpoint)


def _torch_tree(checkpoint: Checkpoint) -> tuple[Mapping[str, object], str]:
    """The state dict of a file and its key there; empty if there is none."""
    content = checkpoint.content
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        return content["state_dict"], "state_dict"
    return (content, "") if isinstance(content, Mapping) else ({}, "")


def build(config: ProGANConfig) -> nn.Sequential:
    """The network of a config, with random numbers in it (or none, on ``meta``)."""
    if config.network == "growing":
        return growing_network(config)
    if config.variant != "progan":
        return ablation_network(config.sizes, config.variant)
    return network(config.sizes)


def contents(
    checkpoint: Checkpoint, variant: Variant | None
) -> tuple[ProGANConfig, Mapping[str, Tensor]]:
    """The config of a file's network, and its tensors under that network's names.

    Args:
        checkpoint: the file.
        variant: which ablation, or None to detect it.

    Raises:
        UsageError: ``variant`` contradicts the keys.
        StateMismatchError: the file does not fit (names the key).
    """
    values = portable_config(checkpoint, FAMILY)
    if values is not None:
        return ProGANConfig.validated(checkpoint.path, values), checkpoint.content
    if tensorflow.layout(checkpoint) is not None:
        return tensorflow.read_tensorflow(checkpoint)
    tensors = state_dict(checkpoint, *_torch_tree(checkpoint))
    old = "features.0.conv.weight" in tensors
    if not old and "layer1.conv.weight" not in tensors:
        found = ", ".join(sorted(tensors)[:3]) or "none"
        raise StateMismatchError(
            f"{checkpoint.path}: not a ProGAN generator: neither layer1.conv.weight nor "
            f"features.0.conv.weight among its keys ({found}, …)"
        )
    found_variant: Variant = "progan"
    if old:
        found_variant = ablation.recognise(checkpoint.path, tensors, variant)
        if found_variant == "progan":
            tensors = _without_stored_scales(checkpoint.path, tensors)
    sizes = _sizes(checkpoint.path, tensors, old)
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
    return config, {key: tensors[name] for key, name in names.items()}


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
