"""``seeingkit artifacts``: units whose ablation brings images nearer to the real ones, or none."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from seeingkit.errors import ExitCode

from . import groups
from . import options as o
from .groups import Settings, takes
from .options import ARTIFACTS, option, unit_numbers
from .output import print_json, print_sentence, print_table, say

if TYPE_CHECKING:
    from pathlib import Path

    from seeingkit.results import ArtifactResults

searched = partial(option, panel=ARTIFACTS)

Layer = Annotated[o.Text, searched("Layer whose units are searched. Default: the usual cut.")]
Units = Annotated[
    o.Text, searched("How many units are ablated together; several tests as 1,5,20. Default: 5.")
]
Ranking = Annotated[
    o.Text,
    searched(
        "Order of the units: by the gain of each alone (ablation, the default), by its strongest "
        "images (images), or by painted regions (marks)."
    ),
]
MarksFile = Annotated[o.File, searched("File of painted regions; sets --ranking marks.")]
Search = Annotated[
    int, searched("Images of the search, of another series.", default="artifacts.search")
]
Random = Annotated[
    int, searched("Sets of as many random units, as control.", default="artifacts.random")
]
Alpha = Annotated[float, searched("Strength of the ablation, up to 1.", default="artifacts.alpha")]
FeaturesName = Annotated[
    o.Text,
    searched("Perceptual features to measure distances in. Default: areas of classes (FSD)."),
]
TestedImages = Annotated[o.Number, o.images("Images of the tests.", "-n", "--n")]


def artifact_settings(
    *,
    layer: Layer = None,
    units: Units = None,
    ranking: Ranking = None,
    marks: MarksFile = None,
    search: Search,
    random: Random,
    alpha: Alpha,
    features: FeaturesName = None,
) -> Settings:
    """The setting ``chosen`` of ``runs.artifacts.artifacts_config``.

    Raises:
        UsageError: numbers of units that cannot be read.
    """
    numbers = None if units is None else unit_numbers(units)
    chosen: Settings = {"layer": layer, "units": numbers, "ranking": ranking, "marks": marks}
    chosen |= {"search": search, "random": random, "alpha": alpha, "features": features}
    return {"chosen": chosen}


def measure_settings(*, level: o.Level, fidelity: o.Fidelity = False) -> Settings:
    """The tests."""
    return {"level": level, "fidelity": fidelity}


@takes(
    artifact_settings,
    groups.image_settings,
    groups.tally_settings,
    measure_settings,
    groups.report_settings,
    n=TestedImages,
)
def artifacts(
    context: typer.Context,
    gan: o.Gan = None,
    data: o.RealImages = None,
    *,
    settings: Settings,
    config: o.Repeat = None,
    out: o.Out = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Search artifact units: do images get nearer to the real ones without them?"""
    from seeingkit.runs.artifacts import artifacts_config, execute_artifacts

    if config is not None:
        run = groups.repeated(config, settings, context, only="artifacts")
    else:
        run = groups.checked(lambda: artifacts_config(gan, data, **settings))
    done = execute_artifacts(run, out=out, store=store)
    if json:
        print_json(done.to_dict())
    else:
        print_artifacts(done.results, done.report)
    return ExitCode.SKIPPED if done.results.skipped else ExitCode.DONE


def print_artifacts(results: ArtifactResults, report: Path) -> None:
    """Print the finding, the tests, cautions, and the path of the report."""
    from seeingkit.report import summarise_artifacts
    from seeingkit.report.words.numbers import between, number

    words = summarise_artifacts(results)
    print_sentence(words.headline)
    say()
    rows = [
        (
            ",".join(map(str, test.units[:10])) + (",…" if len(test.units) > 10 else ""),
            number(test.before),
            number(test.after),
            number(test.gain),
            between((test.low, test.high)),
            between((min(x.gain for x in test.random), max(x.gain for x in test.random))),
            test.claim,
        )
        for test in results.tests
    ]
    header = ("units", "before", "after", "gain", "interval", "random units gain", "claim")
    print_table(rows, header, last_words=True)
    say()
    for line in words.details:
        print_sentence(line)
    for line in words.cautions:
        print_sentence(line, "! ")
    say()
    say(f"report: {report}")
