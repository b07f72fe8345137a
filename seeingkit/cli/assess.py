"""``seeingkit assess``: what edits of a generator's weights did, on fresh images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seeingkit.errors import ExitCode, UsageError

from . import groups
from . import options as o
from .findings import print_failed_gates
from .groups import Settings, takes
from .options import REWRITING, option
from .output import print_json, print_sentence, print_table, say

if TYPE_CHECKING:
    from seeingkit.results import AssessmentResults

assessed = partial(option, panel=REWRITING)

EditFiles = Annotated[
    list[Path] | None,
    typer.Argument(metavar="EDIT", help="Files of edits, in order; the same as --edit."),
]
Wanted = Annotated[
    list[str] | None,
    assessed(
        "Class that is to appear at matching places; may be repeated. Default: those of the region "
        "that was copied.",
        "--wanted",
    ),
]
FailIf = Annotated[
    o.Texts,
    assessed(
        "Exit with code 4 if this holds: 'edits[NAME].success.low < 0.1', 'distance.high < 0', "
        "'effect.class[boat].difference < 0'; may be repeated."
    ),
]
Images = Annotated[o.Number, o.images("Images of each side.", "-n", "--n")]


def wanted_settings(*, wanted: Wanted = None, level: o.Level, fail_if: FailIf = None) -> Settings:
    """The classes that are asked for, the error rate, and conditions under which it fails."""
    return {"wanted": tuple(wanted or ()), "level": level, "fail_if": tuple(fail_if or ())}


@takes(
    wanted_settings,
    groups.image_settings,
    groups.tally_settings,
    groups.report_settings,
    n=Images,
)
def assess(
    context: typer.Context,
    edits: EditFiles = None,
    gan: o.Gan = None,
    data: o.RealImages = None,
    *,
    settings: Settings,
    config: o.Repeat = None,
    out: o.Out = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Tell what edits of a generator did: where they were meant to act, elsewhere, each class."""
    from seeingkit.runs.assess import assessment_config, execute_assessment

    if edits:
        options = settings["gan_options"]
        if "edits" in options:
            raise UsageError("edits are given as arguments and with --edit; take one of them")
        settings["gan_options"] = {**options, "edits": [str(path) for path in edits]}
    if config is not None:
        run = groups.repeated(config, settings, context, only="assess")
    else:
        run = groups.checked(lambda: assessment_config(gan, data, **settings))
    done = execute_assessment(run, out=out, store=store)
    if done is None:
        return ExitCode.DONE
    if json:
        print_json(done.to_dict())
    else:
        print_assessment(done.results, done.report)
    if print_failed_gates(run.fail_if, done.results, done.labels):
        return ExitCode.GATE
    return ExitCode.SKIPPED if done.results.skipped else ExitCode.DONE


def print_assessment(results: AssessmentResults, report: Path) -> None:
    """Print the finding, the edits, cautions, and the path of the report."""
    from seeingkit.report import summarise_assessment
    from seeingkit.report.words.numbers import number, share
    from seeingkit.report.words.rewriting import ends_of, points

    def shown(value: float | None) -> str:
        return "-" if value is None else share(value)

    words = summarise_assessment(results)
    print_sentence(words.headline)
    say()
    rows = [
        (
            edit.name,
            edit.site,
            ", ".join(edit.wanted) or "-",
            shown(edit.before.value),
            shown(edit.after.value),
            points(edit.success.value),
            ends_of(edit.success) if edit.success.low is not None else "-",
            "-" if edit.outside.value is None else number(edit.outside.value),
            shown(edit.labels_outside.value),
        )
        for edit in results.edits
    ]
    header = ("edit", "site", "wanted", "before", "after", "success", "95 % interval")
    print_table(rows, (*header, "change elsewhere", "labels elsewhere"))
    say()
    for line in words.details:
        print_sentence(line)
    for line in words.cautions:
        print_sentence(line, "! ")
    say()
    say(f"report: {report}")
