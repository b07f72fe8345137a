"""The command line as people use it: results on stdout, one-line errors, documented exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seeingkit.cli.options import parse_options
from seeingkit.errors import UsageError
from tests.helpers.commands import command, pictures

DISTANCE = {"value", "mean_term", "cov_term", "unit", "floor", "bias_reduced", "p_value"}
AREAS = {"real_area", "generated_area", "relative_difference", "ci_low", "ci_high"}
CLASS = {"label", "category", "p_value", "q_value", "omitted"} | AREAS
CLASS |= {"real_presence", "generated_presence"}


Seeingkit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("command-line")


@pytest.fixture
def seeingkit(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Seeingkit:
    """``seeingkit`` in this process, as if it were one of its own."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))

    def run(*words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as now:
            for name, value in env.items():
                now.setenv(name, value)
            code, out, err = command(*map(str, words), capsys=capsys, monkeypatch=now)
        return subprocess.CompletedProcess(words, code, out, err)

    return run


@pytest.mark.slow
def test_analyze_the_embedded_default(place: Path, seeingkit: Seeingkit) -> None:
    words = ["analyze", "--gan", "progan", "--data", "minichurches", "--n", "40", "--json"]
    words += ["--steps", "8", "--own", "4", "--patched", "4", "--per-class", "1"]
    words += ["--permutations", "9"]
    done = subprocess.run(
        [sys.executable, "-m", "seeingkit", *words, "--out", "run"],
        cwd=place,
        env={**os.environ, "SEEINGKIT_CACHE": str(place / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all(" of " in line for line in done.stderr.splitlines())  # progress, on a slow machine
    found = json.loads(done.stdout)
    assert found == json.loads((place / "run/results.json").read_text())
    assert set(found["fsd"]) >= DISTANCE
    assert found["fsd"]["unit"] == "percent^2"
    assert (found["n_real"], found["n_generated"]) == (40, 40)
    assert found["segmenter"]["name"] and found["generator"]["family"] == "progan"
    assert found["inversions"] and found["skipped"] == []
    assert set(found["inversions"][0]) >= {"image", "method", "psnr", "lost", "reconstruction"}
    assert all((place / "run" / r["reconstruction"]).exists() for r in found["inversions"])
    assert set(found["classes"][0]) >= CLASS
    assert sum(c["real_area"] for c in found["classes"]) == pytest.approx(100)
    for name in ("manifest.json", "classes.parquet", "images.parquet", "report.html"):
        assert (place / "run" / name).stat().st_size > 0
    assert (place / "run/figures/classes.svg").exists()
    # The same settings in the same place, from chunks: the same numbers. The manifest repeats it.
    again = seeingkit("analyze", "--config", "run/manifest.json", "--out", "two", "--json")
    assert json.loads(again.stdout) == found
    rewritten = seeingkit("report", "run")
    assert rewritten.stdout.strip() == "run/report.html"
    other = seeingkit(*words, "--seed", "5", "--out", "run")
    assert other.returncode == 1
    assert "holds a run with other settings" in other.stderr


def test_words_name_the_report(place: Path, seeingkit: Seeingkit) -> None:
    words = ["compare", "minichurches", "progan:minichurches", "--n", "12", "--permutations", "0"]
    done = seeingkit(*words)
    assert done.returncode == 0, done.stderr
    assert "12 images per side" in done.stdout
    report = done.stdout.strip().splitlines()[-1].removeprefix("report: ")
    assert (place / report).is_file()


@pytest.mark.slow
def test_folders_of_different_sizes_are_narrowed_unless_forced_and_it_is_said(
    place: Path, seeingkit: Seeingkit
) -> None:
    pictures(place / "many", 5, 1)
    pictures(place / "few", 3, 2)
    words = ["compare", "many", "few", "--segmenter", "upernet:minichurches"]
    done = seeingkit(*words, "--permutations", "0", "--out", "sizes", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["n_real"], found["n_generated"]) == (3, 3)
    assert any("3 of the 5 real images were drawn" in warning for warning in found["warnings"])
    done = seeingkit(*words, "--force", "--permutations", "0", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["n_real"], found["n_generated"]) == (5, 3)
    assert any("5 real, 3 generated" in warning for warning in found["warnings"])


def test_tally_names_what_it_skipped_and_exits_with_3(place: Path, seeingkit: Seeingkit) -> None:
    pictures(place / "photos", 3, 0)
    (place / "photos" / "bad.png").write_text("not a picture")
    words = ["tally", "photos", "--segmenter", "upernet:minichurches", "--json"]
    done = seeingkit(*words, "--out", "t.parquet")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert found["n"] == 3
    assert [s["item"] for s in found["skipped"]] == ["bad.png"]
    assert (place / "t.parquet").exists()
    fatal = seeingkit(*words, "--on-bad", "fail")
    assert fatal.returncode == 1
    assert fatal.stderr.startswith("seeingkit: bad.png: ")
    assert len(fatal.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["analyze", "--gan", "progn"], 2, "no gan named 'progn'; did you mean 'progan'"),
        (["analyze", "--data", "photos"], 1, "no such path: photos, and no data set"),
        (["analyze", "--data", "."], 2, "no default gan; name one with --gan"),
        (["analyze", "--gan", "progan", "--data", "nowhere/"], 1, "nowhere"),
        (["analyze", "--gan", "progan", "--data", "minichurche"], 1, "minichurches"),
        (["analyze", "--n", "1"], 2, "--n"),
        (["analyze", "--seed", "-1"], 2, "--seed"),
        (["analyze", "--device", "abacus"], 2, "no device named 'abacus'"),
        (["analyze", "--preset", "papers"], 2, "preset"),
        (["analyze", "--on-bad", "ignore"], 2, "--on-bad"),
        (["analyze", "--gan-option", "psi=1"], 2, "option 'psi'"),
        (["analyze", "--gan-option", "clamp"], 2, "key=value"),
        (["analyze", "--weights", "none.pth"], 1, "none.pth: no such weights file"),
        (["analyze", "--config", "none.json"], 1, "none.json: cannot be read"),
        (["compare", "a"], 2, "generated"),
        (["report", "."], 1, "not a run"),
        (["nonsense"], 2, "nonsense"),
        (["ls", "cats"], 2, "cats"),
    ],
)
def test_errors_are_one_line_with_the_documented_code(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert found == code, err
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert not (tmp_path / "runs").exists()  # a command that cannot run leaves nothing behind


def test_listings(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def out(*words: str) -> str:
        code, text, _ = command(*words, capsys=capsys, monkeypatch=monkeypatch)
        assert code == 0
        return text

    gans = json.loads(out("ls", "gans", "--json"))
    assert "clamp" in next(g for g in gans if g["name"] == "progan")["options"]
    weights = json.loads(out("ls", "weights", "--json"))
    assert {"progan:minichurches", "upernet:minichurches"} <= {w["name"] for w in weights}
    assert "(stylegan3, stylegan2, stylegan1)" in out("ls", "gans")  # a group has no licence
    for kind in ("segmenters", "data"):
        assert out("ls", kind)
    assert {p["status"] for p in json.loads(out("plugins", "--json"))} == {"ok"}
    assert "minichurches" in out("plugins")
    assert all(check["ok"] for check in json.loads(out("doctor", "--json")))
    assert out("--version").startswith("seeingkit ")
    help_text = out("--help")
    for name in ("analyze", "compare", "tally", "report", "ls", "plugins", "doctor"):
        assert name in help_text


def test_an_interrupted_run_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seeingkit.runs.analyze.tally_source", interrupted)
    code, out, err = command("tally", "minichurches", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, out) == (130, "")
    assert err == "seeingkit: interrupted; the same command continues where this stopped\n"


def test_processes_share_a_tally(place: Path, seeingkit: Seeingkit) -> None:
    words = ["tally", "minichurches", "--n", "8", "--json"]
    helper = seeingkit(*words, RANK="0", WORLD_SIZE="1")
    done = seeingkit(*words, RANK="1", WORLD_SIZE="2")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert json.loads(helper.stdout)["n"] == 8


def test_option_values_are_json_or_text() -> None:
    assert parse_options(["a=1", "b-c=[1, 2]", "d=text", "e=null", "f=x=y"]) == {
        "a": 1,
        "b_c": [1, 2],
        "d": "text",
        "e": None,
        "f": "x=y",
    }
    for bad in (["=1"], ["a"], ["a=1", "a=2"]):
        with pytest.raises(UsageError):
            parse_options(bad)
