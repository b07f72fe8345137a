"""``seeingkit compare-units``: layers compared by the labels of their units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seeingkit.errors import ExitCode, UsageError

from . import options as o
from .groups import names
from .output import print_json, print_table, say

if TYPE_CHECKING:
    from seeingkit.results import UnitContrastsResults, UnitPanel

Runs = Annotated[
    list[Path] | None,
    typer.Argument(help="Directories of finished runs of dissect.", show_default=False),
]
Layers = Annotated[o.Text, o.option("Layers to compare, as a,b. Default: all of them.")]
Level = Annotated[float, o.option("Probability of any wrong claim, at most.")]
Out = Annotated[o.File, o.running("Directory of the comparison. Default: runs/units-RUN-RUN.")]

SHOWN = 30
"""Rows of a printed table of counts, and of sure differences."""


def compare_units(
    runs: Runs = None,
    *,
    layers: Layers = None,
    level: Level = 0.05,
    title: o.Title = None,
    out: Out = None,
    json: o.Json = False,
) -> int:
    """Compare units by class: layers of one dissection, or several dissections. Who has more?"""
    if not runs:
        raise UsageError("name one or more runs of dissect: seeingkit compare-units RUN RUN")
    from seeingkit.runs.compare_units import compare_units

    found = compare_units(*runs, layers=names(layers), level=level, title=title, out=out)
    if json:
        print_json(found.to_dict())
    else:
        print_unit_contrasts(found.results, found.report)
    return ExitCode.SKIPPED if found.results.skipped else ExitCode.DONE


def print_unit_contrasts(results: UnitContrastsResults, report: Path) -> None:
    """Print the findings, and of each panel the counts and the sure differences."""
    from seeingkit.report import summarise_unit_contrasts
    from seeingkit.report.words.unit_contrasts import claim_words

    words = summarise_unit_contrasts(results)
    for line in (words.headline, *words.details):
        say(line)
    for panel in results.panels:
        say()
        tests = f"{panel.tests:,} differences tested"
        say(f"{panel.title}, {panel.images:,} images in {panel.groups} groups, {tests}")
        _print_panel(panel)
    if results.panels:
        say()
        say(claim_words(results.panels, results.level))
    for line in words.cautions:
        say(f"! {line}")
    say()
    say(f"report: {report}")


def _print_panel(panel: UnitPanel) -> None:
    from seeingkit.report.words.unit_contrasts import (
        difference_words,
        number_words,
        quantity_name,
    )

    rows = [
        (quantity_name(one), *(f"{number_words(x)} {x.letters:2}" for x in one.numbers))
        for one in panel.quantities[:SHOWN]
    ]
    heads = [f"{layer.name} ({layer.units:,} units)" for layer in panel.layers]
    print_table(rows, ("units of", *heads), words=True)
    sure = sorted((one for one in panel.differences if one.claimed), key=lambda one: one.adjusted)
    if not sure:
        return
    say()
    shown = [
        (
            quantity_name(one),
            f"{one.first} − {one.second}",
            *difference_words(one, panel),
            f"{one.adjusted:.2g}",
        )
        for one in sure[:SHOWN]
    ]
    heads = ["sure difference of", "between", "difference", "interval", "p, adjusted"]
    print_table(shown, heads, words=True)
    if len(sure) > SHOWN:
        say(f"… and {len(sure) - SHOWN} more sure differences in the results")
