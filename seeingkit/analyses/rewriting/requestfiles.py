"""Requests of edits from files: those that the original's notebook saves, and our own.

Guarantees: files are read as the original's code reads them (red channel of the masks), and others
are refused by name; a mask is refused by its header where it is too large.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seeingkit.errors import RunError, UsageError, printable

from .regions import PhotoRegion, Region, Request

MOST_PIXELS = 1 << 26
"""Pixels of a mask that is read."""
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
