"""The rows of the table of classes, and the details of each."""

from __future__ import annotations

from dataclasses import dataclass

from seeingkit.results import ClassResult, Interval, Results, SegmenterClass, is_background

from ..words.cautions import segmenter_checks
from ..words.numbers import area, between, change, interval, number, probability, share

ORDER = ("omitted", "reduced", "no evidence", "excess")


@dataclass(frozen=True)
class ClassRow:
    """One row.

    Attributes:
        record: the class.
        rank: sorts by verdict.
        flag: the reason why the difference may be segmentation error, or empty.
        details: (name, value), shown when the row is unfolded.
    """

    record: ClassResult
    rank: str
    flag: str
    details: tuple[tuple[str, str], ...]


def class_rows(results: Results) -> list[ClassRow]:
    """One row a class, in the order of the results, without "no object"."""
    checks = segmenter_checks(results)
    return [
        ClassRow(
            record=record,
            rank=f"{ORDER.index(record.verdict)} {record.because or ''}",
            flag=_flag(checks.get(record.index)),
            details=tuple(_details(record, results)),
        )
        for record in results.classes
        if not is_background(record)
    ]


def _flag(check: SegmenterClass | None) -> str:
    if check is None or not check.flagged:
        return ""
    return check.why or "segmentation errors are large enough to explain this difference"


def _pair(real: str, generated: str) -> str:
    return f"{real} → {generated}"


def _change(value: float | None, ends: Interval | None) -> str:
    if ends is None:
        return change(value)
    return f"{change(value)} ({interval(*ends)})"


def _details(record: ClassResult, results: Results) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if record.real_area_ci is not None or record.generated_area_ci is not None:
        ends = between(record.real_area_ci, area), between(record.generated_area_ci, area)
        found.append(("area, 95 % intervals", _pair(*ends)))
    if record.real_presence_ci is not None or record.generated_presence_ci is not None:
        ends = between(record.real_presence_ci, share), between(record.generated_presence_ci, share)
        found.append(("presence, 95 % intervals", _pair(*ends)))
    if record.presence_change is not None:
        found.append(("change of presence", _change(record.presence_change, record.presence_ci)))
    if record.real_seen is not None and record.generated_seen is not None:
        found.append(
            (
                "images above the area threshold",
                _pair(share(record.real_seen), share(record.generated_seen)),
            )
        )
    if record.real_area_if_present is not None or record.generated_area_if_present is not None:
        sides = [
            "–" if value is None else area(value)
            for value in (record.real_area_if_present, record.generated_area_if_present)
        ]
        found.append(("area if present", _pair(*sides)))
    if record.given_change is not None:
        found.append(("change of area if present", _change(record.given_change, record.given_ci)))
    found.append(("p", _p_values(record)))
    if record.fsd_mean_term is not None and record.fsd_cov_term is not None:
        total = record.fsd_mean_term + record.fsd_cov_term
        part = f" ({share(total / results.fsd.value)} of it)" if results.fsd.value > 0 else ""
        found.append(("adds to FSD", f"{number(total)} percent²{part}"))
    return found


def _p_values(record: ClassResult) -> str:
    """The combined p-value, and in brackets those of its parts."""
    parts = [
        f"{name} {probability(value)}"
        for name, value in (
            ("presence", record.p_presence),
            ("above the area threshold", record.p_seen),
            ("area if present", record.p_given),
            ("mean area", record.p_area),
        )
        if value is not None
    ]
    return probability(record.p_value) + (f" ({', '.join(parts)})" if parts else "")
