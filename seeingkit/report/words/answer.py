"""The answer of a comparison in one sentence of names, and how sure it is in another.

What is said follows from the claims (``results.ClassResult``): "almost no" and "few" speak of
images: at most half as many show it, by the claim about them; "room" rests on the area alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from seeingkit.results import OMITTED_BELOW, ClassResult, Results, images_lost

from ..selection import judged
from .cautions import FEW_IMAGES, power_sentence, segmenter_checks
from .nouns import is_substance, plural
from .numbers import count, level, listing
from .translation import question_of

NEARLY_ALL = -0.75
"""Relative difference from which on a loss, of images or of area, reads "almost no"."""
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
        question: what is asked, where the images are translations.
    """

    words: tuple[Word, ...]
    sure: str
    classes: tuple[ClassResult, ...] = ()
    question: str = ""

    @property
    def text(self) -> str:
        """The answer as plain text."""
        return "".join(word.text for word in self.words)


def answer_of(results: Results) -> Answer:
    """The answer that the results give."""
    return replace(_answer(results), question=question_of(results))


def _answer(results: Results) -> Answer:
    shown = [record for record in judged(results) if record.real_area > 0]
    lost = sorted((r for r in shown if r.omitted), key=_loss)
    if not shown:
        return Answer((Word("The real images show no class that the segmenter knows."),), "")
    if not lost:
        return _nothing(results, shown)
    named = lost[:NAMED]
    seen = [r for r in named if _fewer(r)]
    rest = [r for r in named if not _fewer(r)]
    groups = [
        ("almost no ", [r for r in seen if _loss(r) <= NEARLY_ALL]),
        ("few ", [r for r in seen if _loss(r) > NEARLY_ALL and not is_substance(r.label)]),
        ("little ", [r for r in seen if _loss(r) > NEARLY_ALL and is_substance(r.label)]),
        ("far too little room to ", [r for r in rest if not r.composition]),
        ("less room, maybe only because others grew, to ", [r for r in rest if r.composition]),
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
        more = count(len(lost) - len(named), "more class is", "more classes are")
        words.append(Word(f"; {more} omitted"))
    ordered = tuple(record for _, records in groups for record in records)
    return Answer((*words, Word(".")), _sure(results, ordered), ordered)


def _fewer(record: ClassResult) -> bool:
    """Whether it is claimed that fewer images show it, and at most half as many do."""
    claimed = record.images_claim == "in fewer images"
    if record.images_claim is None:  # a run made before claims were told apart
        claimed = record.because == "presence"
    return claimed and _images_loss(record) <= OMITTED_BELOW


def _images_loss(record: ClassResult) -> float:
    before, now, _ = images_lost(record)
    return (now - before) / before if before else 0.0


def _loss(record: ClassResult) -> float:
    """Relative difference in what is claimed: the larger loss, of images or of area."""
    area = record.relative_difference or 0.0
    if not _fewer(record):
        return area
    return min(_images_loss(record), area if record.area_claim == "less area" else 0.0)


def _names(records: Sequence[ClassResult]) -> Iterable[Word]:
    for place, record in enumerate(records):
        if place:
            yield Word(" and " if place == len(records) - 1 else ", ")
        yield Word(plural(record.label), record.index)


def _nothing(results: Results, shown: Sequence[ClassResult]) -> Answer:
    """The answer where no class is omitted."""
    of = "the one class" if len(shown) == 1 else f"the {len(shown):,} classes"
    words = [Word(f"Nothing is found to be left out of {of} that the real images show")]
    less = sorted(
        (r for r in shown if r.verdict in ("reduced", "in fewer images") and not r.composition),
        key=_loss,
    )[:NAMED]
    if less:
        words += [Word("; somewhat rarer or smaller: "), *_names(less)]
        return Answer((*words, Word(".")), _sure(results, less))
    able = power_sentence(results)
    if min(results.n_real, results.n_generated) < FEW_IMAGES:
        able = "With so few, little could be found."
    sure = f"From {_images(results)}. {able}".strip()
    return Answer((*words, Word(".")), sure)


def _images(results: Results) -> str:
    if results.paired is not None:
        return f"{results.paired.pairs:,} pairs of images"
    if results.n_real == results.n_generated:
        return f"{results.n_real:,} real and as many generated images"
    return f"{results.n_real:,} real and {results.n_generated:,} generated images"


def _sure(results: Results, named: Sequence[ClassResult]) -> str:
    rate = f"of all claims about classes, at most {level(results.level)} are expected to be false"
    checks = segmenter_checks(results)
    checked = [record for record in named if record.index in checks]
    if checked and len(checked) == len(named):
        doubtful = [plural(r.label) for r in checked if checks[r.index].flagged]
        rate += "; the segmenter's errors may explain " if doubtful else "; no sign was found that "
        rate += listing(doubtful) if doubtful else "the segmenter's errors explain these"
    return f"From {_images(results)}; {rate}."
