"""``seeingkit repair``: can an edit of the generator bring a missing class back?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seeingkit.errors import ExitCode, UsageError

from . import options as o
from .options import EFFECT, REWRITING, option
from .output import print_json, print_table, say

if TYPE_CHECKING:
    from seeingkit.results.repairs import RepairResult

planned = partial(option, panel=REWRITING)
measured = partial(option, panel=EFFECT)

Run = Annotated[Path, typer.Argument(help="The directory of a run of analyze.")]
Classes = Annotated[
    o.Texts, planned("This class; may be repeated. Default: those named missing.", "--class")
]
Most = Annotated[o.Number, planned("Classes, largest difference first. Default: 3.")]
Sites = Annotated[
    o.Texts, planned("Layer that is edited; may be repeated. Default: all.", "--site")
]
Cut = Annotated[o.Text, planned("Boundary where photos are inverted. Default: the usual cut.")]
Photos = Annotated[int, planned("Photos of each class.")]
Ranks = Annotated[
    list[int] | None,
    planned("Directions of keys; may be repeated. Default: 1, 6, 20.", "--rank"),
]
Keeps = Annotated[
    list[float] | None,
    planned("How much other places count; may be repeated. Default: 1, 5, 25.", "--keep"),
]
Trials = Annotated[int, planned("Edits of a class of which images are made.")]
Search = Annotated[int, planned("Images in which edits are compared.")]
Moved = Annotated[float, planned("Share of the labels that an edit may change there.")]
Many = Annotated[int, measured("Fresh images that effects are measured on.", "-n", "--n")]
Second = Annotated[
    str, measured("Second view: scale, scale:0.75 or a segmenter, as family:weights.")
]
Level = Annotated[float, measured("False discovery rate of all claims.")]


def repair(
    run: Run,
    name: Classes = None,
    most: Most = None,
    site: Sites = None,
    cut: Cut = None,
    photos: Photos = 8,
    rank: Ranks = None,
    keep: Keeps = None,
    trials: Trials = 6,
    search: Search = 100,
    moved: Moved = 0.1,
    n: Many = 500,
    second: Second = "scale",
    level: Level = 0.05,
    device: Annotated[o.Text, o.running("Where models compute. Default: as the run.")] = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Can an edit of one layer bring missing classes back? Adds a section to the run's report."""
    from seeingkit.analyses.repair.settings import KEEPS, RANKS
    from seeingkit.runs.repair import repair as repaired

    if name and most is not None:
        raise UsageError("--class names the classes: leave --most out")
    found = repaired(
        run,
        classes=name or (),
        sites=site or (),
        cut=cut,
        photos=photos,
        ranks=rank or RANKS,
        keeps=keep or KEEPS,
        trials=trials,
        search=search,
        moved=moved,
        n=n,
        second=second,
        most=3 if most is None else most,
        level=level,
        device=device,
        store=store,
    )
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        print_repair(found)
        say()
        say(f"report: {run / 'report.html'}")
    return ExitCode.DONE


def print_repair(found: RepairResult) -> None:
    """Print the sentences and a row of each class."""
    from seeingkit.report.words.numbers import share
    from seeingkit.report.words.repair import (
        price_sentence,
        reach_sentence,
        repair_sentence,
        repair_summary,
    )

    say(repair_summary(found))
    for one in found.classes:
        say()
        for sentence in (repair_sentence, reach_sentence, price_sentence):
            say(sentence(one))
    for label, why in found.untried:
        say(f"{label} was not tried: {why}")
    rows = [
        (
            one.label,
            share(one.sites[0].best.apart),
            share(one.sites[0].best.net),
            share(one.objects.before),
            share(one.objects.after),
            "–" if one.objects.beside is None else share(one.objects.beside),
            share(one.objects.real),
            f"{one.objects.q:.2g}",
            one.edit or "–",
        )
        for one in found.classes
    ]
    say()
    print_table(rows, ("class", "reach", "net", "without", "with", "beside", "real", "q", "edit"))
