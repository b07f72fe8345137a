"""Pictures of inversions, read from a run directory and put into data URIs.

Only files inside the run directory are read, and a file that is missing, damaged or not what its
record says is named in the error. Maps of labels are compared pixel by pixel: where a class was
lost, kept, or is new.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seeingkit.errors import RunError
from seeingkit.results import InversionRecord, InversionSettings, LostClass

from ..words.losses import PhotoGroup, loss_of
from .encoding import (
    EXACT_UP_TO,
    MAP_SIZE,
    Level,
    indexed_uri,
    label_legend,
    label_map_uri,
    nearest,
    photo_uri,
    webp_uri,
)
from .gallery import Gallery

LOST, KEPT, NEW = 1, 2, 3
DIFFERENCE_COLOURS = [(0, 0, 0), (222, 66, 18), (86, 180, 233), (240, 228, 66)]
"""Lost, kept, new: told apart with any colour vision (after Okabe and Ito 2008)."""
DIFFERENCES = 6
"""At most so many classes of a reconstruction get a difference map."""
FRAMES = 24
"""At most so many frames of a filmstrip are kept, evenly spaced."""
MOST_PIXELS = 1 << 26
_LONGEST = 16383  # a side of a WebP picture
_UNREADABLE = (
    OSError, EOFError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError
)  # fmt: skip


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
    """What the page shows of one record; pictures are data URIs, None where there is none.

    Attributes:
        classes: what was lost of each class, those that the photo is shown for first.
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

    @property
    def weight(self) -> int:
        """Bytes that the pictures take as text."""
        texts = [self.photo, self.labels]
        for shown in self.reconstructions:
            texts += [shown.picture, shown.labels, shown.strip.picture if shown.strip else None]
            texts += [difference.picture for difference in shown.differences]
        return sum(len(text) for text in texts if text)


def encode_cards(
    run_dir: Path, groups: list[PhotoGroup], settings: InversionSettings, level: Level
) -> list[Card]:
    """The first photos of a run with their pictures, at one level of detail.

    Raises:
        RunError: a picture leaves the run directory, is missing, damaged, or does not fit.
    """
    palette = Gallery(tuple(settings.labels), has_background=settings.has_background)
    return [_card(run_dir, group, palette, level) for group in groups[: level.cards]]


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


def resolve(run_dir: Path, name: str) -> Path:
    """The file of a run that a record names.

    Raises:
        RunError: the path is empty, absolute, or leaves the run directory.
    """
    root = run_dir.resolve()
    try:
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(f"path {name!r} in results.json cannot be followed: {error}") from None
    if not name or Path(name).is_absolute() or path == root or not path.is_relative_to(root):
        raise RunError(
            f"path {name!r} in results.json does not name a file inside {run_dir}: "
            "records name files relative to the run directory"
        )
    return path


