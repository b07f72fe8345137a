"""The findings of a paired comparison as sentences: losses within pairs, counts, FSD of swaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seeingkit.results import ClassResult, PairedClass, PairedResult, Results

from .numbers import (
    between,
    chance,
    change,
    count,
    interval,
    level,
    listing,
    number,
    probability,
    some_of,
)

MATCHED = {
    "names": "by their names",
    "words": "by their names, but for one word",
    "order": "by their order, because no names agree",
}
"""How partners were found, in words."""

_CLAIMS = {
    "less area": "less area in the generated images than in their real partners",
    "more area": "more area in the generated images than in their real partners",
    "in fewer images": "gone from more images than they have come into",
    "in more images": "come into more images than they have gone from",
}
"""The claims as the ends of sentences."""

NAMED = 6
"""At most so many classes are named in a sentence."""


def paired_headline(results: Results, paired: PairedResult, classes: Sequence[ClassResult]) -> str:
    """One sentence on the classes that are left out within pairs.

    Args:
        results, paired: of the comparison.
        classes: those of its classes that findings speak of.
    """
    shown = [record for record in classes if record.real_area > 0]
    pairs = {record.index: record for record in paired.classes}
    omitted = [pairs[record.index] for record in shown if record.omitted]
    within = f"Within {count(paired.pairs, 'pair')}"
    if not shown:
        return f"{within} no real image shows any class that the segmenter knows."
    if not omitted:
        return (
            f"{within} nothing is found to be left out: of the "
            f"{count(len(shown), 'class', 'classes')} that the real images show, none has lost at "
            "least half of its area or of its images at a false discovery rate of "
            f"{level(results.level)}."
        )
    of = f"{some_of(len(omitted), len(shown))} classes" if len(shown) > 1 else "the only class"
    texts = [f"{record.label} ({_loss(record)})" for record in omitted[:NAMED]]
    if len(omitted) > NAMED:
        texts.append(f"and {len(omitted) - NAMED:,} more")
    return (
        f"{within}, {of} of the real images {'is' if len(omitted) == 1 else 'are'} left out of the "
        f"generated ones: {', '.join(texts)}; at a false discovery rate of {level(results.level)}."
    )


def _loss(record: PairedClass) -> str:
    text = f"area {change(record.relative_difference)}"
    if record.area_claim == "less area":
        text += f", interval {relative_ends(record)}, {chance('q', record.q_area)}"
    else:
        text += f"; {_lost_and_won(record)}, {chance('q', record.q_images)}"
    return f"{vanishing(record)}; {text}" if record.shown else text


def vanishing(record: PairedClass) -> str:
    """``vanishes from 9 of 9 images that show more than a speck, p = 0.004``."""
    where = f"{record.vanished:,} of {count(record.shown, 'image')}"
    p = chance("p", record.p_vanished)
    return f"vanishes from {where} that show more than a speck, {p}"


def paired_details(
    results: Results, paired: PairedResult, classes: Sequence[ClassResult]
) -> Iterable[str]:
    """Other claims, a sentence each; FSD of the pairs; how many classes could be claimed."""
    records = {record.index: record for record in classes}
    known = [c for c in paired.classes if c.index in records and not records[c.index].omitted]
    for claim, words in _CLAIMS.items():
        found = [c for c in known if claim in (c.area_claim, c.images_claim)]
        if found:
            have = "class has" if len(found) == 1 else "classes have"
            names = listing([_numbers(c, claim) for c in found], limit=NAMED)
            yield f"{len(found):,} further {have} {words}: {names}."
    if any(claims(record) != "no evidence" for record in paired.classes):
        yield (
            "A claim says that the two images of a pair are not interchangeable in this class, and "
            "which way its mean points."
        )
    yield _distance(results, paired)
    total = len(paired.classes)
    yield (
        f"Of {count(total, 'class', 'classes')}, {paired.tested_area:,} differ in enough pairs for "
        f"a claim about their area to be possible, {paired.tested_images:,} for one about the "
        "images that show them; the others were not tested."
    )


def _numbers(record: PairedClass, claim: str) -> str:
    if claim.endswith("area"):
        if record.relative_difference is None:
            return f"{record.label} (new)"
        return f"{record.label} ({change(record.relative_difference)})"
    return f"{record.label} ({_lost_and_won(record)})"


def _lost_and_won(record: PairedClass) -> str:
    lost, won = count(record.only_real, "image"), count(record.only_generated, "image")
    return f"gone from {lost}, come into {won}"


def _distance(results: Results, paired: PairedResult) -> str:
    fsd = results.fsd
    text = (
        f"FSD {number(fsd.value)} percent² between the two sides "
        f"(mean {number(fsd.mean_term)} + covariance {number(fsd.cov_term)})"
    )
    if paired.p_fsd is None or paired.fsd_swapped is None:
        return f"{text}; without swaps of pairs it has no p-value."
    swaps = f"{paired.swaps:,} random swaps"
    if paired.exact_fsd:
        swaps = f"all {count(paired.swaps, 'swap')}"
    text += (
        f"; with the images of pairs swapped it is {number(paired.fsd_swapped)} on average "
        f"({swaps}), p = {probability(paired.p_fsd)}"
    )
    if paired.p_fsd <= 1.000001 / (paired.swaps + 1):
        text += ", the smallest that they can give"
    elif paired.p_fsd > results.level:
        text += ", so FSD as a whole shows no difference"
    return text + "."


def relative_ends(record: PairedClass) -> str:
    """The interval of the relative difference: ``−100 to −68 %``, ``from +12 %``.

    ``unbounded`` where the only end is −100 %: below that nothing can be.
    """
    low, high = record.relative_low, record.relative_high
    if high is None and low is not None and low <= -1:
        low = None
    return interval(low, high)


def difference_ends(record: PairedClass) -> str:
    """The interval of the mean difference in percentage points: ``−2.9 to −0.065``."""
    return between((record.difference_low, record.difference_high))


def claims(record: PairedClass) -> str:
    """Both claims: ``less area, in fewer images``; ``no evidence``."""
    made = [c for c in (record.area_claim, record.images_claim) if c != "no evidence"]
    return ", ".join(made) or "no evidence"


def interval_name(paired: PairedResult) -> str:
    """The interval of a class's relative difference: ``99.5 % interval``."""
    confidence = 100 * paired.confidence_area
    return (
        f"{confidence:.3g}\u00a0% interval"
        if confidence < 99.9
        else f"{confidence:.5g}\u00a0% interval"
    )
