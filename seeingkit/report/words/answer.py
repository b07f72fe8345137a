"""The answer of a comparison in one sentence of names, and how sure it is in another.

What is said follows from the claims (``results.ClassResult``): "almost no" and "few" speak of
images and rest on the claim about them; "too little room" rests on the area alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seeingkit.results import ClassResult, Results, images_lost

from ..selection import judged
from .nouns import plural
from .numbers import level, share

NEARLY_ALL = -0.75
"""Relative difference from which on a loss reads "almost no"."""
NAMED = 8
"""At most so many classes are named in the answer."""


@dataclass(frozen=True)
class Word:
    """A piece of a sentence; ``index``: of the class that it names, None for plain text."""

    text: str
    index: int | None = None


@dataclass(frozen=True)
class Answer:
    """The first lines of a page.

    Attributes:
        words: the answer, piece by piece.
        sure: on how many images it rests, and its error rate.
        classes: those that are named, in order.
    """

    words: tuple[Word, ...]
    sure: str
    classes: tuple[ClassResult, ...] = ()

    @property
    def text(self) -> str:
        """The answer as plain text."""
        return "".join(word.text for word in self.words)


def answer_of(results: Results) -> Answer:
    """The answer that the results give."""
    shown = [record for record in judged(results) if record.real_area > 0]
    lost = sorted((r for r in shown if r.omitted), key=_loss)
    if not shown:
        return Answer((Word("The real images show no class that the segmenter knows."),), "")
    if not lost:
        return Answer(tuple(_nothing(results, shown)), _sure(results))
    named = lost[:NAMED]
    seen = [r for r in named if _in_images(r)]
    groups = [
        ("almost no ", [r for r in seen if _loss(r) <= NEARLY_ALL]),
        ("few ", [r for r in seen if _loss(r) > NEARLY_ALL]),
        ("far too little room to ", [r for r in named if not _in_images(r)]),
    ]
    draws, gives = ("draws ", "gives ") if results.generator is not None else ("show ", "give ")
    words = [Word("The generator " if results.generator is not None else "The generated images ")]
    verb = ""
    for amount, records in groups:
        if not records:
            continue
        now = gives if amount.endswith("to ") else draws
        start = amount if verb == now else now + amount
        words += [Word(f", and {start}" if verb else start), *_names(records)]
        verb = now
    if len(lost) > len(named):
        words.append(Word(f"; {len(lost) - len(named):,} more classes are missing"))
    ordered = tuple(record for _, records in groups for record in records)
    return Answer((*words, Word(".")), _sure(results), ordered)


def _in_images(record: ClassResult) -> bool:
    """Whether fewer images show it: claimed, or all that older runs say of a verdict."""
    return record.images_claim == "in fewer images" or record.because == "presence"


def _loss(record: ClassResult) -> float:
    """Relative difference in area or, where that is not claimed, in images."""
    if record.area_claim == "no evidence":
        before, now, _ = images_lost(record)
        return (now - before) / before if before else 0.0
    return record.relative_difference or 0.0


def _names(records: Sequence[ClassResult]) -> Iterable[Word]:
    for place, record in enumerate(records):
        if place:
            yield Word(" and " if place == len(records) - 1 else ", ")
        yield Word(plural(record.label), record.index)


def _nothing(results: Results, shown: Sequence[ClassResult]) -> Iterable[Word]:
    of = "the one class" if len(shown) == 1 else f"the {len(shown):,} classes"
    yield Word(f"Nothing is found to be left out of {of} that the real images show")
    less = sorted(
        (r for r in shown if r.verdict in ("reduced", "in fewer images") and not r.composition),
        key=_loss,
    )[:NAMED]
    if less:
        yield Word("; somewhat rarer or smaller: ")
        yield from _names(less)
    yield Word(".")


def _sure(results: Results) -> str:
    images = f"{results.n_real:,} real and {results.n_generated:,} generated images"
    if results.n_real == results.n_generated:
        images = f"{results.n_real:,} real and as many generated images"
    if results.paired is not None:
        images = f"{results.paired.pairs:,} pairs of images"
    rate = f"at most {level(results.level)} of such claims are expected to be false"
    check = results.segmenter_share
    if check is not None and check.pixel_accuracy is not None:
        rate += f"; the segmenter labels {share(check.pixel_accuracy)} of the pixels correctly"
    return f"From {images}; {rate}."
