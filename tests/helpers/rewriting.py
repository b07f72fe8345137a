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
