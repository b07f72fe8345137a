"""The rows of the table of classes with their details, and the examples of each class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from seeingkit.results import ClassResult, Interval, Results, SegmenterClass, is_background

from ..pictures import PagePictures
from ..pictures.encoding import Picture
from ..pictures.gallery import Gallery
from ..selection import Side
from ..words.cautions import segmenter_checks
from ..words.evidence import evidence
from ..words.numbers import area, between, change, interval, number, probability, share

ORDER = ("omitted", "reduced", "in fewer images", "no evidence", "in more images", "excess")
Legend = list[tuple[str, str, str]]
"""Label, CSS colour and area of each label in a picture."""

_Side = TypeVar("_Side")


@dataclass(frozen=True)
class ClassRow:
    """One row.

    Attributes:
        record: the class.
        rank: sorts by verdict.
        flag: the reason why the difference may be segmentation error, or empty.
        details: (name, value), shown when the row is unfolded; evidence: sentences, likewise.
    """

    record: ClassResult
    rank: str
    flag: str
    details: tuple[tuple[str, str], ...]
    evidence: tuple[str, ...]


def class_rows(results: Results) -> list[ClassRow]:
    """One row a class, in the order of the results, without "no object"."""
    checks = segmenter_checks(results)
    numbers = (results.n_real, results.n_generated, results.paired)
    return [
        ClassRow(
            record=record,
            rank=f"{ORDER.index(record.verdict)} {record.because or ''}",
            flag=_flag(checks.get(record.index)),
            details=_details(record, results.fsd.value),
            evidence=tuple(evidence(record, *numbers)),
        )
        for record in results.classes
        if not is_background(record)
    ]


def _flag(check: SegmenterClass | None) -> str:
    if check is None or not check.flagged:
        return ""
    return check.why or "segmentation errors are large enough to explain this difference"


def _details(record: ClassResult, fsd: float) -> tuple[tuple[str, str], ...]:
    r, areas, shares = record, partial(between, text=area), partial(between, text=share)
    seen = "" if r.real_seen is None or r.generated_seen is None else "both"
    rows = (
        ("area, 95 % intervals", _pair(r.real_area_ci, r.generated_area_ci, areas)),
        ("presence, 95 % intervals", _pair(r.real_presence_ci, r.generated_presence_ci, shares)),
        ("change of presence", _change(r.presence_change, r.presence_ci)),
        ("images above the area threshold", seen and _pair(r.real_seen, r.generated_seen, share)),
        ("change of these", _change(r.images_change, r.images_ci)),
        ("change of the share of the rest", _change(r.rest_change, r.rest_ci)),
        ("area if present", _pair(r.real_area_if_present, r.generated_area_if_present, area)),
        ("change of area if present", _change(r.given_change, r.given_ci)),
        ("p", _p_values(r)),
        ("confidence of the interval", _confidence(r)),
        ("adds to FSD", _part(r, fsd)),
    )
    return tuple((name, value) for name, value in rows if value)


def _pair(real: _Side | None, generated: _Side | None, text: Callable[[_Side], str]) -> str:
    if real is None and generated is None:
        return ""
    return " → ".join("–" if side is None else text(side) for side in (real, generated))


def _change(value: float | None, ends: Interval | None) -> str:
    bounds = f" ({interval(*ends)})" if ends is not None else ""
    return "" if value is None else change(value) + bounds


def _confidence(record: ClassResult) -> str:
    return "" if record.area_claim is None else f"{100 * record.ci_confidence:.4g}\u00a0%"


def _p_values(record: ClassResult) -> str:
    """The p-value of the verdict, and in brackets those of its questions and descriptions."""
    parts = (
        ("mean area", record.p_area),
        ("images above the area threshold", record.p_seen),
        ("any pixel", record.p_presence),
        ("area if present", record.p_given),
        ("share of the rest", record.p_rest),
    )
    known = ", ".join(f"{name} {probability(p)}" for name, p in parts if p is not None)
    return probability(record.p_value) + (f" ({known})" if known else "")


def _part(record: ClassResult, fsd: float) -> str:
    if record.fsd_mean_term is None or record.fsd_cov_term is None:
        return ""
    total = record.fsd_mean_term + record.fsd_cov_term
    return f"{number(total)} percent²" + (f" ({share(total / fsd)} of it)" if fsd > 0 else "")


def example_rows(
    gallery: Gallery | None, pictures: PagePictures, results: Results
) -> list[dict[str, Any]]:
    """One row a class of the gallery, in its order.

    Keys: ``label``, ``index``, ``record`` (the class in the results, or None), ``sides`` (by side,
    the pictures with their keys), ``places`` (``Places``, or None).
    """
    records = {record.index: record for record in results.classes}
    return [
        {
            "label": entry.label,
            "index": entry.index,
            "record": records.get(entry.index),
            "sides": {side: list(_keyed(c, side, row)) for side, row in sides.items()},
            "places": places,
        }
        for c, (entry, sides, places) in enumerate(
            zip(gallery.classes if gallery else (), pictures.classes, pictures.places, strict=True)
        )
    ]


def legends(pictures: PagePictures) -> dict[str, Legend]:
    """The legend of each example and scene, by the key of its picture."""
    found: dict[str, Picture] = {}
    for c, sides in enumerate(pictures.classes):
        for side, row in sides.items():
            found.update(_keyed(c, side, row))
    for scene in pictures.scenes:
        found |= {f"{scene.key}.real": scene.real}
    for scene in pictures.scenes:
        if scene.nearest is not None:
            found |= {f"{scene.key}.generated": scene.nearest}
    return {
        key: [(name, colour, area(percent)) for name, colour, percent in picture.legend]
        for key, picture in found.items()
    }


def _keyed(c: int, side: Side, row: Iterable[Picture]) -> Iterable[tuple[str, Picture]]:
    """Pictures of one class and side with their keys, unique in the page."""
    return ((f"{c}.{side}.{k}", picture) for k, picture in enumerate(row))
