"""Files in the layout of pytorch_GAN_zoo (torch.hub PGAN and DCGAN), and PGAN's images by hand.

Nothing here comes from the adapters. The record is pickled under the very name that the original's
class has, as data.
"""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
MODULE = "models.utils.config"


@contextmanager
def record_class() -> Iterator[type]:
    """A class named ``models.utils.config.BaseConfig``, importable while this lasts."""
    names = ("models", "models.utils", MODULE)
    before = {name: sys.modules.get(name) for name in names}
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    kind = type("BaseConfig", (), {"__module__": MODULE})
    sys.modules[MODULE].BaseConfig = kind  # type: ignore[attr-defined]
    try:
        yield kind
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def save(path: Path, config: dict[str, Any], **networks: Any) -> Path:
    """A file as the original saves it."""
    with record_class() as kind:
        record = kind()
        record.__dict__.update(config)
        torch.save({"config": record, **networks}, path)
    return path


def pgan_config(sizes: tuple[int, ...], **changes: Any) -> dict[str, Any]:
    """The record of a PGAN with so many numbers in z, then channels at 4x4, 8x8, …."""
    return {
        "depthScale0": sizes[1],
        "initBiasToZero": True,
        "leakyReluLeak": 0.2,
        "depthOtherScales": list(sizes[2:]),
        "perChannelNormalization": True,
        "alpha": 0,
        "miniBatchStdDev": False,
        "equalizedlR": True,
        "noiseVectorDim": sizes[0],
        "dimOutput": 3,
        "attribKeysOrder": None,
        "categoryVectorDim": 0,
        "latentVectorDim": sizes[0],
        "lossCriterion": "WGANGP",
        **changes,
    }


def pgan_state(sizes: tuple[int, ...], colours: int = 3, seed: int = 0) -> State:
    """Random tensors of such a network."""
    draw = torch.Generator().manual_seed(seed)
    state: State = {}

    def put(name: str, *shape: int) -> None:
        state[f"{name}.module.weight"] = torch.randn(*shape, generator=draw)
        state[f"{name}.module.bias"] = torch.randn(shape[0], generator=draw)

    latent, before, *others = sizes
    put("formatLayer", 16 * before, latent)
    put("groupScale0.0", before, before, 3, 3)
    put("toRGBLayers.0", colours, before, 1, 1)
    for k, width in enumerate(others):
        put(f"scaleLayers.{k}.0", width, before, 3, 3)
        put(f"scaleLayers.{k}.1", width, width, 3, 3)
        put(f"toRGBLayers.{k + 1}", colours, width, 1, 1)
        before = width
    return state


def pgan_images(state: State, x: Tensor, config: dict[str, Any]) -> Tensor:
    """Images of all that enters the network, z and attributes, (N, D)."""

    def normed(h: Tensor) -> Tensor:
        return h / (h.square().mean(1, keepdim=True) + 1e-8).sqrt()

    def layer(name: str, h: Tensor) -> Tensor:
        weight, bias = state[f"{name}.module.weight"], state[f"{name}.module.bias"]
        scale = math.sqrt(2 / weight[0].numel()) if config["equalizedlR"] else 1.0
        if weight.ndim == 2:
            return scale * (h @ weight.T + bias)
        padding = weight.shape[-1] // 2
        return scale * (F.conv2d(h, weight, padding=padding) + bias[:, None, None])

    def active(h: Tensor) -> Tensor:
        return normed(F.leaky_relu(h, config["leakyReluLeak"]))

    def larger(h: Tensor) -> Tensor:
        return h.repeat_interleave(2, 2).repeat_interleave(2, 3)

    scales = len(config["depthOtherScales"])
    h = active(layer("formatLayer", normed(x)).reshape(len(x), -1, 4, 4))
    h = active(layer("groupScale0.0", h))
    before = h
    for k in range(scales):
        before = h
        h = active(layer(f"scaleLayers.{k}.0", larger(h)))
        h = active(layer(f"scaleLayers.{k}.1", h))
    image = layer(f"toRGBLayers.{scales}", h)
    alpha = config["alpha"] if scales else 0
    if alpha:
        image = alpha * larger(layer(f"toRGBLayers.{scales - 1}", before)) + (1 - alpha) * image
    return image.tanh() if config["lossCriterion"] in ("DCGAN", "MSE") else image


def dcgan_config(latent: int, width: int, depth: int, **changes: Any) -> dict[str, Any]:
    """The record of a DCGAN."""
    return {
        "dimG": width,
        "depth": depth,
        "noiseVectorDim": latent,
        "dimOutput": 3,
        "attribKeysOrder": None,
        "categoryVectorDim": 0,
        "latentVectorDim": latent,
        "lossCriterion": "DCGAN",
        **changes,
    }


def dcgan_state(latent: int, width: int, depth: int, colours: int = 3, seed: int = 0) -> State:
    """Random tensors of such a network."""
    draw = torch.Generator().manual_seed(seed)
    widths = [width << (depth - k) for k in range(depth + 1)]
    state = {"formatLayer.weight": torch.randn(latent, widths[0], 4, 4, generator=draw) / 3}
    for k, channels in enumerate(widths):
        if k:
            shape = (widths[k - 1], channels, 4, 4)
            state[f"main.convTranspose{k}.weight"] = torch.randn(*shape, generator=draw) / 6
        norm = f"main.batchNorm{k}"
        state[f"{norm}.weight"] = 1 + 0.1 * torch.randn(channels, generator=draw)
        state[f"{norm}.bias"] = 0.1 * torch.randn(channels, generator=draw)
        state[f"{norm}.running_mean"] = 0.1 * torch.randn(channels, generator=draw)
        state[f"{norm}.running_var"] = 0.5 + torch.rand(channels, generator=draw)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(3)
    state["main.outlayer.weight"] = torch.randn(width, colours, 4, 4, generator=draw) / 6
    return state


def dcgan_images(state: State, x: Tensor, tanh: bool) -> Tensor:
    """Images of all that enters the network, z and attributes, (N, D)."""
    h = F.conv_transpose2d(x[:, :, None, None], state["formatLayer.weight"])
    k = 0
    while f"main.batchNorm{k}.weight" in state:
        if k:
            h = F.conv_transpose2d(h, state[f"main.convTranspose{k}.weight"], None, 2, 1)
        norm = {
            leaf: state[f"main.batchNorm{k}.{leaf}"]
            for leaf in ("running_mean", "running_var", "weight", "bias")
        }
        h = F.relu(F.batch_norm(h, **norm))
        k += 1
    h = F.conv_transpose2d(h, state["main.outlayer.weight"], None, 2, 1)
    return h.tanh() if tanh else h
