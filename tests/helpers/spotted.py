"""Generators of red spots on grey grounds, in which one layer forgot the spots."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from seeingkit import AutoStaged
from seeingkit.contracts import Label, Segmenter, SegmenterInfo, Vocabulary

Keys = Literal["clear", "lost", "everywhere"]

CORNERS = ((2, 2), (2, 10), (10, 2), (10, 10))


class Place(nn.Module):
    """z (N, 6) to (N, 3, 16, 16): ground, spot, one. Half of the latents have a spot."""

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self.keys = keys

    def forward(self, z: Tensor) -> Tensor:
        found = torch.zeros(len(z), 3, 16, 16)
        rows = torch.linspace(-1, 1, 16)
        found[:, 0] = torch.tanh(z[:, 1, None, None] + z[:, 2, None, None] * rows[:, None])
        found[:, 2] = 1
        if self.keys == "everywhere":
            found[:, 1] = 1
        elif self.keys == "clear":
            found[:, 1] = spots(z)
        return found


def spots(z: Tensor) -> Tensor:
    """Where the spot of each latent is, (N, 16, 16) of 0 and 1."""
    found = torch.zeros(len(z), 16, 16)
    corner = (z[:, 3] > 0).long() * 2 + (z[:, 4] > 0).long()
    for row, (there, place) in enumerate(zip((z[:, 0] > 0).tolist(), corner.tolist(), strict=True)):
        top, left = CORNERS[place]
        if there:
            found[row, top : top + 4, left : left + 4] = 1
    return found


class Shade(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0.05


class Spotted(nn.Module):
    """Ground and spots, painted by one layer.

    Args:
        keys: the layer's keys say where spots are (``clear``), nowhere (``lost``), or everywhere.
        drawn: whether it draws them.
    """

    def __init__(self, keys: Keys = "clear", *, drawn: bool = False) -> None:
        super().__init__()
        self.place, self.paint, self.shade = Place(keys), nn.Conv2d(3, 3, 1, bias=False), Shade()
        weight = torch.tensor([[0.3, 0.0, 0.4], [0.3, 0.0, 0.4], [0.3, 0.0, 0.4]])
        if drawn:
            weight[:, 1] = torch.tensor([0.8, -0.6, -0.6])
        self.paint.weight.data = weight[:, :, None, None]

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.shade(self.paint(self.place(z))))


def spotted(keys: Keys = "clear", *, drawn: bool = False) -> AutoStaged:
    """Such a generator; its site is ``r16``."""
    return AutoStaged(Spotted(keys, drawn=drawn), {"r16.place": "place", "r16": "shade"}, latent=6)


class Reds(Segmenter):
    """Ground, and spots where an image is much redder than green."""

    def __init__(self, margin: float = 0.5) -> None:
        self.vocabulary = Vocabulary((Label("-"), Label("ground"), Label("spot")))
        self.info = SegmenterInfo(family="reds", options={"margin": margin})
        self.margin = margin

    def segment(self, images: Tensor) -> Tensor:
        return 1 + (images[:, :1] - images[:, 1:2] > self.margin).long()

    def score(self, images: Tensor, label: int) -> Tensor:
        red = torch.sigmoid(4 * (images[:, 0] - images[:, 1] - self.margin))
        return red if label == 2 else 1 - red
