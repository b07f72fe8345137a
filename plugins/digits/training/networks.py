"""Generators and discriminators of the recipes.

Generators have the tensor names and the structure of published layouts, so that their files are
read like anyone's: ``Plain`` that of the DCGAN example of PyTorch, ``Auxiliary`` and
``Conditional`` those of ``acgan.py`` and ``cgan.py`` of PyTorch-GAN (eriklindernoren), narrower.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..network import CLASSES, SIDE

SECOND_EPS = 0.8  # of all norms but the first in PyTorch-GAN's files


class Plain(nn.Module):
    """Transposed convolutions: z (N, z) to images (N, colours, 32, 32) in [-1, 1]."""

    def __init__(self, z: int, width: int, colours: int) -> None:
        super().__init__()
        widths = (4 * width, 2 * width, width)
        layers: list[nn.Module] = []
        before = z
        for number, channels in enumerate(widths):
            stride, padding = (2, 1) if number else (1, 0)
            layers += [
                nn.ConvTranspose2d(before, channels, 4, stride, padding, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(True),
            ]
            before = channels
        layers += [nn.ConvTranspose2d(before, colours, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)
        self.z = z

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        images: Tensor = self.main(z[:, :, None, None])
        return images


class Auxiliary(nn.Module):
    """The generator of an ACGAN: the product of z and an embedding of the class."""

    def __init__(self, z: int, width: int) -> None:
        super().__init__()
        self.z, self.width = z, width
        self.label_emb = nn.Embedding(CLASSES, z)
        self.l1 = nn.Sequential(nn.Linear(z, 2 * width * (SIDE // 4) ** 2))
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2d(2 * width),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, 2 * width, 3, 1, 1),
            nn.BatchNorm2d(2 * width, SECOND_EPS),
            nn.LeakyReLU(0.2, True),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, width, 3, 1, 1),
            nn.BatchNorm2d(width, SECOND_EPS),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(width, 1, 3, 1, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        maps = self.l1(self.label_emb(label) * z)
        side = SIDE // 4
        images: Tensor = self.conv_blocks(maps.reshape(len(z), 2 * self.width, side, side))
        return images


class Conditional(nn.Module):
    """The generator of a cGAN: z and an embedding of the class, one behind the other."""

    def __init__(self, z: int, width: int) -> None:
        super().__init__()
        self.z = z
        self.label_emb = nn.Embedding(CLASSES, CLASSES)
        layers: list[nn.Module] = [nn.Linear(z + CLASSES, width), nn.LeakyReLU(0.2, True)]
        for before in (width, 2 * width, 4 * width):
            layers += [
                nn.Linear(before, 2 * before),
                nn.BatchNorm1d(2 * before, SECOND_EPS),
                nn.LeakyReLU(0.2, True),
            ]
        layers += [nn.Linear(8 * width, SIDE**2), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        flat: Tensor = self.model(torch.cat((self.label_emb(label), z), 1))
        return flat.reshape(len(z), 1, SIDE, SIDE)


class Judge(nn.Module):
    """A discriminator.

    Args:
        width: channels of the first of three convolutions.
        colours: of the images.
        classes: how it uses the class: ``none``, ``read`` (it also names the class: ACGAN), or
            ``told`` (the class is ten more planes of the image, one of them 1: cGAN).
        steady: whether its weights are spectrally normalised.
    """

    def __init__(self, width: int, colours: int, classes: str, *, steady: bool) -> None:
        super().__init__()
        wrap = spectral_norm if steady else (lambda module: module)
        layers: list[nn.Module] = []
        before = colours + (CLASSES if classes == "told" else 0)
        for channels in (width, 2 * width, 4 * width):
            layers += [wrap(nn.Conv2d(before, channels, 4, 2, 1)), nn.LeakyReLU(0.2, True)]
            before = channels
        self.features = nn.Sequential(*layers, nn.Flatten())
        size = before * (SIDE // 8) ** 2
        self.classes = classes
        self.real = wrap(nn.Linear(size, 1))
        self.named = wrap(nn.Linear(size, CLASSES)) if classes == "read" else None

    def forward(self, images: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Scores of being real (N,), and logits of the class (N, 10) where it reads it."""
        if self.classes == "told":
            assert label is not None
            told = nn.functional.one_hot(label, CLASSES).float()[:, :, None, None]
            images = torch.cat((images, told.expand(-1, -1, *images.shape[2:])), 1)
        features = self.features(images)
        named = None if self.named is None else self.named(features)
        return self.real(features)[:, 0], named
