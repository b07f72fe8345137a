"""The typer application: main command, and the commands that do work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..processes import rank
from . import looking, weights
from .inverting import inversion_config, invert
from .options import (
    BatchSize,
    Classes,
    Cut,
    DataOption,
    Device,
    Encoder,
    Gan,
    GanOption,
    ImageLabel,
    InverterOption,
    Json,
    Labels,
    Level,
    Method,
    N,
    OnBad,
    Out,
    Own,
    Perceptual,
    PerceptualWeights,
    Permutations,
    PresetName,
    Repeat,
    Seed,
    Segmenter,
    SegmenterOption,
    SegmenterWeights,
    Steps,
    Store,
    Weights,
)
from .output import parse_options, print_json, print_summary, print_tally

if TYPE_CHECKING:
    from ..config import Config

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
def analyze(
    gan: Gan = None,
    data: Annotated[str | None, typer.Option(help="Real images: name, path or glob.")] = None,
    weights: Weights = None,
    segmenter: Segmenter = None,
    segmenter_weights: SegmenterWeights = None,
    n: N = None,
    seed: Seed = None,
    preset: PresetName = None,
    device: Device = "auto",
    batch_size: BatchSize = 16,
    level: Level = 0.05,
    permutations: Permutations = 200,
    on_bad: OnBad = "skip",
    gan_option: GanOption = None,
    segmenter_option: SegmenterOption = None,
    data_option: DataOption = None,
    labels: Labels = None,
    label: ImageLabel = None,
    classes: Classes = None,
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
    from ..analysis import plan_analysis
    from ..config import read_config
    from ..devices import resolve_device
    from ..errors import UsageError

    if config is not None:
        if gan or data or weights or segmenter:
            raise UsageError("--config repeats a run as it was; leave the other settings out")
        plan = read_config(config)
    else:
        plan = plan_analysis(
            gan,
            data,
            inversion=inversion_config(
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
            ),
            segmenter=segmenter,
            weights=_text(weights),
            segmenter_weights=_text(segmenter_weights),
            n=n,
            seed=seed,
            preset=preset,
            device=resolve_device(device),
            batch_size=batch_size,
            level=level,
            permutations=permutations,
            on_bad=on_bad,
            gan_options=parse_options(gan_option),
            segmenter_options=parse_options(segmenter_option),
            data_options=parse_options(data_option),
            labels=_labels(labels, label),
            classes=classes,
        )
    return _run(plan, out, store, json)


@app.command()
def compare(
    real: Annotated[str, typer.Argument(help="Real images: name, path or glob.")],
    generated: Annotated[
        str, typer.Argument(help="Generated images: path, glob, or generator as family:weights.")
    ],
    weights: Weights = None,
    segmenter: Segmenter = None,
    segmenter_weights: SegmenterWeights = None,
    n: N = None,
    seed: Seed = None,
    preset: PresetName = None,
    device: Device = "auto",
    batch_size: BatchSize = 16,
    level: Level = 0.05,
    permutations: Permutations = 200,
    on_bad: OnBad = "skip",
    gan_option: GanOption = None,
    segmenter_option: SegmenterOption = None,
    data_option: DataOption = None,
    labels: Labels = None,
    classes: Classes = None,
    out: Out = None,
    store: Store = None,
    json: Json = False,
) -> int:
    """Compare any two sets of images, class by class, and report."""
    from ..analysis import plan_comparison
    from ..devices import resolve_device

    plan = plan_comparison(
        real,
        generated,
        segmenter=segmenter,
        weights=_text(weights),
        segmenter_weights=_text(segmenter_weights),
        n=n,
        seed=seed,
        preset=preset,
        device=resolve_device(device),
        batch_size=batch_size,
        level=level,
        permutations=permutations,
        on_bad=on_bad,
        gan_options=parse_options(gan_option),
        segmenter_options=parse_options(segmenter_option),
        data_options=parse_options(data_option),
        labels=labels,
        classes=classes,
    )
    return _run(plan, out, store, json)


@app.command()
def tally(
    source: Annotated[str, typer.Argument(help="Name, path, glob, or generator family:weights.")],
    weights: Weights = None,
    segmenter: Segmenter = None,
    segmenter_weights: SegmenterWeights = None,
    n: N = None,
    seed: Seed = None,
    preset: PresetName = None,
    device: Device = "auto",
    batch_size: BatchSize = 16,
    on_bad: OnBad = "skip",
    gan_option: GanOption = None,
    segmenter_option: SegmenterOption = None,
    data_option: DataOption = None,
    labels: Labels = None,
    classes: Classes = None,
    out: Annotated[Path | None, typer.Option(help="Write the tally to this Parquet file.")] = None,
    store: Store = None,
    json: Json = False,
) -> int:
    """Count how much of each class the images show; killed runs go on where they stopped."""
    from ..analysis import plan_comparison, tally_side
    from ..devices import resolve_device
    from ..errors import ExitCode

    plan = plan_comparison(
        source,
        source,
        segmenter=segmenter,
        weights=_text(weights),
        segmenter_weights=_text(segmenter_weights),
        n=n,
        seed=seed,
        preset=preset,
        device=resolve_device(device),
        batch_size=batch_size,
        on_bad=on_bad,
        gan_options=parse_options(gan_option),
        segmenter_options=parse_options(segmenter_option),
        data_options=parse_options(data_option),
        labels=labels,
        classes=classes,
    )
    found = tally_side(plan, store=store)
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
    from ..report import rebuild_report

    path = rebuild_report(run)
    if json:
        print_json({"report": str(path)})
    else:
        typer.echo(str(path))
    return 0


def _labels(labels: str | None, label: int | None) -> str | None:
    """``--label 3`` draws that class alone, and inverts photos as of that class."""
    from ..errors import UsageError

    if label is None:
        return labels
    if labels is not None:
        raise UsageError("--label is one class, --labels several: give one of the two")
    return str(label)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _run(plan: Config, out: Path | None, store: Path | None, json: bool) -> int:
    from ..analysis import execute, share
    from ..errors import ExitCode

    if rank():
        share(plan, store=store)
        return ExitCode.DONE
    analysis = execute(plan, out=out, store=store)
    if json:
        print_json(analysis.to_dict())
    else:
        print_summary(analysis.comparison.results, analysis.report)
    return ExitCode.SKIPPED if analysis.comparison.results.skipped else ExitCode.DONE
