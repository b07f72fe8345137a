"""The command ``rewrite``, and ``--edit`` in other commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seeingkit import WeightEdit
from seeingkit.analyses.rewriting.plan import request_record
from seeingkit.analyses.rewriting.regions import Region, Request
from tests.helpers.commands import command
from tests.helpers.rewriting import box

Call = Callable[..., tuple[int, str, str]]
GAN = ("--gan", "progan:minichurches")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rewrite")
    contexts = (Region(2, box(8, 24, 24, 40)), Region(3, box(32, 16, 48, 32)))
    wanted = Request(Region(1, box(20, 20, 40, 36)), contexts[0], contexts)
    (folder / "request.json").write_text(json.dumps(request_record(wanted)), encoding="utf-8")
    return folder


@pytest.fixture
def call(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))
    return lambda *words: command(*map(str, words), capsys=capsys, monkeypatch=monkeypatch)


def test_an_edit_is_planned_measured_and_used(place: Path, call: Call) -> None:
    words = ("request.json", *GAN, "--site", "layer6", "--segmenter", "upernet:minichurches")
    more = ("--key-images", "20", "-n", "12", "--out", "tree.safetensors")
    code, out, err = call("rewrite", *words, *more)
    assert code == 0, err
    first, *rest = out.splitlines()
    assert first.startswith("tree.safetensors: an edit of r16.conv1 along 6 of 96 directions (the")
    assert rest[0].startswith("In 12 images that it was not planned with, the class of ")
    assert rest[-1] == "Use it with --edit tree.safetensors wherever a generator is named."
    edit = WeightEdit.load(place / "tree.safetensors")
    assert (edit.site, edit.rank, edit.about["solver"]) == ("r16.conv1", 6, "closed")
    code, out, err = call("rewrite", *words, *more, "--json")
    assert code == 0 and json.loads(out)["effect"]["n"] == 12
    code, _, err = call(
        *("tally", "progan:minichurches", "--edit", "tree.safetensors", "-n", "8"),
        *("--segmenter", "upernet:minichurches", "--json"),
    )
    assert code == 0, err
    again = ("--edit", "tree.safetensors", "--site", "r32.conv0", "--rank", "1", "-n", "0")
    code, out, err = call(
        "rewrite", "request.json", *GAN, *again, "--key-images", "8", "--out", "second.safetensors",
        "--protect", "request.json",
    )  # fmt: skip
    assert code == 0, err
    assert WeightEdit.load(place / "second.safetensors").about["after"] == [edit.digest()]
    code, out, err = call(
        "dissect", *GAN, "--edit", "second.safetensors", "--segmenter", "upernet:minichurches"
    )
    assert code == 2 and "was planned after 1 others" in err
    code, out, err = call("tally", "minichurches", "--edit", "tree.safetensors", "-n", "8")
    assert code == 2 and "--edit is for a generator; minichurches is a set of images" in err
    (place / "own.safetensors").write_bytes(b"mine")
    code, out, err = call("rewrite", *words, "--out", "own.safetensors")
    assert code == 1 and "own.safetensors: no edit of a weight" in err
    assert (place / "own.safetensors").read_bytes() == b"mine"


@pytest.mark.slow
def test_a_sweep_prints_a_table_and_says_whether_a_layer_does_it(place: Path, call: Call) -> None:
    words = ("request.json", *GAN, "--sweep", "--site", "r16.conv1,r32.conv0", "--ranks", "1")
    more = ("--keeps", "20,2", "--sweep-images", "8", "-n", "8", "--key-images", "40")
    given = (*words, *more, "--segmenter", "upernet:minichurches", "--out", "swept.safetensors")
    code, out, err = call("rewrite", *given)
    assert code == 0, err
    header, *rows = out.splitlines()
    assert header.split()[:4] == ["layer", "rank", "keep", "success"]
    assert [row.split()[0] for row in rows[:4]] == 2 * ["r16.conv1"] + 2 * ["r32.conv0"]
    assert any(line.startswith("Compared on 8 images; 1 of 2 contexts") for line in rows)
    code, out, err = call("rewrite", *given, "--json")
    found = json.loads(out)
    assert code == 0 and len(found["sweep"]["edits"]) == 4 and found["sweep"]["held_out"] == 1
    written = (place / "swept.safetensors").exists()
    assert written == found["sweep"]["found"] == (found["edit"] is not None)


MISTAKES = [
    (("nothing.json", "--site", "r16.conv1"), "nothing.json: no edit as the rewriting notebook"),
    (("request.json", "--site", "r99"), "no site named 'r99'"),
    (("request.json", "--site", "r16.conv1", "-n", "1"), "at least two images, or 0 for none"),
    (("request.json", "--site", "r16.conv1", "--rank", "500"), "rank 500: keys of"),
    (("request.json", "--site", "r16.conv1", "--edit", "no.file"), "no.file: no such file of an"),
    (("request.json",), "name the layer with --site, or let --sweep choose it"),
    (("request.json", "--sweep", "--rank", "3"), "--rank is of a single edit"),
    (("request.json", "--sweep", "--solver", "published"), "--solver is of a single edit"),
    (("request.json", "--site", "r16.conv1", "--ranks", "3"), "--ranks is of a sweep"),
    (("request.json", "--sweep", "--ranks", "three"), "--ranks three: give numbers"),
    (("request.json", "--sweep", "--site", "r99"), "no site named 'r99'"),
    (("request.json", "--sweep", "--wanted", "dragon"), "no label named 'dragon'"),
    (("request.json", "--sweep", "-n", "2"), "at least 6 images of each kind"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes_are_answered_by_one_line(
    call: Call, words: tuple[str, ...], message: str
) -> None:
    more = ("--key-images", "8", "--segmenter", "upernet:minichurches")
    code, out, err = call("rewrite", *words, *GAN, *more)
    assert code in (1, 2), err
    assert message in err.splitlines()[-1] and not out
