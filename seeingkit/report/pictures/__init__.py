"""All pictures of a page, in as much detail as its budget allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass

from ..selection import Side
from .encoding import Picture, ScenePictures, encode_classes, encode_scenes
from .gallery import Gallery
from .inversions import Card
from .places import Places, encode_places
from .uris import LEVELS, Level

BUDGET = 6_000_000
"""Bytes of all images of a page as text; with the scripts the page stays below 8 MB."""


@dataclass(frozen=True)
class PagePictures:
    """The pictures of a page.

    Attributes:
        classes: examples, by the class of the gallery and the side.
        scenes: the least covered scenes.
        cards: photos and their reconstructions.
        places: where each class of the gallery is in the images, or None.
    """

    classes: list[dict[Side, tuple[Picture, ...]]]
    scenes: list[ScenePictures]
    cards: list[Card]
    places: list[Places | None]


def weight(shown: object) -> int:
    """Bytes as text of the data URIs in pictures: in their fields, and in collections of them."""
    if isinstance(shown, str):
        return len(shown) if shown.startswith("data:image/") else 0
    if isinstance(shown, dict) or is_dataclass(shown):
        shown = tuple((shown if isinstance(shown, dict) else vars(shown)).values())
    return sum(map(weight, shown)) if isinstance(shown, (list, tuple)) else 0


def fit_pictures(
    gallery: Gallery | None,
    cards: Callable[[Level], list[Card]] | None = None,
    budget: int = BUDGET,
) -> PagePictures:
    """The pictures at the first level of detail at which all of them fit the budget.

    Args:
        gallery: examples and scenes, or None.
        cards: the cards of inversions at a level of detail, or None.
        budget: bytes as text; the least detail is taken even where it exceeds them.
    """
    shown = () if gallery is None else gallery.classes
    places = [encode_places(entry.label, entry.places) for entry in shown]
    pictures = PagePictures([], [], [], places)
    for level in LEVELS:
        pictures = PagePictures(
            classes=[] if gallery is None else encode_classes(gallery, level),
            scenes=[] if gallery is None else encode_scenes(gallery, level),
            cards=[] if cards is None else cards(level),
            places=places,
        )
        if weight(pictures) <= budget:
            break
    return pictures
