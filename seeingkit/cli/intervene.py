"""``seeingkit intervene``: units of a layer ablated or inserted, and what every class does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

from seeingkit.errors import ExitCode, UsageError

from . import options as o
from .groups import Settings, takes
from .options import EDIT, EFFECT, option, parse_options, unit_numbers
from .output import print_json, print_table, say

if TYPE_CHECKING:
    from seeingkit.results.interventions import InterventionResults

edited = partial(option, panel=EDIT)
measured = partial(option, panel=EFFECT)

Layer = Annotated[str, edited("Layer (boundary) whose units are changed, such as r8.conv1.")]
Units = Annotated[o.Text, edited("Unit numbers, as 3,17,40-44.")]
Choose = Annotated[o.Number, edited("Choose so many units for the class, by their causal effect.")]
Insert = Annotated[bool, edited("Set units to 0, or to the class's mean.", "--insert/--ablate")]
Value = Annotated[o.Text, edited("Values to insert instead: one, or one for each unit, as a,b.")]
Class = Annotated[o.Text, edited("Class that is asked for.", "--class")]
Box = Annotated[o.Text, edited("Only there: top,left,bottom,right, each from 0 to 1.")]
Many = Annotated[int, measured("Images that the effect is measured on.", "-n", "--n")]
Random = Annotated[int, measured("Sets of as many random units, as control.")]
Curve = Annotated[o.Text, measured("Curve of the class against units ablated, as 1,5,20.")]
Context = Annotated[int, measured("Insert at every so manieth cell, for a map; 0: no map.")]
Search = Annotated[int, measured("Images of other seeds searched for units and values.")]
Level = Annotated[float, measured("False discovery rate over the classes.")]
Out = Annotated[o.File, o.running("Write the results to this JSON file.")]

SHOWN = 12
"""Classes that are printed, besides all with a claim."""


def edit_settings(
    *,
    layer: Layer = "",
    units: Units = None,
    choose: Choose = None,
    insert: Insert = False,
    value: Value = None,
    name: Class = None,
    box: Box = None,
) -> Settings:
    """What is done to which units.

    Raises:
        UsageError: no layer, no units, or what cannot be read.
    """
    if not layer:
        raise UsageError("name a layer with --layer; seeingkit weights inspect FILE lists them")
    if (units is None) == (choose is None):
        raise UsageError("name units with --units, or choose some with --choose; one of the two")
    numbers = choose if units is None else unit_numbers(units)
    values = None if value is None else _floats("--value", value)
    if values is not None and len(values) == 1 and isinstance(numbers, list):
        values *= len(numbers)
    ends = None if box is None else tuple(_floats("--box", box))
    if ends is not None and len(ends) != 4:
        raise UsageError(f"--box {box}: give top,left,bottom,right")
    edit = {"layer": layer, "units": numbers, "insert": insert, "label": name}
    return edit | {"values": values, "box": ends}


def effect_settings(
    *,
    n: Many = 100,
    random: Random = 5,
    curve: Curve = None,
    context: Context = 0,
    search: Search = 200,
    level: Level = 0.05,
) -> Settings:
    """What is measured."""
    numbers = () if curve is None else unit_numbers(curve)
    measured = {"n": n, "random": random, "curve": numbers, "context": context}
    return measured | {"search": search, "level": level}


def model_settings(
    *,
    weights: o.Weights = None,
    gan_option: o.GanOption = None,
    labels: o.Labels = None,
    segmenter: o.Segmenter = None,
    segmenter_weights: o.SegmenterWeights = None,
    segmenter_option: o.SegmenterOption = None,
    preset: o.PresetName = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    batch_size: Annotated[int, o.running("Images per batch.")] = 8,
) -> Settings:
    """The models, and the machine."""
    return {
        "weights": weights,
        "gan_options": parse_options(gan_option),
        "labels": labels,
        "segmenter": segmenter,
        "segmenter_weights": segmenter_weights,
        "segmenter_options": parse_options(segmenter_option),
        "preset": preset,
        "seed": seed or 0,
        "device": device,
        "batch_size": batch_size,
    }


@takes(edit_settings, effect_settings, model_settings)
def intervene(
    gan: o.Gan = None, *, settings: Settings, out: Out = None, json: o.Json = False
) -> int:
    """Ablate or insert units of a generator's layer. Tells what every class loses and gains."""
    from seeingkit.runs.interventions import run_intervention

    found = run_intervention(gan, out=out, **settings)
    if json:
        print_json(found.model_dump(mode="json"))
        return ExitCode.DONE
    print_intervention(found)
    if out is not None:
        say()
        say(f"results: {out}")
    return ExitCode.DONE


