"""The evidence of a verdict on one class as sentences: the numbers that its tests used."""

from __future__ import annotations

from collections.abc import Iterable

from seeingkit.results import ClassResult, PairedClass, PairedResult, claims_of

from .numbers import area, chance, change, interval, share

LEAST_P = 1e-6
"""No smaller p-value of a mean area is given (``docs/statistics.md``)."""


def evidence(
    record: ClassResult, real: int, generated: int, paired: PairedResult | None = None
) -> list[str]:
    """What a class was tested on: mean areas, and numbers of images, each with its q.

    Args:
        record: the class.
        real, generated: images of both sides.
        paired: the tests within pairs, which take the place of all others.
    """
    if paired is not None:
        found = next((pair for pair in paired.classes if pair.index == record.index), None)
        return [] if found is None else list(_within_pairs(found))
    areas = [] if record.one_class else [_area(record)]
    return [*areas, *_images(record, real, generated)]


def _area(record: ClassResult) -> str:
    text = (
        f"It covers {area(record.real_area)} of the picture area in real images and "
        f"{area(record.generated_area)} in generated ones"
    )
    if record.relative_difference is not None:
        ends = interval(record.ci_low, record.ci_high)
        text += f" ({change(record.relative_difference)}; interval {ends})"
    if record.area_claim is None and record.because == "presence":  # an older run
        return f"{text}."
    claims = [] if record.area_claim == "no evidence" else list(claims_of(record)[:1])
    claim = claims[0] if claims else record.area_claim or record.verdict
    q = record.q_area if record.q_area is not None else record.q_value
    return f"{text}: {_said(claim)}, {_chance(q, record.p_area)}."


def _images(record: ClassResult, real: int, generated: int) -> Iterable[str]:
    if record.real_seen is None or record.generated_seen is None:
        if record.because == "presence":
            before, now = share(record.real_presence), share(record.generated_presence)
            said = f"{record.verdict}, {chance('q', record.q_value)}"
            yield f"{before} of the real and {now} of the generated images show it: {said}."
        return
    text = (
        f"{round(record.real_seen * real):,} of {real:,} real images ({share(record.real_seen)}) "
        f"and {round(record.generated_seen * generated):,} of {generated:,} generated ones "
        f"({share(record.generated_seen)}) "
        f"{'are read as it' if record.one_class else 'show more than a speck of it'}"
    )
    if record.images_claim is None or record.q_images is None:
        yield f"{text}."
        return
    yield f"{text}: {_said(record.images_claim)}, {_chance(record.q_images, record.p_seen)}."


def _said(claim: str) -> str:
    return "no evidence of a difference" if claim == "no evidence" else claim


def _chance(q: float, p: float | None) -> str:
    """A q-value with its symbol; "≤" where its p is the smallest that is ever given."""
    text = chance("q", q)
    return text.replace("=", "≤") if p is not None and p <= LEAST_P * 1.000001 else text


def _within_pairs(record: PairedClass) -> Iterable[str]:
    if record.shown:
        yield (
            f"It vanishes from {record.vanished:,} of {record.shown:,} images that show more than "
            "a speck of it."
        )
    area_q = f", {chance('q', record.q_area)}" if record.tested_area else ""
    yield f"Area {change(record.relative_difference)}: {record.area_claim}{area_q}."
    images_q = f", {chance('q', record.q_images)}" if record.tested_images else ""
    yield (
        f"{record.only_real:,} pairs lose it and {record.only_generated:,} win it: "
        f"{record.images_claim}{images_q}."
    )
