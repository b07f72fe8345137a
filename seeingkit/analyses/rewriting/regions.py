"""Regions of images and of photos, and the request of an edit: copy this, paste it there, in
contexts like these.

Guarantees: a mask is 8-bit grey of any size, never empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import State
from seeingkit.errors import UsageError

Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the last two are the first row and column outside."""


@dataclass(frozen=True, eq=False)
class Region:
    """A part of one image of a generator.

    Attributes:
        index: number of the image.
        mask: (H, W) uint8, 255 where the region is; of any size, the whole image.

    Raises:
        UsageError: a mask that is empty, or no such array.

    >>> mask = np.zeros((64, 64), np.uint8)
    >>> mask[10:20, 30:40] = 255
    >>> Region(3, mask).area((16, 16)).shape
    torch.Size([16, 16])
    """

    index: int
    mask: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.index < 0:
            raise UsageError(f"image {self.index}: numbers of images begin at 0")
        if self.mask.ndim != 2 or self.mask.dtype != np.uint8 or not self.mask.size:
            shape = f"{tuple(self.mask.shape)} of {self.mask.dtype}"
            raise UsageError(f"a mask is (H, W) of uint8; that of {self.name} is {shape}")
        if not self.mask.any():
            raise UsageError(f"the mask of {self.name} is empty: paint the region white")

    @property
    def name(self) -> str:
        """What the region is of, in words: ``image 3``."""
        return f"image {self.index}"

    def area(self, size: tuple[int, int]) -> Tensor:
        """The share of each cell of a map that the region covers, (height, width) in [0, 1].

        Bilinear with antialiasing and 8 bits, as the original resizes its masks.

        Raises:
            UsageError: nothing is left at that size.
        """
        small = Image.fromarray(self.mask).resize(size[::-1], Image.Resampling.BILINEAR)
        found = torch.from_numpy(np.asarray(small).astype(np.float32)) / 255
        if not bool((found > 0).any()):
            raise UsageError(
                f"the region of {self.name} is too small for a map of {size[0]} x {size[1]} cells: "
                "paint a larger one, or take a later layer"
            )
        return found


class InvertedPhoto(NamedTuple):
    """A photo (1, 3, R, R) in [-1, 1], and the state of its inversion, one row."""

    image: Tensor
    state: State


@dataclass(frozen=True, eq=False)
class PhotoRegion(Region):
    """A part of a photo, in place of one of a generator's image; ``index`` is 0.

    Attributes:
        photo: file of the photo.
        inverted: the photo, as the generator makes it; None: not yet (``runs.request_photos``).
        sha256: of the file; empty: not known yet.

    >>> mask = np.full((8, 8), 255, np.uint8)
    >>> PhotoRegion(0, mask, "photo.png").name
    'photo.png'
    """

    photo: str = ""
    inverted: InvertedPhoto | None = None
    sha256: str = ""

    @property
    def name(self) -> str:
        """The file of the photo."""
        return self.photo

    @property
    def found(self) -> InvertedPhoto:
        """The inverted photo.

        Raises:
            UsageError: it is not inverted.
        """
        if self.inverted is None:
            raise UsageError(
                f"the photo {self.photo} is needed, which an edit does not hold: put it beside the "
                "edit, or of an object alone name its classes with --wanted"
            )
        return self.inverted


@dataclass(frozen=True, eq=False)
class Request:
    """What an edit is to do: where the context is, what was copied is to appear.

    Attributes:
        copy: the object.
        paste: where it is shown to belong: the published solver puts the object at its middle.
        context: examples of the places that are to change; the region of ``paste`` where empty. The
            closed solver puts the object at the middle of each.
        seed: of the latents.
        labels: of a conditional generator: image i is of class labels[i % len(labels)]; empty: all
            classes in turn.

    >>> box = np.full((8, 8), 255, np.uint8)
    >>> len(Request(Region(3, box), Region(7, box)).contexts)
    1
    """

    copy: Region
    paste: Region
    context: tuple[Region, ...] = ()
    seed: int = 0
    labels: tuple[int, ...] = ()

    @property
    def contexts(self) -> tuple[Region, ...]:
        """The examples of the context."""
        return self.context or (self.paste,)

    @property
    def photos(self) -> tuple[PhotoRegion, ...]:
        """The regions that are of photos: object, place and contexts, in this order."""
        every = (self.copy, self.paste, *self.context)
        return tuple(region for region in every if isinstance(region, PhotoRegion))


def bounding_box(area: Tensor) -> Box:
    """The smallest box around all cells above 0 of an area (H, W).

    >>> bounding_box(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.2, 1.0]]))
    (1, 1, 2, 3)
    """
    rows, columns = ((area > 0).any(axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def put_at(size: Sequence[int], clip: Sequence[int], area: Tensor) -> Box:
    """Where a clip (height, width) lies whose middle is that of an area's box, inside of the map.

    >>> put_at((8, 8), (2, 4), torch.ones(8, 8))
    (3, 2, 5, 6)
    """
    top, left, bottom, right = bounding_box(area)
    middle = (top + bottom) // 2, (left + right) // 2
    y, x = (
        max(0, min(whole - part, centre - part // 2))
        for whole, part, centre in zip(size, clip, middle, strict=True)
    )
    return y, x, y + clip[0], x + clip[1]
