"""``seeingkit figure``: what it prints, its help page, near names and exit codes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.commands import command
from tests.helpers.paper_runs import comparison, inverted

Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def figure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ran:
    return functools.partial(command, "figure", capsys=capsys, monkeypatch=monkeypatch)


def test_it_prints_files_and_a_caption(figure: Ran, tmp_path: Path) -> None:
    run = comparison(tmp_path / "run")
    code, out, err = figure(str(run), "--out", str(tmp_path), "--limit", "2", "--format", "svg")
    assert (code, err) == (0, "")
    path, empty, caption, note = out.splitlines()
    assert (path, empty) == (str(tmp_path / "classes.svg"), "")
    assert caption.startswith("Mean area of the 2 classes with the largest real area")
    assert note == "! omitted and not in the figure: person"
    code, out, _ = figure(str(run), "--json", "--out", str(tmp_path / "a.png"))
    told = json.loads(out)
    assert (code, told["files"], told["notes"]) == (0, [str(tmp_path / "a.png")], [])


def test_options_reach_the_figure(figure: Ran, tmp_path: Path) -> None:
    runs = [str(comparison(tmp_path / name, name)) for name in ("one", "two")]
    out = tmp_path / "figure.svg"
    words = ["--kind", "compare", "--name", "A", "--name", "B", "--class", "person", "--class"]
    size = ["tree", "--width", "90", "--font-size", "7"]
    assert figure(*runs, *words, *size, "--out", str(out))[0] == 0
    text = out.read_text(encoding="utf-8")
    assert 'width="90mm"' in text and ">A</text>" in text and ">sky</text>" not in text
    run = inverted(tmp_path / "run")
    assert figure(str(run), "--kind", "pair", "--dpi", "72", "--out", str(out))[0] == 0
    assert "what vanished" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--kind", "clases"], 2, "no kind of figure named 'clases'; did you mean 'classes'?"),
        (["--format", "eps"], 2, "no format named 'eps'"),
        (["--out", "a.eps"], 2, "no format named 'eps'"),
        (["--width", "0"], 2, "width 0: give 20 to 2000 mm"),
        (["--font-size", "100"], 2, "font size 100: give 2 to 72 points"),
        (["--dpi", "1"], 2, "dpi 1: give 36 to 2400 pixels to the inch"),
        (["--class", "persn"], 2, "did you mean 'person'?"),
        (["--kind", "pair", "--name", "x"], 2, "--kind pair has no --name; leave it out"),
        (["--kind", "pair"], 1, "no photos were inverted"),
        (["--kind", "depth"], 1, "no photos were inverted"),
        (["--type", "pair"], 2, "no option --type; did you mean '--kind'?"),
        (["--withd", "80"], 2, "no option --withd; did you mean '--width'?"),
        (["nowhere"], 1, "nowhere: no such folder"),
    ],
)
def test_faults_are_one_line(
    words: list[str], code: int, said: str, figure: Ran, tmp_path: Path
) -> None:
    run = comparison(tmp_path / "run")
    found, out, err = figure(str(run), *words)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert said in err
    assert not (run / "figures").exists()


def test_a_file_of_others_is_kept(figure: Ran, tmp_path: Path) -> None:
    run = comparison(tmp_path / "run")
    mine = tmp_path / "mine.pdf"
    mine.write_text("mine")
    code, _, err = figure(str(run), "--out", str(mine))
    assert code == 1 and "so it is not replaced; name another --out" in err
    assert mine.read_text() == "mine"


def test_help_has_its_options_in_groups(figure: Ran) -> None:
    code, out, _ = figure("-h")
    places = [out.index(f"\n{panel}:\n") for panel in ("Arguments", "Content", "Print", "Run")]
    assert code == 0 and places == sorted(places)
    assert "[default: 174.0]" in " ".join(out.split())


def test_other_names_of_the_command_lead_to_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = command("plot", "run", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2 and "did you mean 'figure'?" in err
