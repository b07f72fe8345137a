"""Masks, and a small generator with sites of both kinds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seeingkit import AutoStaged
from seeingkit.analyses.rewriting.regions import Region, Request


def box(top: int, left: int, bottom: int, right: int, size: int = 64) -> NDArray[np.uint8]:
    """A mask that is white inside of a box."""
    mask = np.zeros((size, size), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def request(seed: int = 0) -> Request:
    """Copy a part of image 1, paste it on image 2; contexts in images 2 and 3."""
    contexts = (Region(2, box(8, 24, 24, 40)), Region(3, box(32, 16, 48, 32)))
    return Request(Region(1, box(20, 20, 40, 36)), contexts[0], contexts, seed)


def small() -> AutoStaged:
    """A third party's module: 12 latents to 16 x 16 pixels."""
    torch.manual_seed(3)
    layers = [
        nn.ConvTranspose2d(12, 10, 4),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(10, 8, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 6, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(6, 3, 4, 2, 1),
        nn.Tanh(),
    ]
    network = nn.Sequential(*layers)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.35)
    return AutoStaged(network, {"r4": "1", "r8.up": "3", "r8": "5"}, latent=(12, 1, 1))


class Blocks(nn.Module):
    """Sixteen blocks of 2 x 2 cells an image, each with numbers a, b, c of its own.

    A block is bright by b alone. The layer ``mark`` makes |a| from relu(a) and relu(-a) and throws
    it away, so its keys alone tell where |a| is great: in front of it the two
    signs cancel, behind it nothing is left of a.
    """

    def __init__(self) -> None:
        super().__init__()
        self.grow = nn.Upsample(scale_factor=2)
        self.signs = nn.Conv2d(3, 6, 1)
        self.mark = nn.Conv2d(6, 3, 1)
        self.paint = nn.Conv2d(3, 3, 1)
        self.enlarge = nn.Upsample(scale_factor=2)
        with torch.no_grad():
            for layer in (self.signs, self.mark, self.paint):
                layer.weight.zero_()
                layer.bias.zero_()
            for place in range(3):
                self.signs.weight[2 * place, place] = 1
                self.signs.weight[2 * place + 1, place] = -1
            self.mark.weight[0, 2] = 1
            self.mark.weight[1, 4] = 1
            self.mark.weight[2, 5] = 1
            self.paint.weight[:, 0] = 1
            self.paint.weight[:, 1] = 0.05
            self.paint.bias.fill_(-0.6)
        self.first, self.second = nn.ReLU(), nn.ReLU()

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, 16, 16) of z (N, 3, 4, 4)."""
        x = self.second(self.mark(self.first(self.signs(self.grow(z)))))
        return self.enlarge(torch.tanh(self.paint(x)))


def blocks() -> AutoStaged:
    """The generator of ``Blocks``, with a site for each of its three layers."""
    return AutoStaged(Blocks(), {"signs": "first", "mark": "second"}, latent=(3, 4, 4))


def blocks_request(seed: int = 0, *, dark: bool = False, contexts: int = 6) -> Request:
    """Copy a bright block; contexts: blocks where |a| > 2, a > 0 in every second; dark, or any.

    Each is of an image of its own.
    """
    a, b = blocks().latents(range(600), seed=seed)["z"][:, :2].flatten(2).unbind(1)

    def region(index: int, block: int) -> Region:
        top, left = (4 * each for each in divmod(block, 4))
        return Region(index, box(top, left, top + 4, left + 4, 16))

    copied = ((b > 1.5) & (a.abs() < 0.5)).nonzero()[0].tolist()
    found: list[Region] = []
    for number in range(contexts):
        sign, rows = (-1) ** number, slice(1 + 60 * number, 61 + 60 * number)
        index, block = (((b < 0) | (not dark)) & (sign * a > 2))[rows].nonzero()[0].tolist()
        found.append(region(rows.start + index, block))
    return Request(region(*copied), found[0], tuple(found), seed)
