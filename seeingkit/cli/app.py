"""The typer application: main command, and the commands that do work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seeingkit.system.processes import rank

from . import listing, weights
from .groups import (
    Settings,
    evidence_settings,
    image_settings,
    inversion_config,
    inversion_settings,
    names,
    repeated,
    takes,
    tally_settings,
)
from .invert import invert
from .options import Gan, Ids, Out, PerClass, Pick, Repeat, ResultsJson, Store, TallyFile
from .output import print_json, print_summary, print_tally, say_failed_gates

if TYPE_CHECKING:
    from seeingkit.runs.config import Config

app = typer.Typer(
    name="seeingkit",
    help="See what an image generator cannot draw.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
listing.add_commands(app)
app.command()(invert)
app.add_typer(weights.app, name="weights")


@app.command()
@takes(image_settings, tally_settings, evidence_settings, inversion_settings)
def analyze(
    context: typer.Context,
    gan: Gan = None,
    data: Annotated[str | None, typer.Option(help="Real images: name, path or glob.")] = None,
    *,
    settings: Settings,
    per_class: PerClass = 5,
    pick: Pick = "stratified",
    ids: Ids = None,
    config: Repeat = None,
    out: Out = None,
    store: Store = None,
    json: ResultsJson = False,
) -> int:
    """What does this generator leave out? Compare class areas, invert photos of what is missing."""
    from seeingkit.runs.analyze import plan_analysis

    if config is not None:
        return _run(repeated(config, settings, context), out, store, json)
    inversion = settings["inversion"]
    inversion |= {"per_class": per_class, "pick": "list" if ids else pick, "ids": names(ids)}
    # An analysis trains no encoder unless told to: it uses the one that is there.
    inversion["options"].setdefault("encoder", "found")
    settings["labels"] = _labels(settings["labels"], inversion["label"])
    settings["inversion"] = inversion_config(inversion)
    return _run(plan_analysis(gan, data, **settings), out, store, json)


@app.command()
@takes(image_settings, tally_settings, evidence_settings)
def compare(
    real: Annotated[str, typer.Argument(help="Real images: name, path or glob.")],
    generated: Annotated[
        str, typer.Argument(help="Generated images: path, glob, or generator as family:weights.")
    ],
    *,
    settings: Settings,
    out: Out = None,
    store: Store = None,
    json: ResultsJson = False,
) -> int:
    """Compare any two sets of images, class by class, and report."""
    from seeingkit.runs.analyze import plan_comparison

    return _run(plan_comparison(real, generated, **settings), out, store, json)


@app.command()
@takes(image_settings, tally_settings)
def tally(
    source: Annotated[str, typer.Argument(help="Name, path, glob, or generator family:weights.")],
    *,
    settings: Settings,
    out: TallyFile = None,
    store: Store = None,
    json: ResultsJson = False,
) -> int:
    """Count how much of each class the images show; killed runs go on where they stopped."""
    from seeingkit.errors import ExitCode
    from seeingkit.runs.analyze import plan_comparison, tally_side

    found = tally_side(plan_comparison(source, source, **settings), store=store)
    if rank():
        return ExitCode.DONE
    if out is not None:
        found.save(out)
    if json:
        print_json(found.to_dict())
    else:
        print_tally(found.to_dict())
    return ExitCode.SKIPPED if found.skipped else ExitCode.DONE


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    json: ResultsJson = False,
) -> int:
    """Write the report of a finished run again, from its files."""
    from seeingkit.report import rebuild_report

    path = rebuild_report(run)
    if json:
        print_json({"report": str(path)})
    else:
        typer.echo(str(path))
    return 0


def _labels(labels: str | None, label: int | None) -> str | None:
    """``--label 3`` draws that class alone, and inverts photos as of that class."""
    from seeingkit.errors import UsageError

    if label is None:
        return labels
    if labels is not None:
        raise UsageError("--label is one class, --labels several: give one of the two")
    return str(label)


def _run(plan: Config, out: Path | None, store: Path | None, json: bool) -> int:
    from seeingkit.errors import ExitCode
    from seeingkit.runs.analyze import execute, share

    if rank():
        share(plan, store=store)
        return ExitCode.DONE
    analysis = execute(plan, out=out, store=store)
    results = analysis.comparison.results
    if json:
        print_json(analysis.to_dict())
    else:
        print_summary(results, analysis.report)
    if say_failed_gates(plan.fail_if, results, analysis.comparison.real.vocabulary.names):
        return ExitCode.GATE
    return ExitCode.SKIPPED if results.skipped else ExitCode.DONE
