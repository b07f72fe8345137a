"""The panel of photos, their reconstructions, and the region of a class that vanished.

Pictures are read from the run's folder alone. A block is one photo: three pictures side by side,
below them the class, the share it lost, and how often it vanishes beside classes that the
generator draws. Text is text; pictures are as fine as the print needs, small ones exact.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from seeingkit.errors import RunError, UnknownNameError, UsageError, printable
from seeingkit.results import ClassVanishing, InversionSettings

from ..pictures.files import read_labels, read_photo
from ..pictures.inversions import difference_map
from ..pictures.marks import KEPT, LOST, NEW, mark_places, marks_over
from ..pictures.uris import image_uri, is_exact
from ..templates import render
from ..words.captions import lost_words, rate_words
from ..words.losses import Key, PhotoGroup, key_of, loss_of
from . import charts
from .printing import MILLIMETRES, Part, PrintSize

BLOCKS = 4
"""At most so many classes are shown unless more are asked for."""
_BLOCK = 300.0  # units from which on two blocks are side by side
_GAP, _BETWEEN, _LINE = 4.0, 14.0, 13.0
_HEADS = ("photo", "reconstruction", "what vanished")
_KEYS = ((LOST, "lost"), (KEPT, "kept"), (NEW, "new"))
_BOX_PIXELS = 16  # of a mark in the legend
_BOLD = 1.03  # bold text is as much wider
_LONGEST = 200  # characters of a word
_SLACK = 1.03  # Liberation Sans and Nimbus Sans are up to 2 % wider than the font that measures


class Text(NamedTuple):
    """A line of text at a place, in units; bold by its outline, so that a PDF has one font."""

    x: float
    y: float
    words: str
    muted: bool = False
    bold: bool = False


class Picture(NamedTuple):
    """A picture at a place, in units; ``uri``: its data."""

    x: float
    y: float
    width: float
    height: float
    uri: str
    pixelated: bool


@dataclass(frozen=True)
class Pair:
    """A class in a photo.

    Attributes:
        rates: how often the class vanishes, if that was measured.
        first: no other photo of the class stands before it.
    """

    label: str
    group: PhotoGroup
    rates: ClassVanishing | None
    first: bool


def choose_pairs(
    groups: Sequence[PhotoGroup],
    vanishing: Sequence[ClassVanishing],
    key: Key,
    *,
    named: Sequence[str] = (),
    limit: int | None = None,
) -> list[Pair]:
    """The classes and photos of a panel, classes together, worst first.

    Classes are those named, else those that vanish: more often than drawn ones first, then those
    that photos were picked for, by the share of photos, then by the area lost. Of each, the photos
    picked for it come first, by the area it lost; each class has as many as fit the limit.

    Args:
        groups: photos with their records.
        vanishing: rates of classes.
        key: method and cut that are shown.
        limit: of blocks; default: one for each class, of those not named ``BLOCKS`` at most.

    Raises:
        UnknownNameError: no photo shows a class that is named.
    """
    shown = [group for group in groups if key_of(group.first) == key]
    rates = {record.label: record for record in vanishing if key_of(record) == key}
    photos: dict[str, list[PhotoGroup]] = {}
    for group in shown:
        for entry in group.first.classes:
            photos.setdefault(entry.label, []).append(group)
    for name in named:
        if name not in photos:
            raise UnknownNameError("class in the photos", name, photos)

    def gone(label: str, group: PhotoGroup) -> float:
        entry = loss_of(group.first, label)
        return 0.0 if entry is None else entry.gone

    def rank(label: str) -> tuple[Any, ...]:
        record = rates.get(label)
        sure = record is not None and record.verdict == "more often"
        often = record.vanished / record.photos if record is not None and record.photos else 0.0
        picked = any(label in group.picked for group in photos[label])
        lost = sum(gone(label, group) for group in photos[label])
        return not sure, not picked, -often, -lost, label

    labels = list(dict.fromkeys(named))
    if not labels:
        labels = sorted({label for group in shown for label in group.vanished}, key=rank)
        labels = labels[: BLOCKS if limit is None else limit]

    def first(label: str) -> list[PhotoGroup]:
        return sorted(photos[label], key=lambda g: (label not in g.picked, -gone(label, g)))

    queues = {label: first(label) for label in labels}
    wanted = len(labels) if limit is None else limit
    numbers = _shares([len(queues[label]) for label in labels], wanted)
    return [
        Pair(label, group, rates.get(label), place == 0)
        for label, number in zip(labels, numbers, strict=True)
        for place, group in enumerate(queues[label][:number])
    ]


def _shares(most: Sequence[int], wanted: int) -> list[int]:
    """How many of each, one more in turn until there are so many.

    >>> _shares([1, 5, 5], 6)
    [1, 3, 2]
    """
    given = [0] * len(most)
    while sum(given) < min(wanted, sum(most)):
        for place in range(len(most)):
            if given[place] < most[place] and sum(given) < wanted:
                given[place] += 1
    return given


def draw_panel(
    run_dir: Path, pairs: Sequence[Pair], settings: InversionSettings, size: PrintSize
) -> Part:
    """The panel as wide as the page.

    Raises:
        RunError: a picture leaves the run directory, is missing, damaged, or does not fit.
        UsageError: the page is too narrow.
    """
    across = max(1, min(len(pairs), int(size.units // _BLOCK)))
    width = (size.units - (across - 1) * _BETWEEN) / across
    if (width - 2 * _GAP) / 3 < max(map(text_width, _HEADS)):
        raise UsageError(
            f"three pictures with their names do not fit {size.width:g} mm at "
            f"{size.font_size:g} points: give a larger --width or a smaller --font-size"
        )
    panel = _Panel(run_dir, tuple(settings.labels), size, (width - 2 * _GAP) / 3)
    blocks = [panel.block(pair) for pair in pairs]
    texts, images = [], []
    top = 0.0
    for start in range(0, len(blocks), across):
        row = blocks[start : start + across]
        for place, block in enumerate(row):
            x = place * (width + _BETWEEN)
            if start == 0:
                texts += list(panel.heads(x, block.marked))
            y = top + (_LINE + 4 if start == 0 else 0.0)
            texts += [t._replace(x=t.x + x, y=t.y + y) for t in block.texts]
            images += [i._replace(x=i.x + x, y=i.y + y) for i in block.images]
        top += max(block.height for block in row) + (_LINE + 4 if start == 0 else 0.0) + 8
    if any(block.marked for block in blocks):
        boxes, words = _legend(top)
        images += boxes
        texts += words
        top += _LINE
    body = render(
        "panel.svg.j2",
        font=charts.FONT,
        size=charts.LABEL_SIZE,
        ink=charts.PRINT_COLOURS["ink"],
        muted=charts.PRINT_COLOURS["muted"],
        texts=texts,
        images=images,
    )
    return Part(body, size.units, round(top + 2, 3))


def _legend(top: float) -> tuple[list[Picture], list[Text]]:
    """The marks of the third picture, in one line."""
    boxes, texts, x = [], [], 0.0
    for number, word in _KEYS:
        box = mark_places(np.full((1, 1), number, np.uint8), _BOX_PIXELS)
        boxes.append(Picture(x, top + 0.5, 10.0, 10.0, box, False))
        texts.append(Text(x + 14, top + 9.5, word))
        x += 14 + text_width(word) + 14
    return boxes, texts


@dataclass(frozen=True)
class _Block:
    """The texts and pictures of one photo, from its upper left corner on."""

    texts: list[Text]
    images: list[Picture]
    height: float
    marked: bool


class _Panel:
    """Draws blocks with pictures of one width."""

    def __init__(
        self, run_dir: Path, labels: tuple[str, ...], size: PrintSize, column: float
    ) -> None:
        self.run_dir, self.labels, self.column = run_dir, labels, column
        self.pixels = max(1, round(size.millimetres(column) / MILLIMETRES * size.dpi))

    def heads(self, x: float, marked: bool) -> Iterator[Text]:
        """What each column shows."""
        for place, words in enumerate(_HEADS[: 3 if marked else 2]):
            yield Text(x + place * (self.column + _GAP), charts.LABEL_SIZE, words, muted=True)

    def block(self, pair: Pair) -> _Block:
        """One photo with its captions."""
        record = pair.group.first
        photo = read_photo(self.run_dir, record.photo)
        pictures = [photo, read_photo(self.run_dir, record.reconstruction)]
        names = record.photo_labels, record.reconstruction_labels
        marked = self.labels and None not in names
        if marked:
            pictures.append(self.marked(pair.label, photo, str(names[0]), str(names[1])))
        height = self.column * photo.shape[0] / photo.shape[1]
        images = [
            Picture(place * (self.column + _GAP), 0.0, self.column, height, *self.embedded(pixels))
            for place, pixels in enumerate(pictures)
        ]
        width = 3 * self.column + 2 * _GAP
        entry = loss_of(record, pair.label)
        said = [lost_words(entry)] if entry else []
        said += rate_words(pair.rates) if pair.first else []
        texts = [(line, True) for line in wrapped(pair.label, width / _BOLD)]
        texts += [(line, False) for words in said for line in wrapped(words, width)]
        y = height + charts.LABEL_SIZE + 3
        placed = [Text(0.0, y + k * _LINE, t, bold=bold) for k, (t, bold) in enumerate(texts)]
        return _Block(placed, images, height + 6 + len(texts) * _LINE, bool(marked))

    def marked(self, label: str, photo: NDArray[np.uint8], *names: str) -> NDArray[np.uint8]:
        """The photo in pale grey, with the region of a class in the marks of the legend."""
        before, after = (read_labels(self.run_dir, name, len(self.labels)) for name in names)
        if before.shape != after.shape:
            raise RunError(
                f"{self.run_dir / names[1]} is {after.shape[1]} × {after.shape[0]} pixels, the "
                f"labels of its photo {before.shape[1]} × {before.shape[0]}: they do not fit"
            )
        numbers = [k for k, name in enumerate(self.labels) if name == label]
        places = difference_map(before, after, numbers)
        pale = Image.fromarray(photo).convert("L").point(lambda grey: 0.45 * grey + 255 * 0.55)
        return marks_over(pale, places)

    def embedded(self, pixels: NDArray[np.uint8]) -> tuple[str, bool]:
        """A picture as the data of a PNG, no finer than the print needs; whether it has squares."""
        picture = Image.fromarray(pixels)
        if picture.width > self.pixels:
            height = max(1, round(picture.height * self.pixels / picture.width))
            picture = picture.resize((self.pixels, height), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        return image_uri("png", buffer.getvalue()), is_exact(*pixels.shape[:2])


@functools.lru_cache(maxsize=1)
def _font() -> Any:
    return ImageFont.load_default(size=100)


def text_width(words: str) -> float:
    """The width of a line in units, about; measured in a font like Helvetica, never too small."""
    wide = sum(2.0 if ord(character) >= 0x1100 else 0.0 for character in words)
    narrow = "".join(character for character in words if ord(character) < 0x1100)
    length = float(_font().getlength(narrow)) / 100 + wide / 2
    return length * charts.LABEL_SIZE * _SLACK


def wrapped(words: str, width: float) -> list[str]:
    """Text in lines of this width in units; a word that is wider is cut."""
    lines: list[str] = []
    for word in printable(words).split(" "):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined) <= width:
            lines[-1] = joined
            continue
        if len(word) > _LONGEST:
            word = f"{word[:_LONGEST]}…"
        while len(word) > 1 and text_width(word) > width:
            word = word.removesuffix("…")[:-1] + "…"
        lines.append(word)
    return lines
