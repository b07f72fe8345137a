"""Units behind classes, as sentences: what inserted units draw, what less of them brings."""

from __future__ import annotations

from seeingkit.results import ExcessClass, MissingClass, TracingResult

from .numbers import area, between, count, listing, number, share

NAMED = 6
"""At most so many units are named in a sentence."""


def missing_sentence(one: MissingClass, found: TracingResult) -> str:
    """Whether there is a unit for a missing class, and whether inserted units draw it."""
    many = count(len(one.units), "unit")
    moved = f"{area(one.before)} → {area(one.after)}"
    if not one.draws:
        return (
            f"{_agreement(one.label, one)} No {many} of {found.layer} were found that draw it: "
            f"inserted, {moved}; random units {_points(one.random.lowest, one.random.highest)}."
        )
    return (
        f"{_agreement(one.label, one)} Inserted, {many} of {found.layer} draw it: {moved} "
        f"({between((one.low, one.high), _signed)}); random units "
        f"{_points(one.random.lowest, one.random.highest)}."
    )


def excess_sentence(one: ExcessClass, found: TracingResult) -> str:
    """Which units make a class in excess, and what scaling them down does."""
    many = count(len(one.units), "unit")
    moved = f"{area(one.before)} → {area(one.after)}, real {area(one.real_area)}"
    text = f"{_agreement(one.label, one)} "
    if not one.lowers:
        text += (
            f"Scaling {many} of {found.layer} by {number(1 - one.strength)} is not shown to lower "
            f"it more than random units do: {moved}."
        )
    elif one.met:
        text += (
            f"Scaling {many} of {found.layer} by {number(1 - one.strength)} brings it to where it "
            f"cannot be told from the real images: {moved} "
            f"({between((one.to_real_low, one.to_real_high), _signed)} apart)."
        )
    else:
        text += (
            f"Scaling {many} of {found.layer} by {number(1 - one.strength)} lowers it: {moved} "
            f"({between((one.to_real_low, one.to_real_high), _signed)} apart)."
        )
    return f"{text} {distance_sentence(one)}"


def distance_sentence(one: ExcessClass) -> str:
    """What the edit does to FSD."""
    found = one.distance
    ends = between((found.low, found.high), number)
    words = {
        "nearer": "The images are nearer to the real ones",
        "farther": "The images are farther from the real ones",
        "no evidence": "No change of the distance is shown",
    }[found.direction]
    return f"{words}: FSD {number(found.before)} → {number(found.after)} (difference {ends})."


def _agreement(label: str, one: MissingClass | ExcessClass) -> str:
    """``No unit agrees with person.`` or ``3 units agree with tree (5, 9, 77).``"""
    units = one.agreement.units
    if not units:
        return f"No unit is labelled {label}."
    named = listing([str(unit) for unit in units], limit=NAMED)
    return f"{count(len(units), 'unit is', 'units are')} labelled {label} ({named})."


def _points(low: float, high: float) -> str:
    """``+0.01 to +0.02 points``."""
    return f"{_signed(low)} to {_signed(high)} points"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


def summary_of(found: TracingResult) -> str:
    """One sentence on all classes of a tracing.

    >>> summary_of(TracingResult(layer="r8", units=20, n=200, seed=0, searched=100,
    ...     search_seeds=(1, 2), dissected=480, level=0.05, patch=3, places=2))
    'At r8 no class was traced.'
    """
    parts = []
    if found.missing:
        drawn = [one.label for one in found.missing if one.draws]
        which = f": {listing(drawn)}" if drawn else ""
        many = count(len(found.missing), "missing class", "missing classes")
        parts.append(f"units that draw {len(drawn)} of {many}{which}")
    if found.excess:
        lower = [one.label for one in found.excess if one.lowers]
        which = f": {listing(lower)}" if lower else ""
        many = count(len(found.excess), "class", "classes")
        parts.append(f"units that make {len(lower)} of {many} in excess{which}")
    if not parts:
        return f"At {found.layer} no class was traced."
    return f"At {found.layer} there are {', and '.join(parts)}."


def share_words(value: float) -> str:
    """A strength as the scale that is left: ``38 % left``."""
    return f"{share(1 - value)} left"