def _floats(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{name} {text}: give numbers, as 0.5,1") from None


# ------------------------------------------------------------------------------------- the table


def print_intervention(found: InterventionResults) -> None:
    """Print the effect on each class, random units, ACE, the curve and the table of contexts."""
    many = f"{len(found.units)} unit{'' if len(found.units) == 1 else 's'}"
    done = "set to 0" if found.kind == "ablation" else "inserted"
    say(
        f"{found.generator.name}, {found.layer}: {many} {done}, {found.n} images; "
        f"{_percent(found.effect.moved)} of the pixels change their class"
    )
    if found.choice is not None:
        say(f"units, strongest first: {','.join(map(str, found.units))}")
    say()
    _print_classes(found)
    if found.effect.changes:
        say()
        say("what grows instead")
        rows = [(c.before, c.after, f"{c.area:.2f} %") for c in found.effect.changes[:8]]
        print_table(rows, ("of", "becomes", "of the image"), words=True)
    _print_random(found)
    if (ace := found.causal) is not None:
        say()
        say(
            f"average causal effect on {ace.label}: {ace.value:.3g} % of the image "
            f"{_interval(ace.low, ace.high)}, p {ace.p:.2g}"
        )
    _print_curve(found)
    _print_contexts(found)


def _print_classes(found: InterventionResults) -> None:
    records = found.effect.classes
    listed = [c for k, c in enumerate(records) if k < SHOWN or _claims(c) or c.label == found.label]
    rows = [
        (
            c.label,
            f"{c.before:.3g} %",
            f"{c.after:.3g} %",
            "new" if c.relative is None else _signed(c.relative),
            _interval(c.relative_low, c.relative_high, 100),
            f"{c.q_area:.2g}" if c.tested_area else "-",
            f"{c.only_before}/{c.only_after}",
            f"{c.q_images:.2g}" if c.tested_images else "-",
            _claims(c) or "no evidence",
        )
        for c in listed
    ]
    header = ("class", "before", "after", "change", "95 % interval", "q area", "lost/won")
    print_table(rows, (*header, "q images", "claim"), last_words=True)
    if len(records) > len(listed):
        say(f"… and {len(records) - len(listed)} more classes in the results")


def _claims(record: object) -> str:
    claims = (getattr(record, name) for name in ("area_claim", "images_claim"))
    return ", ".join(claim for claim in claims if claim != "no evidence")


def _print_random(found: InterventionResults) -> None:
    if found.random is None:
        return
    say()
    say(
        f"as many random units ({len(found.random.sets)} sets): "
        f"{_percent(found.random.moved)} of the pixels change their class"
    )
    if not found.random.classes:  # no class was named, and none is claimed to change
        return
    before = {c.label: c for c in found.effect.classes}
    rows = [
        (
            c.label,
            f"{before[c.label].difference:+.3g} %" if c.label in before else "-",
            f"{c.lowest:+.3g} to {c.highest:+.3g} %",
            f"{c.against:+.3g} % {_interval(c.low, c.high)}",
            f"{c.p:.2g}",
        )
        for c in found.random.classes[:SHOWN]
    ]
    header = ("class", "these units", "random units", "difference", "p")
    print_table(rows, header)


def _print_curve(found: InterventionResults) -> None:
    if found.curve is None:
        return
    say()
    say(f"{found.curve.label} that is left")
    random = {band.units: band for band in found.curve.random}
    rows: list[Sequence[str]] = []
    for point in found.curve.lines[0].points:
        band = random.get(point.units)
        left = "-" if point.remaining is None else _percent(point.remaining)
        ends = _interval(point.remaining_low, point.remaining_high, 100)
        other = "-" if band is None else f"{_percent(band.lowest)} to {_percent(band.highest)}"
        rows.append((str(point.units), left, ends, other))
    print_table(rows, ("units", "left", "95 % interval", "random units"))


def _print_contexts(found: InterventionResults) -> None:
    if found.context is None:
        return
    say()
    say(f"{found.context.label} by what stands under the cell")
    rows = [
        (
            c.label or "(outside)",
            str(c.places),
            str(c.images),
            f"{c.effect:+.3g} %",
            _interval(c.low, c.high),
            "-" if c.q is None else f"{c.q:.2g}",
        )
        for c in found.context.contexts
    ]
    print_table(rows, ("class", "places", "images", "effect", "95 % interval", "q"))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _signed(share: float) -> str:
    return f"{100 * share:+.3g} %"


def _interval(low: float | None, high: float | None, scale: float = 1) -> str:
    if low is None and high is None:
        return "-"
    ends = ("…" if end is None else f"{scale * end:.3g}" for end in (low, high))
    return f"[{', '.join(ends)}]"
