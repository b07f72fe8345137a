"""Layer inversion of a real network that other people trained: its own images, and photos."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seeingkit import open_images
from seeingkit.analyses.inversion import invert
from seeingkit.images import SamplerSource
from seeingkit.models.autostaged import AutoStaged
from seeingkit.models.registry import find_preset

CHANNELS = (100, 512, 256, 128, 64, 3)
COUNT = 4


class Faces(nn.Module):
    """Radford et al. 2016: transposed convolutions 4x4, batch-norm and ReLU between, tanh."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for depth, (given, made) in enumerate(itertools.pairwise(CHANNELS)):
            stride, padding = (2, 1) if depth else (1, 0)
            layers.append(nn.ConvTranspose2d(given, made, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(made), nn.ReLU()] if made != 3 else [nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        image: Tensor = self.main(z)
        return image


@pytest.fixture(scope="module")
def faces(shared: Path) -> AutoStaged:
    file = shared / "real/weights/dcgan-digiface64/weights.tar"
    stored = torch.load(file, map_location="cpu", weights_only=True)["netG_state_dict"]
    assert isinstance(stored, OrderedDict)
    module = Faces()
    module.load_state_dict(stored)
    stages = {"h1": "main.2", "h2": "main.5", "h3": "main.8", "h4": "main.11"}
    return AutoStaged(module, stages, latent=(100, 1, 1))


@pytest.fixture(scope="module")
def own(faces: AutoStaged) -> Tensor:
    """Eight of its own images, as 8-bit pictures."""
    source = SamplerSource(faces, COUNT, 0, preset=find_preset("paper", 64))
    return source.read(range(COUNT))


@pytest.fixture(scope="module")
def churches(shared: Path) -> Tensor:
    """Eight photographs that have nothing to do with faces."""
    pattern = str(shared / "real/ganseeing-church-pairs/*_target.png")
    return open_images(pattern, preset=find_preset("paper", 64)).read(range(COUNT))


def psnr(faces: AutoStaged, images: Tensor) -> float:
    found = invert(
        faces,
        images,
        method="layered+r",
        cut="h1",
        encoder="none",
        perceptual="none",
        frames=0,
    )
    assert not found.failed and found.cut == "h1" and found.state.x.shape == (COUNT, 512, 4, 4)
    with torch.no_grad():  # what was found really makes these images
        assert torch.allclose(faces.advance(found.state).x, found.reconstruction, atol=1e-5)
    return float(found.psnr.mean())


@pytest.mark.slow
def test_own_images_come_back_and_unrelated_photos_do_not(
    faces: AutoStaged, own: Tensor, churches: Tensor
) -> None:
    """Measured: 33.1 dB and 24.4 dB; elsewhere, by 300 steps of Adam: 31 and 22.5."""
    assert faces.boundary("h1").shape == (512, 4, 4)
    mine, theirs = psnr(faces, own), psnr(faces, churches)
    assert mine >= 30
    assert theirs <= mine - 4
