"""What commands print on stdout: results only, as words or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..results import (
        CalibrationRecord,
        ConditionResult,
        InversionRecord,
        InversionResults,
        Results,
    )


def parse_options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """``key=value`` pairs; values are JSON where they parse as JSON, else text.

    Raises:
        UsageError: no equals sign, or a key given twice.
    """
    from ..errors import UsageError

    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise UsageError(f"an option reads key=value, not {pair!r}")
        if key in found:
            raise UsageError(f"option {key!r} is given twice")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def print_json(content: object) -> None:
    """One JSON document on stdout."""
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(
    rows: Sequence[Sequence[str]], header: Sequence[str], *, words: bool = False
) -> None:
    """Columns as wide as their widest cell; plain text, so that it can be piped.

    All but the first column are numbers and aligned right, unless they are ``words``.
    """
    widths = [max(len(str(r[k])) for r in [header, *rows]) for k in range(len(header))]
    for row in [header, *rows]:
        cells = [
            str(cell).ljust(w) if words or k == 0 else str(cell).rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def _relative(value: float | None) -> str:
    return "new" if value is None else f"{100 * value:+.0f} %"


def print_summary(results: Results, report: Path) -> None:
    """The comparison in words, the twenty largest classes, and where the report is."""
    from ..report import summarise

    words = summarise(results)
    for line in (words.headline, *words.details, *words.cautions):
        print(line)
    print()
    shown = [c for c in results.classes if c.index or c.label != "-"]
    rows = [
        (
            c.label,
            f"{c.real_area:.3g} %",
            f"{c.generated_area:.3g} %",
            _relative(c.relative_difference),
            f"{c.q_value:.2g}",
            c.verdict,
        )
        for k, c in enumerate(shown)
        if k < 20 or c.omitted
    ]
    print_table(rows, ("class", "real", "generated", "difference", "q", "verdict"))
    if results.conditions:
        print()
        _print_conditions(results.conditions)
    if results.inversions:
        print()
        _print_inversions(results.inversions, results.calibrations)
    _print_end(results, report)


def _print_conditions(records: Sequence[ConditionResult], shown: int = 20) -> None:
    """The classes of a conditional generator, largest FSD first."""
    from ..report.conditions import missing

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
    print("classes of the generator" + (", each against all real images" if whole else ""))
    print_table(rows, ("drawn as", "real", "generated", "FSD", "floor", "left out"))
    if len(worst) > shown:
        print(f"… and {len(worst) - shown} more in results.json")


def print_inversions(results: InversionResults, report: Path) -> None:
    """What vanished from the photos, the methods beside each other, and where the report is."""
    _print_inversions(results.inversions, results.calibrations)
    for warning in results.warnings:
        print(warning)
    _print_end(results, report)


def _print_inversions(
    records: Sequence[InversionRecord], calibrations: Sequence[CalibrationRecord]
) -> None:
    from ..report import summarise_inversions

    for line in summarise_inversions(records, calibrations):
        print(line)
    print()
    keys = dict.fromkeys((r.method, r.cut) for r in records)
    own = {(c.method, c.cut): c for c in calibrations}
    rows = []
    for method, cut in keys:
        chosen = [r for r in records if (r.method, r.cut) == (method, cut)]
        known = own.get((method, cut))
        rows.append(
            (
                method,
                cut,
                f"{sum(r.psnr for r in chosen) / len(chosen):.1f} dB",
                f"{known.psnr:.1f} dB" if known else "-",
                *(
                    "-" if value is None else f"{value:.3f}"
                    for value in (
                        (known.z_correlation, known.r_correlation, known.pixel_correlation)
                        if known
                        else (None, None, None)
                    )
                ),
            )
        )
    print_table(
        rows, ("method", "cut", "photos", "own images", "z corr.", "r corr.", "pixel corr.")
    )


def _print_end(results: Results | InversionResults, report: Path) -> None:
    if results.skipped:
        print(f"\nskipped {len(results.skipped)}:")
        for skipped in results.skipped[:20]:
            print(f"  {skipped.source} {skipped.item}: {skipped.reason}")
    print(f"\nreport: {report}")
    sys.stdout.flush()


def print_tally(summary: Mapping[str, Any]) -> None:
    """Mean area and presence of each class, and what was skipped."""
    print(f"{summary['n']} images")
    rows = [
        (c["label"], c["plane"], f"{c['area']:.3g} %", f"{100 * c['presence']:.1f} %")
        for c in summary["classes"]
    ]
    print_table(rows, ("class", "plane", "mean area", "in images"))
    if summary["skipped"]:
        print(f"\nskipped {len(summary['skipped'])}:")
        for skipped in summary["skipped"]:
            print(f"  {skipped['item']}: {skipped['reason']}")
