"""Encoders, from images back to a latent (Bau et al. 2019, section 3.2).

``Encoder`` is all that inversion asks for. ``ModelEncoder`` is one that was trained together with
its generator and comes with it (Donahue et al. 2017, "Adversarial feature learning"; Dumoulin et
al. 2017, "Adversarially learned inference"; Donahue and Simonyan 2019, "Large scale adversarial
representation learning"): a model with images of its own size and range, perhaps stochastic.
"""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from seeingkit.errors import UsageError

from .base import ModelInfo, OnDevice
from .generators import Generator
from .latents import LatentSpec

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue: ITU-R BT.601, as in Pillow's ``convert("L")``."""


class Encoder(OnDevice, ABC):
    """Estimates the latent of an image, and x at a boundary where it can.

    Attributes:
        kind: ``layered`` (E = e_1 ∘ … ∘ e_n ∘ e_f), ``direct`` (one network, image to latent), or
            another family's own word.
        cut: canonical name of the boundary whose x it estimates; ``input`` if none.
        sha256: hash of its file, or None while it has none.
    """

    kind: str
    cut: str
    sha256: str | None

    @abstractmethod
    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Estimates for images (N, 3, R, R) in [-1, 1]; row k depends on image k only.

        Returns:
            the latent (N, …), and x at ``cut`` (N, …) or None.
        """

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """A JSON-able record of the encoder for ``results.json``."""

    def identity(self) -> Any:
        """JSON-able; all that changes its estimates. It is in ``Prepared.settings``, and so part
        of the identity of every inversion that starts from the encoder."""
        return self.sha256


class EncoderInfo(ModelInfo):
    """Description of a loaded encoder that comes with a generator.

    Attributes:
        generators: families of generators that it may belong to.
        size: height and width of the images that its network takes.
        channels: of these images: 3, or 1 for grey.
        value_range: of these images.
        latent: the generator's random input that it estimates.
        stochastic: whether the network gives a normal distribution of the latent (mean and
            standard deviation of each number) and not a value.
        draw: ``mean``: the estimate is the mean; ``sample``: it is drawn from the distribution.
        seed: of drawing.

    >>> info = EncoderInfo(family="mygan", size=64, latent=LatentSpec(shape=(128,)))
    >>> info.identity()["draw"]
    'mean'
    """

    generators: tuple[str, ...] = ()
    size: int = Field(ge=1)
    channels: Literal[1, 3] = 3
    value_range: tuple[float, float] = (-1.0, 1.0)
    latent: LatentSpec
    stochastic: bool = False
    draw: Literal["mean", "sample"] = "mean"
    seed: int = 0

    def identity(self) -> dict[str, Any]:
        """See ``ModelInfo.identity``."""
        return {**super().identity(), "latent": self.latent.identity()}


class Posterior(NamedTuple):
    """What an encoder says of the latents of N images.

    Attributes:
        mean: (N, …).
        std: standard deviation of each number, of the same shape; None: the encoder gives values.

    >>> Posterior(torch.zeros(2, 128)).std is None
    True
    """

    mean: Tensor
    std: Tensor | None = None


class ModelEncoder(Encoder):
    """An encoder that was trained together with a generator: image to latent, in one network.

    A subclass sets ``info`` and gives ``posterior``; size, colours and range of the network's own
    images are brought about here, and the mean is taken unless ``info.draw`` says otherwise.

    >>> class Middle(ModelEncoder):
    ...     info = EncoderInfo(family="middle", size=1, latent=LatentSpec(shape=(3,)))
    ...     def posterior(self, inputs):
    ...         return Posterior(inputs.mean((2, 3)))
    >>> Middle().estimate(torch.zeros(2, 3, 8, 8))[0].shape
    torch.Size([2, 3])
    """

    kind = "direct"
    cut = "input"
    info: EncoderInfo

    @abstractmethod
    def posterior(self, inputs: Tensor) -> Posterior:
        """Of the network's own images (N, channels, size, size) in its own range, float32.

        Row k depends on image k only; nothing is drawn.
        """

    def belongs_to(self, generator: Generator) -> bool | None:
        """Whether it was trained together with this generator; None: its file does not say.

        By default one that comes out of the same file was.
        """
        same = self.sha256 is not None and self.sha256 == generator.info.weights_sha256
        return True if same else None

    @property
    def sha256(self) -> str | None:  # type: ignore[override]
        """Hash of its file."""
        return self.info.weights_sha256

    def inputs(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, H) in [-1, 1] as the network takes them.

        Resized (bilinear, antialiased where they become smaller), made grey (ITU-R BT.601) and
        scaled to its range, as far as these differ.

        Raises:
            UsageError: another shape or type.
        """
        family = self.info.family
        square = images.ndim == 4 and images.shape[1] == 3 and images.shape[2] == images.shape[3]
        if not square or not images.is_floating_point() or not images.numel():
            raise UsageError(
                f"encoder {family}: images are {images.dtype} {tuple(images.shape)}, expected "
                "float (N, 3, H, H) in [-1, 1]"
            )
        x, size = images.float(), self.info.size
        if x.shape[2] != size:
            x = F.interpolate(
                x, size=(size, size), mode="bilinear", align_corners=False, antialias=True
            )
        if self.info.channels == 1:
            x = (x * _luma(x.device)).sum(1, keepdim=True)
        low, high = self.info.value_range
        return x if (low, high) == (-1.0, 1.0) else low + (x + 1) * ((high - low) / 2)

    def encode(self, images: Tensor) -> Posterior:
        """The distribution (or value) of the latents of images (N, 3, H, H) in [-1, 1].

        Raises:
            UsageError: as ``inputs``.
        """
        return self.posterior(self.inputs(images))

    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """See ``Encoder.estimate``: the mean, or, with ``info.draw`` of ``sample``, a draw.

        The draw of an image depends on its pixels (8 bits) and ``info.seed`` alone.
        """
        found = self.encode(images)
        if self.info.draw == "mean" or found.std is None:
            return found.mean, None
        noise = [_noise(image, self.info.seed, found.mean.shape[1:]) for image in images]
        return found.mean + found.std * torch.stack(noise).to(found.mean), None

    def identity(self) -> dict[str, Any]:
        """See ``Encoder.identity``: file, options, how it draws, and the code."""
        return self.info.identity()

    def about(self) -> dict[str, Any]:
        """See ``Encoder.about``."""
        info = self.info
        return {
            "kind": self.kind,
            "cut": self.cut,
            "family": info.family,
            "sha256": info.weights_sha256,
            "size": info.size,
            "draw": info.draw,
            "seed": info.seed,
            "stochastic": info.stochastic,
            "options": dict(info.options),
            "assumptions": list(info.assumptions),
        }


@functools.lru_cache(maxsize=8)
def _luma(device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a cached tensor must be usable in training too
        return torch.tensor(LUMA).reshape(1, 3, 1, 1).to(device)


def _noise(image: Tensor, seed: int, shape: torch.Size) -> Tensor:
    """Standard normal numbers that follow from the 8-bit pixels of an image and a seed."""
    pixels = (image.detach().float() * 127.5 + 128).clamp(0, 255).byte().cpu().numpy().tobytes()
    number = int.from_bytes(hashlib.sha256(pixels).digest()[:4], "big")
    stream = np.random.RandomState((number + seed) % 2**32)
    return torch.from_numpy(stream.standard_normal(tuple(shape)).astype(np.float32))
