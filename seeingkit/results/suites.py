"""The records of a suite: many generators, data sets and segmenters, in one folder.

``SUITE/results.json`` holds ``SuiteResults``. Each ranking (all generators on one data set, with
one segmenter and one seed) lies in ``rankings/NAME/results.json``, each cell (one generator of a
ranking) is a run directory of its own in ``cells/RANKING/GENERATOR``. All paths are relative to
the suite's folder.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .records import SCHEMA_VERSION, Record

SUITE_FILE = "suite.json"
"""In the folder of a suite, and of nothing else."""

CellState = Literal["done", "failed", "waiting"]


class SuiteGenerator(Record):
    """One generator of a suite: one file of a pattern is one generator.

    Attributes:
        name: unique within the suite.
        source: a registered family (``family`` or ``family:weights``), or images by path or name.
        weights: file, empty for registered weights and for images.
        series: the pattern's name, for a file of a pattern; files of one training belong together.
        step: the training step that the file's name states; None where it states none.
        step_unit: ``kimg`` (thousands of images), ``steps`` or ``epochs``; empty where the name has
            a number and no word for it.
    """

    name: str
    source: str
    weights: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    labels: str | None = None
    series: str = ""
    step: float | None = None
    step_unit: str = ""


class SuiteCell(Record):
    """One generator in one ranking.

    Attributes:
        state: ``waiting``: it has not run yet, or what it needs has not.
        reason: why it failed, or what it waits for; else empty.
        folder: of its run: ``results.json``, ``report.html``, ``inversions/``.
        seconds: of the steps that were for it alone.
    """

    generator: str
    ranking: str
    state: CellState
    reason: str = ""
    folder: str = ""
    seconds: float = 0.0


class SuiteRanking(Record):
    """All generators on one data set, with one segmenter and one seed.

    Attributes:
        name: unique within the suite; of its folder ``rankings/NAME``.
        n: images of each side.
        generators: names of those that are in it.
        state, reason: as of a cell; it is ``waiting`` until a cell of it is done.
    """

    name: str
    data: str
    segmenter: str
    seed: int
    n: int
    state: CellState
    reason: str = ""
    generators: list[str] = Field(default_factory=list)


class SuiteResults(Record):
    """Everything that a suite has found so far: its ``results.json``."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["suite"] = "suite"
    title: str = ""
    level: float = 0.05
    generators: list[SuiteGenerator]
    rankings: list[SuiteRanking]
    cells: list[SuiteCell]
    warnings: list[str] = Field(default_factory=list)

    @property
    def failed(self) -> list[SuiteCell | SuiteRanking]:
        """The cells that failed, in the order of the file, and the rankings."""
        parts: list[SuiteCell | SuiteRanking] = [*self.cells, *self.rankings]
        return [part for part in parts if part.state == "failed"]
