"""Cautions beside the numbers: few images, a high floor, resolution, segmentation error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seeingkit.results import ClassResult, Results, SegmenterClass, SkippedItem

from .numbers import at_least, count, level, listing, number, probability

FEW_IMAGES = 100
"""Below this many images a side, only large losses are visible."""
FEW_FOR_FSD = 5000
"""Below this many images a side, a good generator's FSD is mostly sampling noise."""
EXAMPLE = "1 %"
"""Presence of a rare class, for which a reader with few images is told how many it takes."""
NAMED = 5
"""At most so many flagged classes are named."""
CHECKS = {
    "labels": "against true labels",
    "scale": "at a second scale",
    "segmenter": "with a second segmenter",
}
"""The kinds of check of the segmenter, in words."""
SKIPPED = {
    "real": ("real", "real"),
    "generated": ("generated", "generated"),
    "photo": ("photo to invert", "photos to invert"),
    "own": ("generator sample to invert", "generator samples to invert"),
    "levels": ("generated for the levels", "generated for the levels"),
}
"""One and several skipped images of each source, in words."""


def cautions(results: Results, classes: Sequence[ClassResult]) -> list[str]:
    """The cautions of a comparison, most important first.

    Args:
        results: of the comparison.
        classes: those of its classes that findings speak of.
    """
    return [
        *_few_images(results),
        *_floor(results),
        *_other_sides(results),
        *_flagged(results, classes),
        *skipped_caution(results.skipped),
    ]


def sides(results: Results) -> str:
    """``13 images per side``, ``13 real and 1 generated image``."""
    n, m = results.n_real, results.n_generated
    if n == m:
        return f"{count(n, 'image')} per side"
    return f"{n:,} real and {m:,} generated {'image' if m == 1 else 'images'}"


def power_sentence(results: Results) -> str:
    """The smallest class whose loss would be detected; empty where this is not known."""
    power = results.power
    if power is None or power.all_removed is None:
        return ""
    n, m = results.n_real, results.n_generated
    at = f"{n:,} images a side" if n == m else sides(results)
    text = (
        f"At {at}, the loss of a class would be detected (power {level(power.power)}) if at least "
        f"{at_least(power.all_removed)} of the real images show it above the area threshold"
    )
    if power.half_removed is not None:
        text += f"; the loss of half of its images, if at least {at_least(power.half_removed)} do"
    return text + "."


def _few_images(results: Results) -> Iterable[str]:
    n, power, given = min(results.n_real, results.n_generated), results.power, sides(results)
    if n >= FEW_FOR_FSD:
        return
    if n >= FEW_IMAGES:
        yield (
            f"With {given} the FSD is biased upwards; compare it only with values at the same "
            "number of images, with the same segmenter and the same preset."
        )
    few = f"With {given} only large losses can be seen: a class"
    if power is None:
        if n < FEW_IMAGES:
            yield f"{few} that is not named here may still be missing."
    elif power.all_removed is None:
        yield (
            f"With {given} no class can be expected to be called missing: not even the loss of a "
            f"class that every real image shows would be found with a power of {level(power.power)}"
            ". That no class is named here does not mean that the generator draws all of them."
        )
    elif n < FEW_IMAGES:
        half = "cannot be seen of any class"
        if power.half_removed is not None:
            half = f"is seen only if at least {at_least(power.half_removed)} show it"
        yield (
            f"{few} can be called missing only if at least {at_least(power.all_removed)} of the "
            f"real images show it and it is gone altogether (power {level(power.power)}); the loss "
            f"of half of its images {half}. Nothing can be concluded about rarer classes: they may "
            "be missing undetected."
        )
        if power.images_needed:
            known = power.images_needed
            presence = EXAMPLE if EXAMPLE in known else next(iter(known))
            yield (
                f"To see the loss of a class in {presence} of the real images takes about "
                f"{count(known[presence], 'image')} a side."
            )


