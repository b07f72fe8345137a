"""The pictures of inversions: photos, reconstructions, difference maps and filmstrips.

Maps of labels are compared pixel by pixel: a class was lost, kept, or is new. A picture that does
not fit its record is named in the error.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seeingkit.errors import RunError
from seeingkit.results import InversionRecord, InversionSettings, LostClass

from ..words.losses import PhotoGroup, loss_of
from . import uris
from .encoding import LegendRow, label_legend, label_map_uri
from .files import read_labels, read_photo, read_picture
from .gallery import Gallery
from .marks import KEPT, LOST, NEW, mark_places, vanished_uri
from .uris import Level, is_exact, nearest

DIFFERENCES = 6
"""At most so many classes of a reconstruction get a difference map."""
FRAMES = 24
"""At most so many frames of a filmstrip are kept, evenly spaced."""


@dataclass(frozen=True, eq=False)
class Difference:
    """Where one class was lost, kept, or is new; shares in percent of the image.

    Attributes:
        picture: map of the marks of what is lost, kept and new, to be laid over the photo.
        photo, places: what ``marked`` is made of: the photo, at most 512 pixels a side, and the
            map of differences.
    """

    label: str
    picture: str
    lost: float
    kept: float
    new: float
    photo: NDArray[np.uint8] = field(repr=False)
    places: NDArray[np.uint8] = field(repr=False)

    @functools.cached_property
    def marked(self) -> str:
        """The photo in full colour, what is lost hatched and outlined on it: a data URI.

        It is made when it is first asked for, so a page pays for those alone that it shows.
        """
        return vanished_uri(self.photo, self.places == LOST)


@dataclass(frozen=True)
class Strip:
    """Frames of the optimisation side by side, and the step of each."""

    picture: str
    steps: tuple[int, ...]
    pixelated: bool


@dataclass(frozen=True)
class Reconstruction:
    """One record as the page shows it; pictures are data URIs, None where there is none.

    Attributes:
        classes: the loss of each class, those that the photo is shown for first.
        legend: (name, CSS colour, percent in the photo, percent in the reconstruction).
        strip_left_out: there is a filmstrip, but the page had no room for it.
    """

    record: InversionRecord
    classes: tuple[LostClass, ...]
    picture: str
    labels: str | None
    legend: tuple[tuple[str, str, float, float], ...]
    differences: tuple[Difference, ...]
    strip: Strip | None
    strip_left_out: bool


@dataclass(frozen=True)
class Card:
    """One photo with all its reconstructions.

    Attributes:
        photo, labels: data URIs of the photo and of the map of its labels, if there is one.
        legend: of the labels of the photo, largest first.
        width, height: of the original photo in pixels.
    """

    group: PhotoGroup
    photo: str
    labels: str | None
    legend: tuple[LegendRow, ...]
    width: int
    height: int
    pixelated: bool
    reconstructions: tuple[Reconstruction, ...]


def encode_cards(
    run_dir: Path, groups: list[PhotoGroup], settings: InversionSettings, level: Level
) -> list[Card]:
    """The first photos of a run with their pictures, at one level of detail.

    Raises:
        RunError: a picture leaves the run directory, is missing, damaged, or does not fit.
    """
    palette = Gallery(tuple(settings.labels), has_background=settings.has_background)
    encoder = _Encoder(run_dir, palette, level)
    return [encoder.card(group) for group in groups[: level.cards]]


def difference_map(
    photo: NDArray[Any], reconstruction: NDArray[Any], numbers: list[int]
) -> NDArray[np.uint8]:
    """Where a class was lost (1), kept (2), or is new (3); 0 elsewhere.

    Args:
        photo, reconstruction: (h, w) maps of label numbers.
        numbers: the label numbers that are the class.

    Returns:
        (h, w) uint8.
    """
    before, after = np.isin(photo, numbers), np.isin(reconstruction, numbers)
    places = np.zeros(before.shape, np.uint8)
    places[before & ~after] = LOST
    places[before & after] = KEPT
    places[~before & after] = NEW
    return places


class _Encoder:
    """Encodes the pictures of a run at one level of detail, labels in the colours of a palette."""

    def __init__(self, run_dir: Path, palette: Gallery, level: Level) -> None:
        self.run_dir, self.palette, self.level = run_dir, palette, level

    def card(self, group: PhotoGroup) -> Card:
        photo = read_photo(self.run_dir, group.first.photo)
        height, width = photo.shape[:2]
        before = self.labels(group.first.photo_labels)
        small = np.asarray(uris.shrunk(photo, uris.DRAWN_SIZE))
        return Card(
            group=group,
            photo=uris.photo_uri(photo, self.level),
            labels=self.map_uri(before),
            legend=() if before is None else label_legend(before, self.palette),
            width=width,
            height=height,
            pixelated=is_exact(width, height),
            reconstructions=tuple(
                self.reconstruction(group, r, small, before) for r in group.records
            ),
        )

    def labels(self, name: str | None) -> NDArray[Any] | None:
        if name is None or not self.palette.names:
            return None
        return read_labels(self.run_dir, name, len(self.palette.names))

    def map_uri(self, labels: NDArray[Any] | None) -> str | None:
        if labels is None:
            return None
        labels = nearest(labels, self.level.map_size)
        return label_map_uri(labels, self.palette, lines=self.level.drawn_size)

    def reconstruction(
        self,
        group: PhotoGroup,
        record: InversionRecord,
        photo: NDArray[np.uint8],
        before: NDArray[Any] | None,
    ) -> Reconstruction:
        after = self.labels(record.reconstruction_labels)
        differences: tuple[Difference, ...] = ()
        if before is not None and after is not None:
            if before.shape != after.shape:
                raise RunError(
                    f"{self.run_dir / str(record.reconstruction_labels)} is {after.shape[1]} × "
                    f"{after.shape[0]} pixels, the labels of its photo {before.shape[1]} × "
                    f"{before.shape[0]}: they do not fit each other"
                )
            differences = tuple(
                self.difference(label, photo, before, after) for label in self.shown(group, record)
            )
        strips = self.level.strips
        wanted = strips == "all" or (strips == "first" and record is group.first)
        filmed = record.frames is not None
        return Reconstruction(
            record=record,
            classes=tuple(sorted(record.classes, key=lambda entry: entry.label not in group.focus)),
            picture=uris.photo_uri(read_photo(self.run_dir, record.reconstruction), self.level),
            labels=self.map_uri(after),
            legend=self.legend(before, after),
            differences=differences,
            strip=_strip(self.run_dir, record, self.level) if filmed and wanted else None,
            strip_left_out=filmed and not wanted,
        )

    def legend(
        self, before: NDArray[Any] | None, after: NDArray[Any] | None
    ) -> tuple[tuple[str, str, float, float], ...]:
        areas: dict[tuple[str, str], list[float]] = {}
        for k, side in enumerate((before, after)):
            for name, colour, percent in () if side is None else label_legend(side, self.palette):
                areas.setdefault((name, colour), [0.0, 0.0])[k] = percent
        rows = [(name, colour, both[0], both[1]) for (name, colour), both in areas.items()]
        return tuple(sorted(rows, key=lambda row: -max(row[2], row[3])))

    def shown(self, group: PhotoGroup, record: InversionRecord) -> Iterator[str]:
        """The classes the photo was picked for, then those that lose most area."""
        ranked = sorted(record.classes, key=lambda c: -c.gone)
        wanted = [label for label in group.picked if loss_of(record, label) is not None]
        wanted += [c.label for c in ranked if c.vanished]
        labels = dict.fromkeys(wanted or [c.label for c in ranked[:1]])
        return itertools.islice((x for x in labels if x in self.palette.names), DIFFERENCES)

    def difference(
        self, label: str, photo: NDArray[np.uint8], before: NDArray[Any], after: NDArray[Any]
    ) -> Difference:
        numbers = [k for k, name in enumerate(self.palette.names) if name == label]
        places = difference_map(before, after, numbers)
        lost, kept, new = (100 * float((places == mark).mean()) for mark in (LOST, KEPT, NEW))
        places = nearest(places, self.level.map_size)
        picture = mark_places(places, self.level.drawn_size)
        return Difference(label, picture, lost, kept, new, photo, places)


def _strip(run_dir: Path, record: InversionRecord, level: Level) -> Strip:
    name = str(record.frames)
    frames = read_picture(run_dir, name)
    side = frames.height
    n, rest = divmod(frames.width, side)
    if rest or n == 0 or len(record.frame_steps) != n:
        raise RunError(
            f"{run_dir / name} is {frames.width} × {side} pixels, which is not "
            f"{len(record.frame_steps)} square frames side by side"
        )
    kept = np.unique(np.linspace(0, n - 1, min(n, FRAMES)).round().astype(int)).tolist()
    # Lossy WebP halves the resolution of colour, so small frames are doubled to keep theirs.
    wanted = 2 * side if 2 * side <= uris.EXACT_UP_TO else min(side, uris.EXACT_UP_TO)
    size = min(wanted, level.size, uris.LONGEST_WEBP // len(kept))
    how = Image.Resampling.LANCZOS if size < side else Image.Resampling.NEAREST
    strip = Image.new("RGB", (size * len(kept), size))
    for place, k in enumerate(kept):
        frame = frames.crop((k * side, 0, (k + 1) * side, side))
        strip.paste(frame.resize((size, size), how), (place * size, 0))
    picture = uris.webp_uri(strip, min(level.quality, 80))
    steps = tuple(record.frame_steps[k] for k in kept)
    return Strip(picture, steps, is_exact(side))
