"""The page of each class of a suite as text: photos, reconstructions, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..words.numbers import area, between, share
from .classwords import class_details, class_headline
from .figures import Axis
from .photos import ClassPhotos
from .places import Links, Places
from .reading import Suite
from .shell import page
from .standings import ClassHead, ClassKey, Quantity, Ranking

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True)
class Scales:
    """The drawn intervals of one class in one ranking, real images marked.

    Attributes:
        areas, shares: the two axes; head: of the class.
    """

    areas: Axis
    shares: Axis
    head: ClassHead

    @staticmethod
    def of(ranking: Ranking, head: ClassHead) -> Scales:
        """Axes on which all generators fit."""
        values = [row.values[head.key] for row in ranking.columns if head.key in row.values]
        areas = max([head.real_area, *(v.area.high for v in values)], default=0.0)
        shares = max([head.real_images, *(v.images.high for v in values)], default=0.0)
        return Scales(Axis((1.04 * areas) or 1.0), Axis((1.04 * shares) or 1.0), head)

    def area(self, quantity: Quantity) -> Markup:
        """The interval of an area as markup."""
        return _drawn(self.areas, quantity, self.head.real_area)

    def images(self, quantity: Quantity) -> Markup:
        """The interval of a share of images as markup."""
        return _drawn(self.shares, quantity, self.head.real_images)

    @staticmethod
    def area_ends(quantity: Quantity) -> str:
        """The interval of an area in words."""
        return between((quantity.low, quantity.high), area)

    @staticmethod
    def images_ends(quantity: Quantity) -> str:
        """The interval of a share of images in words."""
        return between((quantity.low, quantity.high), share)


def _drawn(axis: Axis, quantity: Quantity, real: float) -> Markup:
    from markupsafe import Markup

    low, at, high = (axis.at(x) for x in (quantity.low, quantity.value, quantity.high))
    return Markup(  # numbers alone
        f'<span class="value-row"><u style="left:{axis.at(real):.1f}%"></u>'
        f'<i style="left:{low:.1f}%;width:{max(high - low, 0):.1f}%"></i>'
        f'<b style="left:{at:.1f}%"></b></span>'
    )


def class_page(
    suite: Suite,
    key: ClassKey,
    places: Places,
    photos: Sequence[ClassPhotos] = (),
    examples: Sequence[tuple[str, str]] = (),
) -> str:
    """The page of one class: photos, reconstructions, and its numbers for every generator.

    Args:
        examples: real images with it, for where no inverted photo shows it: id and path.
    """
    tables = []
    for ranking in suite.compared:
        head = next((head for head in ranking.classes if head.key == key), None)
        if head is not None:
            lines = class_details(key, ranking)
            tables.append((ranking, head, lines, Scales.of(ranking, head)))
    return page(
        "suite/class.html.j2",
        {},
        title=suite.title,
        to=Links(places, "../"),
        key=key,
        headline=class_headline(key, [ranking for ranking, *_ in tables]),
        details=[],
        sections=[("photos", "Photos"), ("numbers", "Numbers")],
        photos=photos,
        examples=examples,
        tables=tables,
    )
