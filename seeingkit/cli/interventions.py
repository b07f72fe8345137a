"""What ``seeingkit intervene`` prints: effects, random units, single units, curve, contexts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .output import print_table, say

if TYPE_CHECKING:
    from seeingkit.results.interventions import InterventionResults

SHOWN = 12
"""Rows of a table that are printed, besides all classes with a claim."""


def print_intervention(found: InterventionResults) -> None:
    """Print the effect on each class, random units, ACE, the curve and the table of contexts."""
    many = f"{len(found.units)} unit{'' if len(found.units) == 1 else 's'}"
    done = "set to 0" if found.edit == "ablation" else "inserted"
    say(
        f"{found.generator.name}, {found.layer}: {many} {done}, {found.n} images; "
        f"{_percent(found.effect.moved)} of the pixels change their class"
    )
    if found.chosen_by != "given":
        say(f"units, strongest first: {','.join(map(str, found.units))}")
    say()
    _print_classes(found)
    if found.effect.changes:
        say()
        say("what grows instead")
        rows = [(c.before, c.after, f"{c.area:.2f} %") for c in found.effect.changes[:8]]
        print_table(rows, ("of", "becomes", "of the image"), words=True)
    _print_random(found)
    if (ace := found.causal) is not None:
        say()
        say(
            f"average causal effect on {ace.label}: {ace.value:.3g} % of the image "
            f"{_interval(ace.low, ace.high)}, p {ace.p:.2g}"
        )
    _print_single(found)
    _print_curve(found)
    _print_contexts(found)


def _print_classes(found: InterventionResults) -> None:
    records = found.effect.classes
    listed = [c for k, c in enumerate(records) if k < SHOWN or _claims(c) or c.label == found.label]
    rows = [
        (
            c.label,
            f"{c.before:.3g} %",
            f"{c.after:.3g} %",
            "new" if c.relative is None else _signed(c.relative),
            _interval(c.relative_low, c.relative_high, 100),
            f"{c.q_area:.2g}" if c.tested_area else "-",
            f"{c.only_before}/{c.only_after}",
            f"{c.q_images:.2g}" if c.tested_images else "-",
            _claims(c) or "no evidence",
        )
        for c in listed
    ]
    header = ("class", "before", "after", "change", "95 % interval", "q area", "lost/won")
    print_table(rows, (*header, "q images", "claim"), last_words=True)
    if len(records) > len(listed):
        say(f"… and {len(records) - len(listed)} more classes in the results")


def _claims(record: object) -> str:
    claims = (getattr(record, name) for name in ("area_claim", "images_claim"))
    return ", ".join(claim for claim in claims if claim != "no evidence")


def _print_random(found: InterventionResults) -> None:
    if found.random is None:
        return
    say()
    sets = f"{len(found.random.sets)} set{'' if len(found.random.sets) == 1 else 's'}"
    below = "; below, % of the image" if found.random.classes else ""
    moved = _percent(found.random.moved)
    say(f"as many random units ({sets}): {moved} of the pixels change their class{below}")
    if not found.random.classes:  # no class was named, and none is claimed to change
        return
    before = {c.label: c for c in found.effect.classes}
    rows = [
        (
            c.label,
            f"{before[c.label].difference:+.3g} %" if c.label in before else "-",
            f"{c.lowest:+.3g} to {c.highest:+.3g} %",
            f"{c.against:+.3g} % {_interval(c.low, c.high)}",
            f"{c.p:.2g}",
        )
        for c in found.random.classes[:SHOWN]
    ]
    header = ("class", "these units", "random units", "difference", "p")
    print_table(rows, header)


def _print_single(found: InterventionResults) -> None:
    if (single := found.single) is None:
        return
    say()
    of = f" on {single.label}" if single.label else ""
    claimed = sum(one.claimed for one in single.effects)
    say(
        f"each unit alone{of}, {single.n} other images: {claimed} of {single.tested} tested pairs "
        "of a unit and a class have a claimed effect"
    )
    if single.label:
        say(f"strongest first: {','.join(map(str, single.ranking[:20]))}")
    rows = [
        (
            str(one.unit),
            one.label,
            f"{one.ablated:+.3g} %",
            "-" if one.inserted is None else f"{one.inserted:+.3g} %",
            f"{one.value:+.3g} %",
            _interval(one.low, one.high),
            f"{one.q:.2g}",
        )
        for one in single.effects[:SHOWN]
    ]
    if rows:
        header = ("unit", "class", "ablated", "inserted", "effect", "95 % interval", "q")
        print_table(rows, header)


def _print_curve(found: InterventionResults) -> None:
    if found.curve is None:
        return
    say()
    say(f"{found.curve.label} that is left")
    random = {band.units: band for band in found.curve.random}
    points = {(line.name, p.units): p for line in found.curve.lines for p in line.points}
    rows: list[Sequence[str]] = []
    for units in dict.fromkeys(units for _, units in points):
        cells = [str(units)]
        for line in found.curve.lines:
            point = points.get((line.name, units))
            if point is None or point.remaining is None:
                cells.append("-")
                continue
            ends = _interval(point.remaining_low, point.remaining_high, 100)
            cells.append(f"{_percent(point.remaining)} {ends}")
        band = random.get(units)
        other = "-" if band is None else f"{_percent(band.lowest)} to {_percent(band.highest)}"
        rows.append((*cells, other))
    names = [line.name for line in found.curve.lines]
    print_table(rows, ("units", *names, "random units"))
    for gap in found.curve.gaps:
        if gap.claimed:
            less = gap.first if gap.difference < 0 else gap.second
            more = gap.second if gap.difference < 0 else gap.first
            verb = "unit by {} leaves" if gap.units == 1 else "units by {} leave"
            say(f"{gap.units} {verb.format(less)} less than by {more} (q {gap.q:.2g})")


def _print_contexts(found: InterventionResults) -> None:
    if found.context is None:
        return
    say()
    say(f"{found.context.label} by what stands under the cell")
    rows = [
        (
            c.label or "(outside)",
            str(c.places),
            str(c.images),
            f"{c.effect:+.3g} %",
            _interval(c.low, c.high),
            "-" if c.q is None else f"{c.q:.2g}",
        )
        for c in found.context.contexts
    ]
    print_table(rows, ("class", "places", "images", "effect", "95 % interval", "q"))
    claimed = [one for one in found.context.matrix if one.claimed]
    if not claimed:
        return
    say()
    say("other classes that insertions change, by what stands under the cell")
    changes = [
        (one.under or "(outside)", one.label, f"{one.effect:+.3g} %", _interval(one.low, one.high))
        for one in claimed[:SHOWN]
    ]
    print_table(changes, ("under the cell", "class", "effect", "95 % interval"))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _signed(share: float) -> str:
    return f"{100 * share:+.3g} %"


def _interval(low: float | None, high: float | None, scale: float = 1) -> str:
    if low is None and high is None:
        return "-"
    ends = ("…" if end is None else f"{scale * end:.3g}" for end in (low, high))
    return f"[{', '.join(ends)}]"
