"""StyleGAN2 out of files of rosinality/stylegan2-pytorch and davidbau/rewriting.

Guarantees that every key finds its place or is named in an error. Read are: converted files (a
mapping with ``g_ema`` and ``latent_avg``), training files (also ``g``, ``d``, optimisers and
``args``), the state dict of the generator on its own or in other wrappers, the ``decoder`` of an
encoder's training (pSp, e4e), and the state dict of rewriting's ``SeqStyleGAN2``, which is brought
to rosinality's names first.

Sizes are those of the tensors. Files of rewriting as published are files of rosinality; only the
option ``noise=rewriting`` tells them apart.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import (
    Checkpoint,
    Layout,
    Network,
    check_state,
    networks_with,
    state_dict,
)

from .config import StyleGAN2Config
from .settings import separable_taps, single

log = logging.getLogger(__name__)

_NATIVE_HALLMARK = "layer2.conv.mconv.modulation.weight"
_AVERAGES = ("latent_avg", "latents.latent_avg")
LAYOUT = Layout(
    "StyleGAN2 of rosinality/stylegan2-pytorch",
    ("conv1.conv.modulation.weight", "input.input"),
    r"style\.\d+\.\w+|input\.input|noises\.noise_\d+|(conv1|convs\.\d+|to_rgb1|to_rgbs\.\d+)(\.\w+)+",
)
NATIVE = Layout(
    "StyleGAN2 state dict of davidbau/rewriting (SeqStyleGAN2)",
    (_NATIVE_HALLMARK, "input.input"),
    r"latents\.\w+|style\.\d+\.\w+|input\.input|noises\.\w+|(layer\d+\.s?conv|(to|up)_rgb\d+)(\.\w+)+",
)


def recognise(checkpoint: Checkpoint) -> str | None:
    """The layout's name, or None if the file is not of it."""
    for layout in (NATIVE, LAYOUT):
        found = networks_with(checkpoint, layout.marks)
        if found:
            averages = [network for network in found if network.averaged]
            read = averages if len(averages) == 1 else found
            places = ", ".join(network.where for network in read if network.where)
            return layout.name + (f" ({places})" if places else "")
    return None


def read(checkpoint: Checkpoint, network: Network) -> tuple[StyleGAN2Config, dict[str, Tensor]]:
    """The config and the tensors by our names.

    Raises:
        WeightsError: something in the file that this network does not compute (names it).
    """
    path = checkpoint.path
    found = state_dict(checkpoint, network.tree, network.where)
    native = _NATIVE_HALLMARK in found
    if native:
        found = _as_rosinality(checkpoint, found)
    average = next((found.pop(name) for name in _AVERAGES if name in found), None)
    if average is None:
        average = _beside(checkpoint, network)
    kernels = {key: found.pop(key) for key in list(found) if key.endswith(".kernel")}
    taps = {key: separable_taps(path, key, kernel) for key, kernel in kernels.items()}
    _check_complete(checkpoint, found)
    tensors = {}
    for key, tensor in found.items():
        name, converted = _converted(checkpoint, key, tensor)
        if name in tensors:
            raise StateMismatchError(f"{path}: {key} names a tensor that the file holds twice")
        tensors[name] = converted
    w_dim = _size(checkpoint, tensors, "synthesis.b4.conv1.affine.weight", 1)
    if average is not None and average.ndim == 2 and bool((average == average[:1]).all()):
        average = average[:1]  # pSp keeps the same for each layer
    if average is not None and average.numel() == w_dim:
        tensors["mapping.w_avg"] = average.reshape(w_dim)
    elif average is not None and average.ndim == 2 and average.shape[1] == w_dim:
        log.warning(
            "%s: latent_avg is another for each layer, which is not read; an average of our own "
            "stands in for it where w is truncated",
            path,
        )
    elif average is not None and average.numel() != 1:
        # rewriting registers a scalar that no vector fits, so one number means none was kept
        raise StateMismatchError(
            f"{path}: latent_avg has shape {tuple(average.shape)}, expected ({w_dim},)"
        )
    return _config(checkpoint, tensors, taps, native=native), tensors


