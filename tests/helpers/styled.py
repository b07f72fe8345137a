"""A generator with a style whose channels act by construction, and a segmenter of its classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seeingkit.contracts import Boundary, GeneratorInfo, LatentSpec
from seeingkit.models.staged import StagedAdapter
from tests.helpers.colours import ColourSegmenter

BLOB, LIGHT, TOP, NOTHING = 0, 1, 2, 3
"""Channels: colour of a red blob; light of the whole image; light at the top; without effect."""


class Styled(nn.Module):
    """A red blob on grey, where z says; four channels, z too, change its colour and light."""

    def __init__(self) -> None:
        super().__init__()
        self.red = nn.Parameter(torch.tensor([0.8, -0.8, -0.8]))

    def style(self, x: Tensor, carry: Any) -> tuple[Tensor, Any]:
        rows = torch.arange(32).float()
        y, across = (15.5 + 9 * torch.tanh(x[:, k : k + 1]) for k in (0, 1))
        near = (rows[None, :, None] - y[:, :, None]) ** 2
        near = near + (rows[None, None] - across[:, None]) ** 2
        return 0.1 * x[:, 2:6], {**carry, "map": (near < 49).float()[:, None]}

    def image(self, x: Tensor, carry: Any) -> tuple[Tensor, Any]:
        s = x[:, :, None, None, None]
        top = (torch.arange(32) < 8).float()[None, :, None]
        blob = self.red[:, None, None] + s[:, BLOB]
        light = 0.4 * s[:, LIGHT] + s[:, TOP] * top
        shown = carry["map"] * blob + light
        return shown.clamp(-1, 1), {}


class Planted(StagedAdapter):
    def __init__(self) -> None:
        network = Styled()
        cuts = (
            Boundary("input", 0, (6,), "latent"),
            Boundary("r32.style", 1, (4,), "style"),
            Boundary("image", 2, (3, 32, 32), "image", (32, 32)),
        )
        info = GeneratorInfo(
            family="styled", resolution=32, latent=(LatentSpec(name="z", shape=(6,)),)
        )
        super().__init__(network, info, cuts, [network.style, network.image])


SEGMENTER = ColourSegmenter(["red", "grey"], [[0.8, -0.8, -0.8], [0.0, 0.0, 0.0]], 0.1)
