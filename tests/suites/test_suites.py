"""Suites from file to results: what runs, what is there already, what fails."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from seeingkit.analyses.comparison.compare import compare
from seeingkit.analyses.comparison.ranking import rank_generators
from seeingkit.analyses.inversion.picking import pick_photos
from seeingkit.errors import RunError, UsageError
from seeingkit.results import Results, SuiteResults
from seeingkit.results.ranking import RankingResults
from seeingkit.runs.analyze import execute
from seeingkit.statistics import compare_classes, fsd_of_rows
from seeingkit.statistics.nearness import nearness
from seeingkit.suites import graph as graph_module
from seeingkit.suites.controls import control_source
from seeingkit.suites.forecast import forecast
from seeingkit.suites.graph import Step, read_graph
from seeingkit.suites.launch import FinishedSuite, run_suite, suite_folder
from seeingkit.suites.state import StepRecord
from tests.helpers.commands import command, pictures
from tests.suites.conftest import TOML


class Steps:
    """The steps that were run, in their order."""

    def __init__(self) -> None:
        self.about: list[str] = []

    def __call__(self, step: Step, record: StepRecord, ended: int, steps: int) -> None:
        assert 0 < ended <= steps
        self.about.append(step.about)


def run(suite: Path) -> tuple[FinishedSuite, list[str]]:
    steps = Steps()
    place = suite.parent
    found = run_suite(suite, out=place / "out", store=place / "store", report=steps)
    assert found is not None
    return found, steps.about


def test_a_suite_runs_each_step_once_and_goes_on_where_something_is_new(suite: Path) -> None:
    found, steps = run(suite)
    assert len(steps) == len(set(steps)) == 3 + 2 * 3 + 1
    out = suite.parent / "out"
    written = SuiteResults.model_validate_json((out / "results.json").read_bytes())
    assert written == found.results
    assert [cell.state for cell in written.cells] == ["done"] * 3 and not written.failed
    ranking = RankingResults.model_validate_json(
        (out / "rankings" / "patches" / "results.json").read_bytes()
    )
    names = {member.name for member in ranking.members}
    assert names == {"plain", "training 100", "training 1000", "real images 1", "real images 2"}
    for cell in written.cells:
        alone = Results.model_validate_json((out / cell.folder / "results.json").read_bytes())
        member = next(m for m in ranking.members if m.name == cell.generator)
        assert member.fsd == alone.fsd and member.omitted == [
            c.label for c in alone.classes if c.verdict == "omitted"
        ]
        assert (out / cell.folder / "report.html").is_file()

    assert run(suite)[1] == []  # nothing is left to do

    (suite.parent / "run" / "snap-000400.txt").write_text("0.3")
    found, steps = run(suite)
    assert steps == [
        "tally training 400 by levels",
        "training 400 on patches",
        "compare the generators on patches",
    ]
    assert [g.name for g in found.results.generators][1:] == [
        "training 100",
        "training 400",
        "training 1000",
    ]

    time.sleep(0.01)
    (suite.parent / "run" / "snap-000400.txt").write_text("0.4")  # the same name, another file
    assert run(suite)[1] == steps


@pytest.mark.slow
def test_a_cell_that_fails_is_marked_and_the_rest_completes(
    suite: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = suite.parent / "run" / "snap-000100.txt"
    broken.write_text("no number")
    out = str(suite.parent / "out")
    words = ("suite", str(suite), "--out", out, "--store", str(suite.parent / "store"))
    code, stdout, stderr = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 3
    assert "failed: training 100 on patches" in stdout and "holds no number" in stdout
    results = SuiteResults.model_validate_json(Path(out, "results.json").read_bytes())
    states = {cell.generator: cell.state for cell in results.cells}
    assert states == {"plain": "done", "training 100": "failed", "training 1000": "done"}
    assert results.rankings[0].generators == ["plain", "training 1000"]
    status = command("suite", "status", *words[1:4], capsys=capsys, monkeypatch=monkeypatch)[1]
    assert "failed: training 100 on patches" in status and "0 waiting, 2 failed" in status

    broken.write_text("0.1")  # mended: it is tried again, and the ranking is made anew
    code, stdout, stderr = command(*words, "--json", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    assert [cell["state"] for cell in json.loads(stdout)["cells"]] == ["done"] * 3
    assert stderr.count("seeingkit: done in") == 3
    table = ("suite", "table", out, "--format", "csv")
    rows = command(*table, capsys=capsys, monkeypatch=monkeypatch)[1].splitlines()
    assert len(rows) == 1 + 3 + 2 and rows[0].startswith('"generator","kind","state"')
    named = str(suite.parent / "table.parquet")
    code, stdout, _ = command(*table[:3], "--out", named, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0 and stdout.strip() == named
    assert pq.read_table(named).num_rows == 5
    code, _, stderr = command(
        *table[:3], "--format", "parquet", capsys=capsys, monkeypatch=monkeypatch
    )
    assert code == 2 and "name a file with --out" in stderr
    site = suite.parent / "site"
    words = ("suite", "site", out, "--out", str(site))
    assert command(*words, capsys=capsys, monkeypatch=monkeypatch)[0] == 0
    assert "training 1000" in (site / "index.html").read_text("utf-8")


def test_two_rankings_and_two_suites_share_their_tallies(suite: Path) -> None:
    more = '[[data]]\nname = "more"\nsource = "patches"\noptions = { n = 200 }\n\n[[generators]]'
    suite.write_text(TOML.replace("[[generators]]", more, 1))
    graph = read_graph(suite)
    kinds = [step.kind for step in graph.steps]
    generated = [s for s in graph.steps if s.side == "generated" and s.kind == "tally"]
    assert kinds.count("cell") == 2 * 3 and kinds.count("ranking") == 2
    assert len(generated) == 3  # M + N, and not M x N
    second = suite.parent / "second.toml"
    second.write_text(TOML.replace("permutations = 19", "permutations = 29"))
    other = {step.name: step.key for step in read_graph(second).steps if step.kind == "tally"}
    assert other.items() <= {step.name: step.key for step in graph.steps}.items()


@pytest.mark.slow
def test_what_is_stored_is_checked(suite: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(suite.parent / "run")  # one generator is enough
    run(suite)
    out = suite.parent / "out"
    results = out / "cells" / "patches" / "plain" / "results.json"
    results.write_bytes(results.read_bytes().replace(b'"n_real": 40', b'"n_real": 41'))
    record = next((out / "steps").glob("*.json"))
    data = bytearray(record.read_bytes())
    data[len(data) // 2] ^= 1
    record.write_bytes(bytes(data))
    shutil.rmtree(out / "rankings")
    again = run(suite)[1]
    assert "plain on patches" in again and "compare the generators on patches" in again
    assert "it is not what was written" in caplog.text and "damaged" in caplog.text
    assert json.loads(results.read_bytes())["n_real"] == 40


def test_keys_cover_the_code_that_makes_numbers(
    suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers = (
        rank_generators,
        compare,
        pick_photos,
        execute,
        nearness,
        compare_classes,
        fsd_of_rows,
    )
    for maker in makers:
        assert any(maker.__module__.startswith(f"{room}.") for room in graph_module.CODE)
    before = {step.name: step.key for step in read_graph(suite).steps}
    monkeypatch.setattr(graph_module, "package_digest", lambda room: f"another {room}")
    after = {step.name: step.key for step in read_graph(suite).steps}
    changed = {name.split()[0] for name in before if before[name] != after[name]}
    assert changed == {"cell", "ranking"} and before.keys() == after.keys()


def test_controls_are_real_images_of_no_other_side(suite: Path) -> None:
    graph = read_graph(suite)
    plan = graph.real("patches").plan
    from seeingkit.runs.sides import open_side

    sides = [set(open_side(plan.real, plan).ids)]
    sides += [set(control_source(plan, number).ids) for number in (1, 2)]
    assert [len(side) for side in sides] == [40] * 3
    assert len(set.union(*sides)) == 120
    suite.write_text(TOML.replace('name = "patches"', 'name = "patches"\noptions = { n = 90 }'))
    assert len(read_graph(suite).controls("patches")) == 1
    suite.write_text(TOML.replace("n = 40", "n = 40\ncontrols = 0"))
    assert not read_graph(suite).controls("patches")


def test_wrong_names_are_mistakes_of_the_file(suite: Path) -> None:
    suite.write_text(
        TOML.replace('source = "painter"\n\n', 'source = "pianter"\n\n')
        .replace('name = "patches"', 'name = "patches"\npreset = "papre"')
        .replace('weights = "run/snap-*.txt"', 'weights = "run/none.txt"')
    )
    with pytest.raises(UsageError) as raised:
        read_graph(suite)
    said = str(raised.value)
    assert "generators.1.source: no such path" in said
    assert "line 17: generators.2.weights" in said and "no such weights file" in said


def test_the_folder_of_something_else_is_refused(suite: Path) -> None:
    out = suite.parent / "out"
    out.mkdir()
    (out / "photo.png").write_bytes(b"mine")
    with pytest.raises(RunError, match="holds no suite"):
        run(suite)
    (out / "photo.png").unlink()
    (out / "suite.json").write_text("{}")
    with pytest.raises(RunError, match="is of no suite"):
        run(suite)


@pytest.mark.slow
def test_plan_says_what_is_left_and_how_long_it_takes(
    suite: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    (suite.parent / "run" / "snap-001000.txt").unlink()
    words = ("suite", "plan", str(suite), "--out", str(suite.parent / "out"))
    before = command(*words, capsys=capsys, monkeypatch=monkeypatch)[1]
    assert "8 of 8 steps are left" in before and "8 of kinds that were not measured" in before
    assert "training 100: step 100 (of no known unit, the last number of the name)" in before
    run(suite)
    assert "0 of 8 steps" in command(*words, capsys=capsys, monkeypatch=monkeypatch)[1]
    (suite.parent / "run" / "snap-000400.txt").write_text("0.3")
    graph = read_graph(suite)
    found = forecast(graph, suite_folder(suite, suite.parent / "out"))
    seconds, unknown = found.seconds
    assert len(found.left) == 3 and unknown == 0 and seconds > 0
    assert not os.path.exists(suite.parent / "out" / "steps" / "nothing")


def test_too_few_images_are_a_failed_cell_with_its_reason(suite: Path) -> None:
    pictures(suite.parent / "samples", 5, seed=0, side=16)
    suite.write_text(TOML.replace('"painter"\n\n', '"samples"\n\n').replace("run/snap", "run/none"))
    found, steps = run(suite)
    (cell,) = found.results.cells
    assert cell.state == "failed" and "5 images, fewer than the 40 asked for" in cell.reason
    assert found.results.rankings[0].state == "failed"
    assert "none of its generators" in found.results.rankings[0].reason
    assert len(steps) == 4  # the real images, the controls, and the ranking that says why
