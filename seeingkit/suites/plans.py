"""The plan of every cell of a suite: which generator, on which data set, with which segmenter.

Guarantees: wrong names, options and settings are mistakes of the file, all of them one error with
lines and keys; nothing is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.errors import SeeingkitError, UsageError
from seeingkit.models.loading import data_spec
from seeingkit.models.registry import registry
from seeingkit.results import SuiteGenerator
from seeingkit.runs.analyze import analysis_config, comparison_config
from seeingkit.runs.config import Config
from seeingkit.runs.plan import Plan, is_generator, resolve

from .lines import Lines
from .schema import DataTable, SegmenterTable, SuiteFile, in_folder


@dataclass(frozen=True)
class Machine:
    """Where and how steps run; it changes no number."""

    device: str = "auto"
    batch_size: int = 16


@dataclass(frozen=True)
class Ranking:
    """All generators on one data set, with one segmenter and one seed."""

    name: str
    data: DataTable
    segmenter: SegmenterTable | None
    seed: int


class Planner:
    """Makes the plans of a suite.

    Args:
        lines: of the file, for mistakes.
        folder: that its paths are taken from.
        machine: where models compute.
    """

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

    def rankings(self) -> Iterator[Ranking]:
        for data in self.file.data:
            for segmenter in self.file.segmenters or (None,):
                for seed in self.file.seeds:
                    # Names of their own only where they differ: a seed that is added renames none.
                    words = [data.name, *([segmenter.name] if segmenter else [])]
                    words += [f"seed {seed}"] if seed else []
                    yield Ranking(" ".join(words), data, segmenter, seed)

    def plans(self, rankings: Sequence[Ranking]) -> dict[str, list[Plan]]:
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
