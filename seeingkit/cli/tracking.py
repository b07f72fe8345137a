"""``seeingkit numbers`` and ``seeingkit export``: finished runs as a table, or to a tracker."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seeingkit.errors import ExitCode, SeeingkitError, UnknownNameError, UsageError

from .options import CONTENT, TRACKING, Json, Text, Texts, option, parse_options
from .output import print_json, print_text, say

if TYPE_CHECKING:
    from seeingkit.report.tracking import Tracker

content = partial(option, panel=CONTENT)
tracking = partial(option, panel=TRACKING)

Runs = Annotated[list[Path], typer.Argument(help="Run directories.", show_default=False)]
_FORMS = (
    "runs: a row for each run; classes: for each run and class; numbers: for each run and number."
)
Form = Annotated[str, content(_FORMS)]
Only = Annotated[
    Texts, content("Only numbers of this name or pattern, as 'fsd.*'; may be repeated.")
]
_FORMATS = "csv, json, parquet, markdown, latex or terminal. Default: by the ending of --out, csv."
Format = Annotated[Text, content(_FORMATS)]
TableFile = Annotated[Path | None, content("File to write. Default: stdout.", "--out")]
To = Annotated[str, tracking("Tracker: tensorboard, wandb or another that is registered.")]
LogFolder = Annotated[Path | None, tracking("Folder of its files (option logdir).")]
Project = Annotated[Text, tracking("Project of wandb (option project).")]
TrackerOption = Annotated[
    Texts, tracking("key=value for the tracker; may be repeated.", "--option")
]

_ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".parquet": "parquet",
    ".md": "markdown",
    ".tex": "latex",
    ".txt": "terminal",
}


def numbers(
    runs: Runs,
    form: Form = "runs",
    only: Only = None,
    format: Format = None,
    out: TableFile = None,
) -> int:
    """Put the numbers of finished runs into one table: CSV, JSON, Parquet and others."""
    from seeingkit.report.numbers import numbers_table
    from seeingkit.report.tables import render_table, write_table
    from seeingkit.runs.tracking import read_runs

    chosen = table_format(format, out)
    if out is None and chosen == "parquet":
        raise UsageError("parquet is no text: name a file with --out")
    found, faults = read_runs(runs)
    columns = numbers_table(found, form, only or ())
    if out is None:
        print_text(str(render_table(columns, chosen)))
    else:
        say(str(write_table(out, columns, chosen)))
    return _end(faults)


def table_format(format: str | None, out: Path | None, usual: str = "csv") -> str:
    """The format that was named, or that of the file's ending, or the usual one of stdout."""
    from seeingkit.report.tables import FORMATS

    if format is not None:
        if format not in FORMATS:
            raise UnknownNameError("format", format, FORMATS)
        return format
    if out is None:
        return usual
    if out.suffix.lower() not in _ENDINGS:
        known = ", ".join(_ENDINGS)
        raise UsageError(f"{out}: give --format, or a name that ends in {known}")
    return _ENDINGS[out.suffix.lower()]


def export(
    runs: Runs,
    to: To,
    logdir: LogFolder = None,
    project: Project = None,
    options: TrackerOption = None,
    only: Only = None,
    json: Json = False,
) -> int:
    """Export finished runs to TensorBoard or Weights & Biases; snapshots of a training as one."""
    from seeingkit.runs.tracking import export_runs, read_runs

    given = parse_options(options)
    named = {"logdir": logdir and str(logdir), "project": project}
    for name, value in named.items():
        if value is not None and name in given:
            raise UsageError(f"{name!r} is given twice: once as --option")
    given |= {name: value for name, value in named.items() if value is not None}
    tracker = tracker_of(to, given)
    found, faults = read_runs(runs)
    done = export_runs(found, tracker, only or ())
    if json:
        print_json([one.to_dict() for one in done])
    else:
        for one in done:
            say(f"{one.place}  {_steps(one.steps, one.unit)}{one.numbers:,} numbers")
    return _end(faults)


def _steps(steps: tuple[int, ...], unit: str) -> str:
    """The steps of a history in words, and where they are from."""
    if not unit:
        return ""
    shown = ", ".join(f"{step:,}" for step in steps[:6]) + (", …" if len(steps) > 6 else "")
    return f"at {shown} {unit} by the names of the weights files, "


def _end(faults: list[SeeingkitError]) -> int:
    for fault in faults:
        say(f"seeingkit: left out: {fault}", error=True)
    return ExitCode.SKIPPED if faults else ExitCode.DONE


def tracker_of(name: str, options: dict[str, Any]) -> Tracker:
    """The tracker that a command names."""
    from seeingkit.runs.tracking import open_tracker

    return open_tracker(name, options)


def tracker_asked(settings: dict[str, Any]) -> Tracker | None:
    """The tracker that a run is to be exported to, opened before any work; its setting goes.

    Raises:
        SeeingkitError: it cannot be opened.
    """
    asked = settings.pop("tracking")
    return None if asked is None else tracker_of(*asked)


def track(run: Path, tracker: Tracker | None, code: int) -> int:
    """Export a run that has finished; a fault of that is told, and the run stands as it is.

    Returns:
        the exit code: ``code``; where that is 0 and the export failed, that of something left out.
    """
    from seeingkit.runs.tracking import export_runs, read_runs

    if tracker is None:
        return code
    try:
        for one in export_runs(read_runs([run])[0], tracker):
            say(f"exported to {one.place}", error=True)
    except SeeingkitError as error:
        say(f"seeingkit: not exported: {error}", error=True)
        return code or ExitCode.SKIPPED
    return code
