"""Painted regions of a generator's images: what a person marked, such as artifacts.

A file of marks is someone else's: ``read_marks`` checks its size and that each mask is a PNG of
allowed size before anything is decoded. White is marked; transparent and black are not.
"""

from __future__ import annotations

import base64
import binascii
import struct
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from seeingkit.errors import UsageError, first_fault

from .edits import EditedGenerator
from .records import SCHEMA_VERSION, Record

PREFIX = "data:image/png;base64,"
"""How a mask begins."""
MOST_BYTES = 1 << 26
"""Of a file of marks."""
MOST_MARKS = 4096
LARGEST_SIDE = 4096
"""Pixels of a side of a mask."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Mark(Record):
    """The painted region of one image.

    Attributes:
        index: number of the image in the series of the seed.
        label: its class, of a conditional generator.
        mask: PNG of the whole image as a data URI, of any size, white where it is marked.
    """

    index: int = Field(ge=0, lt=2**32)
    label: int | None = Field(default=None, ge=0)
    mask: str

    @field_validator("mask")
    @classmethod
    def _is_a_png(cls, text: str) -> str:
        png_size(text)
        return text

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the mask in pixels."""
        return png_size(self.mask)

    @property
    def png(self) -> bytes:
        """The mask's file."""
        return base64.b64decode(self.mask.removeprefix(PREFIX), validate=True)


class Marks(Record):
    """A file of painted regions.

    Attributes:
        generator: whose images were painted on, as ``models.editfiles`` names and checks it.
        seed: of their latents.
        note: of the person who painted.
        images: one entry an image; no number twice.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["marks"] = "marks"
    generator: EditedGenerator
    seed: int = Field(ge=0, lt=2**32)
    note: str = Field(default="", max_length=2000)
    images: list[Mark] = Field(min_length=1, max_length=MOST_MARKS)

    @field_validator("images")
    @classmethod
    def _each_image_once(cls, images: list[Mark]) -> list[Mark]:
        numbers = [mark.index for mark in images]
        if len(set(numbers)) != len(numbers):
            twice = next(number for number in numbers if numbers.count(number) > 1)
            raise ValueError(f"image {twice} is there twice")
        if len({mark.size for mark in images}) > 1:
            raise ValueError("masks are of several sizes; paint all images at one size")
        return images


def png_size(uri: str) -> tuple[int, int]:
    """Height and width of a PNG in a data URI, from its header alone.

    Raises:
        ValueError: it is no PNG, or has no allowed size.

    >>> header = _SIGNATURE + bytes([0, 0, 0, 13]) + b"IHDR" + struct.pack(">II", 64, 48)
    >>> png_size(PREFIX + base64.b64encode(header).decode())
    (48, 64)
    """
    if not uri.startswith(PREFIX):
        raise ValueError(f"a mask is a PNG as a data URI, which begins with {PREFIX}")
    try:
        head = base64.b64decode(uri[len(PREFIX) : len(PREFIX) + 32], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the mask is no base64 text") from None
    if len(head) < 24 or not head.startswith(_SIGNATURE) or head[12:16] != b"IHDR":
        raise ValueError("the mask is no PNG")
    width, height = struct.unpack(">II", head[16:24])
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise ValueError(f"the mask has {width} × {height} pixels; 1 to {LARGEST_SIDE} a side")
    return int(height), int(width)


def read_marks(path: str | Path) -> Marks:
    """A file of painted regions, checked::

    marks = read_marks("marks.json")

    Raises:
        UsageError: no such file, too large, or no marks; names the fault.
    """
    path = Path(path)
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise UsageError(f"{path}: {size:,} bytes are too many for marks ({MOST_BYTES:,})")
        return Marks.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        fault = first_fault(error)
        where = fault.where or "the whole file"
        raise UsageError(f"{path}: no file of marks; {where}: {fault.reason}") from error