def _beside(checkpoint: Checkpoint, network: Network) -> Tensor | None:
    value = network.beside.get("latent_avg")
    if isinstance(value, np.ndarray | Tensor):
        return state_dict(checkpoint, {"latent_avg": value})["latent_avg"]
    if value is not None:
        raise StateMismatchError(
            f"{checkpoint.path}: latent_avg is a {type(value).__name__}, expected a tensor"
        )
    return None


def _as_rosinality(checkpoint: Checkpoint, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of ``SeqStyleGAN2`` (``mconv`` plain or ``seq``) as those of the code it ports."""
    renamed: dict[str, Tensor] = {}
    for key, tensor in found.items():
        name = key
        if match := re.fullmatch(r"layer2\.conv\.(.+)", key):
            name = f"conv1.{match[1]}"
        elif match := re.fullmatch(r"layer(\d+)\.sconv\.(.+)", key):
            name = f"convs.{int(match[1]) - 3}.{match[2]}"
        elif match := re.fullmatch(r"to_rgb(\d+)\.rgb\.(.+)", key):
            number = int(match[1])
            name = f"to_rgb1.{match[2]}" if number == 1 else f"to_rgbs.{number - 2}.{match[2]}"
        elif match := re.fullmatch(r"up_rgb(\d+)\.kernel", key):
            name = f"to_rgbs.{int(match[1]) - 1}.upsample.kernel"
        name = re.sub(r"\.mconv\.(dconv\.(?=weight$))?", ".conv.", name)
        if name in renamed:
            raise StateMismatchError(f"{checkpoint.path}: {key} is there under two names")
        renamed[name] = tensor
    return renamed


_LAYER_PARTS = {
    "conv.weight": ("weight", 5),
    "conv.modulation.weight": ("affine.weight", 2),
    "conv.modulation.bias": ("affine.bias", 1),
    "noise.weight": ("noise_strength", 1),
    "activate.bias": ("bias", 1),
}
_RGB_PARTS = {
    "conv.weight": ("weight", 5),
    "conv.modulation.weight": ("affine.weight", 2),
    "conv.modulation.bias": ("affine.bias", 1),
    "bias": ("bias", 4),
}


def _check_complete(checkpoint: Checkpoint, found: Mapping[str, Tensor]) -> None:
    """Missing keys are named as that code names them; the last ToRGB says how large it is."""
    styles, last = (
        max((int(m[1]) for key in found if (m := re.fullmatch(pattern, key))), default=-1)
        for pattern in (r"style\.(\d{1,3})\..+", r"to_rgbs\.(\d{1,2})\..+")
    )
    layers = ["conv1", *(f"convs.{i}" for i in range(2 * last + 2))]
    colours = ["to_rgb1", *(f"to_rgbs.{i}" for i in range(last + 1))]
    expected = {"input.input"}
    expected |= {f"style.{i}.{part}" for i in range(1, styles + 1) for part in ("weight", "bias")}
    expected |= {f"{layer}.{part}" for layer in layers for part in _LAYER_PARTS}
    expected |= {f"{layer}.{part}" for layer in colours for part in _RGB_PARTS}
    if any(key.startswith("noises.") for key in found):
        expected |= {f"noises.noise_{i}" for i in range(len(layers))}
    check_state(checkpoint.path, {}, dict.fromkeys(expected - found.keys(), ()))


def _converted(checkpoint: Checkpoint, key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """Our name of a tensor, without the axes of length one that only that code has."""
    name, axes = None, 0
    if match := re.fullmatch(r"style\.([1-9]\d{0,3})\.(weight|bias)", key):
        name, axes = f"mapping.fc{int(match[1]) - 1}.{match[2]}", 2 if match[2] == "weight" else 1
    elif key == "input.input":
        name, axes = "synthesis.b4.const", 4
    elif match := re.fullmatch(r"noises\.noise_(\d{1,2})", key):
        number = int(match[1]) + 1  # 0: conv1, then two of each resolution
        name, axes = f"synthesis.b{4 << number // 2}.conv{number % 2}.noise_const", 4
    elif match := re.fullmatch(r"conv1\.(.+)", key):
        part, axes = _LAYER_PARTS.get(match[1], (None, 0))
        name = part and f"synthesis.b4.conv1.{part}"
    elif match := re.fullmatch(r"convs\.(\d{1,2})\.(.+)", key):
        part, axes = _LAYER_PARTS.get(match[2], (None, 0))
        number = int(match[1])
        name = part and f"synthesis.b{8 << number // 2}.conv{number % 2}.{part}"
    elif match := re.fullmatch(r"to_rgb(?:1|s\.(\d{1,2}))\.(.+)", key):
        part, axes = _RGB_PARTS.get(match[2], (None, 0))
        side = 4 if match[1] is None else 8 << int(match[1])
        name = part and f"synthesis.b{side}.torgb.{part}"
    if name is None:
        raise StateMismatchError(f"{checkpoint.path}: unexpected key {key}")
    shape = tuple(tensor.shape)
    if tensor.ndim != axes or 0 in shape or (axes >= 4 and shape[0] != 1):
        raise StateMismatchError(
            f"{checkpoint.path}: {key} has shape {shape}, expected {axes} axes"
            + (" of which the first is 1" if axes >= 4 else "")
        )
    if name.endswith(".noise_const"):
        return name, tensor[0, 0]
    if name.endswith(".noise_strength"):
        return name, tensor[0] if tensor.numel() == 1 else tensor
    if name.endswith(".torgb.bias"):
        return name, tensor[0, :, 0, 0]
    return name, tensor[0] if axes >= 4 else tensor


def _size(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], name: str, axis: int) -> int:
    if name not in tensors:
        raise StateMismatchError(f"{checkpoint.path}: no tensor of the file is {name}")
    return int(tensors[name].shape[axis])


def _config(
    checkpoint: Checkpoint,
    tensors: Mapping[str, Tensor],
    taps: Mapping[str, tuple[float, ...]],
    *,
    native: bool,
) -> StyleGAN2Config:
    channels = {
        int(match[1]): int(tensor.shape[0])
        for name, tensor in tensors.items()
        if (match := re.fullmatch(r"synthesis\.b(\d+)\.conv1\.weight", name))
    }
    dense = sum(1 for name in tensors if re.fullmatch(r"mapping\.fc\d+\.weight", name))
    names = [f"mapping.fc{i}.weight" for i in range(dense)]
    stored = any(name.endswith(".noise_const") for name in tensors)
    assumed = ["the mapping network learnt at a hundredth of the rate (lr_mlp 0.01)"]
    if not taps:
        assumed.append("upsampling filters by 1, 3, 3, 1: the file holds no kernel")
    if not stored and not native:
        assumed.append("noise=none: the file holds no maps")
    return StyleGAN2Config.validated(
        checkpoint.path,
        {
            "z_dim": _size(checkpoint, tensors, "mapping.fc0.weight", 1),
            "w_dim": _size(checkpoint, tensors, "synthesis.b4.conv1.affine.weight", 1),
            "mapping_widths": [_size(checkpoint, tensors, name, 0) for name in names],
            "resolution": max(channels, default=0),
            "img_channels": _size(checkpoint, tensors, "synthesis.b4.torgb.weight", 0),
            "channels": channels,
            "architecture": "skip",
            "use_noise": True,
            "stored_noise": stored,
            "stored_average": "mapping.w_avg" in tensors,
            "scale_weights": True,
            "resample_filter": single(checkpoint.path, "filter", taps)
            if taps
            else (1.0, 3.0, 3.0, 1.0),
            "implied_noise": "rewriting" if native else None,
            "assumed": assumed,
        },
    )
