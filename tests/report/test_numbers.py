"""Runs as tables: rows, columns, what is missing, and the histories that trackers are given."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from seeingkit.errors import RunError, UnknownNameError
from seeingkit.report import rebuild_report
from seeingkit.report.numbers import RunNumbers, numbers_table, read_numbers
from seeingkit.report.tables import TableColumn, render_table, write_table
from seeingkit.report.tracking import histories, tag_of
from seeingkit.results import GeneratorResult, GeneratorsResults, InversionResults
from tests.helpers.church_report import church_results, class_result, save_results
from tests.helpers.paper_runs import comparison, inverted


def configured(folder: Path, **config: Any) -> Path:
    """The run with other settings in its manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "config": config}), encoding="utf-8")
    return folder


def snapshot(folder: Path, kimg: int, value: float, **config: Any) -> Path:
    """The run of a snapshot of a training."""
    fsd = church_results().fsd.model_copy(update={"value": value})
    weights = f"training/00003-church/network-snapshot-{kimg:06d}.pkl"
    return configured(comparison(folder, fsd=fsd), weights=weights, n=100, **config)


def several(folder: Path) -> Path:
    """A run of two generators, each with its own results below it."""
    whole = church_results()
    parts = []
    for name, value in (("one", 5.0), ("two", 7.0)):
        fsd = whole.fsd.model_copy(update={"value": value})
        inside = comparison(folder / "generators" / name, name, fsd=fsd)
        assert inside.is_dir()
        values = {"n": 9, "source": whole.generated, "classes": whole.classes, "fsd": fsd}
        parts.append(GeneratorResult(name=name, folder=f"generators/{name}", **values))
    shared = {"segmenter": whole.segmenter, "data": whole.data, "preset": whole.preset}
    made = GeneratorsResults(n_real=9, generators=parts, differences=[], classes=[], **shared)
    save_results(folder, made)
    return folder


def read(*folders: Path) -> list[RunNumbers]:
    return [run for folder in folders for run in read_numbers(folder)]


def frame(columns: list[TableColumn]) -> pandas.DataFrame:
    return pandas.read_csv(io.StringIO(str(render_table(columns, "csv"))))


def test_a_row_a_run_and_empty_cells_for_what_a_run_has_not(tmp_path: Path) -> None:
    runs = read(
        comparison(tmp_path / "a"),
        inverted(tmp_path / "b", kind=InversionResults),
        comparison(tmp_path / "c", classes=[class_result("dog", 3, 1.0, 0.0)]),
    )
    table = frame(numbers_table(runs))
    assert list(table["run"]) == [str(tmp_path / name) for name in "abc"]
    assert list(table["kind"]) == ["comparison", "inversion", "comparison"]
    assert table["fsd.value"].isna().tolist() == [False, True, False]
    assert table["classes.sky.real_area"].isna().tolist() == [False, True, True]
    assert table["classes.dog.real_area"].tolist()[2] == 1.0
    assert table["vanishing[layered+r, r8, person].vanished"].tolist()[1] == 7
    assert table["config.n"].tolist() == [10_000] * 3
    assert table["timings.comparison"].tolist() == [21.4] * 3
    assert "step" not in table


def test_the_table_of_a_run_is_all_of_its_numbers(tmp_path: Path) -> None:
    (run,) = read(comparison(tmp_path / "a"))
    row = frame(numbers_table([run])).iloc[0]
    long = frame(numbers_table([run], "numbers"))
    assert list(long["number"]) == list(run.numbers)
    for path, value in run.numbers.items():
        assert pandas.isna(row[path]) if value is None else row[path] == value, path
    units = dict(zip(long["number"], long["unit"], strict=True))
    assert units["fsd.value"] == "percent^2" and pandas.isna(units["n_real"])
    assert pandas.isna(dict(zip(long["number"], long["value"], strict=True))["fsd.ci_low"])


def test_a_row_a_class(tmp_path: Path) -> None:
    table = frame(numbers_table(read(comparison(tmp_path / "a")), "classes"))
    assert list(table["label"]) == ["-", "sky", "tree", "person", "rock"]
    assert list(table["verdict"])[3] == "omitted" and table["omitted"].tolist()[3]
    assert "rest_ci[0]" in table and "rest_ci" not in table
    with pytest.raises(RunError, match="none of these runs compares classes"):
        numbers_table(read(inverted(tmp_path / "b", kind=InversionResults)), "classes")


def test_a_run_of_several_generators_has_a_row_for_each(tmp_path: Path) -> None:
    runs = read(several(tmp_path / "run"))
    assert [run.kind for run in runs] == ["generators", "comparison", "comparison"]
    assert [run.numbers.get("fsd.value") for run in runs] == [None, 5.0, 7.0]
    assert [run.generator for run in runs] == ["", "one", "two"]
    assert runs[0].numbers["generators"] == 2 and runs[0].numbers["n_real"] == 9
    assert not any(path.startswith("generators.") for path in runs[0].numbers)


