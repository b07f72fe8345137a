"""``seeingkit edit``: the desk that it serves, and the answers to mistakes."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import seeingkit
from seeingkit.analyses.rewriting.regions import Region
from seeingkit.editing.desk import Desk
from seeingkit.models.weightedits import edit_of, rewritable
from tests.helpers.commands import command

Ran = Callable[..., tuple[int, str, str]]
AT = ("--gan", "progan:minichurches")


@pytest.fixture
def edit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ran:
    return functools.partial(command, "edit", capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Desk]:
    """The desks that would be served."""
    found: list[Desk] = []

    def serve(desk: Desk, *, port: int, ready: Callable[[str, str], None]) -> None:
        found.append(desk)
        ready(f"http://127.0.0.1:{port}/secret/", "once")
        raise KeyboardInterrupt

    monkeypatch.setattr("seeingkit.editing.server.serve_desk", serve)
    return found


def test_it_serves_a_desk_with_the_edits_of_files(
    edit: Ran, served: list[Desk], tmp_path: Path
) -> None:
    generator = rewritable(seeingkit.load_generator("progan:minichurches"))
    site = generator.site("r16.conv1")
    path = edit_of(generator, site, torch.ones(96, 9), torch.ones(1, 96)).save(
        tmp_path / "first.safetensors"
    )
    out = tmp_path / "made" / "here"
    given = (*AT, "--edit", str(path), "--site", "r8.conv1", "--out", str(out), "--seed", "3")
    code, printed, said = edit(*given, "--port", "8124", "--no-open")
    assert (code, printed) == (0, "http://127.0.0.1:8124/secret/\n")
    assert "the address holds a secret" in said and "saved in no file" not in said
    (desk,) = served
    assert (desk.site, desk.folder, out.is_dir()) == ("r8.conv1", out, True)
    assert (desk.session.seed, desk.session.key_seed) == (10_000_003, 3)
    assert [one.site for one in desk.session.edits] == ["r16.conv1"]
    desk.session.undo()
    assert torch.equal(desk.session.image(2), generator(generator.latents([2], seed=10_000_003)))
    data = json.dumps(desk.state())
    assert "r16.conv1" not in data


def test_edits_that_are_in_no_file_are_told(edit: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(desk: Desk, **_: object) -> None:
        mask = np.full((64, 64), 255, np.uint8)
        desk.session.copy(Region(1, mask))
        desk.session.paste(Region(2, mask))
        desk.session.execute("r8.conv1", 1)
        desk.session.execute("r8.conv1", 1)
        assert desk.unsaved == 2
        desk.edit_file(1)

    monkeypatch.setattr("seeingkit.editing.server.serve_desk", serve)
    code, _, said = edit(*AT, "--key-images", "8")
    assert code == 0 and said.endswith("1 of the edits were saved in no file\n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--site", "r16.conv9", "--out", "new"), "r16.conv9"),
        (("--out", "a-file"), "--out a-file: it is a file"),
        (("--edit", "missing.safetensors"), "no such file of an edit; check --edit"),
        (("--labels", "3"), "not conditional"),
        (("--key-images", "0"), "--key-images 0: at least one"),
        (("--dissection", "nowhere"), "nowhere"),
        (("--port", "70000"), "65535"),
    ],
)
def test_mistakes_are_told_before_anything_is_served(
    edit: Ran,
    served: list[Desk],
    given: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    code, printed, said = edit(*AT, *given)
    assert code != 0 and printed == "" and not served
    assert words in said and "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-file"]


def test_without_the_extra_it_says_so(edit: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, _, said = edit(*AT)
    assert code == 2 and "pip install 'seeingkit[view]'" in said and said.count("\n") == 1
