"""``seeingkit paint``: the page it writes, the picture it replays, and the answers to mistakes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import seeingkit
from seeingkit.contracts import Generator
from seeingkit.models.editfiles import edit_file
from seeingkit.models.edits import UnitEdit
from seeingkit.results.edits import LatentStart, edits_json
from tests.helpers.commands import command

Ran = Callable[..., tuple[int, str, str]]
AT = ("--gan", "progan:minichurches")
UNITS = ("--units", "tree=13,112", "--search", "4", "--index", "0-1")


@pytest.fixture
def paint(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ran:
    return functools.partial(command, "paint", capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture(scope="module")
def church() -> Generator:
    found = seeingkit.load_generator("progan:minichurches")
    assert isinstance(found, Generator)
    return found


def test_it_writes_one_page(paint: Ran, tmp_path: Path) -> None:
    out = tmp_path / "made" / "painting.html"
    code, printed, _ = paint(*AT, *UNITS, "--out", str(out))
    assert (code, printed.strip()) == (0, str(out))
    text = out.read_text(encoding="utf-8")
    assert "progan:minichurches, r8.conv1" in text and 1e6 < len(text) < 3e6
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert [brush["units"] for brush in data["brushes"]] == [[13, 112]]
    assert [one["start"]["index"] for one in data["starts"]] == [0, 1]
    assert {one["start"]["seed"] for one in data["starts"]} == {data["seed"]} == {10_000_000}
    assert "http" not in text.replace("http-equiv", "").partition("<script")[0]


def test_edits_are_replayed_to_the_same_pixels(
    paint: Ran, tmp_path: Path, church: Generator
) -> None:
    mask = torch.zeros(8, 8)
    mask[5:] = 1
    edit = UnitEdit("r8.conv1", (13, 112), value=torch.tensor([1.5, 2.0]), mask=mask)
    file = tmp_path / "edits.json"
    file.write_text(edits_json(edit_file(church, LatentStart(index=1), [edit])))
    out = tmp_path / "picture.png"
    code, printed, _ = paint("--edits", str(file), "--out", str(out), "--json")
    assert code == 0 and json.loads(printed) == {"picture": str(out)}
    state = church.begin(church.latents([1]))
    image = seeingkit.run(church, state, edits=[edit])[0].x[0]
    wanted = (image * 127.5 + 128).clamp(0, 255).to(torch.uint8).movedim(0, -1).numpy()
    assert np.array_equal(np.asarray(Image.open(out)), wanted)
    code, _, said = paint("--edits", str(file), "--gan", "stylegan2:minichurches")
    assert code == 2 and "these are edits of progan" in said and said.count("\n") == 1
    code, _, said = paint("--edits", str(file), "--layer", "r8.conv1")
    assert code == 2 and "--edits replays a file as it is" in said


MISTAKES = [
    ("--units tree", "write the class and its units, as tree=3,17"),
    ("--units tree=1 --units tree=2", "'tree' is given twice"),
    ("--units tree=x", "'x' is no number"),
    ("--units tree=1 --choose tree", "give one of them"),
    ("--units tree=128 --index 0", "no unit 128 at 'r8.conv1'; its units are 0 to 127"),
    ("--units trea=1 --index 0", "did you mean 'tree'"),
    ("--layer nowhere", "nowhere"),
    ("--layer input", "'input' has no map of cells to paint in"),
    ("--labels 3", "not conditional"),
    ("--photo nowhere.png", "no such photo"),
    ("--dissection nowhere", "no such folder"),
    ("--edits nowhere.json", "no such file of edits"),
    ("--search 0", "at least one is needed"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES)
def test_mistakes_are_answered_in_one_line(paint: Ran, words: str, said: str) -> None:
    code, printed, told = paint(*AT, *words.split())
    assert code and not printed and said in told and told.count("\n") == 1
