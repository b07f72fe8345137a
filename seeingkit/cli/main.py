"""The application: the main command, and the commands that compare, invert and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seeingkit.errors import ExitCode, UsageError
from seeingkit.system.processes import rank

from . import (
    artifacts,
    assess,
    edit,
    figure,
    groups,
    intervene,
    listing,
    paint,
    repair,
    rewrite,
    stored,
    suite,
    trace,
    tracking,
    units,
    weights,
)
from . import options as o
from .findings import (
    print_dissection,
    print_failed_gates,
    print_generators,
    print_inversions,
    print_summary,
    print_tally,
)
from .groups import Settings, image_settings, takes, tally_settings
from .output import print_json, say
from .pages import CONTEXT, WELCOME, Command, Commands
from .view import view

if TYPE_CHECKING:
    from seeingkit.report.tracking import Tracker
    from seeingkit.runs.config import Config

app = typer.Typer(
    name="seeingkit",
    help="See what an image generator cannot draw.",
    cls=Commands,
    context_settings=CONTEXT,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    # No docstring: it would replace the application's help.
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"seeingkit {installed('seeingkit')}")
        raise typer.Exit
    from seeingkit.models.hub.consent import ask_before_large_downloads

    ask_before_large_downloads(weights.confirm)
    if context.invoked_subcommand is None:
        typer.echo(WELCOME)


@app.command(cls=Command)
@takes(
    image_settings,
    tally_settings,
    groups.evidence_settings,
    groups.inversion_settings,
    groups.report_settings,
    groups.tracking_settings,
)
def analyze(
    context: typer.Context,
    gan: o.Gan = None,
    data: o.RealImages = None,
    *,
    settings: Settings,
    per_class: o.PerClass,
    pick: o.Pick,
    ids: o.Ids = None,
    photos_of: o.PhotosOf = None,
    config: o.Repeat = None,
    out: o.Out = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Find the classes that a generator omits. Compares areas, inverts photos of those classes."""
    from seeingkit.runs.analyze import analysis_config

    tracker = tracking.tracker_asked(settings)
    if config is not None:
        return _run(groups.repeated(config, settings, context), out, store, json, tracker)
    inversion = settings["inversion"]
    inversion |= {"per_class": per_class, "pick": "list" if ids else pick, "ids": groups.names(ids)}
    inversion["classes"] = groups.names(photos_of)
    # An analysis trains no encoder unless told to: it uses the one that is there.
    inversion["options"].setdefault("encoder", "found")
    settings["labels"] = _labels(settings["labels"], inversion["label"])
    settings["inversion"] = groups.inversion_config(inversion)
    run = groups.checked(lambda: analysis_config(gan, data, **settings))
    return _run(run, out, store, json, tracker)


