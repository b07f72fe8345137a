"""The evidence of a verdict on one class as sentences: the numbers that its tests used."""

from __future__ import annotations

from collections.abc import Iterable

from seeingkit.results import ClassResult, PairedClass, Results

from .numbers import area, chance, change, interval, share


def evidence(record: ClassResult, results: Results) -> list[str]:
    """What a class was tested on: mean areas, and numbers of images, each with its q.

    Args:
        record: the class.
        results: of the comparison that it is in.
    """
    if results.paired is not None:
        pairs = {r.index: r for r in results.paired.classes}
        return list(_within_pairs(pairs[record.index])) if record.index in pairs else []
    return [_area(record), *_images(record, results)]


def _area(record: ClassResult) -> str:
    text = (
        f"It takes {area(record.real_area)} of the real and {area(record.generated_area)} of the "
        f"generated images"
    )
    if record.relative_difference is not None:
        ends = interval(record.ci_low, record.ci_high)
        text += f" ({change(record.relative_difference)}; interval {ends})"
    claim = record.area_claim if record.area_claim is not None else record.verdict
    q = record.q_area if record.q_area is not None else record.q_value
    return f"{text}: {claim}, {chance('q', q)}."


def _images(record: ClassResult, results: Results) -> Iterable[str]:
    if record.real_seen is None or record.generated_seen is None:
        return
    real = round(record.real_seen * results.n_real)
    generated = round(record.generated_seen * results.n_generated)
    text = (
        f"{real:,} of {results.n_real:,} real images ({share(record.real_seen)}) and "
        f"{generated:,} of {results.n_generated:,} generated ones ({share(record.generated_seen)}) "
        "show more than a speck of it"
    )
    if record.images_claim is None or record.q_images is None:
        yield f"{text}."
        return
    yield f"{text}: {record.images_claim}, {chance('q', record.q_images)}."


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
