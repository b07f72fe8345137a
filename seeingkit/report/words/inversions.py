"""The findings of inversions as sentences: rates of vanishing, quality, and cautions.

A class is said to vanish more often than others only by its verdict; both rates stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from seeingkit.results import CalibrationRecord, ClassVanishing, InversionRecord, LostClass

from .losses import Key, PhotoGroup, calibration_of, group_photos, key_name, key_of, key_order
from .nouns import plural
from .numbers import NBSP, chance, change, count, duration, listing, number, share

CLASSES_NAMED = 4
"""At most so many classes get a sentence of their own."""

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


def usual_note(entry: LostClass) -> str:
    """The basis of a usual rate: ``of 48 drawn classes of about this area in these photos``."""
    if entry.usual is None:
        return "no drawn class of about this area in these photos"
    pairs = count(entry.usual_pairs, "pair")
    return f"of {pairs} of photo and drawn class, of about this area in these photos"


VERDICTS: dict[str, str] = {
    "more often": "more often than classes that it draws",
    "no evidence": "no evidence that this is more often",
    "too few": "too little to tell",
    "not compared": "not compared, for no samples with a foreign patch were inverted",
}
"""The verdict on a class, after its rates."""
VERDICTS_NOTE = "the table of rates has their verdicts"


def rates(record: ClassVanishing) -> str:
    """Both rates of a class: ``person vanishes in 8 of 8 photos; classes of this size …``."""
    near, hard = record.in_photos, record.in_samples
    text = f"{record.label} vanishes in {record.vanished:,} of {count(record.photos, 'photo')}"
    if near.rate is None:
        text += "; no class of this size that the generator draws is in these photos"
    else:
        text += f"; classes of this size that the generator draws, in {share(near.rate)} there"
    if hard is not None and hard.rate is not None:
        which = f"{record.label} itself" if hard.same_class else "such classes"
        text += f"; in its own samples with a foreign patch, {which} in {share(hard.rate)}"
    return text


def rate_sentence(record: ClassVanishing) -> str:
    """Both rates and the verdict; the q-value where there is one."""
    said = VERDICTS[record.verdict]
    if record.vanished == 0:
        return f"{rates(record)}."
    sure = f" ({chance('q', record.q_value)})" if record.q_value is not None else ""
    return f"{rates(record)}: {said}{sure}."


def more_often_sentence(labels: Sequence[str]) -> str:
    """The classes that vanish more often than drawn ones, as a headline.

    >>> more_often_sentence(["person", "water"])
    'Persons and water vanish from these photos more often than classes that the generator draws.'
    """
    names = listing([plural(label) for label in labels])
    verb = "vanishes" if len(labels) == 1 and plural(labels[0]) == labels[0] else "vanish"
    return (
        f"{names[:1].upper()}{names[1:]} {verb} from these photos more often than classes that the "
        "generator draws."
    )


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
    records: Sequence[InversionRecord],
    calibrations: Sequence[CalibrationRecord],
    vanishing: Sequence[ClassVanishing] = (),
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
        tuple(_vanished(shown, [record for record in vanishing if key_of(record) == first])),
        tuple(_quality(groups, shown, calibrations)),
        tuple(_cautions(shown, vanishing)),
    )


def summarise_inversions(
    records: Sequence[InversionRecord],
    calibrations: Sequence[CalibrationRecord],
    vanishing: Sequence[ClassVanishing] = (),
) -> list[str]:
    """``describe_inversions`` as one list of sentences, the headline first."""
    words = describe_inversions(records, calibrations, vanishing)
    return [*words.vanished, *words.quality, *words.cautions]


def _vanished(groups: Sequence[PhotoGroup], vanishing: Sequence[ClassVanishing]) -> list[str]:
    """The classes that vanish more often, then those that photos were picked for, then none."""
    picked = {label for group in groups for label in group.picked}
    sure = [record for record in vanishing if record.verdict == "more often"]
    named = [*sure, *(r for r in vanishing if r.label in picked and r not in sure)]
    if not named:
        return [_no_class(groups, vanishing)]
    lines = [rate_sentence(record) for record in named[:CLASSES_NAMED]]
    if len(named) > CLASSES_NAMED:
        more = count(len(named) - CLASSES_NAMED, "more class", "more classes")
        lines.append(f"The table of rates shows {more}.")
    return lines


def _no_class(groups: Sequence[PhotoGroup], vanishing: Sequence[ClassVanishing]) -> str:
    """The headline where no class is found to vanish more often."""
    n = len(groups)
    photos = "the one photo" if n == 1 else f"the {n:,} photos"
    if not any(group.first.classes for group in groups):
        return (
            f"{count(n, 'photo')} {'was' if n == 1 else 'were'} inverted; no area of classes was "
            "measured, so no class can be called lost."
        )
    lost = dict.fromkeys(label for group in groups for label in group.vanished)
    if not lost:
        return f"No class vanishes from {photos}."
    labels = listing(list(lost), limit=5)
    verb = "vanishes" if len(lost) == 1 else "vanish"
    some = photos if n == 1 else f"some of {photos}"
    if not any(record.verdict in ("more often", "no evidence") for record in vanishing):
        why = (
            "the photos are too few to tell whether the generator can draw "
            + ("it" if len(lost) == 1 else "them")
            if any(record.verdict == "too few" for record in vanishing)
            else "no rates were compared, so nothing is said about the generator"
        )
        return f"{labels} {verb} from {some}; {why}."
    return (
        f"{labels} {verb} from {some}, none more often than classes of its size that the "
        "generator draws, as far as these photos can show."
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
        text += f"; {count(samples.n, 'generator sample')} at {decibels(samples.psnr)}"
        if samples.patched_psnr is not None:
            text += (
                f", {samples.patched:,} with a foreign patch at {decibels(samples.patched_psnr)}"
            )
    yield text + "."
    keys = list(dict.fromkeys(key_of(record) for group in groups for record in group.records))
    known = [record for record in calibrations if key_of(record) in keys]
    if len(known) > 1:
        best = max(known, key=lambda record: record.psnr)
        yield (
            f"Of {len(known):,} ways of inversion, {key_name(key_of(best))} comes closest to "
            f"generator samples ({decibels(best.psnr)})."
        )


def _cautions(shown: Sequence[PhotoGroup], vanishing: Sequence[ClassVanishing]) -> Iterable[str]:
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
    yield from _other_cuts(key_of(shown[0].first), vanishing)


def _other_cuts(first: Key, vanishing: Sequence[ClassVanishing]) -> Iterable[str]:
    """That a class vanishes at one cut, and its rates at the others."""
    sure = [r for r in vanishing if key_of(r) == first and r.verdict == "more often"]
    if not sure or not first[1]:
        return
    text = (
        "In how many photos a class vanishes depends on the cut. The rates here are for the cut at "
        f"{first[1]}; later layers can draw more."
    )
    labels = [record.label for record in sure[:CLASSES_NAMED]]
    others = [r for r in vanishing if r.method == first[0] and r.cut != first[1]]
    found = [
        f"{r.label} in {r.vanished:,} of {count(r.photos, 'photo')} at {r.cut}"
        for r in others
        if r.label in labels
    ]
    if found:
        yield f"{text} Of the classes that vanish more often: {listing(found)} ({VERDICTS_NOTE})."
    else:
        yield f"{text} No other cut was tried (--cut default,next)."
