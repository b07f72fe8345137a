"""The folder of a suite: records of its steps, its outputs, and who works on what.

Guarantees: a record says done only where its key is the step's and the output is what was written
then; a damaged record or output is named, and the step is done again. Files appear whole.

::

    SUITE/
      suite.json      the file of the suite as it was read last, and the versions
      results.json    what was found so far: SuiteResults
      rankings/NAME/results.json
      cells/RANKING/GENERATOR/   a run directory each
      tallies/KEY.parquet
      steps/          a record of each step that ended
      claims/         who works on what now
      site/index.html
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from seeingkit.errors import RunError, one_line, printable
from seeingkit.report.runfiles import kind_of
from seeingkit.results.suites import SUITE_FILE
from seeingkit.system import seals
from seeingkit.system.writing import is_begun, json_text, make_folder, write_text
from seeingkit.tallies import Tally

from .graph import Graph, Step

log = logging.getLogger(__name__)

State = Literal["done", "failed", "waiting"]


class StepRecord(BaseModel):
    """How a step ended.

    Attributes:
        key: of the step as it was done.
        reason: why it failed.
        digest: SHA-256 of what it wrote: the tally, or ``results.json``.
        seconds: it took.
        images: that it counted, of a tally.
        worker: who did it: ``host, process 123``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    key: str
    state: Literal["done", "failed"]
    reason: str = ""
    digest: str = ""
    seconds: float = 0.0
    images: int = 0
    worker: str = ""
    seal: str = seals.BLANK


class SuiteFolder:
    """The folder of one suite."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ended: dict[tuple[str, str], tuple[State, str]] = {}

    # ---------------------------------------------------------------------------------- the folder

    def claim(self, about: dict[str, Any]) -> None:
        """Make the folder, or take up the one of an earlier start.

        Raises:
            RunError: something else is there.
        """
        described = self.path / SUITE_FILE
        if is_begun(self.path, described.name, "suite") and kind_of(described) != "suite":
            raise RunError(f"{described}: is of no suite; name another folder with --out")
        make_folder(self.path)
        write_text(described, json_text({"kind": "suite", **about}, indent=2) + "\n")

    def output(self, step: Step) -> Path:
        """Where a step's output is."""
        return self.path / step.output

    # ----------------------------------------------------------------------------------- the steps

    def key(self, graph: Graph, step: Step) -> str:
        """The key of a step as it would be done now; a ranking's covers the cells that are done."""
        if step.kind != "ranking":
            return step.key
        cells = [(s.name, s.key, self.state(graph, s)) for s in self._parts(graph, step)]
        done = [(name, key) for name, key, state in cells if state == "done"]
        return hashlib.sha256(json.dumps([step.key, done]).encode()).hexdigest()[:32]

    def _parts(self, graph: Graph, step: Step) -> Iterator[Step]:
        names = set(step.needs)
        return (s for s in graph.steps if s.name in names and s.kind == "cell")

    def record(self, step: Step) -> StepRecord | None:
        """The record of a step, whatever key it had; one that is damaged is set aside."""
        path = self._record_path(step)
        try:
            data = seals.read_whole(path)
            seals.check_seal(data)
            return StepRecord.model_validate_json(data)
        except FileNotFoundError:
            return None
        except (seals.BrokenSealError, ValidationError) as error:
            seals.set_aside(path, one_line(error, 200))
            return None

    def state(self, graph: Graph, step: Step) -> State:
        """Whether a step is done as it is now; also ``failed`` where what it needs has failed."""
        return self.reason(graph, step)[0]

    def reason(self, graph: Graph, step: Step) -> tuple[State, str]:
        """The state of a step, and why it failed; what has ended is looked at once a process."""
        if step.fault:
            return "failed", step.fault
        key = self.key(graph, step)
        known = self._ended.get((step.name, key))
        if known is None:
            known = self._look(graph, step, key)
            if known[0] != "waiting":
                self._ended[step.name, key] = known
        return known

    def _look(self, graph: Graph, step: Step, key: str) -> tuple[State, str]:
        if step.kind != "ranking":
            for name in step.needs:
                state, reason = self.reason(graph, graph.step(name))
                if state == "failed":
                    return "failed", reason
        record = self.record(step)
        if record is None or record.key != key:
            return "waiting", ""
        if record.state == "failed":
            return "failed", record.reason
        return ("done", "") if self._is_there(step, record) else ("waiting", "")

    def _is_there(self, step: Step, record: StepRecord) -> bool:
        """Whether the output is what the step wrote."""
        try:
            fault = "" if self.digest(step) == record.digest else "it is not what was written"
        except FileNotFoundError:
            return False
        except OSError as error:
            fault = one_line(error)
        if fault:
            log.warning("%s: %s; it is done again", printable(self.output(step)), fault)
        return not fault

    def digest(self, step: Step) -> str:
        """SHA-256 of a step's output."""
        path = self.output(step)
        path = path if step.kind == "tally" else path / "results.json"
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def tally(self, step: Step) -> Tally:
        """The tally of a step that is done.

        Raises:
            TallyError: it is damaged.
        """
        return Tally.load(self.output(step))

    def write(self, step: Step, record: StepRecord) -> None:
        """Keep how a step ended."""
        data = seals.seal(json_text(record.model_dump(mode="json"), indent=2).encode())
        write_text(self._record_path(step), data.decode())

    def clear(self, step: Step, key: str) -> None:
        """Remove the output of a step that was done with another key: nothing may be left of it.

        The output of a step that was interrupted stays: it goes on where it stopped.
        """
        mark = self.path / "steps" / f"{_hashed(step.name)}.begun"
        with suppress(OSError):
            if mark.read_text("utf-8") == key:
                return
        output = self.output(step)
        if step.kind != "tally" and output.is_dir():
            shutil.rmtree(output)
        write_text(mark, key)

    def forget_failures(self) -> None:
        """Remove the records of steps that failed, so that they are tried again."""
        for path in sorted((self.path / "steps").glob("*.json")):
            with suppress(OSError, ValueError, AttributeError):
                if json.loads(path.read_bytes()).get("state") == "failed":
                    path.unlink()

    def _record_path(self, step: Step) -> Path:
        return self.path / "steps" / f"{_hashed(step.name)}.json"


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]
