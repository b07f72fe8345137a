"""The findings of several generators as sentences: who is surely nearer, and in what.

"Surely" stands only where a test rejects at the run's level after correction for all pairs (of the
distances) or for all classes and pairs (of the classes); nothing is said of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seeingkit.results import (
    BACKGROUND_NAMES,
    ClassDifference,
    DistanceDifference,
    GeneratorsResults,
)

from .assumptions import assumed
from .findings import Summary
from .numbers import between, count, level, listing, number, probability

PAIRS_SAID = 6
"""Pairs of generators that have a sentence of their own; the table has all."""
CLASSES_SAID = 10


def summarise_generators(results: GeneratorsResults) -> Summary:
    """Put the findings of several generators into words."""
    said = assumed([*(one.generator for one in results.generators), results.segmenter])
    return Summary(
        headline=_headline(results),
        details=(
            *_distances(results),
            *(text for pair in _pairs(results) for text in _classes(results, *pair)),
            *_control(results),
        ),
        cautions=tuple(dict.fromkeys([*_cautions(results), *said, *results.warnings])),
    )


def swap_probability(difference: DistanceDifference) -> str:
    """The p-value of the swap test; ``≤`` where its permutations can give no smaller one."""
    if difference.p_swap is None:
        return "–"
    permutations = difference.permutations
    least = permutations > 0 and difference.p_swap <= 1.000001 / (permutations + 1)
    return ("≤ " if least else "") + probability(difference.p_swap)


def q_text(q: float) -> str:
    """An adjusted p-value; below 0.001 it rests on the form of a far tail, and no digit is said."""
    return "< 0.001" if q < 0.001 else probability(q)


def judged_differences(
    results: GeneratorsResults, first: str, second: str
) -> list[ClassDifference]:
    """The classes of a pair that findings speak of: not "no object", and not a material."""
    return [
        c
        for c in results.classes
        if (c.first, c.second) == (first, second)
        and c.category != "material"
        and not (c.index == 0 and c.label.strip().lower() in BACKGROUND_NAMES)
    ]


def claims(record: ClassDifference) -> bool:
    """Whether anything is claimed of a class and pair."""
    asked = (record.area, record.images)
    return any(question.more or question.closer for question in asked)


def closer_in(records: Sequence[ClassDifference], name: str) -> list[ClassDifference]:
    """The classes in which a generator is surely closer, in area or images, and in neither farther.

    A class in which each question names another generator is in no list.
    """
    found = []
    for record in records:
        closer = {question.closer for question in (record.area, record.images)} - {None}
        if closer == {name}:
            found.append(record)
    return found


def _pairs(results: GeneratorsResults) -> list[tuple[str, str]]:
    return [(d.first, d.second) for d in results.differences[:PAIRS_SAID]]


def _headline(results: GeneratorsResults) -> str:
    sure = [d for d in results.differences if d.nearer]
    for generator in results.generators:
        own = [d for d in results.differences if generator.name in (d.first, d.second)]
        if all(d.nearer == generator.name for d in own):
            if len(own) == 1:
                other = own[0].second if own[0].first == generator.name else own[0].first
                text = f"{generator.name} is surely nearer to the real images than {other}"
                return f"{text}: its FSD is lower by {_lower(own[0])}."
            return (
                f"{generator.name} is surely the nearest to the real images: its FSD is lower than "
                f"that of each of the {len(own)} others ({_all_pairs(results)})."
            )
    if sure:
        known = [f"{d.nearer} than {d.second if d.nearer == d.first else d.first}" for d in sure]
        return (
            f"No generator is surely the nearest to the real images of all. Surely nearer: "
            f"{listing(known)} ({_all_pairs(results)})."
        )
    if len(results.differences) == 1:
        return (
            "Neither generator is surely nearer to the real images: "
            f"{_difference(results.differences[0])}."
        )
    return (
        "No generator is surely nearer to the real images than another one "
        f"({_all_pairs(results)})."
    )


def _lower(difference: DistanceDifference) -> str:
    """By how much the FSD of the nearer one is lower, with its interval."""
    ends = sorted(abs(end) for end in (difference.ci_low, difference.ci_high))
    text = f"{number(abs(difference.value))} percent²"
    return f"{text} ({level(difference.confidence)} interval {between((ends[0], ends[1]))})"


def _all_pairs(results: GeneratorsResults) -> str:
    rate, pairs = level(results.level), len(results.differences)
    return f"{rate} error rate over {count(pairs, 'pair')}"


def _difference(difference: DistanceDifference) -> str:
    confidence = f"{100 * difference.confidence:.3g}\u00a0%"
    ends = between((difference.ci_low, difference.ci_high))
    return (
        f"the FSD of {difference.first} less that of {difference.second} is "
        f"{number(difference.value)} percent² ({confidence} interval {ends})"
    )


def _distances(results: GeneratorsResults) -> Iterator[str]:
    for d in results.differences[:PAIRS_SAID]:
        text = _difference(d)
        sentence = text[0].upper() + text[1:]
        if d.p_swap is None:
            yield sentence + "."
            continue
        shown = swap_probability(d)
        p = f"p {'' if shown.startswith(('≤', '<')) else '= '}{shown}"
        if d.nearer:
            yield f"{sentence}; swap test of one common distribution: {p}."
        elif d.p_swap <= 1 - d.confidence:
            yield (
                f"{sentence}. That they are one distribution is rejected (swap test {p}), but "
                "which is nearer is open: the two nulls differ."
            )
        else:
            yield (
                f"{sentence}. Two samples of one generator differ like this, too (swap test {p})."
            )


def _classes(results: GeneratorsResults, first: str, second: str) -> Iterator[str]:
    records = judged_differences(results, first, second)
    parts = []
    for name in (first, second):
        labels = [record.label for record in closer_in(records, name)]
        if labels:
            parts.append(f"{name} in {listing(labels, limit=CLASSES_SAID)}")
    rate = f"false discovery rate {level(results.level)}"
    names = f"{first} and {second}"
    if not parts:
        yield f"Of {names}, neither is surely closer to the real images in any class ({rate})."
        return
    yield (
        f"Of {names}, surely closer to the real images in area or number of images ({rate}): "
        f"{'; '.join(parts)}."
    )


def _control(results: GeneratorsResults) -> Iterator[str]:
    control = results.control
    if control is None:
        return
    fsd = control.fsd
    ends = ""
    if fsd.ci_low is not None and fsd.ci_high is not None:
        ends = f", {level(fsd.confidence)} interval {between((fsd.ci_low, fsd.ci_high))}"
    found = f"{len(control.claimed)} classes have" if len(control.claimed) > 1 else "no class has"
    if len(control.claimed) == 1:
        found = "1 class has"
    named = f" ({listing(control.claimed)})" if control.claimed else ""
    yield (
        f"Control: two halves of the real images, {control.n:,} each, give FSD {number(fsd.value)}"
        f"{ends}; {found} a verdict{named}."
    )


def _cautions(results: GeneratorsResults) -> Iterator[str]:
    first = results.differences[0]
    if first.p_swap is None:
        yield (
            "Without permutations no swap test was made: “surely nearer” rests on the interval "
            "alone, which is less exact where the generators are alike."
        )
    elif first.permutations and 1 / (first.permutations + 1) > 1 - first.confidence:
        yield (
            f"With {count(first.permutations, 'permutation')} the swap test cannot reject at the "
            f"level of {count(len(results.differences), 'pair')}, so nothing can be called surely "
            "nearer: ask for more with --permutations."
        )
    if results.control and results.control.claimed:
        yield (
            "Two halves of the real images differ in a class by the tests used here: are there "
            "near copies among them, such as frames of one video?"
        )
    if len(results.generators) > 6:
        yield "The figure shows the first 6 generators; the tables have all."
