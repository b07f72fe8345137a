"""``seeingkit suite``: many generators, data sets and segmenters, in one folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seeingkit.errors import ExitCode, UsageError, printable

from . import options as o
from .options import option, parse_options
from .output import print_json, print_table, print_text, say
from .pages import CONTEXT, Command, Commands
from .tracking import table_format

if TYPE_CHECKING:
    from seeingkit.suites.forecast import Forecast, StepState
    from seeingkit.suites.graph import Step
    from seeingkit.suites.launch import FinishedSuite
    from seeingkit.suites.state import StepRecord


class SuiteCommands(Commands):
    """The commands of ``suite``; a file in their place means ``run``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the others do it, with ``run`` before a file."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["run", *args]
        found: list[str] = super().parse_args(ctx, args)
        return found


app = typer.Typer(
    name="suite",
    help="Many generators × data sets × segmenters: seeingkit suite FILE.toml",
    cls=SuiteCommands,
    context_settings=CONTEXT,
    no_args_is_help=True,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(help="The suite: a TOML file.", show_default=False)]
Folder = Annotated[Path | None, option("The suite's folder.  [default: runs/suite-NAME]", "--out")]
Processes = Annotated[int, option("Workers that share the steps.", "--processes")]
ExecutorName = Annotated[
    str | None, option("Who starts them: local, torchrun, slurm (seeingkit ls executors).")
]
ExecutorOption = Annotated[
    list[str] | None, option("key=value; seeingkit ls executors lists them.", "--executor-option")
]


SiteFolder = Annotated[Path | None, option("Its folder.  [default: SUITE/site]", "--out")]


@app.command(cls=Command)
def run(
    file: File,
    *,
    out: Folder = None,
    store: o.Store = None,
    device: o.Device = "auto",
    batch_size: o.BatchSize,
    processes: Processes = 1,
    executor: ExecutorName = None,
    executor_option: ExecutorOption = None,
    json: o.Json = False,
) -> int:
    """Run a suite, or go on with it: only what is not there yet."""
    from seeingkit.suites.launch import Workers, run_suite
    from seeingkit.suites.plans import Machine

    chosen = Workers(processes, executor or "", parse_options(executor_option))
    found = run_suite(
        file,
        out=out,
        store=store,
        machine=Machine(device, batch_size),
        workers=chosen,
        report=_say_step,
    )
    if found is None:  # a process above rank 0
        return ExitCode.DONE
    if json:
        print_json(found.results.model_dump(mode="json"))
    else:
        _print_suite(found)
    return ExitCode.SKIPPED if found.results.failed else ExitCode.DONE


@app.command(cls=Command, hidden=True)
def work(
    file: File,
    *,
    out: Annotated[Path, option("The suite's folder.", "--out")],
    store: o.Store = None,
    device: o.Device = "auto",
    batch_size: o.BatchSize,
) -> int:
    """Do what is left of a suite, as one worker among others; executors start it."""
    from seeingkit.suites.launch import work as share
    from seeingkit.suites.plans import Machine
    from seeingkit.suites.state import SuiteFolder

    machine = Machine(device, batch_size)
    share(file, SuiteFolder(out), machine, store=store, report=_say_step)
    return ExitCode.DONE


@app.command(cls=Command)
def plan(
    file: File,
    *,
    out: Folder = None,
    device: o.Device = "auto",
    processes: Processes = 1,
    json: o.Json = False,
) -> int:
    """Say what would run, what is there already, and how long it takes on this machine."""
    from seeingkit.suites.forecast import forecast
    from seeingkit.suites.graph import read_graph
    from seeingkit.suites.launch import suite_folder
    from seeingkit.suites.plans import Machine

    graph = read_graph(file, Machine(device))
    found = forecast(graph, suite_folder(file, out), again=True)
    if json:
        print_json(_as_json(found))
        return ExitCode.DONE
    for generator in graph.generators:
        if generator.step is not None:
            unit = generator.step_unit or "of no known unit, the last number of the name"
            say(f"{generator.name}: step {generator.step:g} ({unit}): {generator.weights}")
    _print_steps(found)
    seconds, unknown = found.seconds
    line = f"{len(found.left)} of {len(found.steps)} steps are left"
    if found.left:
        line += f": {_duration(seconds / processes)} on {processes} worker"
        line += "s" if processes > 1 else ""
        line += f", and {unknown} of kinds that were not measured here yet" if unknown else ""
    say(line)
    return ExitCode.DONE


