"""The steps of a suite: tallies of every side once, and cheap comparisons on top of them.

Guarantees: M generators and N data sets make M + N tallies, and not M × N; two rankings, and two
suites with one store, share them. The key of a step covers all that changes what it finds:
settings, content of files, versions of code. So a step is done again exactly when its key has
changed.

A suite that is read anew finds files of a pattern that came meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from seeingkit.errors import SeeingkitError
from seeingkit.models.code import package_digest
from seeingkit.results import SuiteGenerator
from seeingkit.runs.plan import Plan, Side

from .identities import SideIdentities
from .plans import Machine, Planner, Ranking
from .schema import SuiteFile, expand, read_suite

StepKind = Literal["tally", "cell", "ranking"]

CODE = ("seeingkit.statistics", "seeingkit.analyses", "seeingkit.runs")
"""Rooms that make the numbers of cells and rankings out of tallies."""


@dataclass(frozen=True)
class Step:
    """One piece of a suite's work.

    Attributes:
        name: of the step, unique within the suite; its record is kept under it.
        key: hash of all that changes its result; empty where ``fault`` says why there is none.
        about: what it does, for people: ``tally progan``.
        needs: names of the steps that have to be done before.
        output: file or folder that it writes, within the suite's folder.
        plan: of the comparison that it belongs to; of a ranking and of what it shares, the first.
        side: of a tally: which side of the plan is counted; of a control its number.
        fault: why it cannot be planned.
    """

    name: str
    kind: StepKind
    key: str
    about: str
    output: Path
    plan: Plan
    needs: tuple[str, ...] = ()
    side: Literal["real", "generated"] | int = "real"
    ranking: str = ""
    generator: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Graph:
    """A suite's file with its names resolved, and its steps in an order in which they can run."""

    file: SuiteFile
    generators: list[SuiteGenerator]
    rankings: list[Ranking]
    steps: list[Step]
    segmenters: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _named(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps}

    def step(self, name: str) -> Step:
        """The step of that name."""
        return self._named[name]

    def cells(self, ranking: str) -> list[Step]:
        """The cells of a ranking, in the order of the file."""
        return [step for step in self.steps if step.kind == "cell" and step.ranking == ranking]

    def controls(self, ranking: str) -> list[Step]:
        """The tallies of a ranking's controls."""
        counted = (s for s in self.steps if s.kind == "tally" and not isinstance(s.side, str))
        wanted = set(self.step(ranking_name(ranking)).needs)
        return [step for step in counted if step.name in wanted]

    def real(self, ranking: str) -> Step:
        """The tally of a ranking's real images."""
        wanted = set(self.step(ranking_name(ranking)).needs)
        return next(s for s in self.steps if s.side == "real" and s.name in wanted)


def ranking_name(ranking: str) -> str:
    """The name of the step of a ranking."""
    return f"ranking {ranking}"


def read_graph(path: Path, machine: Machine | None = None) -> Graph:
    """Read a suite's file and find its steps; images are hashed, no model is loaded for it.

    Raises:
        UsageError: mistakes in the file, each with its line and key.
    """
    file, lines = read_suite(path)
    folder = path.parent
    generators = expand(file, lines, folder)
    return _Builder(Planner(file, lines, folder, generators, machine or Machine())).graph()


