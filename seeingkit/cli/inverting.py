"""The command ``invert``, and the options of inversion that ``analyze`` shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    BatchSize,
    Cut,
    DataOption,
    Device,
    Encoder,
    Gan,
    GanOption,
    ImageLabel,
    InverterOption,
    Json,
    Method,
    OnBad,
    Out,
    Own,
    Perceptual,
    PerceptualWeights,
    Repeat,
    Seed,
    SegmenterOption,
    SegmenterWeights,
    Steps,
    Store,
    Weights,
    repeated,
)
from .output import parse_options, print_inversions, print_json

if TYPE_CHECKING:
    from seeingkit.runs.config import InversionConfig


def inversion_config(
    *,
    method: str | None,
    cut: str | None,
    own: int,
    preset: str | None,
    encoder: str | None,
    perceptual: str | None,
    perceptual_weights: Path | None,
    steps: int | None,
    inverter_option: Sequence[str] | None,
    label: int | None = None,
    usual_encoder: str | None = None,
    **more: Any,
) -> InversionConfig:
    """Options of the command line as a config.

    Raises:
        UsageError: a setting that cannot be right.
    """
    from pydantic import ValidationError

    from seeingkit.analyses.inversion.catalog import METHODS
    from seeingkit.errors import UsageError
    from seeingkit.models.registry import registry
    from seeingkit.runs.config import InversionConfig

    options = parse_options(inverter_option)
    given = {
        "preset": preset,
        "encoder": encoder,
        "perceptual": perceptual,
        "perceptual_weights": None if perceptual_weights is None else str(perceptual_weights),
        "steps": steps,
    }
    for key, value in given.items():
        if value is not None:
            if key in options:
                raise UsageError(f"--{key.replace('_', '-')} is also given as an inverter option")
            options[key] = value
    if usual_encoder is not None:
        options.setdefault("encoder", usual_encoder)
    if "cut" in options:
        raise UsageError("give the cut with --cut")
    if method == "all":
        methods: tuple[str, ...] = METHODS
    elif method == "none":
        methods = ()
    else:
        methods = _names(method) or (registry().default("inverter"),)
    try:
        return InversionConfig(
            methods=methods, cuts=_names(cut), own=own, label=label, options=options, **more
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"--{name}: {first['msg'].lower()}") from error


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def invert(
    context: typer.Context,
    photos: Annotated[
        list[str] | None, typer.Argument(help="Photos: paths, globs, folders, data sets.")
    ] = None,
    gan: Gan = None,
    weights: Weights = None,
    method: Method = None,
    cut: Cut = None,
    preset: Annotated[
        str | None, typer.Option(help="fast (default), or paper: its losses and schedule.")
    ] = None,
    own: Own = 40,
    encoder: Encoder = None,
    perceptual: Perceptual = None,
    perceptual_weights: PerceptualWeights = None,
    steps: Steps = None,
    inverter_option: InverterOption = None,
    label: ImageLabel = None,
    data: Annotated[
        str | None, typer.Option(help="What the generator learnt from (default: its weights' own).")
    ] = None,
    segmenter: Annotated[
        str | None, typer.Option(help="Segmenter: family or family:weights, or none.")
    ] = None,
    segmenter_weights: SegmenterWeights = None,
    n: Annotated[int | None, typer.Option("--n", help="Take only n of the photos.")] = None,
    seed: Seed = None,
    device: Device = "auto",
    batch_size: BatchSize = 16,
    on_bad: OnBad = "skip",
    gan_option: GanOption = None,
    segmenter_option: SegmenterOption = None,
    data_option: DataOption = None,
    config: Repeat = None,
    out: Out = None,
    store: Store = None,
    json: Json = False,
) -> int:
    """What can the generator's last layers not make of these photos? Invert, compare, report."""
    from seeingkit.errors import ExitCode, UsageError
    from seeingkit.runs.invert import execute_inversion, plan_inversion
    from seeingkit.system.devices import resolve_device

    if config is not None:
        anew = {"device": resolve_device(device), "batch_size": batch_size}
        plan = repeated(config, anew, context)
        if plan.command != "invert":
            raise UsageError(f"{config}: a run of {plan.command}; use seeingkit {plan.command}")
    else:
        chosen = inversion_config(
            method=method,
            cut=cut,
            own=own,
            preset=preset,
            encoder=encoder,
            perceptual=perceptual,
            perceptual_weights=perceptual_weights,
            steps=steps,
            inverter_option=inverter_option,
            label=label,
        )
        if not chosen.methods:
            raise UsageError("--method none leaves nothing to do")
        plan = plan_inversion(
            photos or [],
            gan,
            data=data,
            segmenter=segmenter,
            inversion=chosen,
            weights=None if weights is None else str(weights),
            segmenter_weights=None if segmenter_weights is None else str(segmenter_weights),
            n=n,
            seed=seed,
            device=resolve_device(device),
            batch_size=batch_size,
            on_bad=on_bad,
            gan_options=parse_options(gan_option),
            segmenter_options=parse_options(segmenter_option),
            data_options=parse_options(data_option),
        )
    done = execute_inversion(plan, out=out, store=store)
    if done is None:
        return ExitCode.DONE
    if json:
        print_json(done.to_dict())
    else:
        print_inversions(done.results, done.report)
    return ExitCode.SKIPPED if done.results.skipped else ExitCode.DONE
