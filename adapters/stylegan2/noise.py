"""Noise maps of StyleGAN2 layers as a function of the sample, never of its place in a batch.

Guarantees that the same z gives the same maps in any batch, on any device and at any cut: what is
carried through the network is one number per sample, and each layer draws its map from that number
and its own place in the network.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from seeingkit.errors import UsageError

from .config import StyleGAN2Config

Noise = Literal["const", "none", "per-sample", "rewriting"]


def resolved_noise(config: StyleGAN2Config, wanted: Noise | None, name: str) -> Noise:
    """The policy that a network follows; one without noise has ``none``, whatever was wanted.

    Args:
        config: of the network.
        wanted: the user's choice; None takes that of the file's own code, else the file's maps.
        name: of the file, for the message.

    Raises:
        UsageError: ``const`` for a file without noise maps.
    """
    if not config.use_noise:
        return "none"
    if wanted == "const" and not config.stored_noise:
        raise UsageError(
            f"{name}: noise=const, but the file holds no noise maps; use noise=none or "
            "noise=per-sample"
        )
    return wanted or config.implied_noise or ("const" if config.stored_noise else "none")


def seeds_of(rows: Tensor) -> Tensor:
    """One seed per row: 63 bits of the hash of the row's float32 bytes.

    Args:
        rows: (N, …) latents.

    Returns:
        (N,) int64 on the same device.
    """
    values = rows.detach().to("cpu", torch.float32).contiguous()
    digests = [hashlib.sha256(row.numpy().tobytes()).digest() for row in values]
    seeds = [int.from_bytes(digest[:8], "little") >> 1 for digest in digests]
    return torch.tensor(seeds, dtype=torch.int64, device=rows.device)


def per_sample(seeds: Tensor, layer: int, side: int) -> Tensor:
    """Maps N(0, 1) of some samples at one layer.

    Args:
        seeds: (N,) int64.
        layer: number of the layer.
        side: height and width of the map.

    Returns:
        (N, 1, side, side) float32 on the device of the seeds.
    """
    maps = np.empty((len(seeds), 1, side, side), np.float32)
    for place, seed in zip(maps, seeds.tolist(), strict=True):
        bits = np.random.Philox(key=np.array([seed, layer], np.uint64))
        place[0] = np.random.Generator(bits).standard_normal((side, side), dtype=np.float32)
    return torch.from_numpy(maps).to(seeds.device)


@functools.lru_cache(maxsize=32)
def _first_row(height: int, width: int) -> np.ndarray:
    return np.random.RandomState(0).randn(1, height * width).astype(np.float32)


def rewriting(side: int, row: int = 0) -> Tensor:
    """The map that davidbau/rewriting gives to one place of a batch, the same at every layer.

    That code ignores stored maps: a layer draws ``RandomState(0).randn(N, side * side)``, whose
    first rows do not depend on N. So sample k of a batch always gets row k, whatever it shows.

    Args:
        side: height and width of the map.
        row: place in the batch.

    Returns:
        (1, 1, side, side) float32 on the CPU.
    """
    if row:
        values = np.random.RandomState(0).randn(row + 1, side * side)[row].astype(np.float32)
    else:
        values = _first_row(side, side).copy()
    return torch.from_numpy(values).reshape(1, 1, side, side)


def rewriting_like(x: Tensor) -> Tensor:
    """The map of ``rewriting`` for features (N, C, h, w): (1, 1, h, w) on their device.

    The original draws as many numbers as the features at hand have places: a cut-out of features
    gets other noise than the same place of the whole, which its goals have.
    """
    height, width = x.shape[2:]
    return _first_row_there(height, width, x.device)


@functools.lru_cache(maxsize=32)
def _first_row_there(height: int, width: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a cached tensor must be usable in training too
        values = torch.from_numpy(_first_row(height, width).copy())
        return values.reshape(1, 1, height, width).to(device)