def test_a_folder_outside_of_the_run_is_not_read(tmp_path: Path) -> None:
    run, outside = several(tmp_path / "run"), comparison(tmp_path / "outside")
    text = (run / "results.json").read_text()
    (run / "results.json").write_text(text.replace('"generators/one"', '"../outside"'))
    with pytest.raises(RunError, match=r"\.\./outside leads out of the run"):
        read_numbers(run)
    assert read_numbers(outside)


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    runs = read(comparison(tmp_path / "a"))
    known = [
        column.name for column in numbers_table(runs, only=["fsd.*", "classes.*.rest_*", "n_real"])
    ]
    assert known[7:9] == ["fsd.value", "fsd.mean_term"] and known[-1] == "classes.rock.rest_ci[1]"
    runs = read(comparison(tmp_path / "b", classes=[class_result("a b", 1, 1.0, 0.0)]))
    for pattern in ("classes[a b].real_area", "classes.*.real_area", "classes[*].real_area"):
        (column,) = numbers_table(runs, only=[pattern])[7:]
        assert (column.name, column.unit) == ("classes[a b].real_area", "percent")
        assert column.values == [1.0]
    for form in ("runs", "numbers", "classes"):
        with pytest.raises(UnknownNameError, match="no number named 'real'"):
            numbers_table(runs, form, only=["real"])
    with pytest.raises(UnknownNameError, match="no form named 'class'"):
        numbers_table(runs, "class")


def test_a_setting_that_is_a_name_here_and_a_number_there(tmp_path: Path) -> None:
    runs = read(
        configured(comparison(tmp_path / "a"), labels="3", options={"x": 1}, none=None),
        configured(comparison(tmp_path / "b"), labels=3, options={"x": [1, "é"]}, empty=[]),
    )
    table = {column.name: column.values for column in numbers_table(runs)}
    assert table["config.labels"] == ["3", "3"]
    assert table["config.options.x"] == ["1", '[1, "é"]']
    assert not {"config.none", "config.empty"} & table.keys()


def test_names_of_runs_cannot_be_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison(tmp_path / "=cmd()", "@SUM(1)")
    monkeypatch.chdir(tmp_path)
    lines = str(render_table(numbers_table(read(Path("=cmd()"))), "csv")).splitlines()
    assert lines[1].startswith('"\'=cmd()","comparison","\'@SUM(1)"')


# ---------------------------------------------------------------------------- histories


def test_snapshots_of_a_training_are_one_history(tmp_path: Path) -> None:
    runs = read(
        snapshot(tmp_path / "b", 2000, 30.0),
        comparison(tmp_path / "other"),
        snapshot(tmp_path / "a", 1000, 40.0),
        snapshot(tmp_path / "c", 1000, 41.0, seed=1),
    )
    first, other, seeded = histories(runs)
    assert [(p.step, p.numbers["fsd.value"]) for p in first.points] == [(1000, 40.0), (2000, 30.0)]
    assert (first.unit, other.unit, other.name) == ("kimg", "", "other")
    assert [p.step for p in other.points] == [0]
    assert [p.step for p in seeded.points] == [1000]
    assert [first.name, seeded.name] == ["00003-church", "00003-church (2)"]
    assert len({first.key, other.key, seeded.key}) == 3
    table = frame(numbers_table(runs))
    assert table["step_unit"].fillna("").tolist() == ["kimg", "", "kimg", "kimg"]


def test_a_training_that_goes_on_keeps_its_key(tmp_path: Path) -> None:
    earlier = read(snapshot(tmp_path / "a", 1000, 40.0))
    later = [*earlier, *read(snapshot(tmp_path / "b", 2000, 30.0))]
    assert [h.key for h in histories(earlier)] == [h.key for h in histories(later)]


def test_a_run_given_twice_is_one_point_and_a_repeated_snapshot_is_two(tmp_path: Path) -> None:
    run = snapshot(tmp_path / "a", 1000, 40.0)
    assert [len(h.points) for h in histories(read(run, run))] == [1]
    again = snapshot(tmp_path / "b", 1000, 40.0)
    assert [len(h.points) for h in histories(read(run, again))] == [1, 1]


def test_names_tell_runs_apart(tmp_path: Path) -> None:
    runs = read(*(comparison(tmp_path / top / "run") for top in "ab"), comparison(tmp_path / "c"))
    assert [h.name for h in histories(runs)] == ["a/run", "b/run", "c"]


def test_a_point_has_main_numbers_classes_and_figures(tmp_path: Path) -> None:
    run = comparison(tmp_path / "run")
    rebuild_report(run)
    (run / "figures" / "link.png").symlink_to(run / "figures" / "classes.png")
    ((point,),) = (h.points for h in histories(read(run)))
    assert point.numbers["classes.person.omitted"] == 1.0
    assert "fsd.ci_low" not in point.numbers  # is not defined
    assert "classes.person.real_presence" not in point.numbers
    labels, *_ = point.classes
    assert labels.name == "label" and "person" in labels.values
    assert [picture.name for picture in point.pictures] == ["classes"]
    assert point.pictures[0].png == (run / "figures" / "classes.png").read_bytes()
    ((few,),) = (h.points for h in histories(read(run), ["*.real_presence"]))
    assert set(few.numbers) == {f"classes.{x}.real_presence" for x in labels.values}


def test_tags_of_numbers_are_different(tmp_path: Path) -> None:
    (run,) = read(comparison(tmp_path / "run"))
    assert len({tag_of(path) for path in run.numbers}) == len(run.numbers)
    assert all(tag_of(path).count("/") <= 1 for path in run.numbers)


# ------------------------------------------------------------------------------- files


@pytest.mark.parametrize("format", ["csv", "json", "parquet", "markdown", "latex", "terminal"])
def test_only_a_table_is_replaced(format: str, tmp_path: Path) -> None:
    path = tmp_path / "table"
    columns = [TableColumn("run", ["a"]), TableColumn("n", [1])]
    write_table(path, columns, format)
    before = path.read_bytes()
    write_table(path, [*columns, TableColumn("m", [2])], format)
    assert path.read_bytes() != before
    for other in (b"my notes\n", b"\0\1\2"):
        path.write_bytes(other)
        with pytest.raises(RunError, match="is no table of this command, so it is not replaced"):
            write_table(path, columns, format)
        assert path.read_bytes() == other
