"""Turns the bytes of one picture into RGB, or says in words why it cannot.

Guarantees (``DECODE`` = 2; a change of any of them raises that number, which is part of every
source's fingerprint):

* the result is an 8-bit RGB picture standing upright (the EXIF orientation is applied; a damaged
  EXIF block counts as none);
* transparency (RGBA, LA, palette + alpha, a transparent colour) is composited on white;
* 16-bit grey is divided by 257 and rounded (by its own white level for TIFFs of other depths);
  16-bit colour keeps its high byte, which is what Pillow decodes; floating-point grey must lie in
  0 to 1. Samples without a known scale are refused, never clipped;
* CMYK is converted as Pillow does; a CMYK JPEG is taken for Adobe's inverted kind where it has
  Adobe's marker, and by its numbers where it has not; colour profiles are ignored;
* of several frames or pages (GIF, WebP, APNG, AVIF, TIFF, MPO) the first is taken;
* a truncated or otherwise damaged picture is refused; a half-grey one is never returned;
* only formats that Pillow decodes itself are tried, so no external program is ever run; the size
  is checked against the header before anything is decoded; Pillow's warnings do not leak (and
  what it logs goes to handlers that somebody set up, never straight to stderr);
* a picture that would take more than ``memory.MOST`` bytes is refused, and what several threads
  decode at the same time shares ``memory.ROOM``: strips of it become RGB, never a second whole.
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

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from seeingkit.errors import ImageError
from seeingkit.specs import Options

from .formats import HEAD, POINTED, POINTER, kind_by_content, kind_by_name, readable, suffix
from .memory import MOST, ROOM
from .upright import STRIP, Convert, Upright, grey_levels, on_white, uninverted

logging.getLogger("PIL").addHandler(logging.NullHandler())

DECODE = 2
"""Version of the rules above."""


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
    max_bytes: int = Field(default=1 << 29, ge=1)


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
    with upright(data, item, limits) as found:
        return found.whole()


@contextmanager
def upright(
    data: bytes | str | os.PathLike[str], item: str, limits: Limits | None = None
) -> Iterator[Upright]:
    """A picture that is decoded while inside, as ``decode`` takes and refuses it.

    Decoded pictures share the memory of the process (``memory.ROOM``), so one is held no longer
    than it is needed.
    """
    limits = limits or Limits()
    if not isinstance(data, bytes):
        data = read_file(data, item, limits)
    if not data:
        raise ImageError(item, "empty file (0 bytes)")
    check_bytes(len(data), item, limits)
    if (kind := kind_by_name(item)) and kind.name == "camera raw":
        raise ImageError(item, str(kind.why_unread))  # many are TIFFs of a small preview
    with (
        _reasons(data, item, limits),
        Image.open(io.BytesIO(data), formats=_formats(item)) as image,
    ):
        check_size(image.size, item, limits)
        needed = bytes_to_decode(image)
        if (all_of_it := needed + len(data)) > MOST:
            raise ImageError(
                item,
                f"{image.format} of {image.width}x{image.height} pixels takes {all_of_it >> 20:,} "
                f"MiB to decode, more than {MOST >> 20:,}; save it smaller",
            )
        with ROOM.take(needed):
            image.load()
            yield Upright(image, _conversion(image, data), _orientation(image))


def picture_size(data: bytes, item: str, limits: Limits | None = None) -> tuple[int, int]:
    """(width, height) of a picture standing upright, by its header alone.

    Raises:
        ImageError: as of ``decode``, as far as the header tells.
    """
    limits = limits or Limits()
    with (
        _reasons(data, item, limits),
        Image.open(io.BytesIO(data), formats=_formats(item)) as image,
    ):
        check_size(image.size, item, limits)
        return Upright(image, orientation=_orientation(image)).size


@contextmanager
def _reasons(data: bytes, item: str, limits: Limits) -> Iterator[None]:
    """Whatever goes wrong inside Pillow, as an ``ImageError`` with the reason in words."""
    try:
        with quiet():
            yield
    except ImageError:
        raise
    except _UnscaledError as error:
        raise ImageError(item, str(error)) from None
    except UnidentifiedImageError:
        if data.startswith(POINTER):
            raise ImageError(item, POINTED) from None
        kind = kind_by_content(data[:HEAD])
        why = "not an image in a known format, or damaged at its start"
        raise ImageError(item, (kind and kind.why_unread) or why) from None
    except Image.DecompressionBombError as error:
        raise ImageError(item, f"more pixels than the limit of {limits.max_pixels:,}") from error
    except MemoryError as error:
        raise ImageError(item, "not enough memory to decode it", temporary=True) from error
    except Exception as error:  # Pillow's decoders raise nearly every type there is on bad data
        words = str(error) or type(error).__name__
        reason = words if "truncated" in words else f"damaged image ({words})"
        raise ImageError(item, reason, temporary="out of memory" in words) from error


_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes that Pillow keeps of a pixel; 4 in all other modes."""
_WORKING = {"WEBP": 17, "AVIF": 16, "HEIF": 14, "QOI": 8, "SGI": 8, "JPEG2000": 28}
"""Most bytes of a pixel while it is decoded, its result included (measured); else what is kept."""


