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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.contracts import ImageSource
from seeingkit.errors import SeeingkitError, UsageError
from seeingkit.images.selection import Selection, shuffled
from seeingkit.models.code import source_digest
from seeingkit.models.loading import data_spec
from seeingkit.models.registry import registry
from seeingkit.results import SuiteGenerator
from seeingkit.runs.analyze import analysis_config, comparison_config
from seeingkit.runs.config import Config
from seeingkit.runs.plan import Plan, Side, is_generator, resolve
from seeingkit.runs.sides import open_whole
from seeingkit.tallies.counting import narrowed

from .identities import SideIdentities
from .lines import Lines
from .schema import DataTable, SegmenterTable, SuiteFile, expand, in_folder, read_suite

StepKind = Literal["tally", "cell", "ranking"]

_CODE = (
    "seeingkit.analyses.comparison.generators",
    "seeingkit.analyses.inversion.stage",
    "seeingkit.runs.analyze",
    "seeingkit.statistics.claims",
)
"""Modules whose folders make the numbers of cells and rankings out of tallies."""


@dataclass(frozen=True)
class Machine:
    """Where and how steps run; it changes no number."""

    device: str = "auto"
    batch_size: int = 16


@dataclass(frozen=True)
class Step:
    """One piece of a suite's work.

    Attributes:
        name: of the step, unique within the suite; its record is kept under it.
        key: hash of all that changes its result; empty where ``fault`` says why there is none.
        about: what it does, for people: ``tally progan``.
        needs: names of the steps that have to be done before.
        output: file or folder that it writes, within the suite's folder.
        plan: of the comparison that it belongs to; None for a ranking.
        side: of a tally: which side of the plan is counted; of a control its number.
        fault: why it cannot be planned.
    """

    name: str
    kind: StepKind
    key: str
    about: str
    output: Path
    needs: tuple[str, ...] = ()
    plan: Plan | None = None
    side: Literal["real", "generated"] | int = "real"
    ranking: str = ""
    generator: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Ranking:
    """All generators on one data set, with one segmenter and one seed."""

    name: str
    data: DataTable
    segmenter: SegmenterTable | None
    seed: int


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
    return _Builder(file, lines, folder, generators, machine or Machine()).graph()


