"""What an edit of a weight did, as sentences."""

from __future__ import annotations

from collections.abc import Iterator

from seeingkit.results import AssessedEdit, AssessmentResults
from seeingkit.results.assessment import Share
from seeingkit.results.effects import ClassEffect, Effect

from .artifacts import claims_of_effect
from .assumptions import assumed
from .cautions import skipped_caution
from .findings import Summary
from .numbers import area, between, count, level, listing, number, share

CLASSES = 6
"""Classes that a sentence names."""


def edit_sentence(found: Effect) -> str:
    """The effect of an edit in one or two sentences: the classes that surely change first.

    ``edit_sentence(edit_effect(generator, [edit], segmenter))``
    """
    moved = f"the class of {share(found.moved)} of the pixels changes"
    sure = [one for one in found.classes if claims_of_effect(one)]
    where = f"In {found.n:,} images that it was not planned with, {moved}"
    if not sure:
        return f"{where}, and no class surely gains or loses."
    return (
        f"{where}. Classes that surely change: {listing([_changed(one) for one in sure], CLASSES)}."
    )


def _changed(one: ClassEffect) -> str:
    return f"{one.label} from {area(one.before)} to {area(one.after)}"


FEW_MATCHES = 20
"""Images with matching places below which a caution stands."""
LOOSE = 0.25
"""Share of the context's own area that matches below which a caution stands."""


def summarise_assessment(results: AssessmentResults) -> Summary:
    """Put an assessment into words: each edit where it is meant to act, then everything else.

    ``summarise_assessment(results).headline``
    """
    first, *others = [success_sentence(edit) for edit in results.edits]
    details = [*others]
    for edit in results.edits:
        details += _price_sentences(edit, results)
    details.append(distance_sentence(results))
    details.append(_classes_sentence(results))
    return Summary(first, tuple(details), tuple(assessment_cautions(results)))


def success_sentence(edit: AssessedEdit) -> str:
    """The gain of an edit where its context matches, or that none is shown.

    ``success_sentence(results.edits[0])``
    """
    if not edit.matching:
        return f"{edit.name} does not say where it is meant to act."
    wanted = listing(edit.wanted, CLASSES)
    if edit.before.value is None or edit.after.value is None:
        return f"No place of these images matches the context of {edit.name}."
    told = f"from {share(edit.before.value)} to {share(edit.after.value)} of the pixels"
    gain = f"{points(edit.success.value)}; {ends_of(edit.success)}"
    if not edit.claimed:
        return f"{edit.name} is not shown to bring {wanted} to matching places: {told} ({gain})."
    verb = "brings" if (edit.success.value or 0) > 0 else "takes"
    where = "to" if verb == "brings" else "from"
    return f"{edit.name} {verb} {wanted} {where} matching places: {told} ({gain})."


def points(value: float | None) -> str:
    """A difference of shares with its sign: ``+31 points``, ``−0.4 points``; a dash for None.

    >>> points(0.312), points(None)
    ('+31 points', '–')
    """
    if value is None:
        return "–"
    sign = "+" if value > 0 else "−" if value < 0 else ""
    size = abs(100 * value)
    return f"{sign}{size:.0f} points" if size >= 9.95 else f"{sign}{size:.2g} points"


def ends_of(found: Share) -> str:
    """The interval of a share or of a difference: ``17 to 49 %``; says where there is none.

    >>> ends_of(Share(value=0.5, low=0.2, high=0.8))
    '20 to 80\xa0%'
    """
    if found.low is None or found.high is None:
        return "too few images for an interval"
    return between((found.low, found.high), signed_share)


def signed_share(value: float) -> str:
    """As ``share``, of a number that may be below 0.

    >>> signed_share(-0.25)
    '−25\xa0%'
    """
    return f"−{share(-value)}" if value < 0 else share(value)


def _price_sentences(edit: AssessedEdit, results: AssessmentResults) -> Iterator[str]:
    outside, labels = edit.outside.value, edit.labels_outside.value
    if outside is None or labels is None:
        return
    elsewhere = f"Elsewhere {share(labels)} of the labels change ({ends_of(edit.labels_outside)})"
    elsewhere += f", and pixels by {number(outside)} of a range of 2"
    if edit.matching and edit.success.value and edit.success.value > 0 and edit.area > 0:
        gained = edit.success.value * edit.area
        price = labels * (100 - edit.area) / gained
        elsewhere += f": {number(price)} other pixels for each that the edit gains where it matches"
    yield f"{elsewhere}."
    if results.touched.value is not None:
        yield (
            f"{share(results.touched.value)} of the images are touched: more than "
            f"{level(results.touched_share)} of their labels change ({ends_of(results.touched)})."
        )


def distance_sentence(results: AssessmentResults) -> str:
    """Whether the edits bring images nearer to the real ones.

    ``distance_sentence(results)``
    """
    found = results.distance
    told = (
        f"from {number(found.before)} to {number(found.after)} percent², gain {number(found.gain)} "
        f"({between((found.low, found.high))})"
    )
    if found.claim == "nearer":
        return f"The images get nearer to the real ones: FSD {told}."
    if found.claim == "farther":
        return f"The images get farther from the real ones: FSD {told}."
    return f"The distance from the real images does not surely change: FSD {told}."


def _classes_sentence(results: AssessmentResults) -> str:
    sure = [one for one in results.effect.classes if claims_of_effect(one)]
    if not sure:
        return "No class surely gains or loses area or images."
    return f"Classes that surely change: {listing([_changed(one) for one in sure], CLASSES)}."


def assessment_cautions(results: AssessmentResults) -> list[str]:
    """The reasons to read an assessment with care, most important first.

    ``assessment_cautions(results)``
    """
    found = []
    for edit in results.edits:
        found += list(_edit_cautions(edit))
    found += [
        *skipped_caution(results.skipped),
        *assumed([results.generator, results.segmenter]),
        *results.warnings,
    ]
    return list(dict.fromkeys(found))


def _edit_cautions(edit: AssessedEdit) -> Iterator[str]:
    if not edit.matching:
        yield (
            f"The file of {edit.name} holds no request, so there are no matching places: every "
            "change counts as one outside."
        )
        return
    if edit.images < FEW_MATCHES:
        yield (
            f"Places that match the context of {edit.name} are in {count(edit.images, 'image')} "
            "alone: take more with -n."
        )
    if edit.context_share is not None and edit.context_share < LOOSE:
        yield (
            f"Only {share(edit.context_share)} of the painted context of {edit.name} matches: its "
            f"keys at {edit.site} are too much like those of other places."
        )
    if edit.wanted and edit.claimed and edit.before.value is not None:
        price, gain = edit.labels_outside.value, edit.success.value
        if price is not None and gain is not None and 0 < gain < price:
            yield (
                f"{edit.name} changes labels elsewhere ({share(price)}) more often than it brings "
                f"{listing(edit.wanted, CLASSES)} where it matches ({share(gain)}): much of the "
                "gain may be that of any change."
            )


def assessed_images(results: AssessmentResults) -> str:
    """Which images an assessment rests on.

    ``assessed_images(results)``
    """
    return (
        f"Effects are measured on {count(results.n, 'image')} of seed {results.seed:,}, a series "
        "of its own, each made without and with the edits; the distance is from "
        f"{count(results.n_real, 'real image')}."
    )
