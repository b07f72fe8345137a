"""A generator whose units draw known things, for interventions with answers in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seeingkit.contracts import Boundary, GeneratorInfo, LatentSpec
from seeingkit.models.staged import Carry, StagedAdapter
from tests.helpers.toys import LevelSegmenter

SIDE, BLOCK = 4, 2
SIZE = SIDE * BLOCK
CELLS = SIDE * SIDE
BRIGHT, DARK, NOISE, NOTHING = range(4)
"""Units: one makes cells bright, one makes them dark, one shifts all of an image, one is idle."""


class Planted(nn.Module):
    """The upper half is sky, always dark; on the lower half units 0 and 1 draw, cell by cell.

    red = −0.6 above; below it is relu(z_cell) of unit 0 − relu(z_cell) of unit 1 + the noise of
    unit 2, one number an image. Classes are the thirds of [-1, 1]: dark, middle, bright.
    """

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__()
        self.noise = nn.Parameter(torch.tensor(noise))

    def units(self, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        two = z[:, : 2 * CELLS].reshape(-1, 2, SIDE, SIDE).relu()
        shift = z[:, -1].reshape(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE)
        return torch.cat([two, shift, torch.ones_like(shift)], 1), carry

    def paint(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        drawn = x[:, BRIGHT] - x[:, DARK] + self.noise * x[:, NOISE]
        sky = torch.full_like(drawn[:, : SIDE // 2], -0.6)
        red = torch.cat([sky, drawn[:, SIDE // 2 :]], 1)
        red = red.repeat_interleave(BLOCK, 1).repeat_interleave(BLOCK, 2)
        return red[:, None].expand(-1, 3, -1, -1).clamp(-1, 1).contiguous(), carry


BOUNDARIES = (
    Boundary("input", 0, (2 * CELLS + 1,), "latent"),
    Boundary("r4", 1, (4, SIDE, SIDE), "feature", (SIDE, SIDE), aliases=("units",)),
    Boundary("image", 2, (3, SIZE, SIZE), "image", (SIZE, SIZE)),
)


def planted(noise: float = 0.0, class_names: tuple[str, ...] = ()) -> StagedAdapter:
    """The generator; ``noise``: how far unit 2 shifts an image."""
    module = Planted(noise)
    latent = (LatentSpec(shape=(2 * CELLS + 1,)),)
    info = GeneratorInfo(family="planted", resolution=SIZE, latent=latent, class_names=class_names)
    return StagedAdapter(module, info, BOUNDARIES, [module.units, module.paint])


def levels() -> LevelSegmenter:
    """Dark, middle, bright: 1, 2, 3."""
    return LevelSegmenter()
