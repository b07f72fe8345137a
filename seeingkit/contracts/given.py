"""Latents that are given and not drawn: the images that an image-to-image model translates.

Guarantees: the image of (seed, k) depends on these two and on how many images there are only; a
series has each image at most once in its first ``series_length`` rows; and what is chosen in one
series is measured on other images, because series that choose draw from the second half of the
images and series that measure from the first (of the run's own series the first half of the rows).

So image k of seed 0 is image k of the source, and its name is the same on both sides of a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.errors import UsageError

from .latents import SERIES, LatentSpec, Series

MEASURING = frozenset(
    {Series.EFFECT, Series.SINGLE, Series.TRACED, Series.REWRITTEN, Series.REPAIRED}
)
"""Series in which effects are measured; in all others something is chosen."""


class GivenImages(Protocol):
    """The images that latents are; every ``ImageSource`` is one.

    Attributes:
        name: for people.
        ids: one stable name an image.
        fingerprint: hash of everything that changes the pixels.

    >>> images: GivenImages = seeingkit.open_images("minichurches", n=4)
    >>> images.read([0]).shape
    torch.Size([1, 3, 64, 64])
    """

    name: str

    @property
    def ids(self) -> Sequence[str]:
        """One stable name an image."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything that changes the pixels."""

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, H, W) float32 in [-1, 1], RGB."""


def series_length(count: int, seed: int) -> int:
    """How many different images the series of a seed has.

    Args:
        count: images that there are.
        seed: of the run, or of a further series.

    >>> series_length(100, 0), series_length(100, SERIES * Series.LEVELS)
    (100, 50)
    """
    if seed < SERIES:
        return count
    return _half(count) if _measures(seed) else count - _half(count)


def given_numbers(count: int, indices: Sequence[int], seed: int = 0) -> list[int]:
    """Which of the images that are given row k of a series is.

    Each half of the images is gone through from the place that the seed says, again and again.

    Args:
        count: images that there are, at least 1.
        indices: k, not negative.
        seed: of the run, or of a further series.

    >>> given_numbers(10, [0, 1, 9]), given_numbers(10, [0, 1], SERIES * Series.LEVELS)
    ([0, 1, 9], [5, 6])
    """
    half, start = _half(count), seed % SERIES
    found = []
    for k in indices:
        if seed < SERIES:
            first = k % count < half
            place = k % count - (0 if first else half)
        else:
            first, place = _measures(seed), int(k)
        size = half if first else count - half
        found.append((0 if first else half) + (start + place) % size)
    return found


def check_number(
    family: str, given: GivenImages | None, index: int, seed: int, *, translates: bool
) -> None:
    """Refuse image numbers beyond the images that are given: they would name an image again.

    Args:
        family: of the generator, for the message.
        given: what there is to translate; None: whoever reads it says so.
        index: of the image in its series.
        seed: of the series.
        translates: whether the generator's latent is an image; others have images without end.

    Raises:
        UsageError: says how many there are.

    >>> check_number("mygan", None, 10**9, 0, translates=False)
    """
    if not translates or given is None or not len(given):
        return
    most = series_length(len(given), seed)
    if index >= most:
        half = f" of {len(given):,}" if most < len(given) else ""
        raise UsageError(
            f"image {index}: {family} can translate {most:,}{half} images of {given.name} here, "
            f"numbers 0 to {most - 1}"
        )


def _half(count: int) -> int:
    return max(1, count // 2) if count > 1 else 0


def _measures(seed: int) -> bool:
    return seed // SERIES in MEASURING


def read_given(
    part: LatentSpec, images: GivenImages | None, indices: Sequence[int], seed: int
) -> Tensor:
    """The images that an input of a generator is given, (N, C, H, W) float32 in [-1, 1].

    An input of one channel gets the luma of the 8-bit picture, as Pillow's mode ``L`` has it.

    Args:
        part: the input, whose distribution is ``image``.
        images: what there is to translate.
        indices: rows of the series.
        seed: of the series.

    Raises:
        UsageError: there are no images, or they are of another size than the input.
        ImageError: one cannot be read; names it.

    >>> images = seeingkit.open_images("minichurches", n=4)
    >>> part = LatentSpec(name="image", shape=(1, 64, 64), distribution="image")
    >>> read_given(part, images, [0, 3], seed=0).shape
    torch.Size([2, 1, 64, 64])
    """
    if images is None or not len(images):
        raise UsageError(
            f"latent {part.name!r} is an image to translate, which cannot be drawn: say where such "
            "images are with source=PATH (--gan-option source=PATH)"
        )
    found = images.read(given_numbers(len(images), indices, seed))
    channels, *size = part.shape
    if list(found.shape[2:]) != size:
        raise UsageError(
            f"{images.name}: images of {tuple(found.shape[2:])} pixels, the generator takes "
            f"{tuple(size)}"
        )
    return _luma(found) if channels == 1 else found


_LUMA = (19595, 38470, 7471)
"""Red, green and blue in 65,536ths: Rec. 601 luma, rounded as Pillow does (``Convert.c``, L24)."""


def _luma(images: Tensor) -> Tensor:
    levels = ((images + 1) * 127.5).round().to(torch.int64)
    weights = torch.tensor(_LUMA).reshape(1, 3, 1, 1)
    grey = ((levels * weights).sum(1, keepdim=True) + (1 << 15)) >> 16
    return (grey.to(torch.float64) / 127.5 - 1).to(torch.float32)


class SmoothImages:
    """Made pictures of soft colours: what a translator is tried on where no source is named.

    Args:
        size: height and width in pixels.
        count: how many.

    >>> SmoothImages((64, 64)).read([0, 1]).shape
    torch.Size([2, 3, 64, 64])
    """

    name = "made pictures"
    fingerprint = "smooth-1"

    def __init__(self, size: tuple[int, int], count: int = 997) -> None:
        self.size, self.count = size, count
        self.ids: Sequence[str] = [f"smooth{k:03d}" for k in range(count)]

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, H, W) float32 in [-1, 1]; picture k depends on k only."""
        coarse = [np.random.RandomState(int(k)).randn(3, 8, 8) for k in indices]
        values = torch.from_numpy(np.stack(coarse) if coarse else np.empty((0, 3, 8, 8))).float()
        return F.interpolate(values, self.size, mode="bilinear", align_corners=False).tanh()
