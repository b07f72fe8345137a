"""Running a suite: workers are started, and their findings become tables and pages.

Guarantees: started by torchrun, every process is a worker and process 0 collects; otherwise an
executor starts the workers (one worker of this machine is this process itself). What is finished is
kept whatever happens to the workers; the same command goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from seeingkit.contracts.executors import Executor
from seeingkit.errors import RunError
from seeingkit.models.registry import registry
from seeingkit.models.resolved import opened
from seeingkit.report.suites import write_site
from seeingkit.results import SuiteResults
from seeingkit.runs.inversions import Store
from seeingkit.specs import ExecutorSpec
from seeingkit.system.processes import rank, world
from seeingkit.system.progress import hidden_progress
from seeingkit.tallies import ChunkStore

from .collection import write_results
from .graph import Graph, Step, read_graph
from .plans import Machine
from .rates import Rates
from .state import StepRecord, SuiteFolder
from .worker import Report, Worker


@dataclass(frozen=True)
class Workers:
    """How many workers there are, and who starts them.

    Attributes:
        executor: registered name.
        options: of the executor.
    """

    processes: int = 1
    executor: str = ""
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class FinishedSuite:
    """A suite as far as it could be done."""

    graph: Graph
    folder: SuiteFolder
    results: SuiteResults

    @property
    def site(self) -> Path:
        """The first page."""
        return self.folder.path / "site" / "index.html"


def suite_folder(file: Path, out: Path | None = None) -> SuiteFolder:
    """The folder of a suite: ``out``, or ``runs/suite-NAME`` of a file ``NAME.toml``.

    >>> suite_folder(Path("benchmarks/gans.toml")).path.name
    'suite-gans'
    """
    return SuiteFolder(out or Path("runs") / f"suite-{file.stem}")


def run_suite(
    file: Path,
    *,
    out: Path | None = None,
    store: Store = None,
    machine: Machine | None = None,
    workers: Workers | None = None,
    report: Report | None = None,
) -> FinishedSuite | None:
    """Run a suite, or go on with it.

    Args:
        file: of the suite, TOML.
        out: its folder.
        store: of chunks of tallies and of inversions; default: the cache.
        machine: where models compute.
        workers: default: this process.
        report: called after each step that this process did.

    Returns:
        None in a process above rank 0, which has done its share.

    Raises:
        UsageError: mistakes in the file, each with its line and key.
        RunError: the folder holds something else, or all workers ended early.
    """
    machine, workers = machine or Machine(), workers or Workers()
    folder = suite_folder(file, out)
    executor = _executor(workers)
    graph = read_graph(file, machine)
    about = {"file": file.name, "seeingkit": version("seeingkit")}
    folder.claim({**about, "suite": graph.file.model_dump(mode="json")})  # whoever comes first
    if not rank():
        folder.forget_failures()
    if executor is None:
        worker = Worker(file, folder, machine, store=store, report=_timed(report))
        with hidden_progress(world() > 1):
            graph = worker.work(graph)
        if rank():
            return None
    else:
        command = worker_command(file, folder.path, machine, store)
        ended = executor.run(command, workers.processes, folder.path)
        graph, folder = read_graph(file, machine), SuiteFolder(folder.path)
        left = [s for s in graph.steps if folder.state(graph, s) == "waiting"]
        if left:
            write_results(graph, folder)
            lost = "; ".join(f"{e.name}: exit code {e.code} {e.reason}".strip() for e in ended)
            raise RunError(
                f"{len(left)} of {len(graph.steps)} steps are left, for the workers ended early "
                f"({lost}); the same command goes on"
            )
    results = write_results(graph, folder)
    write_site(folder.path, folder.path / "site")
    return FinishedSuite(graph, folder, results)


def worker_command(file: Path, folder: Path, machine: Machine, store: Store) -> list[str]:
    """The command of one worker, for executors."""
    words = [sys.executable, "-m", "seeingkit", "suite", "work", str(file), "--out", str(folder)]
    words += ["--device", machine.device, "--batch-size", str(machine.batch_size)]
    kept = store.folder if isinstance(store, ChunkStore) else store
    return words if kept is None else [*words, "--store", str(kept)]


def work(
    file: Path, folder: SuiteFolder, machine: Machine, *, store: Store, report: Report | None = None
) -> Graph:
    """Do what is left of a suite, as one worker among others."""
    with hidden_progress():
        return Worker(file, folder, machine, store=store, report=_timed(report)).work()


def _executor(workers: Workers) -> Executor | None:
    """The executor; None where this process is the worker itself.

    Raises:
        UnknownNameError, UsageError: no such executor or option.
        PluginError: it gives no executor, or needs what is not installed.
    """
    known = registry()
    name = workers.executor or known.default("executor")
    spec = cast("ExecutorSpec", known.resolve("executor", name))
    itself = name == known.default("executor") and workers.processes == 1 and not workers.options
    if world() > 1 or itself:
        return None
    return cast("Executor", opened(spec, workers.options or {}, Executor))


def _timed(report: Report | None) -> Report:
    """Keep the times of steps, for the plans of later suites."""
    rates = Rates()

    def kept(step: Step, record: StepRecord, ended: int, steps: int) -> None:
        if record.state == "done":
            rates.add(step, record.seconds, record.images)
        if report is not None:
            report(step, record, ended, steps)

    return kept
