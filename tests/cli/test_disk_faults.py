"""Disks that are full, places that cannot be written, outputs that nobody reads: each command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import command, pictures
from tests.system.test_failures import limit_of_size

SETTINGS = ("--segmenter", "upernet:minichurches", "--preset", "paper@32")
WEIGHTS = Path(__file__).parents[2] / "plugins/minichurches/weights"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(("a", "b")):
        pictures(tmp_path / name, 4, k, side=32)
    return tmp_path


COMMANDS = {
    "tally": ("tally", "a", *SETTINGS, "--out", "OUT"),
    "compare": ("compare", "a", "b", *SETTINGS, "--permutations", "0", "--out", "OUT"),
    "invert": (
        *("invert", "a/0.png", "--gan", "progan:minichurches", "--own", "0", "--steps", "1"),
        *("--method", "z", "--perceptual", "none", "--segmenter", "none", "--out", "OUT"),
    ),
}


def only_fault(said: str) -> str:
    """The one line of a fault, after at most the line that says what the command is about to do."""
    *before, line = said.splitlines()
    assert all(one.startswith(("comparing ", "inverting ")) for one in before) and len(before) <= 1
    return line


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("where", ["file/below", "/proc/x/below", "n" * 300])
def test_out_that_cannot_be_is_one_line(
    name: str,
    where: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (place / "file").write_text("mine")
    words = [where if word == "OUT" else word for word in COMMANDS[name]]
    code, _, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    line = only_fault(said)
    assert code == 1 and "please report" not in line
    assert line.startswith(f"seeingkit: {where.split('/below')[0]}") and "): " in line
    assert (place / "file").read_text() == "mine"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_cache_that_is_a_file_is_one_line(
    name: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (place / "file").write_text("mine")
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "file"))
    words = ["out" if word == "OUT" else word for word in COMMANDS[name]]
    code, _, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    line = only_fault(said)
    assert code == 1
    assert f"{place / 'file'} is a file and not a folder: set SEEINGKIT_CACHE" in line


@pytest.mark.slow
def test_no_room_for_the_report_keeps_the_results(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [w if w != "OUT" else "run" for w in COMMANDS["compare"]]
    with limit_of_size(1_000_000):
        code, out, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    line = only_fault(said)
    assert (code, out) == (1, "")
    assert line.startswith("seeingkit: run/report.html: cannot be written (File too large): ")
    assert line.endswith("seeingkit report run makes the page of them")
    assert json.loads((place / "run/results.json").read_text())["n_real"] == 4
    assert not list((place / "run").rglob("*.tmp"))
    code, out, said = command("report", "run", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, out, said) == (0, "run/report.html\n", "")


@pytest.mark.parametrize("name", ["tally", "compare"])
def test_no_room_for_the_work_is_one_line_and_the_same_command_goes_on(
    name: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["out" if word == "OUT" else word for word in COMMANDS[name]]
    with limit_of_size(1000):
        code, _, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    line = only_fault(said)
    assert code == 1 and "(File too large): a limit on the size of files" in line
    assert command(*words, capsys=capsys, monkeypatch=monkeypatch)[0] == 0
    assert not list(place.rglob("*.tmp"))


def test_no_room_for_converted_weights_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = next(WEIGHTS.glob("progan*.safetensors"))
    words = ("weights", "convert", str(source), "g.safetensors")
    with limit_of_size(10_000):
        code, _, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    line = only_fault(said)
    assert code == 1
    assert line.startswith("seeingkit: g.safetensors: cannot be written (File too large): ")
    assert sorted(os.listdir(place)) == ["a", "b"]


def run(*words: str, **streams: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "seeingkit", *words], text=True, stderr=subprocess.PIPE, **streams
    )


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_output_is_one_line(unbuffered: str) -> None:
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = run("plugins", stdout=full, env=env)
    assert done.returncode == 1
    assert done.stderr.startswith("seeingkit: the output: cannot be ")
    assert done.stderr.count("\n") == 1 and "free space" in done.stderr


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error() -> None:
    for unbuffered in ("", "1"):
        env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        read, write = os.pipe()
        os.close(read)
        with open(write, "w") as closed:
            done = run("plugins", stdout=closed, env=env)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_output_that_is_closed_is_no_error() -> None:
    line = f"exec {sys.executable} -m seeingkit plugins >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
