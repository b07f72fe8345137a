"""Tables of a search for artifact units for Python: one of tests, one of the ranking."""

from __future__ import annotations

from seeingkit.results import ArtifactResults, Column, Frame, table

_UNIT = "unit as in results.settings.unit"
TESTS = {
    "units": Column(str, "numbers of the units that were ablated together"),
    "before": Column(float, f"distance without the ablation, bias-reduced; {_UNIT}"),
    "after": Column(float, f"distance with the ablation; {_UNIT}"),
    "gain": Column(float, f"before − after; {_UNIT}"),
    "low": Column(float, f"lower end of its interval; {_UNIT}"),
    "high": Column(float, f"upper end of its interval; {_UNIT}"),
    "against": Column(float, f"gain − mean gain of as many random units; {_UNIT}"),
    "against_low": Column(float, f"lower end of its interval; {_UNIT}"),
    "against_high": Column(float, f"upper end of its interval; {_UNIT}"),
    "as_good": Column(int, "random sets that gain at least as much"),
    "moved": Column(float, "share of the pixels that change their class, in [0, 1]"),
    "claim": Column(str, "gain, gain of any units, no evidence or loss"),
}
"""Columns of the table of tests."""

UNITS = {
    "unit": Column(int, "number of the unit in the layer, from 0"),
    "score": Column(float, "of the ranking; the greater the more suspicious"),
    "round": Column(int, "last round of the search it was in"),
}
"""Columns of the table of the ranking."""


def tests_table(results: ArtifactResults) -> Frame:
    """The tests, one row a number of units.

    ::

        tests_table(results)["claim"]
    """
    rows = [
        {**one.model_dump(include=set(TESTS)), "units": ",".join(map(str, one.units))}
        for one in results.tests
    ]
    return table(rows, TESTS)


def ranking_table(results: ArtifactResults) -> Frame:
    """The units, most suspicious first.

    ::

        ranking_table(results)["unit"]
    """
    return table((unit.model_dump(include=set(UNITS)) for unit in results.units), UNITS)
