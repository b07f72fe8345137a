"""``seeingkit numbers``, ``seeingkit export`` and ``--track``: what they write, say and refuse."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet

from seeingkit.cli import tracking
from tests.helpers.commands import command, pictures
from tests.helpers.paper_runs import comparison

Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ran:
    return functools.partial(command, capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, now the current one, with two runs and what is none."""
    monkeypatch.chdir(tmp_path)
    comparison(tmp_path / "a")
    comparison(tmp_path / "b", "stylegan:church")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_a_table_on_stdout_and_in_files(run: Ran, two: Path) -> None:
    code, out, err = run("numbers", "a", "b", "--only", "fsd.value")
    assert (code, err) == (0, "")
    head, *rows = csv.reader(io.StringIO(out))
    assert head[-1] == "fsd.value" and [(r[0], r[2]) for r in rows] == [
        ("a", "progan:church"),
        ("b", "stylegan:church"),
    ]
    for name in ("t.csv", "t.json", "t.parquet", "t.md", "t.tex", "t.txt"):
        assert run("numbers", "a", "b", "--out", name, "--only", "fsd.value") == (
            0,
            f"{name}\n",
            "",
        )
    assert (two / "t.csv").read_text(encoding="utf-8") == out
    assert json.loads((two / "t.json").read_text())[1]["fsd.value"] == float(rows[1][-1])
    schema = parquet.read_schema(two / "t.parquet")
    assert schema.field("fsd.value").metadata == {b"unit": b"percent^2"}
    code, out, _ = run("numbers", "a", "--form", "classes", "--format", "markdown")
    assert code == 0 and out.count("\n") == 2 + 5


def test_a_folder_that_is_no_run_is_named_and_the_others_are_read(run: Ran, two: Path) -> None:
    code, out, err = run("numbers", "a", "empty", "nowhere", "--only", "n_real")
    assert (code, out.count("\n")) == (3, 2)
    left, none = err.splitlines()
    assert left.startswith("seeingkit: left out: empty: not a run")
    assert none.startswith("seeingkit: left out: nowhere: no such folder")
    code, out, err = run("numbers", "empty", "nowhere")
    assert (code, out) == (1, "") and "empty: not a run" in err and "nowhere: no such" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["numbers", "a", "--form", "class"], 2, "no form named 'class'; did you mean 'classes'?"),
        (["numbers", "a", "--format", "cvs"], 2, "no format named 'cvs'; did you mean 'csv'?"),
        (["numbers", "a", "--only", "fds.*"], 2, "no number named 'fds.*'"),
        (["numbers", "a", "--format", "parquet"], 2, "name a file with --out"),
        (["numbers", "a", "--out", "t.xls"], 2, "t.xls: give --format, or a name that ends in"),
        (["numbers", "a", "--out", "notes.csv"], 1, "notes.csv: is no table of this command"),
        (["export", "a", "--to", "mlflow"], 2, "no tracker named 'mlflow'"),
        (["export", "a", "--to", "tensorboard", "--project", "x"], 2, "no option 'project'"),
        (["export", "a", "--to", "wandb", "--option", "mode"], 2, "an option is written key=value"),
        (
            ["export", "a", "--to", "wandb", "--option", "project=x", "--project", "y"],
            2,
            "'project' is given twice",
        ),
        (["export", "empty", "--to", "tensorboard"], 1, "empty: not a run"),
        (["export", "a", "--wandb"], 2, "did you mean '--to'?"),
        (["tensorboard", "a"], 2, "did you mean 'export'?"),
        (["csv", "a"], 2, "did you mean 'numbers'?"),
        (["compare", "a", "b", "--track", "mlflow"], 2, "no tracker named 'mlflow'"),
        (["compare", "a", "b", "--track-option", "x=1"], 2, "name one with --track"),
    ],
)
def test_faults_are_one_line(words: list[str], code: int, said: str, run: Ran, two: Path) -> None:
    (two / "notes.csv").write_text("mine\n")
    found, out, err = run(*words)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert said in err
    assert (two / "notes.csv").read_text() == "mine\n"
    assert sorted(path.name for path in two.iterdir()) == ["a", "b", "empty", "notes.csv"]


def test_export_says_where_and_at_which_step(run: Ran, two: Path) -> None:
    path = two / "a" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"] = {"weights": "t/network-snapshot-001000.pkl"}
    path.write_text(json.dumps(manifest))
    words = ["export", "a", "b", "--to", "tensorboard", "--logdir", "logs", "--only", "fsd.value"]
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "logs/t  at 1,000 kimg by the names of the weights files, 1 numbers",
        "logs/b  1 numbers",
    ]
    code, out, _ = run(*words, "--json")
    assert [one["steps"] for one in json.loads(out)] == [[1000], [0]]
    assert len(list((two / "logs" / "b").iterdir())) == 1


def test_trackers_are_listed_with_options_of_json(run: Ran) -> None:
    code, out, _ = run("ls", "trackers", "--json")
    options = {one["name"]: one["options"] for one in json.loads(out)}
    assert code == 0 and options["tensorboard"]["logdir"]["default"] == "tensorboard"
    assert "Tracking:" in run("analyze", "-h")[1]


@pytest.mark.slow
def test_a_run_is_exported_after_it_and_a_fault_loses_nothing(
    run: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    for seed, name in enumerate(("real", "generated")):
        pictures(tmp_path / name, 3, seed, side=32)
    (tmp_path / "file").touch()
    words = [
        "compare",
        "real",
        "generated",
        "--segmenter",
        "upernet:minichurches",
        "--preset=native",
    ]
    words += ["--permutations", "0", "--sensitivity", "off", "--out", "run", "--json"]
    track = ["--track", "tensorboard", "--track-option"]
    code, out, err = run(*words, *track, "logdir=file")
    assert code == 3 and "seeingkit: not exported: file/run" in err
    assert json.loads(out) == json.loads((tmp_path / "run" / "results.json").read_text())
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("before", [0, 3])
def test_a_finished_run_is_exported(
    before: int, two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = tracking.tracker_asked({"tracking": ("tensorboard", {"logdir": "logs"})})
    assert tracking.track(Path("a"), tracker, before) == before
    assert capsys.readouterr() == ("", "exported to logs/a\n")
    assert len(list((two / "logs" / "a").iterdir())) == 1
    (two / "file").touch()
    broken = tracking.tracker_asked({"tracking": ("tensorboard", {"logdir": "file"})})
    assert tracking.track(Path("a"), broken, before) == 3
    assert "seeingkit: not exported: file/a" in capsys.readouterr().err
    assert tracking.track(Path("a"), tracking.tracker_asked({"tracking": None}), before) == before


def commands_of(document: str) -> list[list[str]]:
    """The commands of all blocks for a shell, in their order."""
    text = (Path(__file__).parents[2] / "docs" / document).read_text(encoding="utf-8")
    lines = "".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in lines.splitlines()]


@pytest.mark.slow
def test_the_commands_of_the_document_run(
    run: Ran, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(two / name))
    comparison(two / "runs" / "church")
    comparison(two / "runs" / "snapshot-1000")
    ran = 0
    for words in commands_of("tracking.md"):
        if words and words[0] == "seeingkit" and words[1] in ("numbers", "export", "ls"):
            folders = [str(p) for p in sorted(Path("runs").iterdir())]
            given = [x for word in words[1:] for x in (folders if word == "runs/*" else [word])]
            code, _, err = run(*given)
            assert (code, err) == (0, ""), words
            ran += 1
    assert ran >= 6
