"""Pictures of units as data URIs: each image once, and the masks of a unit as one strip.

The masks are those of the counts: one pixel of the strip is one pixel that was counted. All of them
together fit the budget of the page; where they would not, images get smaller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from seeingkit.results import DissectionResults, UnitResult

from .files import read_photo
from .marks import DARK
from .uris import Level, indexed_uri, photo_uri

BUDGET = 8_000_000
"""Characters of all images of a page."""
LEVELS = (Level(160, 80), Level(128, 75), Level(96, 60), Level(64, 50))


def unit_photos(run_dir: Path, results: DissectionResults) -> tuple[dict[int, str], float]:
    """The images that units show, by number, at the first level of detail at which all fit.

    Returns:
        data URI by number; width over height of the images.

    Raises:
        RunError: a picture is missing or damaged; names it.
    """
    shown = sorted({image for unit in results.units if unit.masks for image in unit.shown})
    pictures = {image: read_photo(run_dir, results.pictures.get(str(image), "")) for image in shown}
    found: dict[int, str] = {}
    for level in LEVELS:
        found = {image: photo_uri(pixels, level) for image, pixels in pictures.items()}
        if sum(map(len, found.values())) <= BUDGET:
            break
    height, width = next(iter(pictures.values())).shape[:2] if pictures else (1, 1)
    return found, width / height


def unit_masks(run_dir: Path, units: Sequence[UnitResult]) -> Mapping[tuple[str, int], str]:
    """For each unit with pictures a strip: dark where it is at or below its level, else clear.

    Raises:
        RunError: a picture is missing or damaged; names it.
    """
    found = {}
    for unit in units:
        if unit.masks:
            below = read_photo(run_dir, unit.masks)[:, :, 0] < 128
            found[unit.layer, unit.unit] = indexed_uri(below.astype(np.uint8), [(0, 0, 0), DARK])
    return found
