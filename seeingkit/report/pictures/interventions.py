"""Pictures of an intervention as data URIs: pairs with masks, and where insertions have an effect.

All of them together fit the budget of the page; where they would not, images get smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from seeingkit.results import InterventionResults
from seeingkit.results.interventions import EditedImage

from .files import read_photo
from .marks import ONLY
from .units import BUDGET
from .uris import Level, indexed_uri, photo_uri, rgba_uri

LEVELS = (Level(512, 85), Level(256, 85), Level(160, 80), Level(128, 75), Level(96, 60))
GROWS, SHRINKS = (29, 95, 174), (196, 66, 15)
"""Colours of cells where an insertion makes the class grow, and where less of it is left."""
FAINT = 0.25
"""Opacity of the strongest cell of which the interval holds 0, in that of a certain one."""


@dataclass(frozen=True)
class PairPictures:
    """The pictures of one image.

    Attributes:
        record: of the image.
        photos, masks: data URIs before and after; a mask is clear where the class is not.
    """

    record: EditedImage
    photos: tuple[str, str]
    masks: tuple[str, str]


def pair_pictures(run_dir: Path, results: InterventionResults) -> tuple[list[PairPictures], float]:
    """The pairs at the first level of detail at which all fit, and width over height of an image.

    Raises:
        RunError: a picture is missing or damaged; names it.
    """
    names = {name for one in results.pictures for name in one.files}
    photos = {name: read_photo(run_dir, name) for name in names}
    masks = {}
    for name in {name for one in results.pictures for name in one.masks}:
        there = read_photo(run_dir, name)[:, :, 0] >= 128
        masks[name] = indexed_uri(there.astype(np.uint8), [(0, 0, 0), ONLY])
    drawn: dict[str, str] = {}
    for level in LEVELS:
        drawn = {name: photo_uri(pixels, level) for name, pixels in photos.items()}
        if sum(map(len, [*drawn.values(), *masks.values()])) <= BUDGET:
            break
    height, width = next(iter(photos.values())).shape[:2] if photos else (1, 1)
    pairs = [
        PairPictures(
            one,
            (drawn[one.files[0]], drawn[one.files[1]]),
            (masks[one.masks[0]], masks[one.masks[1]]),
        )
        for one in results.pictures
    ]
    return pairs, width / height


@dataclass(frozen=True)
class HeatMap:
    """Effects by cell, as a picture that lies over the mean image.

    Attributes:
        cells: data URI, a pixel a cell; mean: of the mean image, "" where there is none.
        style: CSS of its place: shares of the image.
        most: the largest effect in percent of the image.
    """

    cells: str
    mean: str
    style: str
    most: float


def heat_map(run_dir: Path | None, results: InterventionResults) -> HeatMap | None:
    """The map of contexts; None where none was asked for.

    Raises:
        RunError: the mean image is missing or damaged; names it.
    """
    context = results.context
    if context is None or not context.cells:
        return None
    rows = sorted({cell.row for cell in context.cells})
    columns = sorted({cell.column for cell in context.cells})
    most = max(abs(cell.effect) for cell in context.cells)
    pixels = np.zeros((len(rows), len(columns), 4), np.uint8)
    for cell in context.cells:
        opacity = 0.0 if not most else abs(cell.effect) / most
        certain = cell.low is not None and cell.high is not None and cell.low * cell.high > 0
        opacity *= 1.0 if certain else FAINT
        colour = GROWS if cell.effect > 0 else SHRINKS
        pixels[rows.index(cell.row), columns.index(cell.column)] = (*colour, round(255 * opacity))
    step = rows[1] - rows[0] if len(rows) > 1 else context.extent[0]
    top, left, bottom, right = context.window
    height, width = (bottom - top) / context.extent[0], (right - left) / context.extent[1]
    places = (
        ("top", top),
        ("left", left),
        ("width", width * step * len(columns)),
        ("height", height * step * len(rows)),
    )
    mean = ""
    if run_dir is not None and context.mean:
        mean = photo_uri(read_photo(run_dir, context.mean), Level(384, 85))
    style = ";".join(f"{name}:{100 * value:.4f}%" for name, value in places)
    return HeatMap(rgba_uri(Image.fromarray(pixels)), mean, style, most)
