"""Sheets of images as they come: the first real and the first generated ones, in rows.

Guarantee: nothing is chosen: image k of a sheet is image k of its side.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from seeingkit.contracts import ImageSource
from seeingkit.system.writing import atomic_write
from seeingkit.tallies.counted import CountedSource

from .sides import Sides

FOLDER = "samples"
ROWS = COLUMNS = 10
LARGEST = 64
"""Side in pixels to which larger pictures are reduced."""


def write_samples(run: Path, sides: Sides) -> None:
    """Write ``samples/real.png`` and ``samples/generated.png`` into a run.

    Args:
        run: the run directory.
        sides: the images; a side that was counted elsewhere has none.

    ::

        write_samples(run.path, sides)
    """
    for name, source in (("real", sides.real), ("generated", sides.generated)):
        if isinstance(source, CountedSource):
            continue
        path = run / FOLDER / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as stream:
            _sheet(source).save(stream, "PNG", optimize=True)


def _sheet(source: ImageSource) -> Image.Image:
    """The first images that can be read, row by row, with a line between them."""
    images, _, _ = source.load(range(min(len(source), ROWS * COLUMNS)))
    assert images is not None  # a tally was made of them
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    pictures = [Image.fromarray(each) for each in pixels]
    for picture in pictures:
        picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    width, height = (max(sides) for sides in zip(*(p.size for p in pictures), strict=True))
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.full((rows * (height + 1) + 1, COLUMNS * (width + 1) + 1, 3), 128, np.uint8)
    for k, picture in enumerate(pictures):
        top, left = (k // COLUMNS) * (height + 1) + 1, (k % COLUMNS) * (width + 1) + 1
        sheet[top : top + picture.height, left : left + picture.width] = np.asarray(picture)
    return Image.fromarray(sheet)
