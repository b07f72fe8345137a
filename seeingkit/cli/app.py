"""The typer application: main command, and the commands that do work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seeingkit.system.processes import rank

from . import looking, weights
from .inverting import inversion_config, invert
from .options import (
    Cut,
    Encoder,
    Gan,
    ImageLabel,
    InverterOption,
    Json,
    Method,
    Out,
    Own,
    Perceptual,
    PerceptualWeights,
    Repeat,
    Settings,
    Steps,
    Store,
    evidence_settings,
    image_settings,
    repeated,
    takes,
)
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
looking.add_commands(app)
app.command()(invert)
app.add_typer(weights.app, name="weights")


@app.command()
@takes(image_settings, evidence_settings)
def analyze(
    context: typer.Context,
    gan: Gan = None,
    data: Annotated[str | None, typer.Option(help="Real images: name, path or glob.")] = None,
    *,
    settings: Settings,
    label: ImageLabel = None,
    method: Method = None,
    cut: Cut = None,
    per_class: Annotated[int, typer.Option(help="Photos inverted for each omitted class.")] = 5,
    pick: Annotated[
        str, typer.Option(help="Which of those that show it: stratified, random, most or list.")
    ] = "stratified",
    ids: Annotated[str | None, typer.Option(help="The photos themselves: ids as a,b.")] = None,
    own: Own = 40,
    inversion_preset: Annotated[
        str | None, typer.Option(help="Inversion: fast (default) or paper.")
    ] = None,
    encoder: Encoder = None,
    perceptual: Perceptual = None,
    perceptual_weights: PerceptualWeights = None,
    steps: Steps = None,
    inverter_option: InverterOption = None,
    config: Repeat = None,
    out: Out = None,
    store: Store = None,
    json: Json = False,
) -> int:
    """What does this generator leave out? Compare class areas, invert photos of what is missing."""
    from seeingkit.runs.analyze import plan_analysis

    if config is not None:
        return _run(repeated(config, settings, context), out, store, json)
    settings["labels"] = _labels(settings["labels"], label)
    settings["inversion"] = inversion_config(
        method=method,
        cut=cut,
        own=own,
        preset=inversion_preset,
        encoder=encoder,
        perceptual=perceptual,
        perceptual_weights=perceptual_weights,
        steps=steps,
        inverter_option=inverter_option,
        label=label,
        usual_encoder="found",
        per_class=per_class,
        pick="list" if ids else pick,
        ids=tuple(part.strip() for part in (ids or "").split(",") if part.strip()),
    )
    return _run(plan_analysis(gan, data, **settings), out, store, json)


@app.command()
@takes(image_settings, evidence_settings)
def compare(
    real: Annotated[str, typer.Argument(help="Real images: name, path or glob.")],
    generated: Annotated[
        str, typer.Argument(help="Generated images: path, glob, or generator as family:weights.")
    ],
    *,
    settings: Settings,
    out: Out = None,
    store: Store = None,
    json: Json = False,
) -> int:
    """Compare any two sets of images, class by class, and report."""
    from seeingkit.runs.analyze import plan_comparison

    return _run(plan_comparison(real, generated, **settings), out, store, json)


@app.command()
@takes(image_settings)
def tally(
    source: Annotated[str, typer.Argument(help="Name, path, glob, or generator family:weights.")],
    *,
    settings: Settings,
    out: Annotated[Path | None, typer.Option(help="Write the tally to this Parquet file.")] = None,
    store: Store = None,
    json: Json = False,
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
    json: Json = False,
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
