"""``seeingkit trace``: the classes of a finished analysis, traced to units of a layer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seeingkit.errors import ExitCode, UsageError

from . import options as o
from .options import EFFECT, TRACING, option
from .output import print_json, print_table, say

if TYPE_CHECKING:
    from seeingkit.results import ExcessClass, MissingClass, TracingResult

traced = partial(option, panel=TRACING)
measured = partial(option, panel=EFFECT)

Run = Annotated[Path, typer.Argument(help="The directory of a run of analyze.")]
Layer = Annotated[o.Text, traced("Layer with a feature map. Default: the usual cut.")]
Classes = Annotated[
    o.Texts, traced("This class; may be repeated. Default: all that are claimed.", "--class")
]
Most = Annotated[o.Number, traced("Classes of each kind, largest difference first. Default: 6.")]
Units = Annotated[
    o.Number, traced("Units chosen for each class. Default: 20, or half of a layer with few.")
]
Search = Annotated[int, traced("Images of each other series searched for units and strengths.")]
Dissected = Annotated[int, traced("Images in which units are compared with classes.")]
Many = Annotated[int, measured("Images that effects are measured on.", "-n", "--n")]
Random = Annotated[int, measured("Sets of as many random units, as control.")]
Level = Annotated[float, measured("False discovery rate of all claims.")]


def trace(
    run: Run,
    layer: Layer = None,
    name: Classes = None,
    most: Most = None,
    units: Units = None,
    search: Search = 100,
    dissected: Dissected = 480,
    n: Many = 200,
    random: Random = 5,
    level: Level = 0.05,
    device: Annotated[o.Text, o.running("Where models compute. Default: as the run.")] = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Trace the missing and excess classes of a run to units. Adds a section to its report."""
    from seeingkit.runs.trace import trace as traced_run

    if name and most is not None:
        raise UsageError("--class names the classes: leave --most out")
    found = traced_run(
        run,
        layer,
        classes=name or (),
        most=6 if most is None else most,
        units=units,
        search=search,
        dissected=dissected,
        n=n,
        random=random,
        level=level,
        device=device,
        store=store,
    )
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        print_tracing(found)
        say()
        say(f"report: {run / 'report.html'}")
    return ExitCode.DONE


def print_tracing(found: TracingResult) -> None:
    """Print a sentence and a row for each traced class."""
    from seeingkit.report.words.numbers import between, number
    from seeingkit.report.words.tracing import excess_sentence, missing_sentence, summary_of

    say(summary_of(found))
    say()
    for one in found.missing:
        say(f"{one.label} ({one.verdict}): {missing_sentence(one, found)}")
    for other in found.excess:
        say(f"{other.label} ({other.verdict}): {excess_sentence(other, found)}")
    for label, why in found.untraced:
        say(f"{label} was not traced: {why}")
    traced_classes: list[MissingClass | ExcessClass] = [*found.missing, *found.excess]
    rows = [
        (
            one.label,
            f"{one.before:.3g} %",
            f"{one.after:.3g} %",
            between((one.low, one.high), number),
            f"{one.random.lowest:+.2g} to {one.random.highest:+.2g}",
            f"{one.q:.2g}",
        )
        for one in traced_classes
    ]
    say()
    print_table(rows, ("class", "without", "with", "95 % interval", "random units", "q"))