@app.command(cls=Command)
def status(
    file: File, *, out: Folder = None, device: o.Device = "auto", json: o.Json = False
) -> int:
    """Show what is done, what runs and where, and what failed; also while it runs."""
    from seeingkit.suites.forecast import forecast
    from seeingkit.suites.graph import read_graph
    from seeingkit.suites.launch import suite_folder
    from seeingkit.suites.plans import Machine

    found = forecast(read_graph(file, Machine(device)), suite_folder(file, out))
    if json:
        print_json(_as_json(found))
        return ExitCode.DONE
    words = ("done", "running", "waiting", "failed")
    say(", ".join(f"{found.count(word)} {word}" for word in words))
    running = [one for one in found.steps if one.shown == "running"]
    for one in running:
        say(f"running: {one.step.about} ({one.holder})")
    for one in found.steps:
        if one.state == "failed":
            say(f"failed: {one.step.about}: {one.reason}")
    if found.left:
        seconds, unknown = found.seconds
        workers = max(1, len(running))
        more = f", and {unknown} of unknown length" if unknown else ""
        say(f"left: {_duration(seconds / workers)} on {workers} worker(s){more}")
    return ExitCode.DONE


@app.command(cls=Command)
def table(
    suite: Annotated[Path, typer.Argument(help="The suite's folder, or its file.")],
    *,
    what: Annotated[str, option("ranking, classes or differences.")] = "ranking",
    format: Annotated[
        str | None, option("terminal, markdown, latex, csv, json or parquet.")
    ] = None,
    out: Annotated[Path | None, option("A file; its ending names the format.", "--out")] = None,
) -> int:
    """Write a table of a suite: generators in their order, classes, or differences of pairs."""
    from seeingkit.report.suites import suite_columns
    from seeingkit.report.tables import render_table, write_table
    from seeingkit.suites.launch import suite_folder

    chosen = table_format(format, out, usual="terminal")
    folder = suite if suite.is_dir() else suite_folder(suite).path
    columns = suite_columns(folder, what, chosen)
    if out is not None:
        say(str(write_table(out, columns, chosen)))
    elif chosen == "parquet":
        raise UsageError("parquet is no text: name a file with --out")
    else:
        print_text(str(render_table(columns, chosen)))
    return ExitCode.DONE


@app.command(cls=Command)
def site(
    suite: Annotated[Path, typer.Argument(help="The suite's folder, or its file.")],
    *,
    out: Annotated[
        Path | None, option("The site's folder.  [default: SUITE/site]", "--out")
    ] = None,
) -> int:
    """Write the pages of a suite again; they open offline."""
    from seeingkit.report.suites import write_site
    from seeingkit.suites.launch import suite_folder

    folder = suite if suite.is_dir() else suite_folder(suite).path
    say(str(write_site(folder, out or folder / "site")))
    return ExitCode.DONE


def _say_step(step: Step, record: StepRecord, ended: int, steps: int) -> None:
    """A line on stderr for each step that ended."""
    failed = f": {record.reason}" if record.state == "failed" else ""
    took = f"{record.state} in {_duration(record.seconds)}"
    line = f"seeingkit: {took} ({ended} of {steps}): {step.about}{failed}"
    print(printable(line), file=sys.stderr, flush=True)


def _print_suite(found: FinishedSuite) -> None:
    from seeingkit.results import SuiteCell

    for part in found.results.failed:
        what = f"{part.generator} on {part.ranking}" if isinstance(part, SuiteCell) else part.name
        say(f"failed: {what}: {part.reason}")
    from seeingkit.report.suites import suite_table

    if any(ranking.state == "done" for ranking in found.results.rankings):
        print_text(str(suite_table(found.folder.path)))
    say(str(found.site))


def _print_steps(found: Forecast) -> None:
    def row(one: StepState) -> tuple[str, ...]:
        time = "" if one.seconds is None else _duration(one.seconds)
        return one.shown, one.step.kind, one.step.about, time

    print_table([row(one) for one in found.steps], ("state", "kind", "step", "time"), words=True)


def _as_json(found: Forecast) -> dict[str, Any]:
    seconds, unknown = found.seconds
    return {
        "steps": [
            {
                "name": one.step.name,
                "kind": one.step.kind,
                "about": one.step.about,
                "state": one.shown,
                "reason": one.reason,
                "seconds": one.seconds,
                "worker": None if one.holder is None else str(one.holder),
            }
            for one in found.steps
        ],
        "seconds_left": seconds,
        "steps_not_measured": unknown,
    }


def _duration(seconds: float) -> str:
    """Seconds in the units that people take.

    >>> _duration(4.26), _duration(200), _duration(9000)
    ('4.3 s', '3 min', '2 h 30 min')
    """
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
