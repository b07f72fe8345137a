"""The losses of photos in their reconstructions, grouped as the report and the terminal show them.

Everything is a plain function of the records of a run: photos with their records (one of each
method and cut), the most lost first, and one row of means for each method and cut. Which one
comes first depends on the order of the records alone: the last-listed ``layered+r``, so that
the writer of the records decides the cut that a reader sees first. Tables and the figure of depth
keep the order of the calibrations, early cuts first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from seeingkit.results import CalibrationRecord, ClassVanishing, InversionRecord, LostClass

from .numbers import area

Key = tuple[str, str]
"""Method and cut."""

HEADLINE_METHOD = "layered+r"
"""The paper's complete method (Bau et al. 2019, section 4, method f)."""


def key_of(record: InversionRecord | CalibrationRecord | ClassVanishing) -> Key:
    """Method and cut of a record."""
    return record.method, record.cut


def key_name(key: Key) -> str:
    """``layered+r at r8``, or the method alone where it has no cut."""
    return f"{key[0]} at {key[1]}" if key[1] else key[0]


@dataclass(frozen=True)
class PhotoGroup:
    """One photo and all its reconstructions.

    Attributes:
        image: stable id of the photo.
        records: one for each method and cut, the one to show first, first.
        picked: the classes for which the photo was chosen; empty if for none.
    """

    image: str
    records: tuple[InversionRecord, ...]
    picked: tuple[str, ...]

    @property
    def first(self) -> InversionRecord:
        """The record that is shown first."""
        return self.records[0]

    @property
    def vanished(self) -> tuple[str, ...]:
        """The classes that lose at least half of their area in the first record."""
        return tuple(entry.label for entry in self.first.classes if entry.vanished)

    @property
    def vanished_area(self) -> float:
        """Area lost by these classes, percent of the image."""
        return sum(entry.gone for entry in self.first.classes if entry.vanished)

    @property
    def lost_area(self) -> float:
        """Area that shrinking classes of the first record lost, percent of the image."""
        return sum(entry.gone for entry in self.first.classes)

    @property
    def focus(self) -> tuple[str, ...]:
        """The classes to look at: those it was picked for, else those that vanish."""
        return self.picked or self.vanished

    def record(self, key: Key) -> InversionRecord | None:
        """The record of one method and cut."""
        return next((record for record in self.records if key_of(record) == key), None)


@dataclass(frozen=True)
class MethodRow:
    """One method at one cut, over all photos and over generator samples.

    Attributes:
        photos: how many photos it inverted.
        psnr, perceptual: means over the photos, in dB and in units of the features.
        lost: mean share lost of the classes to look at (``PhotoGroup.focus``), over photos.
        samples_lost: the same classes on generator samples, over (image, class) pairs.
        calibration: of the method at the cut, on generator samples.
    """

    key: Key
    photos: int
    psnr: float | None
    perceptual: float | None
    lost: float | None
    samples_lost: float | None
    calibration: CalibrationRecord | None

    @property
    def name(self) -> str:
        """Method and cut, as text."""
        return key_name(self.key)


def loss_of(record: InversionRecord, label: str) -> LostClass | None:
    """The loss of a class in one photo, or None where the record does not have it."""
    return next((entry for entry in record.classes if entry.label == label), None)


def photo_words(group: PhotoGroup, label: str = "") -> str:
    """The loss of a class in a photo: ``boat 0.93 % → 0.00 % of the image: vanishes``.

    Args:
        label: the class; without it, that of the largest lost area.
    """
    entries = sorted(group.first.classes, key=lambda entry: -entry.gone)
    entry = loss_of(group.first, label) if label else next(iter(entries), None)
    if entry is None:
        return ""
    said = "vanishes" if entry.vanished else "smaller" if entry.lost > 0 else "kept"
    areas = f"{area(entry.photo_area)} → {area(entry.reconstruction_area)} of the image"
    return f"{entry.label} {areas}: {said}"


def calibration_of(key: Key, calibrations: Iterable[CalibrationRecord]) -> CalibrationRecord | None:
    """The calibration of one method and cut."""
    return next((record for record in calibrations if key_of(record) == key), None)


