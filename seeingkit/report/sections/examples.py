"""The section of examples: the pictures of each class, and the legends of all pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seeingkit.results import Results

from ..pictures.encoding import Picture
from ..pictures.fitting import PagePictures
from ..pictures.gallery import Gallery
from ..selection import Side
from ..words.numbers import area

Legend = list[tuple[str, str, str]]
"""Label, CSS colour and area of each label in a picture."""


def example_rows(
    gallery: Gallery | None, pictures: PagePictures, results: Results
) -> list[dict[str, Any]]:
    """One row a class of the gallery, in its order.

    Keys: ``label``, ``record`` (the class in the results, or None), ``sides`` (by side, the
    pictures with their keys).
    """
    if gallery is None:
        return []
    records = {record.index: record for record in results.classes}
    return [
        {
            "label": entry.label,
            "record": records.get(entry.index),
            "sides": {side: list(_keyed(c, side, row)) for side, row in sides.items()},
        }
        for c, (entry, sides) in enumerate(zip(gallery.classes, pictures.classes, strict=True))
    ]


def legends(pictures: PagePictures) -> dict[str, Legend]:
    """The legend of each example and scene, by the key of its picture."""
    found: dict[str, Picture] = {}
    for c, sides in enumerate(pictures.classes):
        for side, row in sides.items():
            found.update(_keyed(c, side, row))
    found |= {f"{entry.key}.real": entry.real for entry in pictures.scenes}
    found |= {
        f"{entry.key}.generated": entry.nearest
        for entry in pictures.scenes
        if entry.nearest is not None
    }
    return {
        key: [(name, colour, area(percent)) for name, colour, percent in picture.legend]
        for key, picture in found.items()
    }


def _keyed(c: int, side: Side, row: Iterable[Picture]) -> Iterable[tuple[str, Picture]]:
    """Pictures of one class and side with their keys, unique in the page."""
    return ((f"{c}.{side}.{k}", picture) for k, picture in enumerate(row))
