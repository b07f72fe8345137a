"""The findings of inversions as sentences: losses of photos, their quality, and cautions.

A loss is called more than that of inversion alone only where it was calibrated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from seeingkit.results import CalibrationRecord, InversionRecord, LostClass

from .losses import PhotoGroup, calibration_of, group_photos, key_name, key_of, key_order, loss_of
from .numbers import NBSP, change, count, duration, listing, number, share, some_of

CLASSES_NAMED = 4
"""At most so many classes get a sentence of their own."""
BEYOND = "beyond the loss of inversion alone"

METHODS: dict[str, str] = {
    "z": "z alone is optimised, from a random start",
    "encoder": "one network gives z from the image, and nothing is optimised",
    "encoder+z": "z is optimised from the estimate of that network",
    "layered": "small networks, one for each layer up to the cut, give z; nothing is optimised",
    "layered+z": "z is optimised from the estimate of the layered networks",
    "layered+r": "the representation r at the cut is optimised from there, with small residuals "
    "in the layers before it",
}
"""The six methods of Bau et al. 2019, section 4 (a to f)."""


def decibels(value: float | None) -> str:
    """``18.4 dB``; None gives a dash."""
    return "–" if value is None else f"{value:.1f}{NBSP}dB"


def plain(value: float | None) -> str:
    """A correlation or distance to three digits; None gives a dash."""
    return "–" if value is None else f"{value:.3f}".replace("-", "\u2212")


def loss(value: float | None) -> str:
    """A lost share: ``87 %``; a class that has grown reads ``none (+12 %)``."""
    if value is None:
        return "–"
    return share(value) if value >= 0 else f"none ({change(-value)})"


def seconds(value: float) -> str:
    """A time per image: ``0.020 s``, ``3.2 s``, ``1 min 12 s``."""
    return f"{number(value)}{NBSP}s" if value < 10 else duration(value)


def verdict(entry: LostClass) -> str:
    """``omitted``, ``reduced``, ``within calibration`` or ``not calibrated``."""
    if entry.calibrated is None:
        return "not calibrated"
    if entry.omitted:
        return "omitted"
    return "reduced" if entry.lost > entry.calibrated else "within calibration"


def calibration_note(entry: LostClass) -> str:
    """The basis of a class's calibration: ``48 generator samples with it``, or pairs of others."""
    if entry.calibrated is None:
        return "not measured"
    if entry.pairs == 0:
        return "no generator sample to measure it on"
    if entry.pooled:
        return f"{count(entry.pairs, 'pair')} of image and class, all classes of about this area"
    return f"{count(entry.pairs, 'generator sample')} with it"


@dataclass(frozen=True)
class InversionSummary:
    """The words of inversions, plain text.

    Attributes:
        vanished: the lost classes, the headline first: a line for each class that photos were
            picked for, or one line.
        quality: how well photos and generator samples are reconstructed.
        cautions: reasons to read the losses with care.
    """

    vanished: tuple[str, ...] = ()
    quality: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


def describe_inversions(
    records: Sequence[InversionRecord], calibrations: Sequence[CalibrationRecord]
) -> InversionSummary:
    """Put the inversions of a run into words; empty without records.

    The sentences speak of the method and cut that is shown first (``losses.key_order``).
    """
    if not records:
        return InversionSummary()
    groups = group_photos(records)
    first = key_order(records)[0]
    shown = [group for group in groups if key_of(group.first) == first]
    return InversionSummary(
        tuple(_vanished(shown)),
        tuple(_quality(groups, shown, calibrations)),
        tuple(_cautions(shown)),
    )


def summarise_inversions(
    records: Sequence[InversionRecord], calibrations: Sequence[CalibrationRecord]
) -> list[str]:
    """``describe_inversions`` as one list of sentences, the headline first."""
    words = describe_inversions(records, calibrations)
    return [*words.vanished, *words.quality, *words.cautions]


def _entries(groups: Iterable[PhotoGroup], label: str) -> list[LostClass]:
    return [entry for group in groups if (entry := loss_of(group.first, label)) is not None]


def _gone(entries: Sequence[LostClass]) -> float:
    """Share of the area of all these photos together that is gone."""
    area = sum(entry.photo_area for entry in entries)
    return 1 - sum(entry.reconstruction_area for entry in entries) / area if area else 0.0


def _vanished(groups: Sequence[PhotoGroup]) -> list[str]:
    picked = list(dict.fromkeys(label for group in groups for label in group.picked))
    if not picked:
        return [_any_class(groups)]
    chosen = {x: _entries([group for group in groups if x in group.picked], x) for x in picked}
    ranked = sorted(picked, key=lambda label: -sum(e.beyond or 0 for e in chosen[label]))
    lines = [_class_sentence(label, chosen[label]) for label in ranked if chosen[label]]
    if len(lines) > CLASSES_NAMED:
        more = count(len(lines) - CLASSES_NAMED, "more class", "more classes")
        lines = [*lines[:CLASSES_NAMED], f"The cards below show {more}."]
    return lines


