"""Images of a gallery as data URIs, small enough together for one HTML file.

Up to 128 pixels an image is kept exactly (lossless WebP); larger ones become WebP of quality 85
and at most 512 pixels a side, and less where all of them would exceed the budget. Overlays are
indexed PNGs with a transparent background: one of all labels, one of the class in question.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .gallery import SIDES, Gallery, GalleryImage, Side

BUDGET = 8_000_000
"""Bytes of all images of a page as text; with the scripts the page stays below 10 MB."""
EXACT_UP_TO = 128
MAP_SIZE = 256
"""Maps of labels are at most this large."""
ONLY_COLOUR = (255, 0, 170)
"""Colour of the overlay of one class."""


@dataclass(frozen=True)
class Level:
    """How much detail pictures keep.

    Attributes:
        size: longest side in pixels; quality: of lossy WebP.
        strips: which filmstrips of inversions stay: of all methods, the first method, or none.
        cards: how many photos of an inversion are shown at most.
    """

    size: int
    quality: int
    strips: Literal["all", "first", "none"] = "all"
    cards: int = 48


LEVELS = (
    Level(512, 85), Level(384, 85), Level(256, 85), Level(256, 80, "first"),
    Level(256, 70, "first"), Level(192, 65, "first"), Level(128, 60, "first"),
    Level(96, 50, "none"), Level(96, 50, "none", 24), Level(96, 50, "none", 12),
    Level(96, 50, "none", 6),
)  # fmt: skip
"""From full detail to the least; a page takes the first at which all its pictures fit."""


@dataclass(frozen=True)
class Picture:
    """One example as the page shows it.

    Attributes:
        photo, overlay, only: data URIs of the image, all labels, and the class alone (empty for a
            whole scene).
        width, height: of the original image in pixels.
        pixelated: whether enlarging should keep pixels square.
        legend: (name, CSS colour, percent of the image) of the labels in it, largest first.
    """

    id: str
    area: float
    photo: str
    overlay: str
    only: str
    width: int
    height: int
    pixelated: bool
    legend: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class ScenePictures:
    """A real scene and the generated image nearest to it, as the page shows them.

    Attributes:
        key: prefix of the keys of both pictures, unique in the page.
    """

    key: str
    real: Picture
    nearest: Picture | None

    @property
    def weight(self) -> int:
        """Bytes that the pictures take as text."""
        return sum(len(p.photo) + len(p.overlay) for p in (self.real, self.nearest) if p)


def encode_scenes(gallery: Gallery, level: Level) -> list[ScenePictures]:
    """The least covered scenes at one level of detail."""
    return [
        ScenePictures(
            f"scene.{k}",
            _picture(scene.real, None, gallery, level),
            None if scene.nearest is None else _picture(scene.nearest, None, gallery, level),
        )
        for k, scene in enumerate(gallery.scenes)
    ]


def encode_gallery(gallery: Gallery, budget: int = BUDGET) -> list[dict[Side, tuple[Picture, ...]]]:
    """The pictures of each class and side, all together within the budget if at all possible."""
    pictures: list[dict[Side, tuple[Picture, ...]]] = []
    for level in LEVELS:
        pictures = encode_at(gallery, level)
        if weight(pictures) <= budget:
            break
    return pictures


def encode_at(gallery: Gallery, level: Level) -> list[dict[Side, tuple[Picture, ...]]]:
    """The pictures of each class and side at one level of detail."""
    return [
        {
            side: tuple(_picture(item, shown.index, gallery, level) for item in shown.side(side))
            for side in SIDES
        }
        for shown in gallery.classes
    ]


def weight(pictures: list[dict[Side, tuple[Picture, ...]]]) -> int:
    """Bytes that the pictures take as text."""
    return sum(
        len(p.photo) + len(p.overlay) + len(p.only)
        for sides in pictures
        for row in sides.values()
        for p in row
    )


def _picture(item: GalleryImage, index: int | None, gallery: Gallery, level: Level) -> Picture:
    height, width = item.image.shape[:2]
    labels = nearest(item.labels, min(level.size, MAP_SIZE))
    only = ""
    if index is not None:
        only = indexed_uri((labels == index).astype(np.uint8), [(0, 0, 0), ONLY_COLOUR])
    return Picture(
        id=item.id,
        area=item.area,
        photo=photo_uri(item.image, level),
        overlay=label_map_uri(labels, gallery),
        only=only,
        width=width,
        height=height,
        pixelated=max(width, height) <= EXACT_UP_TO,
        legend=label_legend(item.labels, gallery),
    )


def image_uri(kind: str, data: bytes) -> str:
    """An image file as a data URI; ``kind``: its type after ``image/``."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def photo_uri(image: NDArray[np.uint8], level: Level) -> str:
    """(H, W, 3) uint8 as WebP: exact where small, else at most ``level.size`` a side."""
    picture = Image.fromarray(image)
    size = level.size
    exact = max(picture.size) <= min(EXACT_UP_TO, size)
    if max(picture.size) > size:
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    return webp_uri(picture, level.quality, exact=exact)


def webp_uri(picture: Image.Image, quality: int, *, exact: bool = False) -> str:
    """A picture as WebP."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=exact, quality=quality, method=2)
    return image_uri("webp", buffer.getvalue())


def nearest(labels: NDArray[Any], size: int) -> NDArray[Any]:
    """The map with its longer side at ``size`` at most, by taking the nearest pixel."""
    longer = max(labels.shape)
    if longer <= size:
        return labels
    rows, columns = (
        np.minimum(
            ((np.arange(max(1, round(n * size / longer))) + 0.5) * longer / size).astype(int), n - 1
        )
        for n in labels.shape
    )
    return labels[np.ix_(rows, columns)]


def label_map_uri(labels: NDArray[Any], gallery: Gallery) -> str:
    """A map of labels in the gallery's colours; what is nothing is transparent."""
    present, counts = np.unique(labels, return_counts=True)
    if gallery.has_background:
        keep = present != 0
        present, counts = present[keep], counts[keep]
    # A palette has room for 255 labels beside "nothing"; no picture of a scene has more.
    present = present[np.argsort(-counts, kind="stable")][:255]
    place = np.zeros(len(gallery.names), np.uint8)
    place[present] = np.arange(1, len(present) + 1)
    return indexed_uri(place[labels], [(0, 0, 0), *(gallery.colours[k] for k in present)])


def indexed_uri(places: NDArray[np.uint8], palette: list[tuple[int, int, int]]) -> str:
    """A PNG with a palette, of which colour 0 is transparent."""
    picture = Image.fromarray(places)
    picture.putpalette([channel for colour in palette for channel in colour])
    buffer = io.BytesIO()
    bits = next(b for b in (1, 2, 4, 8) if len(palette) <= 2**b)
    picture.save(buffer, "PNG", transparency=0, bits=bits)
    return image_uri("png", buffer.getvalue())


def label_legend(labels: NDArray[Any], gallery: Gallery) -> tuple[tuple[str, str, float], ...]:
    """(name, CSS colour, percent of the image) of the labels in a map, largest first."""
    present, counts = np.unique(labels, return_counts=True)
    rows = [
        (gallery.names[k], "#{:02x}{:02x}{:02x}".format(*gallery.colours[k]), 100 * c / labels.size)
        for k, c in zip(present.tolist(), counts.tolist(), strict=True)
        if k or not gallery.has_background
    ]
    return tuple(sorted(rows, key=lambda row: -row[2]))
