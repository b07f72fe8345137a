"""Hugging Face BigGAN-deep: ``config.json`` and ``pytorch_model.bin`` (pytorch-pretrained-BigGAN).

Guarantees that the config and every tensor were checked against each other by name, and that
spectral norm is ``u' W v`` of the stored vectors, as the original's evaluation computes it.

The tensors do not tell where the maps grow nor the epsilon, so the config is needed: it is looked
for beside the weights, as ``config.json`` for ``pytorch_model.bin`` and as ``NAME-config.json`` for
the published ``NAME-pytorch_model.bin``. Keys it lacks have the original's defaults, those of
biggan-deep-128; keys it has beyond the original's are left alone, as there, and so is
``class_embed_dim``: the code uses z_dim for both.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seeingkit.errors import CorruptFileError, MissingWeightsError, StateMismatchError, UsageError
from seeingkit.weights import Checkpoint, Layout, check_finite, check_state, shown

from ..catalog.biggan import BigGANOptions
from ..spectral import stored_norm
from .config import BigGANConfig
from .network import BigGANNetwork
from .parsing import ParsedFile

WEIGHTS_NAME = "pytorch_model.bin"
CONFIG_NAME = "config.json"
PUBLISHED = "https://s3.amazonaws.com/models.huggingface.co/biggan/biggan-deep-128-config.json"
FIRST_CHANNELS = 16  # of the 4x4 map, in units of channel_width
FIRST_SIZE = 4
_LARGEST_CONFIG = 1 << 20  # bytes
_MOST_LAYERS = 256

LAYOUT = Layout(
    "Hugging Face BigGAN-deep",
    ("generator.gen_z.weight_orig", "generator.conv_to_rgb.weight_orig", "embeddings.weight"),
    r"embeddings\.weight|generator\.(gen_z|layers\.\d+|bn|conv_to_rgb)(\.\w+)+",
)
_ATTENTION = {"theta": "theta", "phi": "phi", "g": "g", "o": "o_conv"}
_DEFAULTS: dict[str, Any] = {
    "output_dim": 128,
    "z_dim": 128,
    "channel_width": 128,
    "num_classes": 1000,
    "layers": [
        [False, 16, 16],
        [True, 16, 16],
        [False, 16, 16],
        [True, 16, 8],
        [False, 8, 8],
        [True, 8, 4],
        [False, 4, 4],
        [True, 4, 2],
        [False, 2, 2],
        [True, 2, 1],
    ],
    "attention_layer_position": 8,
    "eps": 1e-4,
    "n_stats": 51,
}


def config_beside(weights: Path) -> Path:
    """The config of a weights file.

    Raises:
        MissingWeightsError: none is there; names the files wanted.
    """
    stem = weights.name.removesuffix(WEIGHTS_NAME)
    own = f"{stem}{CONFIG_NAME}" if stem != weights.name else f"{weights.stem}-{CONFIG_NAME}"
    for name in (own, CONFIG_NAME):
        if weights.with_name(name).is_file():
            return weights.with_name(name)
    wanted = " or ".join(dict.fromkeys((own, CONFIG_NAME)))
    raise MissingWeightsError(
        f"{weights}: needs its config, which holds the structure; put {wanted} beside it "
        f"(published as {PUBLISHED}, likewise 256 and 512)"
    )


def read_huggingface(
    checkpoint: Checkpoint, tensors: dict[str, Tensor], options: BigGANOptions
) -> ParsedFile:
    """Read the config beside a weights file and take the tensors.

    Args:
        checkpoint: the weights.
        tensors: their state dict by the file's names.
        options: ``bn_eps``; those that are for ajbrock files must be None.

    Raises:
        MissingWeightsError: there is no config.
        CorruptFileError: it is not JSON.
        StateMismatchError: a value of it, or a key, is odd, missing or mis-shaped (names it).
        UsageError: an option that cannot apply.
    """
    path = checkpoint.path
    for name in ("sn_eps", "standing", "cross_replica_gain"):
        if getattr(options, name) is not None:
            raise UsageError(f"{path}: option {name} is for ajbrock files, this is Hugging Face's")
    config_path = config_beside(path)
    text, values = _read_config(config_path)
    for key, tensor in tensors.items():
        check_finite(path, key, tensor)
    config = _config(config_path, values, options.bn_eps)
    with torch.device("meta"):
        state = BigGANNetwork(config).state_dict()
    width = values["channel_width"]
    names = {key: _name(config, key) for key in state}
    expected: dict[str, tuple[int, ...]] = {}
    for key, name in names.items():
        shape = _file_shape(key, tuple(state[key].shape), width)
        expected[name] = shape
        if name.endswith("weight_orig"):
            expected[f"{name.removesuffix('orig')}u"] = shape[:1]
            expected[f"{name.removesuffix('orig')}v"] = (math.prod(shape[1:]),)
    check_state(path, tensors, expected)
    own: dict[str, Tensor] = {}
    divisors: dict[str, Tensor] = {}
    for key, name in names.items():
        if name.endswith("weight_orig"):
            stem = name.removesuffix("orig")
            left, right = tensors[f"{stem}u"], tensors[f"{stem}v"]
            divisors[key] = stored_norm(path, name, tensors[name], left, right)
        own[key] = _own(key, tensors[name])
        if key.endswith(".variance") and bool((own[key] < 0).any()):
            raise StateMismatchError(f"{path}: {name} holds negative variances")
    hashes = (checkpoint.sha256, hashlib.sha256(text).hexdigest())
    joint = hashlib.sha256("".join(f"{line}\n" for line in hashes).encode()).hexdigest()
    options = options.model_copy(update={"bn_eps": config.epsilon})
    return ParsedFile(config, own, divisors, options, joint)


# ------------------------------------------------------------------------------------------- config


def _read_config(path: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            raise CorruptFileError(f"{path}: too large for a config of a BigGAN")
        text = path.read_bytes()
        found = json.loads(text.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(found, dict):
        raise StateMismatchError(f"{path}: holds a {type(found).__name__}, not a config")
    values = _DEFAULTS | found
    for name in ("output_dim", "z_dim", "channel_width", "num_classes", "n_stats"):
        if type(values[name]) is not int or not 1 <= values[name] <= 1 << 20:
            raise StateMismatchError(f"{path}: {name} is {shown(values[name])}, not a size")
    if values["n_stats"] < 2:
        raise StateMismatchError(f"{path}: n_stats is {values['n_stats']}, expected 2 or more")
    if type(values["attention_layer_position"]) is not int:
        raise StateMismatchError(
            f"{path}: attention_layer_position is {shown(values['attention_layer_position'])}, "
            "not a whole number"
        )
    eps = values["eps"]
    if type(eps) not in (int, float) or not 0 < eps < math.inf:
        raise StateMismatchError(f"{path}: eps is {shown(eps)}, not a positive number")
    return text, values


def _config(path: Path, values: Mapping[str, Any], bn_eps: float | None) -> BigGANConfig:
    config = BigGANConfig.validated(
        path,
        {
            "layout": "huggingface",
            "z_dim": values["z_dim"],
            "classes": values["num_classes"],
            "embedding_dim": values["z_dim"],
            "condition": "z+embedding",
            "bottom": FIRST_SIZE,
            "blocks": _blocks(path, values),
            "rows": values["n_stats"],
            "epsilon": bn_eps or values["eps"],
            "output_epsilon": values["eps"],
        },
    )
    if config.resolution != values["output_dim"]:
        raise StateMismatchError(
            f"{path}: output_dim is {values['output_dim']}, its layers give {config.resolution}"
        )
    return config


def _blocks(path: Path, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    layers, width = values["layers"], values["channel_width"]
    if not isinstance(layers, list) or not 0 < len(layers) <= _MOST_LAYERS:
        raise StateMismatchError(f"{path}: layers is {shown(layers)}, not a list of layers")
    blocks: list[dict[str, Any]] = []
    for i, layer in enumerate(layers):
        fits = (
            isinstance(layer, list)
            and len(layer) == 3
            and type(layer[0]) in (bool, int)
            and layer[0] in (0, 1)
            and all(type(size) is int and size > 0 for size in layer[1:])
            and (layer[2] == layer[1] or 2 * layer[2] == layer[1])  # half of the skip is dropped
        )
        if not fits:
            raise StateMismatchError(
                f"{path}: layers[{i}] is {shown(layer)}, expected [up, in, out] with out = in or "
                "in / 2"
            )
        if i == values["attention_layer_position"]:
            blocks.append(_block("attention", layer[1] * width, layer[1] * width, False))
        blocks.append(_block("bottleneck", layer[1] * width, layer[2] * width, bool(layer[0])))
    if layers[0][1] != FIRST_CHANNELS or layers[-1][2] != 1:
        raise StateMismatchError(
            f"{path}: layers lead from {layers[0][1]} to {layers[-1][2]} times channel_width, "
            f"expected from {FIRST_CHANNELS} to 1"
        )
    for i, block in enumerate(blocks):
        block["native"] = f"generator.layers.{i}"
    return blocks


def _block(kind: str, before: int, after: int, upsample: bool) -> dict[str, Any]:
    return {"kind": kind, "channels_in": before, "channels_out": after, "upsample": upsample}


# ------------------------------------------------------------------------------------------ tensors


def _name(config: BigGANConfig, key: str) -> str:
    """The file's name of one of the network's tensors."""
    head, *rest = key.split(".")
    if head == "embedding":
        return "embeddings.weight"
    if head == "blocks":
        block = config.blocks[int(rest.pop(0))]
        head = block.native
        if block.kind == "attention":
            if rest == ["gamma"]:
                return f"{head}.gamma"
            return f"{head}.snconv1x1_{_ATTENTION[rest[0]]}.weight_orig"
        rest[0] = f"{rest[0][:-1].replace('norm', 'bn')}_{int(rest[0][-1]) - 1}"
    else:
        head = {
            "linear": "generator.gen_z",
            "output_norm": "generator.bn",
            "output": "generator.conv_to_rgb",
        }[head]
    parts = {"mean": "running_means", "variance": "running_vars", "weight": "weight_orig"}
    if head == "generator.bn":
        parts |= {"gain": "weight", "offset": "bias"}
    else:
        parts["gain"] = "scale"
    return ".".join((head, *(parts.get(part, part) for part in rest)))


def _file_shape(key: str, shape: tuple[int, ...], width: int) -> tuple[int, ...]:
    if key == "embedding.weight":
        return shape[::-1]
    if key.startswith("output."):
        return (width, *shape[1:])
    return (1,) if key.endswith(".gamma") else shape


def _own(key: str, tensor: Tensor) -> Tensor:
    """A tensor as the network wants it: embeddings as rows, the first map's channels first, and
    of the last convolution only the three outputs that are used."""
    if key == "embedding.weight":
        return tensor.T
    if key.startswith("output."):
        return tensor[:3]
    if key.endswith(".gamma"):
        return tensor[0]
    if key.startswith("linear."):
        first: Tensor = tensor.unflatten(0, (FIRST_SIZE, FIRST_SIZE, -1))
        return first.movedim(2, 0).flatten(0, 2)
    return tensor
