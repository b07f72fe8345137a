"""A worker: claims steps of a suite and runs them, until none is left.

Guarantees: any number of workers, on any machines that share the folder, do each step once; one
that dies lets go of its step, and another does it; a step that fails is recorded with its reason
and takes nothing else with it but what needs it. The outcome depends on neither number nor order of
workers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import cast

from seeingkit.contracts import Segmenter
from seeingkit.errors import SeeingkitError, StorageError, one_line
from seeingkit.models.resolved import ResolvedModel
from seeingkit.runs.analyze import execute, tally_side
from seeingkit.runs.inversions import Store
from seeingkit.runs.plan import Plan
from seeingkit.runs.sides import located, open_side
from seeingkit.system.claims import Claims
from seeingkit.system.holders import Holder
from seeingkit.system.processes import alone

from .controls import control_source
from .graph import Graph, Step, read_graph
from .plans import Machine
from .ranking import make_ranking
from .state import StepRecord, SuiteFolder

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5

Report = Callable[[Step, StepRecord, int, int], None]
"""Called with a step that ended, its record, how many steps had ended when all were last looked at
and by this worker since, and how many there are.
"""


class Worker:
    """Runs the steps of one suite.

    Args:
        file: of the suite; it is read again when nothing is left to do, for files that came.
        folder: of the suite.
        machine: where its models compute.
        store: of the chunks of tallies, and of inversions; default: the cache.
        report: called after each step that this worker ran.
    """

    def __init__(
        self,
        file: Path,
        folder: SuiteFolder,
        machine: Machine,
        *,
        store: Store = None,
        report: Report | None = None,
    ) -> None:
        self.file, self.folder, self.machine, self.store = file, folder, machine, store
        self.claims = Claims(folder.path / "claims")
        self._report = report
        self._segmenter: tuple[ResolvedModel, str, Segmenter] | None = None
        self._left = 0  # steps that waited when they were last looked at

    def work(self, graph: Graph | None = None) -> Graph:
        """Run steps until none is left; returns the suite as it was read last.

        Args:
            graph: the suite, if it was read just now.
        """
        known: set[tuple[str, str]] = set()
        while True:
            graph = graph or read_graph(self.file, self.machine)
            now = {(step.name, step.key) for step in graph.steps}
            if now <= known:
                return graph
            known |= now
            with alone():
                self._finish(graph)
            graph = None

    def _finish(self, graph: Graph) -> None:
        while waiting := [s for s in graph.steps if self.folder.state(graph, s) == "waiting"]:
            self._left = len(waiting)
            ran = [
                step for step in waiting if self._is_ready(graph, step) and self._try(graph, step)
            ]
            if not ran:
                time.sleep(_POLL_SECONDS)  # others work on them, or on what they need

    def _is_ready(self, graph: Graph, step: Step) -> bool:
        """Whether all that a step needs has ended; of a ranking also in failure."""
        states = [self.folder.state(graph, graph.step(name)) for name in step.needs]
        wanted = ("done", "failed") if step.kind == "ranking" else ("done",)
        return all(state in wanted for state in states)

    def _try(self, graph: Graph, step: Step) -> bool:
        """Run a step unless somebody else does; whether it was run."""
        claim = self.claims.take(step.name, step.about)
        if claim is None:
            return False
        with claim:
            if self.folder.state(graph, step) == "waiting":  # else done since it was looked at
                self._run(graph, step)
        return True

    def _run(self, graph: Graph, step: Step) -> None:
        self._left -= 1
        key, started = self.folder.key(graph, step), time.perf_counter()
        self.folder.clear(step, key)
        state, reason, images = "done", "", 0
        try:
            if step.kind == "tally":
                images = self._tally(step)
            elif step.kind == "cell":
                self._cell(step)
            else:
                make_ranking(graph, step, self.folder)
        except StorageError:
            raise  # no room, or no folder: no other step would fare better
        except SeeingkitError as error:
            state, reason = "failed", str(error)
        except Exception as error:  # an adapter may raise anything, and the night goes on
            log.debug("%s", step.about, exc_info=True)
            state, reason = "failed", one_line(f"unexpected {type(error).__name__}: {error}", 500)
        record = StepRecord(
            name=step.name,
            key=key,
            state="done" if state == "done" else "failed",
            reason=reason,
            digest=self.folder.digest(step) if state == "done" else "",
            seconds=round(time.perf_counter() - started, 3),
            images=images,
            worker=str(Holder.here("", "")),
        )
        self.folder.write(step, record)
        if self._report is not None:
            self._report(step, record, len(graph.steps) - self._left, len(graph.steps))

    # ---------------------------------------------------------------------------------- the steps

    def _tally(self, step: Step) -> int:
        plan = step.plan
        if isinstance(step.side, int):
            source = control_source(plan, step.side)
        elif step.side == "real":
            source = open_side(plan.real, plan)
        elif plan.generated.generator is None:
            source = open_side(plan.generated, plan)
        else:
            plan = located(plan)
            with closing(open_side(plan.real, plan)) as real:
                source = open_side(plan.generated, plan, other=real, labels=plan.config.labels)
        with closing(source):
            counter = self._loaded(plan)
            found = tally_side(source, counter, plan, self.store, step.about)
        found.save(self.folder.output(step))
        return len(found)

    def _loaded(self, plan: Plan) -> Segmenter:
        """The segmenter of a plan; the last one is kept, for most steps have the same."""
        model = plan.segmenter
        assert model is not None
        if self._segmenter is None or self._segmenter[:2] != (model, plan.device):
            loaded = cast("Segmenter", model.located().load(plan.device))
            self._segmenter = model, plan.device, loaded
        return self._segmenter[2]

    def _cell(self, step: Step) -> None:
        execute(step.plan.config, out=self.folder.output(step), store=self.store)
