"""A generator of which some units may paint an artifact, and the real images it should draw."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from seeingkit.analyses.interventions.artifacts.spaces import AreaSpace
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.contracts import Boundary, GeneratorInfo, LatentSpec
from seeingkit.models.staged import Carry, StagedAdapter
from tests.helpers.toys import LevelSegmenter

UNITS, SIDE = 12, 8
ARTIFACT = 7
"""The unit that paints a bright patch into some images, where it is planted."""
_CELLS = SIDE * SIDE


class Speckled(nn.Module):
    """Each cell is dark, middle or bright by the sum of all units but the artifact, which adds a
    bright patch wherever it is above 0: in about one image of three.

    The sum is divided by the root of the number of units that are not ablated, so that an ablation
    exchanges an image for another of the same distribution: it is neutral.
    """

    def __init__(self, patch: float, lost: float, shift: float) -> None:
        super().__init__()
        self.patch, self.lost, self.shift = (
            nn.Parameter(torch.tensor(float(value))) for value in (patch, lost, shift)
        )

    def units(self, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        x = z[:, : UNITS * _CELLS].reshape(-1, UNITS, SIDE, SIDE).clone()
        active = (z[:, -1] > 0.4).float()[:, None, None]
        patch = torch.zeros(SIDE, SIDE)
        patch[2:5, 2:6] = 1
        x[:, ARTIFACT] = active * patch
        return x, carry

    def paint(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        others = x[:, [unit for unit in range(UNITS) if unit != ARTIFACT]]
        alive = (others.abs().amax((2, 3)) > 0).float().sum(1)[:, None, None]
        red = 0.5 * others.sum(1) / alive.clamp(min=1).sqrt()
        red = red + self.lost * (UNITS - 1 - alive) + self.shift + self.patch * x[:, ARTIFACT]
        return red[:, None].expand(-1, 3, -1, -1).clamp(-1, 1).contiguous(), carry


def speckled(patch: float = 0.0, lost: float = 0.0, shift: float = 0.0) -> StagedAdapter:
    """The generator.

    Args:
        patch: brightness that the artifact adds; 0: there is none.
        lost: brightness that an image gains for each unit that is ablated: the ablation hurts.
        shift: brightness of all images beyond the real ones, which no unit makes.
    """
    module = Speckled(patch, lost, shift)
    size = UNITS * _CELLS + 1
    info = GeneratorInfo(family="speckled", resolution=SIDE, latent=(LatentSpec(shape=(size,)),))
    boundaries = (
        Boundary("input", 0, (size,), "latent"),
        Boundary("r8", 1, (UNITS, SIDE, SIDE), "feature", (SIDE, SIDE), aliases=("units",)),
        Boundary("image", 2, (3, SIDE, SIDE), "image", (SIDE, SIDE)),
    )
    return StagedAdapter(module, info, boundaries, [module.units, module.paint])


def subject(patch: float = 0.0, lost: float = 0.0, shift: float = 0.0, batch: int = 64) -> Subject:
    """The generator at its units, with dark, middle and bright as classes."""
    return Subject(speckled(patch, lost, shift), LevelSegmenter(), "r8", batch=batch)


def real_rows(n: int, seed: int) -> np.ndarray:
    """Areas of images without any artifact."""
    clean = subject()
    rows = []
    for _, state in clean.states(Sample(range(n), seed)):
        rows.append(AreaSpace(clean.segmenter).rows(clean.pictures(clean.images(state))))
    return np.concatenate(rows)
