"""Toy generators for painting: one layer with a map, and a rest of chosen operations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seeingkit.contracts import Boundary, GeneratorInfo, LatentSpec
from seeingkit.models.staged import StagedAdapter

UNITS, SIDE, SIZE = 6, 4, 8

Rest = Callable[[Tensor], Tensor]


def toy_generator(rest: Rest, module: nn.Module | None = None, scale: float = 0.5) -> StagedAdapter:
    """A generator whose layer ``map`` is its latent times ``scale``; images are (3, 8, 8)."""
    latent = LatentSpec(shape=(UNITS, SIDE, SIDE))
    info = GeneratorInfo(family="toy", resolution=SIZE, latent=(latent,), weights_sha256=64 * "a")
    cuts = [
        Boundary("input", 0, (UNITS, SIDE, SIDE), "latent"),
        Boundary("map", 1, (UNITS, SIDE, SIDE), "feature", (SIDE, SIDE), ("m",)),
        Boundary("image", 2, (3, SIZE, SIZE), "image", (SIZE, SIZE)),
    ]
    return StagedAdapter(
        module or nn.Identity(),
        info,
        cuts,
        [lambda x, carry: (x * scale, carry), lambda x, carry: (rest(x), carry)],
    )


def enlarged(x: Tensor) -> Tensor:
    """The first three units, twice as large."""
    return torch.nn.functional.interpolate(x[:, :3], scale_factor=2.0, mode="nearest").tanh()
