"""The pictures of inversions: photos, reconstructions, difference maps and filmstrips.

Maps of labels are compared pixel by pixel: a class was lost, kept, or is new. A picture that does
not fit its record is named in the error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seeingkit.errors import RunError
from seeingkit.results import InversionRecord, InversionSettings, LostClass

from ..words.losses import PhotoGroup, loss_of
from . import uris
from .encoding import label_legend, label_map_uri
from .files import read_labels, read_photo, read_picture
from .gallery import Gallery
from .uris import Level, is_exact, nearest

LOST, KEPT, NEW = 1, 2, 3
DIFFERENCE_COLOURS = [(0, 0, 0), (222, 66, 18), (86, 180, 233), (240, 228, 66)]
"""Lost, kept, new: told apart with any colour vision (after Okabe and Ito 2008)."""
DIFFERENCES = 6
"""At most so many classes of a reconstruction get a difference map."""
FRAMES = 24
"""At most so many frames of a filmstrip are kept, evenly spaced."""


@dataclass(frozen=True)
class Difference:
    """Where one class was lost, kept, or is new; shares in percent of the image."""

    label: str
    picture: str
    lost: float
    kept: float
    new: float


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
    """One photo with all its reconstructions."""

    group: PhotoGroup
    photo: str
    labels: str | None
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
        return Card(
            group=group,
            photo=uris.photo_uri(photo, self.level),
            labels=self.map_uri(before),
            width=width,
            height=height,
            pixelated=is_exact(width, height),
            reconstructions=tuple(self.reconstruction(group, r, before) for r in group.records),
        )

    def labels(self, name: str | None) -> NDArray[Any] | None:
        if name is None or not self.palette.names:
            return None
        return read_labels(self.run_dir, name, len(self.palette.names))

    def map_uri(self, labels: NDArray[Any] | None) -> str | None:
        if labels is None:
            return None
        return label_map_uri(nearest(labels, self.level.map_size), self.palette)

    def reconstruction(
        self, group: PhotoGroup, record: InversionRecord, before: NDArray[Any] | None
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
            differences = tuple(self.differences(group, record, before, after))
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

    def differences(
        self, group: PhotoGroup, record: InversionRecord, before: NDArray[Any], after: NDArray[Any]
    ) -> Iterator[Difference]:
        """Of the classes the photo was picked for, then of those that lose most area."""
        ranked = sorted(record.classes, key=lambda c: -c.gone)
        wanted = [label for label in group.picked if loss_of(record, label) is not None]
        wanted += [c.label for c in ranked if c.vanished]
        names = self.palette.names
        known = [x for x in dict.fromkeys(wanted or [c.label for c in ranked[:1]]) if x in names]
        for label in known[:DIFFERENCES]:
            numbers = [k for k, name in enumerate(names) if name == label]
            places = difference_map(before, after, numbers)
            percent = 100 * np.bincount(places.ravel(), minlength=4) / places.size
            picture = uris.indexed_uri(nearest(places, self.level.map_size), DIFFERENCE_COLOURS)
            yield Difference(label, picture, *(float(p) for p in percent[1:4]))


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
