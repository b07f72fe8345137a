"""The examples and scenes of a gallery as pictures of the page, at one level of detail.

A picture comes with overlays, indexed PNGs with a transparent background: one of all labels, one
of the class in question. A map of labels that stands alone has lines between its areas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..selection import SIDES, Side, Why
from ..words.names import short_id
from .gallery import Gallery, GalleryImage
from .marks import DARK, ONLY, css_colour, edges, enlarged
from .uris import Level, indexed_uri, is_exact, nearest, photo_uri

LegendRow = tuple[str, str, float]
"""Name of a label, its colour in CSS, and its percent of the image."""


@dataclass(frozen=True)
class Picture:
    """One example as the page shows it.

    Attributes:
        photo, overlay, only: data URIs of the image, all labels, and the class alone (empty for a
            whole scene).
        width, height: of the original image in pixels.
        pixelated: whether enlarging should keep pixels square.
        legend: of the labels in the overlay, largest first.
        why: why it is shown, or None where that is not known.
    """

    id: str
    area: float
    photo: str
    overlay: str
    only: str
    width: int
    height: int
    pixelated: bool
    legend: tuple[LegendRow, ...]
    why: Why | None

    @property
    def short(self) -> str:
        """The id, short enough to stand below the picture."""
        return short_id(self.id)


@dataclass(frozen=True)
class ScenePictures:
    """A real scene and the generated image nearest to it, as the page shows them.

    Attributes:
        key: prefix of the keys of both pictures, unique in the page.
    """

    key: str
    real: Picture
    nearest: Picture | None


def encode_classes(gallery: Gallery, level: Level) -> list[dict[Side, tuple[Picture, ...]]]:
    """The pictures of each class and side."""
    return [
        {
            side: tuple(_picture(item, shown.index, gallery, level) for item in shown.side(side))
            for side in SIDES
        }
        for shown in gallery.classes
    ]


def encode_scenes(gallery: Gallery, level: Level) -> list[ScenePictures]:
    """The least covered scenes, each with the generated image nearest to it."""
    return [
        ScenePictures(
            f"scene.{k}",
            _picture(scene.real, None, gallery, level),
            None if scene.nearest is None else _picture(scene.nearest, None, gallery, level),
        )
        for k, scene in enumerate(gallery.scenes)
    ]


def _picture(item: GalleryImage, index: int | None, gallery: Gallery, level: Level) -> Picture:
    height, width = item.image.shape[:2]
    labels = nearest(item.labels, level.map_size)
    only = ""
    if index is not None:
        only = indexed_uri((labels == index).astype(np.uint8), [(0, 0, 0), ONLY])
    return Picture(
        id=item.id,
        area=item.area,
        photo=photo_uri(item.image, level),
        overlay=label_map_uri(labels, gallery),
        only=only,
        width=width,
        height=height,
        pixelated=is_exact(width, height),
        legend=label_legend(item.labels, gallery),
        why=item.why,
    )


def label_map_uri(labels: NDArray[Any], gallery: Gallery, *, lines: int = 0) -> str:
    """A map of labels in the colours of their names; "no object" is transparent.

    Args:
        labels: (h, w) label numbers.
        gallery: names of the labels.
        lines: 0 for an overlay; else the map is enlarged to at most so many pixels a side, and has
            thin dark lines between areas.
    """
    present, counts = np.unique(labels, return_counts=True)
    if gallery.has_background:
        keep = present != 0
        present, counts = present[keep], counts[keep]
    # A palette has room for 254 labels beside "nothing" and lines; no picture of a scene has more.
    present = present[np.argsort(-counts, kind="stable")][:254]
    place = np.zeros(len(gallery.names), np.uint8)
    place[present] = np.arange(1, len(present) + 1)
    places, palette = place[labels], [(0, 0, 0), *(gallery.colours[k] for k in present)]
    if lines:
        places = enlarged(places, lines)
        times = len(places) // len(labels)
        places[edges(places, max(1, times // 4))] = len(palette)
        palette.append(DARK)
    return indexed_uri(places, palette)


def label_legend(labels: NDArray[Any], gallery: Gallery) -> tuple[LegendRow, ...]:
    """The legend of a map, largest area first; "no object" is left out."""
    present, counts = np.unique(labels, return_counts=True)
    rows = [
        (gallery.names[k], css_colour(gallery.colours[k]), 100 * c / labels.size)
        for k, c in zip(present.tolist(), counts.tolist(), strict=True)
        if k or not gallery.has_background
    ]
    return tuple(sorted(rows, key=lambda row: -row[2]))
