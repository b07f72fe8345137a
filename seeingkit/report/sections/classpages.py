"""What a page shows of one class: its evidence, photos that lost it, examples, and its places.

Classes come in the order of the answer, then of the gallery. A photo stands under one class, the
first that it was picked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seeingkit.results import ClassResult, LostClass, Results

from ..pictures.encoding import Picture
from ..pictures.inversions import Card, Difference
from ..words.answer import Answer
from ..words.evidence import evidence
from ..words.losses import loss_of

OTHERS = "other photos"
"""Name of the place of photos that were picked for no class, and from which none vanishes."""


@dataclass(frozen=True)
class ClassPage:
    """One class.

    Attributes:
        label: its name; anchor: its id in the page.
        record: in the results, None for a class that the comparison does not know.
        evidence: sentences.
        cards: (number of the card, card), those that lost most of the class first.
        examples: a row of ``example_rows``, or None.
        open: whether it is unfolded at first.
    """

    label: str
    anchor: str
    record: ClassResult | None
    evidence: tuple[str, ...]
    cards: tuple[tuple[int, Card], ...]
    examples: dict[str, Any] | None
    open: bool


def class_pages(
    results: Results, answer: Answer, cards: Sequence[Card], examples: Sequence[dict[str, Any]]
) -> list[ClassPage]:
    """The classes that there is something to see of.

    Args:
        answer: the classes that it names come first, and are open.
        cards: the photos with their reconstructions.
        examples: rows of ``example_rows``.
    """
    records = {record.label: record for record in reversed(results.classes)}
    shown = {row["label"]: row for row in examples}
    named = [record.label for record in answer.classes]
    picked = [label for card in cards for label in _classes(card)]
    labels = list(dict.fromkeys([*(x for x in named if x in {*shown, *picked}), *shown, *picked]))
    places = dict(_places(cards, labels))
    return [
        ClassPage(
            label=label,
            anchor=_anchor(records.get(label), place),
            record=records.get(label),
            evidence=tuple(evidence(records[label], results)) if label in records else (),
            cards=tuple((k, cards[k]) for k in _most_lost(cards, places[label], label)),
            examples=shown.get(label),
            open=label in named,
        )
        for place, label in enumerate(labels)
    ]


def _classes(card: Card) -> tuple[str, ...]:
    """The classes that a photo may stand under."""
    return card.group.focus or (OTHERS,)


def _anchor(record: ClassResult | None, place: int) -> str:
    return f"class-{record.index}" if record is not None else f"class-x{place}"


def _places(cards: Sequence[Card], labels: Sequence[str]) -> Iterable[tuple[str, list[int]]]:
    """The cards of each class: each under the first of its classes."""
    for label in labels:
        before = set(labels[: labels.index(label)])
        yield (
            label,
            [
                k
                for k, card in enumerate(cards)
                if label in _classes(card) and not before & set(_classes(card))
            ],
        )


def _most_lost(cards: Sequence[Card], places: Iterable[int], label: str) -> list[int]:
    return sorted(places, key=lambda k: -_gone(cards[k], label))


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
        labels: of the answer, the worst first; without them, those that vanish from the photos.
    """
    wanted = dict.fromkeys([*labels, *(x for card in cards for x in card.group.vanished)])
    for label in wanted:
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
    """A real image with much of a class, and the generated one with most of it."""

    label: str
    pictures: tuple[Picture, Picture]


def first_pair(examples: Sequence[dict[str, Any]]) -> Pair | None:
    """The pair for the first screen of a page without inversions: of the first class with both."""
    for row in examples:
        sides = [[picture for _, picture in row["sides"][side]] for side in ("real", "generated")]
        if all(sides):
            return Pair(row["label"], (sides[0][0], sides[1][0]))
    return None