@app.command(cls=Command)
@takes(
    image_settings,
    tally_settings,
    groups.evidence_settings,
    groups.report_settings,
    groups.tracking_settings,
)
def compare(
    context: typer.Context,
    real: Annotated[
        str, typer.Argument(help="Real images: name, path or glob.", show_default=False)
    ] = "",
    generated: Annotated[
        list[str] | None,
        typer.Argument(help="Generated images: path, glob, or generator as family:weights."),
    ] = None,
    *,
    paired: o.Paired = False,
    settings: Settings,
    config: o.Repeat = None,
    out: o.Out = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Compare sets of images class by class. Of several generators: which is surely nearer?"""
    from seeingkit.runs.analyze import comparison_config

    tracker = tracking.tracker_asked(settings)
    if config is not None:
        return _run(groups.repeated(config, settings, context), out, store, json, tracker)
    if not real or not generated:
        missing = "the generated images" if real else "two sets of images"
        raise UsageError(f"name {missing}: seeingkit compare REAL GENERATED")
    groups.check_patterns([real, *generated])
    if paired:
        if len(generated) > 1:
            raise UsageError("--paired compares two sets of images; leave out the others")
        settings["paired"] = True
    run = groups.checked(lambda: comparison_config(real, *generated, **settings))
    return _run(run, out, store, json, tracker)


@app.command(cls=Command)
@takes(image_settings, tally_settings)
def tally(
    source: Annotated[str, typer.Argument(help="Name, path, glob, or generator family:weights.")],
    *,
    settings: Settings,
    out: o.TallyFile = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Measure the area of each class in a set of images. An interrupted tally resumes."""
    from seeingkit.runs.analyze import comparison_config, tally_source

    if out is not None:
        from seeingkit.tallies.table import refuse_other_file

        refuse_other_file(out)  # before the work, not after it
    config = groups.checked(lambda: comparison_config(source, source, **settings), tally=True)
    found = tally_source(config, store=store)
    if rank():
        return ExitCode.DONE
    if out is not None:
        found.save(out)
    if json:
        print_json(found.to_dict())
    else:
        print_tally(found.to_dict())
    return ExitCode.SKIPPED if found.skipped or found.left_out else ExitCode.DONE


@app.command(cls=Command)
@takes(
    groups.inversion_settings,
    image_settings,
    groups.report_settings,
    groups.tracking_settings,
    inversion_preset=o.PlainInversionPreset,
    segmenter=o.SegmenterOrNone,
    n=o.PhotoCount,
)
def invert(
    context: typer.Context,
    photos: Annotated[
        list[str] | None, typer.Argument(help="Photos: paths, globs, folders, data sets.")
    ] = None,
    gan: o.Gan = None,
    data: o.TrainingData = None,
    *,
    settings: Settings,
    config: o.Repeat = None,
    out: o.Out = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Invert photos through a generator's last layers. Reports which classes are lost."""
    from seeingkit.runs.invert import execute_inversion, inversion_run_config

    tracker = tracking.tracker_asked(settings)
    if config is not None:
        run = groups.repeated(config, settings, context, only="invert")
    else:
        settings["inversion"] = groups.inversion_config(settings["inversion"])
        if not settings["inversion"].methods:
            raise UsageError("--method none leaves nothing to do")
        run = groups.checked(lambda: inversion_run_config(photos or [], gan, data=data, **settings))
    done = execute_inversion(run, out=out, store=store)
    if done is None:
        return ExitCode.DONE
    if json:
        print_json(done.to_dict())
    else:
        print_inversions(done.results, done.report)
    ended = ExitCode.SKIPPED if done.results.skipped else ExitCode.DONE
    return tracking.track(done.run.path, tracker, ended)


@app.command(cls=Command)
@takes(
    groups.dissection_settings,
    image_settings,
    tally_settings,
    groups.report_settings,
    groups.tracking_settings,
    n=o.DissectedImages,
    batch_size=o.FixedBatchSize,
)
def dissect(
    context: typer.Context,
    gan: o.Gan = None,
    data: o.DissectedData = None,
    *,
    settings: Settings,
    config: o.Repeat = None,
    out: o.Out = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Find which units of a generator's layers agree with which class. A dissection resumes."""
    from seeingkit.runs.dissect import dissection_run_config, execute_dissection

    tracker = tracking.tracker_asked(settings)
    if config is not None:
        run = groups.repeated(config, settings, context, only="dissect")
    else:
        run = groups.checked(lambda: dissection_run_config(gan, data, **settings))
    done = execute_dissection(run, out=out, store=store)
    if done is None or done.run is None:
        return ExitCode.DONE
    if json:
        print_json(done.to_dict())
    else:
        print_dissection(done.results, done.run.path / "report.html")
    ended = ExitCode.SKIPPED if done.results.skipped else ExitCode.DONE
    return tracking.track(done.run.path, tracker, ended)


@app.command(cls=Command)
def report(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    title: o.Title = None,
    json: o.Json = False,
) -> int:
    """Rebuild the report of a finished run from its files."""
    from seeingkit.report import rebuild_report

    path = rebuild_report(run, title=title)
    if json:
        print_json({"report": str(path)})
    else:
        say(str(path))
    return 0


app.command(cls=Command)(units.compare_units)
app.command(cls=Command)(intervene.intervene)
app.command(cls=Command)(trace.trace)
app.command(cls=Command)(artifacts.artifacts)
app.command(cls=Command)(paint.paint)
app.command(cls=Command)(rewrite.rewrite)
app.command(cls=Command)(assess.assess)
app.command(cls=Command)(repair.repair)
app.command(cls=Command)(edit.edit)
app.command(cls=Command)(figure.figure)
app.command(cls=Command)(tracking.numbers)
app.command(cls=Command)(tracking.export)
app.command(cls=Command)(view)
app.command(cls=Command)(listing.ls)
app.command(cls=Command)(listing.plugins)
app.command(cls=Command)(listing.doctor)
app.add_typer(weights.app, name="weights")
app.add_typer(stored.app, name="store")
app.add_typer(suite.app, name="suite")


def _labels(labels: str | None, label: int | None) -> str | None:
    """The classes to draw: the one of ``--label`` (also the class of photos), or ``--labels``."""
    if label is None:
        return labels
    if labels is not None:
        raise UsageError("--label is one class, --labels several: give one of the two")
    return str(label)


def _run(
    config: Config, out: Path | None, store: str | None, json: bool, tracker: Tracker | None
) -> int:
    from seeingkit.runs.analyze import execute

    if config.others:
        return _run_generators(config, out, store, json, tracker)
    analysis = execute(config, out=out, store=store)
    if analysis is None:  # a process above rank 0
        return ExitCode.DONE
    results = analysis.comparison.results
    if json:
        print_json(analysis.to_dict())
    else:
        print_summary(results, analysis.report)
    ended = ExitCode.SKIPPED if results.skipped else ExitCode.DONE
    code = tracking.track(analysis.run.path, tracker, ended)
    if print_failed_gates(config.fail_if, results, analysis.comparison.real.vocabulary.names):
        return ExitCode.GATE
    return code


def _run_generators(
    config: Config, out: Path | None, store: str | None, json: bool, tracker: Tracker | None
) -> int:
    from seeingkit.runs.generators import execute_generators

    analysis = execute_generators(config, out=out, store=store)
    if analysis is None:  # a process above rank 0
        return ExitCode.DONE
    found = analysis.comparison
    if json:
        print_json(analysis.to_dict())
    else:
        print_generators(found.results, analysis.report)
    ended = ExitCode.SKIPPED if found.results.skipped else ExitCode.DONE
    code = tracking.track(analysis.run.path, tracker, ended)
    names = [generator.name for generator in found.results.generators]
    failed = [
        print_failed_gates(config.fail_if, one.results, one.real.vocabulary.names, of=name)
        for name, one in zip(names, found.comparisons, strict=True)
    ]
    if any(failed):
        return ExitCode.GATE
    return code
