"""The command ``invert``: photos through the last layers of a generator, without a comparison."""

from __future__ import annotations

from typing import Annotated

import typer

from seeingkit.errors import ExitCode, UsageError

from . import options as o
from .groups import Settings, image_settings, inversion_config, inversion_settings, repeated, takes
from .output import print_inversions, print_json


@takes(
    inversion_settings,
    image_settings,
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

    if config is not None:
        run = repeated(config, settings, context)
        if run.command != "invert":
            raise UsageError(f"{config}: a run of {run.command}; use seeingkit {run.command}")
    else:
        settings["inversion"] = inversion_config(settings["inversion"])
        if not settings["inversion"].methods:
            raise UsageError("--method none leaves nothing to do")
        run = inversion_run_config(photos or [], gan, data=data, **settings)
    done = execute_inversion(run, out=out, store=store)
    if done is None:
        return ExitCode.DONE
    if json:
        print_json(done.to_dict())
    else:
        print_inversions(done.results, done.report)
    return ExitCode.SKIPPED if done.results.skipped else ExitCode.DONE
