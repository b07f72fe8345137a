"""Regions of images, and the request of an edit: copy this, paste it there, in contexts like these.

Guarantees: a mask is 8-bit grey of any size, never empty; files of the original's notebook are read
as that code reads them (red channel, bilinear with antialiasing), and others are refused by name.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import State
from seeingkit.errors import RunError, UsageError, printable

MOST_PIXELS = 1 << 26
"""Pixels of a mask that is read."""

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


PUBLISHED_SEED = 1
"""Seed of the images that the original's files number."""


def read_request(
    path: Path, seed: int | None = None, labels: tuple[int, ...] | None = None
) -> Request:
    """Read an edit of the original's notebook: ``{"object": [NUMBER, PNG], "paste": …, "key": …}``.

    Each region may be of a photo: ``["photo.png", PNG]``, the mask being of the photo;
    ``"photos": {"photo.png": SHA256}`` says which file that was.

    Args:
        path: JSON; pictures are PNG in data URIs, white strokes on nothing.
        seed: of the latents; default: that of the file, else ``PUBLISHED_SEED`` (the original draws
            as ``latents=sequence``).
        labels: of a conditional generator; default: those of the file, else all.

    Raises:
        RunError: the file cannot be read, or is something else.
        UsageError: an empty mask, or another seed or other labels than the file's own.

    ``read_request(Path("dome2tree.json")).contexts``
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = printable(error)
        raise RunError(f"{path}: no edit as the rewriting notebook saves it ({reason})") from error
    return parse_request(text, str(path), seed, labels)


def parse_request(
    text: str,
    name: str = "request",
    seed: int | None = None,
    labels: tuple[int, ...] | None = None,
    *,
    most: int = MOST_PIXELS,
) -> Request:
    """A request from the text of its file; arguments and errors as of ``read_request``.

    Args:
        text: JSON.
        name: of the file, for messages.
        seed, labels: see ``read_request``.
        most: pixels of a mask.

    ``parse_request(json.dumps(request_record(request))).contexts``
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = printable(error)
        raise RunError(f"{name}: no edit as the rewriting notebook saves it ({reason})") from error
    return request_of(content, name, seed, labels, most=most)


def request_of(
    content: Any,
    name: str,
    seed: int | None = None,
    labels: tuple[int, ...] | None = None,
    *,
    most: int = MOST_PIXELS,
) -> Request:
    """A request from the JSON of ``read_request``, such as ``WeightEdit.request``.

    Args:
        content: parsed.
        name: of its file, for messages.
        seed, labels: as of ``read_request``.
        most: pixels of a mask.

    Raises:
        RunError, UsageError: as of ``read_request``.

    ``request_of(edit.request, "tower2tree.safetensors").contexts``
    """
    try:
        hashes = _hashes(content.get("photos"))
        given = {name: _region(content[name], most, hashes) for name in ("object", "paste")}
        keys = [_region(each, most, hashes) for each in content.get("key", [])]
        own = content.get("seed"), content.get("labels")
        if own[0] is not None and not isinstance(own[0], int):
            raise ValueError(f"{own[0]!r} is no seed")
        named = None if own[1] is None else tuple(int(label) for label in own[1])
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = printable(error)
        raise RunError(f"{name}: no edit as the rewriting notebook saves it ({reason})") from error
    told = (("seed", own[0], seed), ("labels", named or None, labels or None))
    for setting, inside, asked in told:
        if inside is not None and asked is not None and inside != asked:
            raise UsageError(f"{name}: its {setting} is {inside}, asked for is {asked}")
    numbered = next((s for s in (own[0], seed) if s is not None), PUBLISHED_SEED)
    return Request(given["object"], given["paste"], tuple(keys), numbered, named or labels or ())


def _hashes(given: Any) -> dict[str, str]:
    """SHA-256 of the files of photos, by their names."""
    known = dict(given or {})
    for name, found in known.items():
        if not isinstance(found, str) or not re.fullmatch("[0-9a-f]{64}", found):
            raise ValueError(f"{found!r} is no SHA-256 of the photo {name!r}")
    return known


def _region(given: Any, most: int, hashes: Mapping[str, str]) -> Region:
    which, uri = given
    if isinstance(which, str) and which:
        return PhotoRegion(0, mask_of(uri, most), which, None, hashes.get(which, ""))
    if not isinstance(which, int) or isinstance(which, bool):
        raise ValueError(f"{which!r} is no number of an image")
    return Region(which, mask_of(uri, most))


def mask_of(uri: str, most: int = MOST_PIXELS) -> NDArray[np.uint8]:
    """The red channel of a PNG in a data URI, (H, W); transparent pixels are as they are stored.

    Args:
        uri: with the PNG in base64.
        most: pixels of a mask that is read; a larger one is refused by its header.

    Raises:
        ValueError: it is none.
    """
    head, comma, text = uri.partition(",")
    if not comma or not head.startswith("data:image/"):
        raise ValueError("a mask is no data URI of an image")
    try:
        data = base64.b64decode(text, validate=True)
        width, height = struct.unpack(">II", data[16:24])  # before anything is unpacked
        if width * height > most:
            raise ValueError(f"a mask of {width} x {height} pixels")
        with Image.open(io.BytesIO(data), formats=["PNG"]) as png:
            return np.ascontiguousarray(np.asarray(png.convert("RGB"))[:, :, 0])
    except (OSError, SyntaxError, EOFError, binascii.Error, struct.error) as error:
        raise ValueError(f"a mask is no PNG ({printable(error)})") from error


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