class _Builder:
    """Finds the plans of all cells, then the steps."""

    def __init__(
        self,
        file: SuiteFile,
        lines: Lines,
        folder: Path,
        generators: list[SuiteGenerator],
        machine: Machine,
    ) -> None:
        self.file, self.lines, self.folder = file, lines, folder
        self.generators, self.machine = generators, machine
        self.identities = SideIdentities()
        self.steps: dict[str, Step] = {}
        self.segmenters: dict[str, str] = {}
        self.code = [source_digest(module) for module in _CODE]

    def graph(self) -> Graph:
        rankings = list(self._rankings())
        plans = self._plans(rankings)
        for ranking in rankings:
            self._ranking(ranking, plans[ranking.name])
        return Graph(
            self.file, self.generators, rankings, list(self.steps.values()), self.segmenters
        )

    def _rankings(self) -> Iterator[Ranking]:
        for data in self.file.data:
            for segmenter in self.file.segmenters or (None,):
                for seed in self.file.seeds:
                    # Names of their own only where they differ: a seed that is added renames none.
                    words = [data.name, *([segmenter.name] if segmenter else [])]
                    words += [f"seed {seed}"] if seed else []
                    yield Ranking(" ".join(words), data, segmenter, seed)

    def _plans(self, rankings: Sequence[Ranking]) -> dict[str, list[Plan]]:
        """The plan of every cell, by ranking; mistakes of names are those of the file."""
        found: dict[str, list[Plan]] = {}
        mistakes: dict[tuple[str, str], None] = {}
        for ranking in rankings:
            found[ranking.name] = []
            for generator in self.generators:
                try:
                    plan = resolve(self._config(ranking, generator))
                    if plan.missing:
                        raise UsageError("; ".join(plan.missing))
                    found[ranking.name].append(plan)
                except SeeingkitError as error:
                    for fault in error.faults or (error,):
                        mistakes[self._place(ranking, generator, str(fault)), str(fault)] = None
        self.lines.raise_if_any(list(mistakes))
        return found

    def _place(self, ranking: Ranking, generator: SuiteGenerator, said: str) -> str:
        """The key that a fault of a plan is about, as far as it can be told from its words."""
        tables = [table.name for table in self.file.generators]
        own = tables.index(generator.series or generator.name)
        data = [table.name for table in self.file.data].index(ranking.data.name)
        for key, value in (("weights", generator.weights), ("source", generator.source)):
            if value and value in said:
                return f"generators.{own}.{key}"
        segmenter = ranking.segmenter
        if segmenter is not None and ("segmenter" in said or segmenter.source in said):
            place = [table.name for table in self.file.segmenters].index(segmenter.name)
            return f"segmenters.{place}.source"
        source = self._source(ranking.data)
        if source in said or "segmenter" in said or "preset" in said:
            return f"data.{data}.{'preset' if 'preset' in said else 'name'}"
        for key in ("sensitivity", "classes", "fidelity", "inversion"):
            if key in said:
                return key
        return f"generators.{own}"

    def _source(self, data: DataTable) -> str:
        name = data.source or data.name
        return name if data_spec(name) is not None else in_folder(name, self.folder)

    def _config(self, ranking: Ranking, generator: SuiteGenerator) -> Config:
        file, data, segmenter = self.file, ranking.data, ranking.segmenter
        settings: dict[str, Any] = {
            "n": file.n,
            "seed": ranking.seed,
            "preset": data.preset,
            "data_options": data.options,
            "level": file.level,
            "permutations": file.permutations,
            "truth": data.truth,
            "sensitivity": file.sensitivity,
            "fidelity": file.fidelity,
            "classes": file.classes and in_folder(file.classes, self.folder),
            "on_bad": file.on_bad,
            "labels": generator.labels,
            "device": self.machine.device,
            "batch_size": self.machine.batch_size,
            "title": f"{generator.name} on {ranking.name}",
        }
        if file.classes and not Path(settings["classes"]).exists():
            settings["classes"] = file.classes  # a registered vocabulary
        if segmenter is not None:
            settings["segmenter"] = segmenter.source
            settings["segmenter_options"] = segmenter.options
            if segmenter.weights:
                settings["segmenter_weights"] = in_folder(segmenter.weights, self.folder)
        real, given = self._source(data), bool(generator.weights)
        if not is_generator(generator.source, given_weights=given):
            own = generator.source
            own = own if data_spec(own) is not None else in_folder(own, self.folder)
            if generator.weights or generator.options:
                raise UsageError(f"{generator.source}: no generator, so it takes no weights")
            return comparison_config(real, own, **settings)
        settings |= {"gan_options": generator.options, "inversion": self._inversion()}
        if given:
            settings["weights"] = generator.weights
        return analysis_config(generator.source, real, **settings)

    def _inversion(self) -> InversionConfig:
        table = self.file.inversion
        if table is None:
            return InversionConfig()
        return InversionConfig(
            methods=table.methods or (registry().default("inverter"),),
            cuts=table.cuts,
            per_class=table.per_class,
            pick=table.pick,
            own=table.own,
            patched=table.patched,
            classes=table.classes,
            options={"encoder": "found", **table.options},
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
            tuple(step.name for step in (real, *controls, *cells)),
            first,
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
            plan=plan,
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
            mode="json", exclude={"device", "batch_size", "title", "fail_if", "weights", "real"}
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
            (real.name, own.name),
            plan,
            ranking=ranking.name,
            generator=generator.name,
        )
        self.steps[name] = step
        return step


def control_source(plan: Plan, number: int) -> ImageSource:
    """The images of control ``number`` (1, 2, …): real ones that no other side of a suite has.

    As the real side is drawn (``tallies.counting.narrowed``), but from the places behind it.

    Raises:
        UsageError: there are not enough.
    """
    n = plan.config.n
    assert n is not None  # a suite states it
    whole = open_whole(plan.real, plan.preset)
    needed, places = (number + 1) * n, range(number * n, (number + 1) * n)
    endless = narrowed(whole, needed, plan.config.seed) if whole.first(needed) is not None else None
    if endless is not None:
        return Selection(endless, places)
    if needed > len(whole):
        whole.close()
        raise UsageError(f"{whole.name}: {len(whole)} images are too few for control {number}")
    return Selection(whole, shuffled(len(whole), plan.config.seed)[places.start : places.stop])


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]
