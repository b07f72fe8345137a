"""Files of StyleGAN3 generators: NVIDIA's pickles, and our own safetensors.

Guarantees that whatever the file states about its network (sizes, rates, paddings, clamps, gains,
filters) is followed, or refused by file, module and attribute; nothing is assumed from the name of
a configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import (
    Checkpoint,
    Layout,
    Near,
    nearest,
    portable_config,
    portable_family,
    state_dict,
)

from ..nvidia_pickles import NvidiaModule, NvidiaNetwork, network, outline
from .config import StyleGAN3Config

FAMILY = "stylegan3"
_ROOTS = {"": "Generator", "mapping": "MappingNetwork", "synthesis": "SynthesisNetwork"}


def layout(checkpoint: Checkpoint) -> str | None:
    """The file's layout in words for people, or None if it is not of this family; never raises."""
    if portable_family(checkpoint) == FAMILY:
        return "seeingkit safetensors"
    kinds = outline(checkpoint)
    if kinds is None or any(kinds.get(path) != kind for path, kind in _ROOTS.items()):
        return None
    if kinds.get("synthesis.input") != "SynthesisInput":
        return None
    return "NVIDIA StyleGAN3 .pkl"


STATE_DICT = Layout(
    "a state dict of StyleGAN3",
    ("synthesis.input.freqs", "mapping.fc0.weight"),
    r"mapping\.(w_avg|(embed|fc\d+)\.\w+)|synthesis\.(input|L\d+_\d+_\d+)(\.\w+)+",
    "which lacks the sizes, rates and paddings of its layers; give the .pkl it was taken from",
)


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, [STATE_DICT])


def contents(
    checkpoint: Checkpoint, key: str | None = None
) -> tuple[StyleGAN3Config, dict[str, Tensor], str, str]:
    """The network's config, its tensors by our names, a remark for people or nothing, its entry.

    Raises:
        WeightsError: the file is of another kind, or holds values that no such network has.
    """
    ours = portable_config(checkpoint, FAMILY)
    if ours is not None:
        tensors = state_dict(checkpoint, checkpoint.content)
        _check_magnitudes(checkpoint, tensors)
        return StyleGAN3Config.validated(checkpoint.path, ours), tensors, "", ""
    if layout(checkpoint) is None:
        raise StateMismatchError(
            f"{checkpoint.path}: not a StyleGAN3 generator: neither a pickle of NVIDIA's StyleGAN3 "
            "code (G_ema with synthesis.input and layers) nor a safetensors file written for "
            "stylegan3"
        )
    pickled = network(checkpoint, key)
    tensors = dict(pickled.tensors)
    config = StyleGAN3Config.validated(checkpoint.path, _config(pickled))
    _check_magnitudes(checkpoint, tensors)
    remark = f"{checkpoint.path} {pickled.reason}" if pickled.reason else ""
    return config, tensors, remark, pickled.entry


def _check_magnitudes(checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> None:
    """Every layer divides by the square root of its input's magnitude."""
    for key, tensor in tensors.items():
        if key.endswith(".magnitude_ema") and tensor.numel() == 1 and float(tensor) <= 0.0:
            raise StateMismatchError(
                f"{checkpoint.path}: {key} is {float(tensor):g}, expected a magnitude above 0"
            )


def _config(found: NvidiaNetwork) -> dict[str, Any]:
    root = found.root
    mapping = found.module("mapping", "MappingNetwork")
    synthesis = found.module("synthesis", "SynthesisNetwork")
    names = synthesis.texts("layer_names")
    stray = set(found.children("synthesis")) - {"input", *names}
    if stray:
        raise synthesis.refuse("layer_names", f"to list {min(stray)}, which is there")
    depth = mapping.integer("num_layers", 0)
    classes = root.integer("c_dim", 0)
    config = {
        "z_dim": root.integer("z_dim", 1),
        "c_dim": classes,
        "w_dim": root.integer("w_dim", 1),
        "resolution": root.integer("img_resolution", 1),
        "channels": root.integer("img_channels", 1),
        "output_scale": synthesis.number("output_scale"),
        "embed": _dense(found, "mapping.embed") if classes else None,
        "mapping": [_dense(found, f"mapping.fc{k}") for k in range(depth)],
        "fourier": _fourier(found),
        "layers": [_layer(found, f"synthesis.{name}", name) for name in names],
    }
    if config["channels"] not in (1, 3):
        raise root.refuse("img_channels", "3 (RGB) or 1 (grey)")
    if root.integer("num_ws") != len(names) + 1:
        raise root.refuse("num_ws", f"{len(names) + 1}: one for the input, one for each layer")
    return config


def _dense(found: NvidiaNetwork, path: str) -> dict[str, Any]:
    module = found.module(path, "FullyConnectedLayer")
    activation = module.text("activation")
    if activation not in ("linear", "lrelu"):
        raise module.refuse("activation", "'linear' or 'lrelu'")
    return {
        "inputs": module.integer("in_features", 1),
        "outputs": module.integer("out_features", 1),
        "weight_gain": module.number("weight_gain"),
        "bias_gain": module.number("bias_gain"),
        "activation": activation,
    }


def _fourier(found: NvidiaNetwork) -> dict[str, Any]:
    module = found.module("synthesis.input", "SynthesisInput")
    return {
        "channels": module.integer("channels", 1),
        "size": _pair(module, "size"),
        "sampling_rate": module.number("sampling_rate"),
        "bandwidth": module.number("bandwidth"),
        "affine": _dense(found, "synthesis.input.affine"),
    }


def _pair(module: NvidiaModule, name: str) -> tuple[int, int]:
    first, second = module.integers(name, 2)
    return first, second


def _layer(found: NvidiaNetwork, path: str, name: str) -> dict[str, Any]:
    module = found.module(path, "SynthesisLayer")
    clamp = module.number_or_none("conv_clamp")
    left, right, top, bottom = module.integers("padding", 4)
    return {
        "name": name,
        "in_channels": module.integer("in_channels", 1),
        "out_channels": module.integer("out_channels", 1),
        "kernel": module.integer("conv_kernel", 1),
        "in_size": _pair(module, "in_size"),
        "out_size": _pair(module, "out_size"),
        "up": module.integer("up_factor", 1),
        "down": module.integer("down_factor", 1),
        "up_filter": _taps(found, f"{path}.up_filter"),
        "down_filter": _taps(found, f"{path}.down_filter"),
        "padding": (left, right, top, bottom),
        "clamp": None
        if clamp is None or clamp < 0
        else clamp,  # below 0: none, in the original too
        "rgb": module.flag("is_torgb"),
        "affine": _dense(found, f"{path}.affine"),
    }


def _taps(found: NvidiaNetwork, path: str) -> tuple[int, ...] | None:
    """Shape of a filter; None where the file states that there is none."""
    if path in found.absent:
        return None
    if path not in found.tensors:
        raise StateMismatchError(f"{found.file}: missing key {path}")
    tensor = found.tensors[path]
    if tensor.ndim not in (1, 2) or not tensor.numel():
        raise StateMismatchError(
            f"{found.file}: {path} has shape {tuple(tensor.shape)}, expected (T,) or (T, T)"
        )
    return tuple(tensor.shape)
