"""Everything that a suite has found so far, as one record; and its tables and pages."""

from __future__ import annotations

import json
from pathlib import Path

from seeingkit.results import SuiteCell, SuiteRanking, SuiteResults
from seeingkit.system.writing import json_text, write_text

from .graph import Graph, Step, ranking_name
from .state import SuiteFolder


def collect(graph: Graph, folder: SuiteFolder) -> SuiteResults:
    """The state of every ranking and cell; the numbers stay in the files of the rankings."""
    warnings = [
        f"{ranking.name}: {len(graph.controls(ranking.name))} of {graph.file.controls} controls: "
        "there are too few real images for more."
        for ranking in graph.rankings
        if len(graph.controls(ranking.name)) < graph.file.controls
    ]
    failed = [s for s in graph.steps if s.kind == "tally" and isinstance(s.side, int)]
    for step in failed:
        state, reason = folder.reason(graph, step)
        if state == "failed":
            warnings.append(f"{step.about} failed: {reason}")
    return SuiteResults(
        title=graph.file.title,
        level=graph.file.level,
        generators=graph.generators,
        rankings=[_ranking(graph, folder, ranking.name) for ranking in graph.rankings],
        cells=[
            _cell(graph, folder, step)
            for ranking in graph.rankings
            for step in graph.cells(ranking.name)
        ],
        warnings=warnings,
    )


def write_results(graph: Graph, folder: SuiteFolder) -> SuiteResults:
    """Write ``results.json`` of a suite."""
    found = collect(graph, folder)
    content = json_text(found.model_dump(mode="json"), indent=1) + "\n"
    write_text(folder.path / "results.json", content)
    return found


def _cell(graph: Graph, folder: SuiteFolder, step: Step) -> SuiteCell:
    state, reason = folder.reason(graph, step)
    own = [s for s in map(graph.step, step.needs) if s.side == "generated"]
    records = [folder.record(s) for s in (step, *own)]
    return SuiteCell(
        generator=step.generator,
        ranking=step.ranking,
        state=state,
        reason=reason or ("" if state == "done" else _awaited(graph, folder, step)),
        folder=str(step.output) if state == "done" else "",
        seconds=round(sum(r.seconds for r in records if r is not None and state == "done"), 3),
    )


def _awaited(graph: Graph, folder: SuiteFolder, step: Step) -> str:
    """What a step waits for: the first of what it needs that is not done."""
    for name in step.needs:
        needed = graph.step(name)
        if folder.state(graph, needed) != "done":
            return needed.about
    return "its turn"


def _ranking(graph: Graph, folder: SuiteFolder, name: str) -> SuiteRanking:
    step = graph.step(ranking_name(name))
    ranking = next(r for r in graph.rankings if r.name == name)
    state, reason = folder.reason(graph, step)
    cells = [c.generator for c in graph.cells(name) if folder.state(graph, c) == "done"]
    return SuiteRanking(
        name=name,
        data=ranking.data.name,
        segmenter=graph.segmenters[name],
        seed=ranking.seed,
        n=_images(folder.output(step) / "results.json") if state == "done" else graph.file.n,
        state=state,
        reason=reason,
        generators=cells if state == "done" else [],
    )


def _images(path: Path) -> int:
    """The number of images of each side of a ranking."""
    return int(json.loads(path.read_bytes())["n_real"])