def bytes_to_decode(image: Image.Image) -> int:
    """About the most memory that decoding takes, from the header of an opened picture.

    >>> bytes_to_decode(Image.new("RGBA", (10, 10)))
    400
    """
    kept, pixels = _STORED.get(image.mode, 4), image.width * image.height
    kind, bands = image.format or "", len(image.getbands())
    if kind in ("JPEG", "MPO") and image.info.get("progressive"):
        return pixels * (kept + 2 * bands)  # coefficients of the whole picture, 16 bits each
    if kind == "TIFF":
        return pixels * kept + _strip_bytes(image)
    return pixels * max(kept, _WORKING.get(kind, 0))


def _strip_bytes(image: Image.Image) -> int:
    """The bytes of one strip or tile of a TIFF, unpacked."""
    tags = getattr(image, "tag_v2", {})
    try:
        if int(tags.get(259, 1)) == 1:  # not compressed, so it is read piece by piece
            return 0
        bits = sum(int(depth) for depth in tags.get(258, (8,)))
        if 322 in tags:
            return int(tags[322]) * int(tags[323]) * bits // 8
        return min(int(tags.get(278, image.height)), image.height) * image.width * bits // 8
    except (TypeError, ValueError):  # damaged tags: Pillow will say so
        return 0


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
    known = readable()
    return (*known, "TGA") if suffix(item) == ".tga" and "TGA" in Image.OPEN else known


def check_size(size: tuple[int, int], item: str, limits: Limits) -> None:
    """Refuse a picture of too many pixels, or too few along a side."""
    width, height = size
    if width * height > limits.max_pixels:
        reason = f"{width}x{height} pixels, more than the limit of {limits.max_pixels:,} in all"
        raise ImageError(item, reason)
    if min(size) < limits.min_side:
        raise ImageError(item, f"{width}x{height} pixels, smaller than {limits.min_side}")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged EXIF says nothing of the pixels, which are sound
        return 1


def _conversion(image: Image.Image, data: bytes) -> Convert:
    """How a decoded picture, or a part of it, becomes 8-bit RGB on white."""
    kind = image.format or ""
    if image.mode.startswith("I") or image.mode == "F":
        return _grey(image, kind)
    key = image.info.get("transparency")
    if kind == "PNG" and isinstance(key, tuple) and data[24] > 8:
        # the low bytes that would tell which pixels are meant are already gone
        raise _UnscaledError("16-bit colour with a transparent colour is not supported")
    if kind == "PNG" and image.mode == "L" and isinstance(key, int) and data[24] in (2, 4):
        image.info["transparency"] = key * 255 // (2 ** data[24] - 1)  # Pillow scales samples only
    if image.has_transparency_data:
        return on_white
    if image.mode == "CMYK" and kind in ("JPEG", "MPO") and "adobe" not in image.info:
        return uninverted
    return lambda part: part.convert("RGB")


def _grey(image: Image.Image, kind: str) -> Convert:
    """Grey of more than 8 bits: modes I;16*, I and F."""
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        full = 1.0
        low, high = _ends(image)
        if not (low >= 0 and high <= 1):  # also catches NaN
            raise _UnscaledError(
                f"floating-point grey from {low:g} to {high:g}; only 0 to 1 has a known scale"
            )
    elif image.mode == "I" and kind not in ("PNG", "PPM"):
        raise _UnscaledError("signed or 32-bit grey has no known scale; save it with 8 or 16 bits")
    else:
        full = float(2 ** int(tags.get(258, (16,))[0]) - 1)
    key = image.info.get("transparency")
    # of a TIFF with "white is zero" Pillow turns samples of 8 bits only
    return grey_levels(full, tags.get(262) == 0, key if isinstance(key, int) else None)


def _ends(image: Image.Image) -> tuple[float, float]:
    """Least and largest sample; NaN where one is NaN."""
    rows = max(1, STRIP // image.width)
    low, high = [], []
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        part = np.asarray(image.crop(box))
        low.append(part.min())
        high.append(part.max())
    return float(np.min(low)), float(np.max(high))