def read_photo(run_dir: Path, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a picture of the run."""
    return np.asarray(_open(run_dir, name).convert("RGB"), dtype=np.uint8)


def read_labels(run_dir: Path, name: str, labels: int) -> NDArray[Any]:
    """(h, w) uint8 or int32 label numbers below ``labels``, from an 8- or 16-bit grey PNG."""
    picture = _open(run_dir, name)
    if picture.mode not in ("L", "I", "I;16", "I;16B"):
        raise RunError(
            f"{run_dir / name} is of mode {picture.mode}, not a grey picture of label numbers"
        )
    values = np.asarray(picture)
    if values.max() >= labels or values.min() < 0:
        raise RunError(
            f"{run_dir / name} has label number {values.max()}, "
            f"but the inversion's vocabulary has {labels} labels"
        )
    return values if values.dtype == np.uint8 else values.astype(np.int32)


def _open(run_dir: Path, name: str) -> Image.Image:
    path = resolve(run_dir, name)
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            path.open("rb") as file,
            Image.open(file, formats=["PNG"]) as picture,
        ):
            if picture.width * picture.height > MOST_PIXELS:
                raise RunError(f"{path} has {picture.width} × {picture.height} pixels: too many")
            picture.load()
            return picture.copy()
    except FileNotFoundError:
        raise RunError(f"{path} is missing; a record in results.json names it") from None
    except _UNREADABLE as error:
        raise RunError(f"{path} cannot be read as a PNG picture ({error})") from None


def _card(run_dir: Path, group: PhotoGroup, palette: Gallery, level: Level) -> Card:
    photo = read_photo(run_dir, group.first.photo)
    height, width = photo.shape[:2]
    labels = None
    if palette.names and group.first.photo_labels is not None:
        labels = read_labels(run_dir, group.first.photo_labels, len(palette.names))
    return Card(
        group=group,
        photo=photo_uri(photo, level),
        labels=None if labels is None else _map_uri(labels, palette, level),
        width=width,
        height=height,
        pixelated=max(width, height) <= EXACT_UP_TO,
        reconstructions=tuple(
            _reconstruction(run_dir, group, record, labels, palette, level)
            for record in group.records
        ),
    )


def _reconstruction(
    run_dir: Path,
    group: PhotoGroup,
    record: InversionRecord,
    before: NDArray[Any] | None,
    palette: Gallery,
    level: Level,
) -> Reconstruction:
    after = None
    if palette.names and record.reconstruction_labels is not None:
        after = read_labels(run_dir, record.reconstruction_labels, len(palette.names))
    differences: tuple[Difference, ...] = ()
    if before is not None and after is not None:
        if before.shape != after.shape:
            raise RunError(
                f"{run_dir / str(record.reconstruction_labels)} is {after.shape[1]} × "
                f"{after.shape[0]} pixels, the labels of its photo {before.shape[1]} × "
                f"{before.shape[0]}: they do not fit each other"
            )
        differences = tuple(_differences(group, record, before, after, palette, level))
    wanted = level.strips == "all" or (level.strips == "first" and record is group.first)
    return Reconstruction(
        record=record,
        classes=tuple(sorted(record.classes, key=lambda entry: entry.label not in group.focus)),
        picture=photo_uri(read_photo(run_dir, record.reconstruction), level),
        labels=None if after is None else _map_uri(after, palette, level),
        legend=_legend(before, after, palette),
        differences=differences,
        strip=_strip(run_dir, record, level) if record.frames is not None and wanted else None,
        strip_left_out=record.frames is not None and not wanted,
    )


def _map_uri(labels: NDArray[Any], palette: Gallery, level: Level) -> str:
    return label_map_uri(nearest(labels, min(level.size, MAP_SIZE)), palette)


def _legend(
    before: NDArray[Any] | None, after: NDArray[Any] | None, palette: Gallery
) -> tuple[tuple[str, str, float, float], ...]:
    sides = [() if side is None else label_legend(side, palette) for side in (before, after)]
    areas: dict[tuple[str, str], list[float]] = {}
    for k, side in enumerate(sides):
        for name, colour, percent in side:
            areas.setdefault((name, colour), [0.0, 0.0])[k] = percent
    rows = [(name, colour, both[0], both[1]) for (name, colour), both in areas.items()]
    return tuple(sorted(rows, key=lambda row: -max(row[2], row[3])))


def _differences(
    group: PhotoGroup,
    record: InversionRecord,
    before: NDArray[Any],
    after: NDArray[Any],
    palette: Gallery,
    level: Level,
) -> list[Difference]:
    """Of the classes the photo was picked for, then of those with most area beyond calibration."""
    ranked = sorted(record.classes, key=lambda c: -(c.beyond or 0.0))
    wanted = [c.label for c in ranked if c.omitted or (c.calibrated is None and c.lost > 0)]
    wanted = [label for label in group.picked if loss_of(record, label) is not None] + wanted
    wanted = wanted or [c.label for c in ranked[:1]]
    found: list[Difference] = []
    for label in dict.fromkeys(wanted):
        numbers = [k for k, name in enumerate(palette.names) if name == label]
        if not numbers or len(found) == DIFFERENCES:
            continue
        places = difference_map(before, after, numbers)
        percent = 100 * np.bincount(places.ravel(), minlength=4) / places.size
        picture = indexed_uri(nearest(places, min(level.size, MAP_SIZE)), DIFFERENCE_COLOURS)
        found.append(Difference(label, picture, *(float(p) for p in percent[1:4])))
    return found


def _strip(run_dir: Path, record: InversionRecord, level: Level) -> Strip:
    name = str(record.frames)
    frames = _open(run_dir, name).convert("RGB")
    side = frames.height
    n, rest = divmod(frames.width, side)
    if rest or n == 0 or len(record.frame_steps) != n:
        raise RunError(
            f"{run_dir / name} is {frames.width} × {side} pixels, which is not "
            f"{len(record.frame_steps)} square frames side by side"
        )
    kept = np.unique(np.linspace(0, n - 1, min(n, FRAMES)).round().astype(int)).tolist()
    # Lossy WebP halves the resolution of colour, so small frames are doubled to keep theirs.
    wanted = 2 * side if 2 * side <= EXACT_UP_TO else min(side, EXACT_UP_TO)
    size = min(wanted, level.size, _LONGEST // len(kept))
    how = Image.Resampling.LANCZOS if size < side else Image.Resampling.NEAREST
    strip = Image.new("RGB", (size * len(kept), size))
    for place, k in enumerate(kept):
        frame = frames.crop((k * side, 0, (k + 1) * side, side))
        strip.paste(frame.resize((size, size), how), (place * size, 0))
    picture = webp_uri(strip, min(level.quality, 80))
    steps = tuple(record.frame_steps[k] for k in kept)
    return Strip(picture, steps, side <= EXACT_UP_TO)
