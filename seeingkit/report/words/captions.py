"""Captions of figures in a paper: what is shown, of how many images, and what a mark means."""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.results import ClassResult, ClassVanishing, FSDResult, LostClass

from .inversions import VERDICTS, loss
from .losses import Key, MethodRow, key_name
from .numbers import MINUS, area, between, chance, count, level, listing, number, share

CUT = f"Differences outside {MINUS}100 % to +110 % are cut at the axis"


def areas_caption(
    sides: Sequence[tuple[str, int, FSDResult]],
    real: tuple[int, str],
    shown: Sequence[ClassResult],
    *,
    limited: bool,
    paired: bool,
    series: bool,
) -> str:
    """Of class areas.

    Args:
        sides: each generator's name, number of images and distance.
        real: number and name of the real images.
        shown: the classes that are drawn, of any of the generators.
        limited: there are more of them.
        paired: verdicts are of the tests within pairs.
        series: the generators are points of one panel, not bars of one panel each.
    """
    drawn = [f"{count(n, 'image')} of {name} (FSD {_distance(fsd)})" for name, n, fsd in sides]
    each = " and in those of each generator" if len(sides) > 1 else " and generated images"
    largest = f"the {len(shown)} classes with the largest real area" if limited else "classes"
    levels = sorted({record.ci_confidence for record in shown})
    ends = "" if not levels else f"{share(levels[0])} "
    if len(levels) > 1:
        ends = f"{level(levels[0])} to {level(levels[-1])} "
    means = "points" if series else "bars"
    text = (
        f"Mean area of {largest} in real images{each}, ordered by real area (above, logarithmic), "
        f"and the relative difference (generated {MINUS} real) / real (below): {means} with {ends}"
        f"intervals, corrected for the number of classes. A triangle above the zero line marks an "
        f"omitted class. {CUT}, and their number is written. "
        f"{count(real[0], 'image')} of {real[1]}; {listing(drawn, len(drawn))}."
    )
    return text + (" Verdicts are those of tests within pairs." if paired else "")


def _distance(fsd: FSDResult) -> str:
    text = number(fsd.value)
    if fsd.floor is not None:
        text += f", floor {number(fsd.floor)}"
    if fsd.ci_high is not None and fsd.bias_reduced is not None:
        ends = between((fsd.ci_low, fsd.ci_high))
        text += f", bias-reduced {number(fsd.bias_reduced)} with {level(fsd.confidence)} interval "
        text += ends
    return text


def lost_words(entry: LostClass) -> str:
    """How much of a class one photo lost: ``87 % of it lost (4.2 % of the photo)``."""
    return f"{loss(entry.lost)} of it lost ({area(entry.photo_area)} of the photo)"


def rate_words(record: ClassVanishing | None) -> list[str]:
    """Both rates of a class and the verdict, a line each, below a picture."""
    if record is None:
        return ["no rates were compared"]
    near = record.in_photos
    text = f"vanishes in {record.vanished:,} of {count(record.photos, 'photo')}; "
    if near.rate is None:
        text += "no class of this size that it draws is in these photos"
    else:
        text += f"classes of this size that it draws: {share(near.rate)}"
    if record.vanished == 0:
        return [text]
    sure = "" if record.q_value is None else f" ({chance('q', record.q_value)})"
    return [text, VERDICTS[record.verdict] + sure]


def pairs_caption(key: Key, photos: int, labels: Sequence[str], *, marked: bool) -> str:
    """Of photos and their reconstructions.

    Args:
        key: method and cut; photos: how many are shown.
        labels: their classes.
        marked: the regions that vanished are shown as well.
    """
    text = (
        f"{count(photos, 'photo')} and the reconstruction of each by {key_name(key)}, for "
        f"{listing(list(dict.fromkeys(labels)), 12)}: of the photos of a class, those that lose "
        "most of its area."
    )
    if marked:
        text += " Right: where the class was lost, kept, or is new."
    return text + " A loss in one photo is no omission: the rates below a class compare."


def depth_caption(rows: Sequence[MethodRow], labels: Sequence[str]) -> str:
    """Of quality and loss by the depth of the cut."""
    method, photos = rows[0].key[0], max(row.photos for row in rows)
    samples = max((row.calibration.n for row in rows if row.calibration is not None), default=0)
    text = f"Inversion by {method} through the layers behind each cut: PSNR of the reconstructions"
    if any(row.lost is not None for row in rows) and labels:
        text += f" and mean share lost of the area of {listing(labels)}"
    text += f"; {count(photos, 'photo')}"
    if samples:
        text += f" and {count(samples, 'generator sample')}"
    return f"{text}. Samples are easier than photos: a gap between the lines proves no omission."
