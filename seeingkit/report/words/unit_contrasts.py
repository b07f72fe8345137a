"""Layers compared by the labels of their units, as sentences: who has more of which class."""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.results import (
    UnitContrastsResults,
    UnitDifference,
    UnitNumber,
    UnitPanel,
    UnitQuantity,
)

from .assumptions import assumed
from .cautions import skipped_caution
from .findings import Summary
from .numbers import MINUS, NBSP, between, count, level, listing

CLAIMS_SAID = 6
"""Pairs of layers that have a sentence of their own."""
LEAST_GROUPS = 10
"""Groups of images that a test needs (``analyses.dissection.claims``)."""


def quantity_name(one: UnitQuantity | UnitDifference, *, plain: bool = False) -> str:
    """The name of a number: ``tree``, ``units with a label``, ``classes with a unit``.

    Args:
        one: the quantity, or a difference of it.
        plain: a category and a class alike are called by their word alone.

    >>> quantity_name(UnitQuantity(kind="category", category="part"))
    'category part'
    """
    if one.kind == "labelled":
        return "units with a label"
    if one.kind == "distinct":
        return "classes with a unit"
    if one.kind == "category":
        return one.category if plain else f"category {one.category}"
    return one.label


def number_words(number: UnitNumber) -> str:
    """A count with its interval, rounded outward: ``23 [19–27]``.

    >>> number_words(UnitNumber(count=23, low=19.8, high=26.2))
    '23 [19–27]'
    """
    return f"{number.count:,} [{int(number.low):,}–{int(-(-number.high // 1)):,}]"


def difference_words(one: UnitDifference, panel: UnitPanel) -> tuple[str, str]:
    """A difference and its interval, in units where both layers have as many, else in shares."""
    units = {layer.name: layer.units for layer in panel.layers}
    first, second = units[one.first], units[one.second]
    if one.kind == "distinct":
        scale, sign, digits = 1.0, "", 1
    elif first == second:
        scale, sign, digits = float(first), "", 1
    else:
        scale, sign, digits = 100.0, f"{NBSP}%", 1

    def text(value: float) -> str:
        shown = f"{abs(scale * value):.{digits}f}".removesuffix(".0")
        if shown == "0" and abs(scale * value) >= 0.001:
            shown = f"{abs(scale * value):.1g}"
        lead = "" if float(shown) == 0 else MINUS if value < 0 else "+"
        return f"{lead}{shown}{sign}"

    low, high = one.low, one.high
    if one.claimed and low is not None and low > 0 and text(low) == "0" + sign:
        return text(one.difference), f"above 0 to {'unbounded' if high is None else text(high)}"
    if one.claimed and high is not None and high < 0 and text(high) == "0" + sign:
        return text(one.difference), f"{'unbounded' if low is None else text(low)} to below 0"
    return text(one.difference), between((low, high), text)


def panel_sentences(panel: UnitPanel) -> list[str]:
    """What is claimed of each pair of layers: ``A has surely more units of sky than B, …``."""
    found = []
    for first, second in dict.fromkeys((d.first, d.second) for d in panel.differences):
        own = [d for d in panel.differences if (d.first, d.second) == (first, second)]
        shares = bool(measure_words(panel))
        parts = [
            *_parts([d for d in own if d.claimed and d.difference > 0], shares, more=True),
            *_parts([d for d in own if d.claimed and d.difference < 0], shares, more=False),
        ]
        if parts:
            said = ", and ".join(parts) + ("," if len(parts) > 1 else "")
            found.append(f"{first} has surely {said} than {second}.")
    return found


def _parts(claimed: Sequence[UnitDifference], shares: bool, *, more: bool) -> list[str]:
    """``more units of sky and tree``, or of shares ``a greater share of units of …``."""
    names = ["any class" if d.kind == "labelled" else quantity_name(d) for d in claimed]
    units = [name for name, d in zip(names, claimed, strict=True) if d.kind != "distinct"]
    word = "more" if more else "fewer"
    lead = f"a {'greater' if more else 'smaller'} share of units" if shares else f"{word} units"
    found = [f"{lead} of {listing(units)}"] if units else []
    return found + [f"{word} classes with a unit"] * (len(units) < len(names))


def measure_words(panel: UnitPanel) -> str:
    """Whether units or shares of units are compared, in a sentence."""
    if len({layer.units for layer in panel.layers}) == 1:
        return ""
    return "The layers have unlike numbers of units, so shares of their units are compared."


def claim_words(panels: Sequence[UnitPanel], error: float) -> str:
    """The null and the error rate of a panel, or of several alike, in sentences.

    Args:
        panels: of the layers.
        error: probability of any wrong claim in a panel.
    """
    what = "share" if any(map(measure_words, panels)) else "number"
    tests = [panel.tests for panel in panels]
    among = count(tests[0], "difference") if len(tests) == 1 else "differences of a layer"
    return (
        "“Surely” rejects the null that dissections of as many other images find the same "
        f"{what} at both layers, on average. Among all {among} that were tested the probability "
        f"of any wrong claim is at most {level(error)} (Holm). "
        "Levels, candidates and networks are fixed: another training is another network, and "
        "nothing is said of it."
    )


def summarise_unit_contrasts(results: UnitContrastsResults) -> Summary:
    """Put a comparison of layers into words, panel by panel."""
    sentences: list[str] = []
    for panel in results.panels:
        where = f"{panel.title}: " if len(results.panels) > 1 else ""
        sentences += [where + text for text in panel_sentences(panel)]
    cautions = tuple(unit_contrasts_cautions(results))
    if not sentences:
        tests = sum(panel.tests for panel in results.panels)
        said = f"None of {count(tests, 'difference')} between the layers is sure."
        return Summary(said, (), cautions)
    rest = len(sentences) - 1 - CLAIMS_SAID
    details = sentences[1 : 1 + CLAIMS_SAID]
    if rest > 0:
        details.append(f"{count(rest, 'more pair')} of layers in the tables.")
    return Summary(sentences[0], tuple(details), cautions)


def unit_contrasts_cautions(results: UnitContrastsResults) -> list[str]:
    """The reasons to read a comparison with care."""
    found = list(results.warnings)
    groups = min((panel.groups for panel in results.panels), default=LEAST_GROUPS)
    if groups < LEAST_GROUPS:
        found.insert(
            0,
            f"The layers have {count(groups, 'group')} of {results.group} images in common; a "
            f"test needs {LEAST_GROUPS}, so nothing can be claimed.",
        )
    found += [*skipped_caution(results.skipped), *assumed([*results.networks, results.segmenter])]
    return list(dict.fromkeys(found))