def _class_sentence(label: str, entries: Sequence[LostClass]) -> str:
    n = len(entries)
    photos = f"the one photo of {label}" if n == 1 else f"{n:,} photos of {label}"
    gone = _gone(entries)
    part = "all" if gone == 1 else share(gone)
    area = f"{part} of its area is gone" if gone > 0 else "its area does not shrink"
    unknown = sum(entry.calibrated is None for entry in entries)
    if unknown == n:
        return (
            f"In {photos}, {area}; the loss of inversion alone was not measured, so it is not "
            "called an omission."
        )
    if n > 1:
        area = f"in all {n:,} together, {area}"
    if unknown:
        area += f" (in {unknown:,}, inversion alone was not measured)"
    omitted = sum(entry.omitted for entry in entries)
    more = f"half of it or more, {BEYOND}"
    if omitted:
        some = photos if n == 1 else f"{some_of(omitted, n)} photos of {label}"
        return f"In {some}, the reconstruction loses {more}; {area}."
    if n == 1:
        return f"In {photos}, the reconstruction does not lose {more}; {area}."
    return f"In none of {photos} does the reconstruction lose {more}; {area}."


def _any_class(groups: Sequence[PhotoGroup]) -> str:
    n = len(groups)
    photos = "the one photo" if n == 1 else f"the {n:,} photos"
    judged = [entry for group in groups for entry in group.first.classes]
    if not judged:
        return (
            f"{count(n, 'photo')} {'was' if n == 1 else 'were'} inverted; no area of classes was "
            "measured, so no class can be called lost."
        )
    if all(entry.calibrated is None for entry in judged):
        shrunk = sum(any(entry.lost > 0 for entry in group.first.classes) for group in groups)
        where = photos if n == 1 else f"{some_of(shrunk, n)} photos"
        return (
            f"In {where}, a class takes less room in the reconstruction; the loss of inversion "
            "alone was not measured, so none is called an omission."
        )
    omitted: dict[str, list[LostClass]] = {}
    for entry in judged:
        if entry.omitted:
            omitted.setdefault(entry.label, []).append(entry)
    if not omitted:
        none = f"{photos}, no class loses" if n == 1 else f"none of {photos} does a class lose"
        return f"In {none} half or more, {BEYOND}."
    named = []
    for label, entries in sorted(omitted.items(), key=lambda item: -len(item[1])):
        where = "" if n == 1 else f"{count(len(entries), 'photo')}, "
        named.append(f"{label} ({where}{share(_gone(entries))} of its area)")
    some = sum(any(entry.omitted for entry in group.first.classes) for group in groups)
    start = f"In {photos}" if n == 1 else f"In {some_of(some, n)} photos"
    return (
        f"{start}, the reconstruction loses half of a class or more, {BEYOND}: "
        f"{listing(named, limit=5)}."
    )


def _quality(
    groups: Sequence[PhotoGroup],
    shown: Sequence[PhotoGroup],
    calibrations: Sequence[CalibrationRecord],
) -> Iterable[str]:
    key = key_of(shown[0].first)
    samples = calibration_of(key, calibrations)
    photos = fmean(group.first.psnr for group in shown)
    several = len(shown) > 1
    subject = "photos are reconstructed at a mean" if several else "the photo is reconstructed at a"
    text = f"By {key_name(key)}, {subject} PSNR of {decibels(photos)}"
    if samples is not None:
        text += f"; {count(samples.n, 'generator sample')} at {decibels(samples.psnr)}, the limit "
        text += "of inversion where nothing needs to be left out"
    yield text + "."
    keys = list(dict.fromkeys(key_of(record) for group in groups for record in group.records))
    known = [record for record in calibrations if key_of(record) in keys]
    if len(known) > 1:
        best = max(known, key=lambda record: record.psnr)
        yield (
            f"Of {len(known):,} ways of inversion, {key_name(key_of(best))} comes closest to "
            f"generator samples ({decibels(best.psnr)})."
        )


def _cautions(shown: Sequence[PhotoGroup]) -> Iterable[str]:
    n = len(shown)
    outside = sum(group.first.unlike for group in shown)
    if outside:
        are = "is" if outside == 1 else "are"
        which = "The photo is" if n == 1 else f"{outside:,} of {n:,} photos {are}"
        yield (
            f"{which} out of distribution and marked so: a class that vanishes there may never "
            "have been in the training data."
        )
    limit = sum(group.first.steps > 0 and not group.first.converged for group in shown)
    if limit:
        which = "The photo" if n == 1 else f"{limit:,} of {n:,} photos"
        yield f"{which} stopped at the limit of steps, still improving."
    classes = [(group, entry) for group in shown for entry in group.first.classes]
    named = {c.label for g, c in classes if c.pooled and (c.omitted or c.label in g.picked)}
    if named:
        yield (
            f"Too few generator samples show {listing(sorted(named))}: the loss by inversion alone "
            "was taken from all classes of about the same area."
        )
