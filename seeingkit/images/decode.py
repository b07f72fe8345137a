"""Turns the bytes of one picture into RGB, or says in words why it cannot.

Guarantees (``DECODE`` = 1; a change of any of them raises that number, which is part of every
source's fingerprint):

* the result is an 8-bit RGB picture standing upright (the EXIF orientation is applied; a damaged
  EXIF block counts as none);
* transparency (RGBA, LA, palette + alpha, a transparent colour) is composited on white;
* 16-bit grey is divided by 257 and rounded (by its own white level for TIFFs of other depths);
  16-bit colour keeps its high byte, which is what Pillow decodes; floating-point grey must lie in
  0 to 1. Samples without a known scale are refused, never clipped;
* CMYK is converted as Pillow does, which takes every CMYK JPEG for Adobe's inverted kind; colour
  profiles are ignored;
* of several frames or pages (GIF, WebP, APNG, AVIF, TIFF, MPO) the first is taken;
* a truncated or otherwise damaged picture is refused; a half-grey one is never returned;
* only formats that Pillow decodes itself are tried, so no external program is ever run; the size
  is checked against the header before anything is decoded; Pillow's warnings do not leak (and
  what it logs goes to handlers that somebody set up, never straight to stderr).
"""

from __future__ import annotations

import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from seeingkit.errors import ImageError
from seeingkit.specs import Options

logging.getLogger("PIL").addHandler(logging.NullHandler())

DECODE = 1
"""Version of the rules above."""

_FORMATS = "AVIF BMP DIB GIF JPEG JPEG2000 MPO PCX PNG PPM QOI SGI TIFF WEBP"
FORMATS = tuple(_FORMATS.split())
"""Pillow formats that are tried, whatever the file is called. TGA has no signature, so that it is
tried only on files called ``.tga``."""

_SUFFIXES = (
    ".apng .avif .bmp .dib .gif .j2k .jfif .jp2 .jpe .jpeg .jpg .jpx .pbm .pcx .pgm .png .pnm .ppm "
    ".qoi .sgi .tga .tif .tiff .webp"
)
SUFFIXES = tuple(_SUFFIXES.split())
"""File name endings (any case) that make a file of a folder, glob or archive a picture."""


class Limits(Options):
    """Which pictures are refused.

    Attributes:
        max_pixels: most pixels (width x height), before and after resizing.
        min_side: fewest pixels along the shorter side.
        max_bytes: largest encoded size in bytes.

    >>> Limits(min_side=64).max_pixels
    100000000
    """

    max_pixels: int = Field(default=100_000_000, ge=1, le=170_000_000)  # Pillow's own stop: 179 M
    min_side: int = Field(default=8, ge=1)
    max_bytes: int = Field(default=1 << 30, ge=1)


