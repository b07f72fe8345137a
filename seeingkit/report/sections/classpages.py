"""What a page shows of one class: its evidence, photos that lost it, examples, and its places.

Classes come in the order of the answer, then of the gallery. A photo stands under one class, the
first that it was picked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seeingkit.results import ClassResult, LostClass, Results

from ..pictures.encoding import Picture, ScenePictures
from ..pictures.inversions import Card, Difference
from ..selection import SIDES
from ..words.answer import Answer
from ..words.evidence import evidence
from ..words.losses import loss_of
from ..words.nouns import short_name
from ..words.numbers import area


@dataclass(frozen=True)
class ClassPage:
    """One class.

    Attributes:
        label: its name, empty for photos that were picked for no class and lost none; anchor: its
            id in the page.
        record: in the results, None for a class that the comparison does not know.
        evidence: sentences.
        cards: (number of the card, card), those that lost most of the class first.
        elsewhere: numbers of the cards that show it and stand under another class.
        examples: a row of ``example_rows``, or None.
        open: whether it is unfolded at first.
    """

    label: str
    anchor: str
    record: ClassResult | None
    evidence: tuple[str, ...]
    cards: tuple[tuple[int, Card], ...]
    elsewhere: tuple[int, ...]
    examples: dict[str, Any] | None
    open: bool


_Key = int | str
"""The number of a class in the results, else its name; empty for photos of no class."""


def class_pages(
    results: Results, answer: Answer, cards: Sequence[Card], examples: Sequence[dict[str, Any]]
) -> list[ClassPage]:
    """The classes that there is something to see of.

    Args:
        answer: the classes that it names come first, and are open.
        cards: the photos with their reconstructions.
        examples: rows of ``example_rows``.
    """
    records = {record.index: record for record in results.classes}
    indices = {record.label: record.index for record in reversed(results.classes)}
    shown: dict[_Key, dict[str, Any]] = {row["index"]: row for row in examples}
    wanted = [[indices.get(x, x) for x in card.group.focus or ("",)] for card in cards]
    there = dict.fromkeys([*shown, *(key for keys in wanted for key in keys)])
    named: list[_Key] = [record.index for record in answer.classes]
    keys = list(dict.fromkeys([*(key for key in named if key in there), *there]))
    order = {key: place for place, key in enumerate(keys)}
    own = [min(one, key=order.__getitem__) for one in wanted]
    numbers = (results.n_real, results.n_generated, results.paired)
    pages = []
    for place, key in enumerate(keys):
        record = records.get(key) if isinstance(key, int) else None
        label = record.label if record is not None else str(key)
        mine = [k for k, one in enumerate(own) if one == key]
        ranked = sorted(mine, key=lambda k: -_gone(cards[k], label))
        pages.append(
            ClassPage(
                label=label,
                anchor=f"class-{key}" if record is not None else f"class-x{place}",
                record=record,
                evidence=tuple(evidence(record, *numbers)) if record is not None else (),
                cards=tuple((k, cards[k]) for k in ranked),
                elsewhere=tuple(k for k, one in enumerate(wanted) if key in one and k not in mine),
                examples=shown.get(key),
                open=key in named,
            )
        )
    return pages


def _gone(card: Card, label: str) -> float:
    entry = loss_of(card.group.first, label)
    return entry.gone if entry is not None and entry.vanished else -1.0


@dataclass(frozen=True)
class Lead:
    """The pair of photo and reconstruction on the first screen.

    Attributes:
        label: the class that vanished.
        loss: of it in this photo; difference: where.
    """

    card: Card
    label: str
    loss: LostClass
    difference: Difference | None


def lead(cards: Sequence[Card], labels: Iterable[str]) -> Lead | None:
    """The photo that lost most of the first of these classes that vanished from any photo.

    Args:
        labels: of the answer and of the verdicts on photos: no other loss stands on the first
            screen, for a loss in one photo is no omission.
    """
    for label in dict.fromkeys(labels):
        losers = [card for card in cards if label in card.group.vanished]
        if not losers:
            continue
        card = max(losers, key=lambda card: _gone(card, label))
        loss = loss_of(card.group.first, label)
        assert loss is not None  # it is among those that vanished
        shown = card.reconstructions[0].differences
        difference = next((d for d in shown if d.label == label), None)
        return Lead(card, label, loss, difference)
    return None


@dataclass(frozen=True)
class Pair:
    """Two images for the first screen of a page without inversions.

    Attributes:
        words: what they are, as a caption.
    """

    label: str
    pictures: tuple[Picture, Picture]
    words: str


def first_pair(
    results: Results, examples: Sequence[dict[str, Any]], scenes: Sequence[ScenePictures]
) -> Pair | None:
    """The pair that lost most; of sides that are not paired, a real image beside a generated one.

    Args:
        examples: rows of ``example_rows``; the first class with pictures of both sides is shown.
        scenes: the pictures of a paired comparison.
    """
    paired = results.paired
    if paired is not None and paired.shown_class is not None:
        shown = {scene.real.id: scene for scene in scenes}
        for record in paired.images:
            scene = shown.get(record.real)
            if scene is not None and scene.nearest is not None:
                areas = f"{area(record.real_area)} → {area(record.generated_area)} of the image"
                words = f"One of the pairs: {short_name(paired.shown_class)} {areas}."
                return Pair(paired.shown_class, (scene.real, scene.nearest), words)
    for row in examples:
        sides = [[picture for _, picture in row["sides"][side]] for side in SIDES]
        if all(sides):
            real, generated = sides[0][0], sides[1][0]
            words = (
                f"The images with most {short_name(row['label'])}: real, {area(real.area)} of the "
                f"image; generated, {area(generated.area)}."
            )
            return Pair(row["label"], (real, generated), words)
    return None