def key_order(records: Sequence[InversionRecord]) -> list[Key]:
    """All methods and cuts, the one to show first, first, and the others as listed.

    First is the last-listed ``layered+r``; without any, the best in PSNR of photos.
    """
    keys = list(dict.fromkeys(key_of(record) for record in records))
    if not keys:
        return []
    complete = [key for key in keys if key[0] == HEADLINE_METHOD]
    if complete:
        first = complete[-1]
    else:
        first = max(keys, key=lambda key: fmean(r.psnr for r in records if key_of(r) == key))
    return [first, *(key for key in keys if key != first)]


def group_photos(records: Sequence[InversionRecord]) -> list[PhotoGroup]:
    """Photos with their records, by the area of classes that vanish, most first.

    Ties go to the larger lost area, then to the order of the records. Where one photo was
    inverted twice in the same way (picked for two classes), the first record stands for both.
    """
    order = {key: place for place, key in enumerate(key_order(records))}
    found: dict[str, dict[Key, InversionRecord]] = {}
    picked: dict[str, dict[str, None]] = {}
    for record in records:
        found.setdefault(record.image, {}).setdefault(key_of(record), record)
        if record.picked_for is not None:
            picked.setdefault(record.image, {})[record.picked_for] = None
    groups = [
        PhotoGroup(
            image,
            tuple(by_key[key] for key in sorted(by_key, key=order.__getitem__)),
            tuple(picked.get(image, ())),
        )
        for image, by_key in found.items()
    ]
    return sorted(groups, key=lambda group: (-group.vanished_area, -group.lost_area))


def method_rows(
    groups: Sequence[PhotoGroup],
    records: Sequence[InversionRecord],
    calibrations: Sequence[CalibrationRecord],
) -> list[MethodRow]:
    """One row for each method and cut, in the order of the calibrations, then of the records."""
    labels = {label for group in groups for label in group.focus}
    listed: list[CalibrationRecord | InversionRecord] = [*calibrations, *records]
    rows = []
    for key in dict.fromkeys(key_of(record) for record in listed):
        photos = [record for group in groups if (record := group.record(key)) is not None]
        features = [record.perceptual for record in photos if record.perceptual is not None]
        samples = calibration_of(key, calibrations)
        rows.append(
            MethodRow(
                key=key,
                photos=len(photos),
                psnr=fmean(record.psnr for record in photos) if photos else None,
                perceptual=fmean(features) if features else None,
                lost=_mean_loss(groups, key),
                samples_lost=None if samples is None else _samples_loss(samples, labels),
                calibration=samples,
            )
        )
    return rows


def _mean_loss(groups: Iterable[PhotoGroup], key: Key) -> float | None:
    shown = [(group, record) for group in groups if (record := group.record(key)) is not None]
    entries = [loss_of(record, label) for group, record in shown for label in group.focus]
    losses = [entry.lost for entry in entries if entry is not None]
    return fmean(losses) if losses else None


def _samples_loss(samples: CalibrationRecord, labels: set[str]) -> float | None:
    known = [entry for entry in samples.classes if entry.label in labels and entry.pairs]
    pairs = sum(entry.pairs for entry in known)
    return sum(entry.pairs * entry.lost_mean for entry in known) / pairs if pairs else None


def sweep_rows(rows: Sequence[MethodRow], records: Sequence[InversionRecord]) -> list[MethodRow]:
    """The rows of one method at its cuts, in the order of ``rows``; empty if none has several.

    The method that is shown first if it has several cuts, else the first that has.
    """
    methods = [key[0] for key in key_order(records)] + [row.key[0] for row in rows]
    for method in dict.fromkeys(methods):
        same = [row for row in rows if row.key[0] == method and row.key[1]]
        if len(same) > 1:
            return same
    return []


def rate_rows(vanishing: Sequence[ClassVanishing]) -> list[tuple[ClassVanishing, ...]]:
    """The rates of each class at all methods and cuts side by side, as the first cut lists them."""
    found: dict[str, list[ClassVanishing]] = {}
    for record in vanishing:
        found.setdefault(record.label, []).append(record)
    return [tuple(records) for records in found.values()]