def _floor(results: Results) -> Iterable[str]:
    fsd = results.fsd
    if results.paired is not None:  # swapped pairs take the place of the floor
        return
    if fsd.floor is None:
        yield (
            "The floor of the FSD is not known here: without it the value cannot be told "
            "apart from sampling noise."
        )
    elif fsd.floor > 0 and fsd.floor >= fsd.value:
        yield (
            f"The FSD of {number(fsd.value)} is no larger than its floor of {number(fsd.floor)}: "
            "two samples of the real images lie as far apart."
        )
    elif fsd.floor > 0.5 * fsd.value:
        yield (
            f"More than half of the FSD ({number(fsd.floor)} of {number(fsd.value)}) arises "
            "between two samples of the real images at this size: the value reflects the sample "
            "size more than the generator."
        )
    if fsd.p_value is not None and fsd.p_value > results.level:
        yield (
            f"The permutation test (p = {probability(fsd.p_value)}) finds no difference between "
            "the generated and the real images in their class areas as a whole."
        )


def _other_sides(results: Results) -> Iterable[str]:
    found = results.resolution
    if found is None or not found.mismatch:
        return
    why = "A segmenter reads texture by its scale, so part of every difference may come from that."
    more = "" if "texture" in found.reason else f" {why}"  # most reasons say it themselves
    yield f"The sides differ in resolution: {mismatch_words(results)}.{more}"


def mismatch_words(results: Results) -> str:
    """How the resolutions differ, without a full stop; empty where nothing was measured."""
    found = results.resolution
    if found is None:
        return ""
    if found.reason.strip():
        reason = found.reason.strip().rstrip(".")
        return reason[:1].lower() + reason[1:]
    parts = []
    for name, side in (("real", found.real), ("generated", found.generated)):
        if side.detail is not None:
            parts.append(f"{name} images have the detail of {side.detail:,} pixels")
        elif side.stored is not None:
            parts.append(f"{name} images have {side.stored:,} pixels")
    return ", ".join(parts) or "how far is not known"


def against(results: Results) -> str:
    """The check of the segmenter: ``against true labels (CamVid)``; empty without one."""
    check = results.segmenter_share
    return "" if check is None else f"{CHECKS[check.kind]} ({check.against})"


def segmenter_checks(results: Results) -> dict[int, SegmenterClass]:
    """The segmenter's share in each class, by the number of its label.

    Two labels may have one name; both lists have the same order, so they are matched in turn.
    """
    if results.segmenter_share is None:
        return {}
    waiting: dict[str, list[int]] = {}
    for record in results.classes:
        waiting.setdefault(record.label, []).append(record.index)
    found = {}
    for check in results.segmenter_share.classes:
        if waiting.get(check.label):
            found[waiting[check.label].pop(0)] = check
    return found


def _flagged(results: Results, classes: Sequence[ClassResult]) -> Iterable[str]:
    check = results.segmenter_share
    if check is None:
        return
    claimed = {record.index for record in classes if record.verdict != "no evidence"}
    checks = segmenter_checks(results).items()
    named = list(dict.fromkeys(c.label for k, c in checks if c.flagged and k in claimed))
    if named:
        yield (
            f"The difference in {listing(named, limit=NAMED)} may be segmentation error "
            f"(check {CHECKS[check.kind]}: {check.against}). Look at the pictures before trusting "
            f"{'this verdict' if len(named) == 1 else 'these verdicts'}."
        )


def skipped_caution(skipped: Sequence[SkippedItem]) -> Iterable[str]:
    """How many images of each side were skipped, in one sentence; nothing where none was."""
    if skipped:
        were = "was" if len(skipped) == 1 else "were"
        numbers = {side: sum(item.source == side for item in skipped) for side in SKIPPED}
        yield (
            f"{count(len(skipped), 'image')} could not be used and {were} skipped "
            f"({listing([count(n, *SKIPPED[side]) for side, n in numbers.items() if n])})."
        )
