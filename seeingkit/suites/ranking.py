"""A ranking: all generators that were tallied on one data set, and the real-against-real controls.

Guarantees: every comparison is with the same real images; where some could not be used, all sides
are narrowed to as many as the smallest one has, and it is said.
"""

from __future__ import annotations

import json
from dataclasses import replace

from pydantic import ValidationError

from seeingkit.analyses.comparison.compare import Comparison, compare
from seeingkit.analyses.comparison.ranking import rank_generators
from seeingkit.errors import RunError, first_fault
from seeingkit.results import Results
from seeingkit.runs.sides import all_equally_many
from seeingkit.system.writing import json_text, write_text
from seeingkit.tallies import Tally
from seeingkit.tallies.vocabularies import read_classes
from seeingkit.tallies.vocabularies.merging import apply_classes

from .graph import Graph, Step
from .schema import control_name
from .state import SuiteFolder


def make_ranking(graph: Graph, step: Step, folder: SuiteFolder) -> None:
    """Compare the generators of a ranking whose cells are done, and write its ``results.json``.

    Raises:
        RunError: no cell is done, or one cannot be read.
    """
    cells = [c for c in graph.cells(step.ranking) if folder.state(graph, c) == "done"]
    if not cells:
        raise RunError(f"{step.about}: none of its generators could be compared")
    real = folder.tally(graph.real(step.ranking))
    controls = [s for s in graph.controls(step.ranking) if folder.state(graph, s) == "done"]
    own = [folder.tally(_generated(graph, cell)) for cell in cells]
    sides = [real, *own, *(folder.tally(control) for control in controls)]
    if (classes := step.plan.config.classes) is not None:
        merged = read_classes(classes)
        sides = [apply_classes(side, merged) for side in sides]
    sides, note = all_equally_many(sides, step.plan.config.seed)
    comparisons = [
        _comparison(graph, cell, folder, sides[0], generated)
        for cell, generated in zip(cells, sides[1:], strict=False)
    ]
    found = rank_generators(
        comparisons,
        [cell.generator for cell in cells],
        controls=[_compared(graph, step, sides[0], own) for own in sides[1 + len(cells) :]],
        control_names=[control_name(int(control.side)) for control in controls],
        seed=step.plan.config.seed,
        level=graph.file.level,
        permutations=graph.file.permutations,
    )
    results = found.model_copy(update={"warnings": [*([note] if note else []), *found.warnings]})
    content = json_text(results.model_dump(mode="json"), indent=1) + "\n"
    write_text(folder.output(step) / "results.json", content)


def _generated(graph: Graph, cell: Step) -> Step:
    """The tally of a cell's generator."""
    steps = (graph.step(name) for name in cell.needs)
    return next(step for step in steps if step.side == "generated")


def _comparison(
    graph: Graph, cell: Step, folder: SuiteFolder, real: Tally, generated: Tally
) -> Comparison:
    """What a cell found, with its tallies; compared anew where its images are others."""
    path = folder.output(cell) / "results.json"
    try:
        results = Results.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        raise RunError(f"{path} does not fit: {first_fault(error)}") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
    if results.n_real == len(real) and results.n_generated == len(generated):
        return Comparison(real, generated, results)
    anew = _compared(graph, cell, real, generated)
    kept = {"generator": results.generator, "segmenter": results.segmenter}
    return replace(anew, results=anew.results.model_copy(update=kept))


def _compared(graph: Graph, step: Step, real: Tally, generated: Tally) -> Comparison:
    return compare(
        real,
        generated,
        seed=step.plan.config.seed,
        level=graph.file.level,
        permutations=graph.file.permutations,
        evidence=False,
    )