class _Builder:
    """Makes the steps out of the plans of all cells."""

    def __init__(self, planner: Planner) -> None:
        self.planner, self.file = planner, planner.file
        self.generators = planner.generators
        self.identities = SideIdentities()
        self.steps: dict[str, Step] = {}
        self.segmenters: dict[str, str] = {}
        self.code = [package_digest(room) for room in CODE]

    def graph(self) -> Graph:
        rankings = list(self.planner.rankings())
        plans = self.planner.plans(rankings)
        for ranking in rankings:
            self._ranking(ranking, plans[ranking.name])
        return Graph(
            self.file, self.generators, rankings, list(self.steps.values()), self.segmenters
        )

    # -------------------------------------------------------------------------------------- steps

    def _ranking(self, ranking: Ranking, plans: Sequence[Plan]) -> None:
        first = plans[0]
        assert first.segmenter is not None
        self.segmenters[ranking.name] = first.segmenter.name
        counter = [self.identities.model(first.segmenter), first.preset.identity()]
        real = self._tally(ranking, first, first.real, "real", counter)
        controls = [
            self._tally(ranking, first, first.real, number, counter)
            for number in range(1, self._controls(first) + 1)
        ]
        cells = []
        for generator, plan in zip(self.generators, plans, strict=True):
            own = self._tally(ranking, plan, plan.generated, "generated", counter, generator.name)
            cells.append(self._cell(ranking, generator, plan, real, own))
        name = ranking_name(ranking.name)
        settings = self.file.model_dump(include={"level", "permutations", "n", "classes"})
        self.steps[name] = Step(
            name,
            "ranking",
            _hash(self.code, ranking.seed, settings, [s.key for s in (real, *controls)]),
            f"compare the generators on {ranking.name}",
            Path("rankings") / ranking.name,
            first,
            tuple(step.name for step in (real, *controls, *cells)),
            ranking=ranking.name,
        )

    def _controls(self, plan: Plan) -> int:
        """How many disjoint sets of real images there are besides the real side, as asked for."""
        if not self.file.controls:
            return 0
        try:
            there = self.identities.size(plan.real, plan)
        except SeeingkitError:
            return 0  # the tally of the real images says why
        most = self.file.controls if there is None else there // self.file.n - 1
        return max(0, min(self.file.controls, most))

    def _tally(
        self,
        ranking: Ranking,
        plan: Plan,
        side: Side,
        which: Literal["real", "generated"] | int,
        counter: list[Any],
        generator: str = "",
    ) -> Step:
        config, key, fault = plan.config, "", ""
        try:
            images = self.identities.side(side, plan, which)
            drawn = [config.labels, self.identities.side(plan.real, plan, "real")]
            conditional = which == "generated" and config.labels is not None
            key = _hash("tally", images, counter, config.on_bad, drawn if conditional else None)
        except SeeingkitError as error:
            fault = str(error)
        shown = generator or (ranking.data.name if which == "real" else f"control {which}")
        segmenter = plan.segmenter.name if plan.segmenter else ""
        words = {
            "real": f"tally {ranking.data.name} by {segmenter}",
            "generated": f"tally {shown} by {segmenter}",
        }
        about = words.get(str(which), f"tally control {which} of {ranking.data.name}")
        name = f"tally {key}" if key else f"tally {ranking.name} {shown}"
        step = Step(
            name,
            "tally",
            key,
            about,
            Path("tallies") / f"{key}.parquet",
            plan,
            side=which,
            ranking=ranking.name,
            generator=generator,
            fault=fault,
        )
        return self.steps.setdefault(name, step)

    def _cell(
        self, ranking: Ranking, generator: SuiteGenerator, plan: Plan, real: Step, own: Step
    ) -> Step:
        config = plan.config.model_dump(
            mode="json",
            exclude={
                *("device", "batch_size", "title", "fail_if", "weights", "real"),
                *("dissection", "artifacts", "intervention", "assessment"),
            },
        )
        models = (plan.second, plan.metric)
        others = [None if model is None else self.identities.model(model) for model in models]
        inverters = [self.identities.inverter(inverter) for inverter in plan.inverters]
        name = f"cell {ranking.name} / {generator.name}"
        step = Step(
            name,
            "cell",
            _hash(self.code, config, real.key, own.key, others, inverters),
            f"{generator.name} on {ranking.name}",
            Path("cells") / ranking.name / generator.name,
            plan,
            (real.name, own.name),
            ranking=ranking.name,
            generator=generator.name,
        )
        self.steps[name] = step
        return step


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]
