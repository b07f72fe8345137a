"""``seeingkit intervene``: units of a layer ablated or inserted, and what every class does."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from seeingkit.errors import ExitCode, UsageError

from . import options as o
from .groups import Settings, checked, repeated, report_settings, takes
from .interventions import print_intervention
from .options import EDIT, EFFECT, generator_options, option, segmenter_options, unit_numbers
from .output import print_json, say

edited = partial(option, panel=EDIT)
measured = partial(option, panel=EFFECT)

Layer = Annotated[o.Text, edited("Layer (boundary) whose units are changed, such as r8.conv1.")]
Units = Annotated[o.Text, edited("Unit numbers, as 3,17,40-44.")]
Choose = Annotated[o.Number, edited("Choose so many units for the class, ranked --by.")]
_BY = "optimised (causal effect together), single (each alone, needs --each), iou (--dissection)."
By = Annotated[o.Text, edited(f"Ranking of units: {_BY} Default: optimised.", "--by")]
Dissection = Annotated[o.File, edited("Run of dissect, whose IoU ranks units.", "--dissection")]
Insert = Annotated[bool, edited("Set units to 0, or to the class's mean.", "--insert/--ablate")]
Value = Annotated[o.Text, edited("Values to insert instead: one, or one for each unit, as a,b.")]
Class = Annotated[o.Text, edited("Class that is asked for.", "--class")]
Box = Annotated[o.Text, edited("Only there: top,left,bottom,right, each from 0 to 1.")]
Many = Annotated[o.Number, measured("Images that the effect is measured on.", "-n", "--n")]
Random = Annotated[
    int, measured("Sets of as many random units, as control.", default="intervention.random")
]
Curve = Annotated[o.Text, measured("Curve of the class against units ablated, as 1,5,20.")]
Each = Annotated[int, measured("Images on which each unit of the layer is changed alone; 0: none.")]
Context = Annotated[
    int, measured("Insert at every so manieth cell, for a map; 0: no map.", "--context")
]
ContextClasses = Annotated[
    bool, measured("The table of that map for all classes.", "--context-classes")
]
Search = Annotated[
    int,
    measured(
        "Images of further series searched for units and values.", default="intervention.search"
    ),
]
Level = Annotated[float, measured("False discovery rate of the claims.", default="level")]


def edit_settings(
    *,
    layer: Layer = None,
    units: Units = None,
    choose: Choose = None,
    by: By = None,
    dissection: Dissection = None,
    insert: Insert = False,
    value: Value = None,
    name: Class = None,
    box: Box = None,
) -> Settings:
    """What is done to which units.

    Raises:
        UsageError: numbers that cannot be read.
    """
    ends = None if box is None else tuple(_floats("--box", box))
    if ends is not None and len(ends) != 4:
        raise UsageError(f"--box {box}: give top,left,bottom,right")
    return {
        "layer": layer,
        "units": None if units is None else tuple(unit_numbers(units)),
        "choose": choose,
        "by": by,
        "dissection": None if dissection is None else str(dissection),
        "insert": insert,
        "label": name,
        "values": None if value is None else tuple(_floats("--value", value)),
        "box": ends,
    }


def effect_settings(
    *,
    n: Many = None,
    random: Random,
    curve: Curve = None,
    each: Each = 0,
    places: Context = 0,
    context_classes: ContextClasses = False,
    search: Search,
    level: Level,
) -> Settings:
    """What is measured."""
    return {
        "n": n,
        "random": random,
        "curve": None if curve is None else tuple(unit_numbers(curve)),
        "each": each,
        "context": places,
        "context_classes": context_classes,
        "search": search,
        "level": level,
    }


def model_settings(
    *,
    weights: o.Weights = None,
    segmenter: o.Segmenter = None,
    segmenter_weights: o.SegmenterWeights = None,
    seed: o.Seed = None,
    device: o.Device = "auto",
    batch_size: o.BatchSize,
    gan_option: o.GanOption = None,
    edit: o.Edit = None,
    segmenter_option: o.SegmenterOption = None,
    precision: o.Precision = None,
    compiled: o.Compile = False,
    preset: o.PresetName = None,
    labels: o.Labels = None,
    classes: o.Classes = None,
) -> Settings:
    """The models, and the machine."""
    return {
        "weights": weights and str(weights),
        "segmenter": segmenter,
        "segmenter_weights": segmenter_weights and str(segmenter_weights),
        "seed": seed,
        "device": device,
        "batch_size": batch_size,
        "gan_options": generator_options(gan_option, edit),
        "segmenter_options": segmenter_options(segmenter_option, precision, compiled),
        "preset": preset,
        "labels": labels,
        "classes": classes,
    }


@takes(edit_settings, effect_settings, model_settings, report_settings, batch_size=o.FixedBatchSize)
def intervene(
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
    """Ablate or insert units of a layer: what every class loses and gains. A run resumes."""
    from seeingkit.runs.interventions import execute_intervention, intervention_run_config

    if config is not None:
        run = repeated(config, settings, context, only="intervene")
    else:
        settings |= edit_values(settings)
        run = checked(lambda: intervention_run_config(gan, data, **settings))
    done = execute_intervention(run, out=out, store=store)
    if done is None:
        return ExitCode.DONE
    if json:
        print_json(done.to_dict())
        return ExitCode.DONE
    print_intervention(done.results)
    say()
    say(f"report: {done.report}")
    return ExitCode.DONE


def edit_values(settings: Settings) -> Settings:
    """One value that was given for several units, for each of them."""
    values, units = settings.get("values") or (), settings.get("units") or ()
    return {"values": values * len(units)} if len(values) == 1 and units else {}


def _floats(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{name} {text}: give numbers, as 0.5,1") from None
