"""The findings of an intervention as sentences: losses, what grows instead, chance beside it."""

from __future__ import annotations

from collections.abc import Iterator

from seeingkit.results import ClassEffect, InterventionResults

from .assumptions import assumed
from .findings import Summary
from .numbers import NBSP, area, between, chance, change, count, interval, listing, share

NAMED = 4
"""Classes that a sentence names."""
ENOUGH = 11
"""Images that differ with which one class of twenty can be claimed."""


def summarise_intervention(results: InterventionResults) -> Summary:
    """Put an intervention into words: the class that was asked for first."""
    details = [
        *_random_sentence(results),
        *_moved_sentence(results),
        *_grown_sentence(results),
        *_single_sentence(results),
        *_curve_sentence(results),
        *_context_sentence(results),
    ]
    cautions = tuple(intervention_cautions(results))
    return Summary(_headline(results), tuple(details), cautions)


def _edit_words(results: InterventionResults) -> str:
    units = count(len(results.units), "unit")
    where = "" if results.box is None else " in a part of the image"
    if results.edit == "ablation":
        return f"Setting {units} of {results.layer} to 0{where}"
    return f"Inserting {units} at {results.layer}{where}"


def record_of(results: InterventionResults, label: str | None) -> ClassEffect | None:
    """The effect on a class; None where it occurs nowhere.

    >>> record_of(results, "tree").relative  # doctest: +SKIP
    -0.91
    """
    return next((one for one in results.effect.classes if one.label == label), None)


def _headline(results: InterventionResults) -> str:
    done, label = _edit_words(results), results.label
    if label is None:
        claimed = [one for one in results.effect.classes if one.area_claim != "no evidence"]
        if not claimed:
            return f"{done} is not shown to change the area of any class."
        less = [_changed(one) for one in claimed if one.difference < 0]
        more = [_changed(one) for one in claimed if one.difference > 0]
        told = [f"less {listing(less, NAMED)}"] if less else []
        told += [f"more {listing(more, NAMED)}"] if more else []
        return f"{done} gives {'; '.join(told)}."
    record = record_of(results, label)
    if record is None:
        return f"{done} changes nothing of {label}: no image shows it."
    if record.area_claim == "no evidence":
        q = f"{chance('q', record.q_area)}, corrected for the number of classes"
        amount = f"{change(record.relative)} (interval by itself {_ends(record)}; {q})"
        return f"{done} is not shown to change the area of {label}: {amount}."
    if record.relative is None:
        return f"{done} draws {label} where there was none: {area(record.after)} of the image."
    if record.difference < 0:
        lost = -record.relative
        ends = (record.relative_high, record.relative_low)
        low, high = (None if end is None else -end for end in ends)
        return f"{done} removes {share(lost)} of the {label} ({between((low, high), share)})."
    grown = f"from {area(record.before)} to {area(record.after)} of the image"
    return f"{done} makes {label} grow {grown} ({change(record.relative)}; {_ends(record)})."


def left_words(value: float) -> str:
    """A share that may exceed 1, as percent: ``46 %``, ``104 %``, ``0.3 %``.

    >>> left_words(1.037), left_words(0.0031)
    ('104\xa0%', '0.3\xa0%')
    """
    return f"{100 * value:.0f}{NBSP}%" if value >= 0.0995 else share(value)


def _changed(record: ClassEffect) -> str:
    return f"{record.label} ({change(record.relative)})" if record.relative else record.label


def _ends(record: ClassEffect) -> str:
    return interval(record.relative_low, record.relative_high)


def _random_sentence(results: InterventionResults) -> Iterator[str]:
    if results.random is None or not results.random.classes:
        return
    control = results.random.classes[0]
    record = record_of(results, control.label)
    if record is None or not record.before:
        return
    low, high = (end / record.before for end in (control.lowest, control.highest))
    sets = count(len(results.random.sets), "set")
    yield (
        f"As many random units ({sets}) change the area of {control.label} by "
        f"{interval(low, high)}; the difference of these units from them is "
        f"{between((control.low, control.high))} % of the image ({chance('p', control.p)})."
    )


