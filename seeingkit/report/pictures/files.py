"""Pictures that records of a run name, read from inside its directory alone.

A file that is missing, damaged, or unfit for its record is named in the error.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seeingkit.errors import RunError

MOST_PIXELS = 1 << 26
_DAMAGE = (OSError, EOFError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError)
"""Errors of Pillow for a damaged file."""


def resolve(run_dir: Path, name: str) -> Path:
    """The file of a run that a record names.

    Raises:
        RunError: the path is empty, absolute, or leaves the run directory.
    """
    root = run_dir.resolve()
    try:
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(f"path {name!r} in results.json cannot be followed: {error}") from None
    if not name or Path(name).is_absolute() or path == root or not path.is_relative_to(root):
        raise RunError(
            f"path {name!r} in results.json does not name a file inside {run_dir}: "
            "records name files relative to the run directory"
        )
    return path


def read_picture(run_dir: Path, name: str) -> Image.Image:
    """A PNG of the run in RGB.

    Raises:
        RunError: naming the file that is missing, damaged or too large.
    """
    return _open(run_dir, name).convert("RGB")


def read_photo(run_dir: Path, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a PNG of the run."""
    return np.asarray(read_picture(run_dir, name), dtype=np.uint8)


def read_labels(run_dir: Path, name: str, labels: int) -> NDArray[Any]:
    """(h, w) uint8 or int32 label numbers below ``labels``, from an 8- or 16-bit grey PNG.

    Raises:
        RunError: naming the file that cannot be read, is not grey, or has other numbers.
    """
    picture = _open(run_dir, name)
    if picture.mode not in ("L", "I", "I;16", "I;16B"):
        raise RunError(
            f"{run_dir / name} is of mode {picture.mode}, not a grey picture of label numbers"
        )
    values = np.asarray(picture)
    if values.max() >= labels or values.min() < 0:
        raise RunError(
            f"{run_dir / name} has label number {values.max()}, "
            f"but the inversion's vocabulary has {labels} labels"
        )
    return values if values.dtype == np.uint8 else values.astype(np.int32)


def _open(run_dir: Path, name: str) -> Image.Image:
    path = resolve(run_dir, name)
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            path.open("rb") as file,
            Image.open(file, formats=["PNG"]) as picture,
        ):
            if picture.width * picture.height > MOST_PIXELS:
                raise RunError(f"{path} has {picture.width} × {picture.height} pixels: too many")
            picture.load()
            return picture.copy()
    except FileNotFoundError:
        raise RunError(f"{path} is missing; a record in results.json names it") from None
    except _DAMAGE as error:
        raise RunError(f"{path} cannot be read as a PNG picture ({error})") from None
