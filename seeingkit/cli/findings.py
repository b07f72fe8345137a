"""What a run found, in words on stdout; failed gates on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeingkit.errors import UsageError

from .output import plain, print_sentence, print_table, say, searchable

if TYPE_CHECKING:
    from seeingkit import results as schema


def print_summary(results: schema.Results, report: Path, shown: int = 20) -> None:
    """Print the finding, the classes, the distance, cautions, inversions, the path of the report.

    Args:
        shown: this many of the largest classes, besides all omitted ones.
    """
    from seeingkit.report import summarise
    from seeingkit.report.words.conditions import matching

    words = summarise(results)
    if words.question:
        print_sentence(words.question)
    print_sentence(words.headline)
    say()
    if results.paired is not None:
        _print_pairs(results, results.paired, shown)
    else:
        _print_classes(results, shown)
    for lines, start in ((words.details, ""), (words.cautions, "! ")):
        if lines:
            say()
        for line in lines:
            print_sentence(line, start)
    if results.conditions:
        say()
        if results.real_classes is not None:
            print_sentence(matching(results.real_classes))
        _print_conditions(results.conditions)
    if results.inversions:
        say()
        _print_inversions(results.inversions, results.calibrations, results.vanishing)
    _print_end(results, report)


def _print_classes(results: schema.Results, shown: int) -> None:
    """The largest classes and all omitted ones; possible segmentation errors are marked."""
    from seeingkit.report.words.cautions import segmenter_checks
    from seeingkit.results import is_background

    flagged = {index for index, check in segmenter_checks(results).items() if check.flagged}
    records = [c for c in results.classes if not is_background(c)]
    listed = [c for k, c in enumerate(records) if k < shown or c.omitted]
    rows = [_class_row(c, c.index in flagged) for c in listed]
    header = ("class", "real", "generated", "difference", "interval", "q", "verdict")
    print_table(rows, header, last_words=True)
    if len(records) > len(listed):
        say(f"… and {len(records) - len(listed)} smaller classes in results.json")
    if any(record.index in flagged for record in listed):
        say("(!) segmentation error may cause or hide this difference: see the report")


def _print_pairs(results: schema.Results, paired: schema.PairedResult, shown: int) -> None:
    """The largest classes of a paired comparison, and all with a claim."""
    from seeingkit.report.words.numbers import area, change, probability
    from seeingkit.report.words.paired import claims, interval_name, relative_ends
    from seeingkit.results import is_background

    pairs = {record.index: record for record in paired.classes}
    records = [(c, pairs[c.index]) for c in results.classes if not is_background(c)]
    listed = [(c, p) for k, (c, p) in enumerate(records) if k < shown or c.verdict != "no evidence"]
    rows = []
    for record, pair in listed:
        new = record.relative_difference is None
        cells = (
            record.label,
            area(record.real_area),
            area(record.generated_area),
            "new" if new else change(record.relative_difference),
            "" if new else relative_ends(pair),
            probability(pair.q_area) if pair.tested_area else "-",
            f"{pair.only_real}/{pair.only_generated}",
            probability(pair.q_images) if pair.tested_images else "-",
            f"{pair.vanished} of {pair.shown}" if pair.shown else "-",
            claims(pair),
        )
        rows.append(searchable(cells))
    header = [
        "class",
        "real",
        "generated",
        "difference",
        plain(interval_name(paired)),
        "q area",
        "lost/won",
        "q images",
        "vanishes",
        "claim",
    ]
    print_table(rows, header, last_words=True)
    if len(records) > len(listed):
        say(f"… and {len(records) - len(listed)} smaller classes in results.json")


def _class_row(record: schema.ClassResult, flagged: bool) -> list[str]:
    from seeingkit.report.words.numbers import area, change, interval, probability

    change_of_area, bounds = "new", ""  # a class that no real image contains
    if record.relative_difference is not None:
        change_of_area = change(record.relative_difference)
        bounds = interval(record.ci_low, record.ci_high)
    areas = area(record.real_area), area(record.generated_area)
    verdict = _verdict(record) + (" (!)" if flagged else "")
    q = probability(record.q_value)
    cells = (record.label, *areas, change_of_area, bounds, q, verdict)
    return searchable(cells)


def _verdict(record: schema.ClassResult) -> str:
    from seeingkit.report.words.findings import verdict_words
    from seeingkit.results import images_lost

    words = verdict_words(record)
    if record.because != "presence":
        return words
    real, generated, _ = images_lost(record)
    return f"{words}: {100 * real:.3g} % -> {100 * generated:.3g} %"


def print_failed_gates(
    gates: Sequence[str],
    results: schema.Results | schema.AssessmentResults,
    labels: Sequence[str],
    *,
    of: str = "",
) -> bool:
    """Print every gate that fails, one line each on stderr.

    Args:
        of: the generator that they are asked of, where there are several.

    Returns:
        Whether one fails.

    Raises:
        UsageError: a gate names an unknown class; the other gates are checked and printed first.
    """
    from seeingkit.results.gates import check_gates

    failed, unknown = False, None
    for gate in gates:
        try:
            reasons = check_gates([gate], results, labels)
        except UsageError as error:
            unknown = unknown or error
            continue
        for reason in reasons:
            failed = True
            say(f"gate failed: {of}{': ' if of else ''}{reason}", error=True)
    if unknown is not None:
        raise unknown
    return failed


def _print_conditions(records: Sequence[schema.ConditionResult], shown: int = 20) -> None:
    """The classes of a conditional generator, largest FSD first."""
    from seeingkit.report.sections.evidence import missing

    worst = sorted(records, key=lambda record: -record.fsd.value)
    whole = worst[0].against == "all"
    rows = [
        (
            record.name,
            str(record.n_real),
            str(record.n_generated),
            f"{record.fsd.value:.3g}",
            "-" if record.fsd.floor is None else f"{record.fsd.floor:.3g}",
            ", ".join(missing(record, "omitted")) or "-",
        )
        for record in worst[:shown]
    ]
    say("classes of the generator" + (", each against all real images" if whole else ""))
    print_table(rows, ("class", "real", "generated", "FSD", "floor", "omitted"))
    if len(worst) > shown:
        say(f"… and {len(worst) - shown} more in results.json")


def print_generators(results: schema.GeneratorsResults, report: Path) -> None:
    """Print the finding, the generators, their differences, cautions, the path of the report."""
    from seeingkit.report import summarise_generators
    from seeingkit.report.words.generators import swap_probability
    from seeingkit.report.words.numbers import between, number

    def cells(name: str, n: int, fsd: schema.FSDResult, left_out: Sequence[str]) -> tuple[str, ...]:
        known = ("-" if x is None else number(x) for x in (fsd.floor, fsd.bias_reduced))
        ends = "-" if fsd.ci_high is None else between((fsd.ci_low, fsd.ci_high))
        return name, str(n), number(fsd.value), *known, ends, ", ".join(left_out) or "-"

    words = summarise_generators(results)
    print_sentence(words.headline)
    say()
    rows = [
        cells(one.name, one.n, one.fsd, [c.label for c in one.classes if c.omitted])
        for one in results.generators
    ]
    if (control := results.control) is not None:
        rows.append(cells("real, halves", control.n, control.fsd, control.claimed))
    header = ("images", "n", "FSD", "floor", "bias-reduced", "95 % interval", "left out")
    print_table([searchable(row) for row in rows], header, last_words=True)
    say()
    differences = [
        (
            f"{d.first} - {d.second}",
            number(d.value),
            between((d.ci_low, d.ci_high)),
            swap_probability(d),
            d.nearer or "neither",
        )
        for d in results.differences
    ]
    confidence = f"{100 * results.differences[0].confidence:.3g} % interval"
    heads = ("difference", "FSD", confidence, "swap test p", "surely nearer")
    print_table([searchable(row) for row in differences], heads, last_words=True)
    for lines, start in ((words.details, ""), (words.cautions, "! ")):
        if lines:
            say()
        for line in lines:
            print_sentence(line, start)
    _print_end(results, report)


def print_inversions(results: schema.InversionResults, report: Path) -> None:
    """Print the classes lost, the methods side by side, and the path of the report."""
    from seeingkit.report.words.assumptions import assumed

    _print_inversions(results.inversions, results.calibrations, results.vanishing)
    for line in (*assumed([results.generator, results.segmenter]), *results.warnings):
        say(line)
    _print_end(results, report)


def print_dissection(results: schema.DissectionResults, report: Path) -> None:
    """Print the finding, each layer with its classes, cautions, the path of the report."""
    from seeingkit.report import summarise_dissection
    from seeingkit.report.words.dissection import by_iou_words, classes_words, response_words

    words = summarise_dissection(results)
    print_sentence(words.headline)
    say()
    rows = [
        (
            layer.name,
            f"{layer.extent[0]} x {layer.extent[1]}",
            str(layer.units),
            str(layer.labelled),
            classes_words(layer, limit=8) or "-",
        )
        for layer in results.layers
    ]
    print_table(rows, ("layer", "map", "units", "labelled", "units by class"), last_words=True)
    say()
    for layer in results.layers:
        print_sentence(by_iou_words(layer))
    for line in filter(None, (response_words(results), *words.details)):
        print_sentence(line)
    for line in words.cautions:
        print_sentence(line, "! ")
    _print_skipped([f"{x.source} {x.item}: {x.reason}" for x in results.skipped], 20)
    say()
    say(f"report: {report}")
    sys.stdout.flush()


def _print_inversions(
    records: Sequence[schema.InversionRecord],
    calibrations: Sequence[schema.CalibrationRecord],
    vanishing: Sequence[schema.ClassVanishing],
) -> None:
    from seeingkit.report import summarise_inversions

    for line in summarise_inversions(records, calibrations, vanishing):
        say(line)
    say()
    calibrated = {(c.method, c.cut): c for c in calibrations}
    rows = []
    for method, cut in dict.fromkeys((r.method, r.cut) for r in records):
        psnr = [r.psnr for r in records if (r.method, r.cut) == (method, cut)]
        row = [method, cut, f"{sum(psnr) / len(psnr):.1f} dB"]
        own = calibrated.get((method, cut))
        if own is None:
            row += ["-"] * 4
        else:
            correlations = (own.z_correlation, own.r_correlation, own.pixel_correlation)
            row.append(f"{own.psnr:.1f} dB")
            row += ["-" if value is None else f"{value:.3f}" for value in correlations]
        rows.append(row)
    header = ("method", "cut", "photos", "samples", "z corr.", "r corr.", "pixel corr.")
    print_table(rows, header)


def _print_end(
    results: schema.Results | schema.InversionResults | schema.GeneratorsResults, report: Path
) -> None:
    sides = {"": results.data}
    if (generated := getattr(results, "generated", None)) is not None:
        sides = {"real images: ": results.data, "generated images: ": generated}
    for name, source in sides.items():
        _print_notes(source.notes, name)
    _print_skipped([f"{x.source} {x.item}: {x.reason}" for x in results.skipped], 20)
    say()
    say(f"report: {report}")
    sys.stdout.flush()


def print_tally(summary: Mapping[str, Any]) -> None:
    """Print mean area and presence of each class, and the skipped images."""
    say(f"{summary['n']} image{'' if summary['n'] == 1 else 's'}")
    from seeingkit.report.words.assumptions import assumed
    from seeingkit.results import ModelRecord
    from seeingkit.tallies.table import MEANS

    head, sign = MEANS[summary.get("unit", "pixels")]
    rows = [
        (c["label"], c["plane"], f"{c['area']:.3g}{sign}", f"{100 * c['presence']:.1f} %")
        for c in summary["classes"]
    ]
    print_table(rows, ("class", "plane", head, "presence"))
    models = [summary[role] for role in ("generator", "segmenter") if role in summary]
    for line in assumed(map(ModelRecord.model_validate, models)):
        print_sentence(line, "! ")
    source = summary.get("source", {})
    _print_notes(source.get("notes", []))
    skipped = [(x["item"], x["reason"]) for x in summary["skipped"]]
    _print_skipped([f"{item}: {why}" for item, why in (*skipped, *source.get("left_out", []))])


def _print_notes(notes: Sequence[str], of: str = "") -> None:
    """How the images were found, a line each after an empty one."""
    for line in ([""] if notes else []) + [f"{of}{note}" for note in notes]:
        say(line)


def _print_skipped(lines: Sequence[str], shown: int | None = None) -> None:
    if lines:
        say()
        say(f"skipped {len(lines)}:")
    for line in lines[:shown]:
        say(f"  {line}")