def _moved_sentence(results: InterventionResults) -> Iterator[str]:
    found = results.effect
    beside = ""
    if results.random is not None:
        beside = f", with as many random units {share(results.random.moved)}"
    yield f"{share(found.moved)} of the pixels change their class{beside}."


def grown_instead(results: InterventionResults, label: str) -> list[tuple[str, float]]:
    """The classes that pixels of a class go to, and the share of these pixels, largest first.

    >>> grown_instead(results, "tree")  # doctest: +SKIP
    [('building', 0.61), ('sky', 0.2)]
    """
    return [(one.after, one.share) for one in results.effect.changes if one.before == label]


def _grown_sentence(results: InterventionResults) -> Iterator[str]:
    label = results.label
    found = [] if label is None else grown_instead(results, label)
    if found:
        named = listing([f"{name} ({share(part)})" for name, part in found[:NAMED]])
        yield f"Pixels that were {label} and are not any more become {named}."


def _single_sentence(results: InterventionResults) -> Iterator[str]:
    if (single := results.single) is None:
        return
    claimed = [one for one in single.effects if one.claimed]
    units = len({one.unit for one in claimed})
    of = f" on {single.label}" if single.label else ""
    told = f"Alone, {units:,} of {count(single.units, 'unit')} have a claimed effect{of}"
    ups = [one for one in claimed if one.value > 0]
    if single.label and ups:
        best = max(ups, key=lambda one: one.value)
        told += f"; the strongest is unit {best.unit} ({area(best.value)} of the image)"
    yield f"{told}."


def _curve_sentence(results: InterventionResults) -> Iterator[str]:
    if (curve := results.curve) is None:
        return
    for gap in curve.gaps:
        if gap.claimed and gap.units == max(one.units for one in curve.gaps):
            less, more = (gap.first, gap.second) if gap.difference < 0 else (gap.second, gap.first)
            yield (
                f"{count(gap.units, 'unit')} by the ranking “{less}” leave less {curve.label} than "
                f"by “{more}” ({chance('q', gap.q)})."
            )


def _context_sentence(results: InterventionResults) -> Iterator[str]:
    if (context := results.context) is None:
        return
    grows = [one for one in context.contexts if one.claimed and one.effect > 0]
    rest = [one.label or "outside" for one in context.contexts if not one.claimed and one.q]
    if not grows:
        yield f"Inserted at one cell, {context.label} is not shown to grow on any class."
        return
    named = listing([one.label or "outside" for one in grows], NAMED)
    told = f"Inserted at one cell, {context.label} grows where there is {named}"
    yield f"{told}, and is not shown to on {listing(rest, NAMED)}." if rest else f"{told}."


def intervention_cautions(results: InterventionResults) -> list[str]:
    """The reasons to read an intervention with care, most important first."""
    found = [
        *_few(results),
        *_side_effect(results),
        *assumed([results.generator, results.segmenter]),
        *results.warnings,
    ]
    return list(dict.fromkeys(found))


def _few(results: InterventionResults) -> Iterator[str]:
    if results.n < ENOUGH:
        yield (
            f"{count(results.n, 'image')} are too few for most claims; a class needs about "
            f"{ENOUGH} images in which it changes."
        )
    if results.random is None:
        yield (
            "No random units were measured, so it is not known how much of the effect any units "
            "would have."
        )


def _side_effect(results: InterventionResults) -> Iterator[str]:
    random, moved = results.random, results.effect.moved
    if random is not None and moved and random.moved > moved / 2:
        yield (
            f"As many random units change the class of {share(random.moved)} of the pixels, these "
            f"{share(moved)}: much of the side effect is that of any units."
        )


def images_words(results: InterventionResults) -> str:
    """Which images effects, choices and pictures rest on."""
    told = (
        f"The effect is measured on {count(results.n, 'image')} of seed {results.seed:,}, a series "
        "of its own"
    )
    used = []
    if results.choice is not None:
        first, second = results.choice.seeds
        used.append(f"units were searched on seeds {first:,} and {second:,}")
    if (known := results.agreement) is not None:
        used.append(f"IoU is that of a dissection of seed {known.seed:,}")
    if results.single is not None:
        used.append(f"single units were measured on seed {results.single.seed:,}")
    return f"{told}; {listing(used)}." if used else f"{told}."