def is_image_name(name: str) -> bool:
    """Whether a file name ends like a picture's."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def read_file(path: str | os.PathLike[str], item: str, limits: Limits | None = None) -> bytes:
    """The bytes of one regular file; an ``ImageError`` if it is none (a pipe would hang)."""
    limits = limits or Limits()
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ImageError(item, "not a regular file")
        check_bytes(found.st_size, item, limits)
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        raise ImageError(item, "no such file") from None
    except OSError as error:
        raise ImageError(item, f"cannot be read ({error.strerror or error})") from error


def check_bytes(size: int, item: str, limits: Limits) -> None:
    """Refuse an encoded size over the limit, before it is read."""
    if size > limits.max_bytes:
        raise ImageError(item, f"{size:,} bytes, more than {limits.max_bytes:,}")


def decode(
    data: bytes | str | os.PathLike[str], item: str, limits: Limits | None = None
) -> Image.Image:
    """One picture as upright 8-bit RGB.

    Args:
        data: its encoded bytes, or the path of a file.
        item: its id, for the error; its ending decides whether TGA is tried.
        limits: what is refused; default ``Limits()``.

    Returns:
        A loaded ``PIL.Image`` of mode RGB, at least ``min_side`` pixels along each side.

    Raises:
        ImageError: with the reason in words, whatever went wrong inside Pillow.

    >>> decode("photos/1.png", "1.png").size
    (64, 48)
    """
    limits = limits or Limits()
    if not isinstance(data, bytes):
        data = read_file(data, item, limits)
    if not data:
        raise ImageError(item, "empty file (0 bytes)")
    check_bytes(len(data), item, limits)
    try:
        with quiet(), Image.open(io.BytesIO(data), formats=_formats(item)) as opened:
            _check_size(opened.size, item, limits)
            opened.load()
            turn = _TURNS.get(_orientation(opened))
            rgb = _rgb(opened, data, opened.format or "")
            rgb = rgb if turn is None else rgb.transpose(turn)
    except ImageError:
        raise
    except _UnscaledError as error:
        raise ImageError(item, str(error)) from None
    except UnidentifiedImageError:
        raise ImageError(item, "not an image in a known format, or damaged at its start") from None
    except Image.DecompressionBombError as error:
        raise ImageError(item, f"more pixels than the limit of {limits.max_pixels:,}") from error
    except MemoryError as error:
        raise ImageError(item, "not enough memory to decode it", temporary=True) from error
    except Exception as error:  # Pillow's decoders raise nearly every type there is on bad data
        words = str(error) or type(error).__name__
        reason = words if "truncated" in words else f"damaged image ({words})"
        raise ImageError(item, reason, temporary="out of memory" in words) from error
    _check_size(rgb.size, item, limits)
    return rgb


class _UnscaledError(Exception):
    """Samples whose black and white levels nobody stated."""


_guard = threading.Lock()
_inside = 0
_filters: warnings.catch_warnings[None] | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore the warnings that Pillow gives, in all threads, while any thread is inside.

    ``warnings.catch_warnings`` alone is not safe here: it swaps a global list, and two threads
    that overlap could put back the wrong one. So the first in swaps, and the last out restores.
    """
    global _inside, _filters
    with _guard:
        if _inside == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.filterwarnings("ignore", module=r"seeingkit\.images\.")
        _inside += 1
    try:
        yield
    finally:
        with _guard:
            _inside -= 1
            if _inside == 0 and _filters is not None:
                _filters.__exit__(None, None, None)
                _filters = None


def _formats(item: str) -> tuple[str, ...]:
    Image.init()  # once; later calls do nothing
    tried = (*FORMATS, "TGA") if Path(item).suffix.lower() == ".tga" else FORMATS
    return tuple(name for name in tried if name in Image.OPEN)


def _check_size(size: tuple[int, int], item: str, limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        reason = f"{width}x{height} pixels, more than the limit of {limits.max_pixels:,} in all"
        raise ImageError(item, reason)
    if min(size) < limits.min_side:
        raise ImageError(item, f"{width}x{height} pixels, smaller than {limits.min_side}")


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF 2.32, table 6: what brings a picture of each orientation upright


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged EXIF says nothing of the pixels, which are sound
        return 1


def _rgb(image: Image.Image, data: bytes, kind: str) -> Image.Image:
    """8-bit RGB on white."""
    if image.mode.startswith("I") or image.mode == "F":
        return _grey(image, kind)
    key = image.info.get("transparency")
    if kind == "PNG" and isinstance(key, tuple) and data[24] > 8:
        # the low bytes that would tell which pixels are meant are already gone
        raise _UnscaledError("16-bit colour with a transparent colour is not supported")
    if kind == "PNG" and image.mode == "L" and isinstance(key, int) and data[24] in (2, 4):
        image.info["transparency"] = key * 255 // (2 ** data[24] - 1)  # Pillow scales samples only
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _on_white(rgba: Image.Image) -> Image.Image:
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def _grey(image: Image.Image, kind: str) -> Image.Image:
    """Grey of more than 8 bits: modes I;16*, I and F."""
    samples = np.asarray(image).astype(np.float64)
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        full = 1.0
        low, high = float(samples.min()), float(samples.max())
        if not (low >= 0 and high <= 1):  # also catches NaN
            raise _UnscaledError(
                f"floating-point grey from {low:g} to {high:g}; only 0 to 1 has a known scale"
            )
    elif image.mode == "I" and kind not in ("PNG", "PPM"):
        raise _UnscaledError("signed or 32-bit grey has no known scale; save it with 8 or 16 bits")
    else:
        bits = int(tags.get(258, (16,))[0])
        full = float(2**bits - 1)
    scaled = np.floor(samples * (255 / full) + 0.5)
    if tags.get(262) == 0:  # TIFF "white is zero", which Pillow undoes for 8 bits only
        scaled = 255 - scaled
    key = image.info.get("transparency")
    if isinstance(key, int):
        scaled[samples == key] = 255
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
