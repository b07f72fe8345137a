"""Names from files at every door: nothing that could steer a terminal or break a page goes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import seeingkit.models.registry
from seeingkit.analyses.comparison.compare import compare
from seeingkit.contracts import GeneratorInfo, Label, LatentSpec, Vocabulary
from seeingkit.errors import ModelError, printable
from seeingkit.tallies import Tally
from seeingkit.weights import read_checkpoint
from tests.helpers.commands import command

NASTY = (
    "a\x1b]0;pwned\x07\x1b[2J",  # sets the title of a terminal, and wipes it
    "b\nfake: 100 %\r\t",
    "c\u202egnp.exe\u2066",  # turned round
    "d\u200b\u2028\x9b31m\x00"[:-1],
    "e\u2029<script>&\"'\ufeff",
)
SEGMENTER = ("--segmenter", "upernet:minichurches", "--preset", "paper@32")
SHOWN = ("manifest.json", "results.json", "report.html", "gallery.json", ".svg")


def clean(text: str) -> bool:
    """Whether only lines of printable characters are in it (a tab stands in scripts)."""
    return all(line == printable(line) for line in text.replace("\t", "").split("\n"))


def picture(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures of nasty names, one of them unreadable, and a class folder of each name."""
    monkeypatch.chdir(tmp_path)
    names = [name.replace("/", "") for name in NASTY]
    for k, name in enumerate(names):
        (tmp_path / "classes" / name).mkdir(parents=True)
        picture(tmp_path / "classes" / name / f"{name}.png", k)
    (tmp_path / "classes" / names[0] / f"broken{names[0]}.png").write_text("no picture")
    with zipfile.ZipFile("all.zip", "w") as archive:
        for path in sorted((tmp_path / "classes").rglob("*.png")):
            archive.write(path, path.name)
    picture(Path(os.fsdecode(b"classes/x\xff\xfe.png")), 9)
    return tmp_path


@pytest.mark.parametrize("source", ["classes", "all.zip"])
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_names_of_files_in_a_tally(
    source: str,
    form: tuple[str, ...],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("tally", source, *SEGMENTER, "--out", "t.parquet", *form)
    code, out, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 3 and clean(out) and clean(said)
    assert "\nskipped 1:\n  " in out or form
    # The ids themselves come back whole: they name the files.
    ids = [item.rpartition("/")[2] for item in Tally.load("t.parquet").ids]
    assert {f"{name}.png" for name in NASTY} <= set(ids)
    if form:
        (skipped,) = json.loads(out)["skipped"]
        assert skipped["item"].endswith(f"broken{NASTY[0]}.png")


def test_a_comparison_and_its_report(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("compare", "classes", "all.zip", *SEGMENTER, "--permutations", "0", "--out", "run")
    code, out, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 3 and clean(out) and clean(said)
    # As if the segmenter's labels, the sources and a warning had such names, too: of another tool.
    found = json.loads(Path("run/results.json").read_text())
    for record, name in zip(found["classes"], NASTY, strict=False):
        record["label"] = f"{record['label']} {name}"
    found["data"]["name"] = NASTY[0]
    found["generated"]["details"] = {NASTY[1]: NASTY[2]}
    found["warnings"].append(NASTY[0])
    Path("run/results.json").write_text(json.dumps(found))
    code, out, said = command("report", "run", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, out, said) == (0, "run/report.html\n", "")
    shown = [path for path in Path("run").rglob("*") if path.name.endswith(SHOWN)]
    assert len(shown) >= 5
    for path in shown:
        assert clean(path.read_text("utf-8")), path
        if path.suffix == ".svg":
            ElementTree.fromstring(path.read_text("utf-8"))
    page = Path("run/report.html").read_text("utf-8")
    assert "a\ufffd]0;pwned\ufffd\ufffd[2J" in page and "<script>&" not in page


def test_labels_and_classes_are_cleaned_where_they_come_in() -> None:
    vocabulary = Vocabulary((Label("-"), *map(Label, NASTY)))
    assert all(name == printable(name).strip() for name in vocabulary.names)
    assert vocabulary.index("b fake: 100 %") == 2
    latent = (LatentSpec(shape=(1,)),)
    info = GeneratorInfo(family="f", resolution=8, latent=latent, class_names=NASTY)
    assert info.class_names == vocabulary.names[1:]
    tally = Tally.from_fractions([[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]] * 4, vocabulary)
    for shown in (tally._repr_html_(), compare(tally, tally, permutations=0)._repr_html_()):
        assert clean(shown) and "<script>" not in shown


def test_keys_of_a_weights_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "g.safetensors"
    tensors = {name: torch.ones(2) for name in NASTY}
    safetensors.torch.save_file(tensors, path, metadata={NASTY[0]: NASTY[1]})
    for form in ((), ("--json",)):
        words = ("weights", "inspect", str(path), *form)
        code, out, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
        assert code == 0 and clean(out) and clean(said)
        if form:
            assert {tensor["name"] for tensor in json.loads(out)["tensors"]} == set(NASTY)
    assert set(read_checkpoint(path).metadata) == {NASTY[0]}
    words = ("tally", "x", "--gan", "auto", "--weights", str(path))
    code, out, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code != 0 and out == "" and clean(said) and said.count("\n") == 1


def test_names_of_plugins_and_of_models(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = SimpleNamespace(
        name=NASTY[0],
        status="failed",
        distribution=NASTY[1],
        version="1",
        registers=[],
        reason=f"no module {NASTY[2]}",
    )
    known = seeingkit.models.registry.registry()
    monkeypatch.setattr(known, "plugins", [plugin])
    for words in (("plugins",), ("plugins", "--json")):
        code, out, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
        assert code == 0 and clean(out) and said == ""
    for words in (("ls", "gans"), ("ls", NASTY[0]), (NASTY[0],), ("tally", NASTY[0])):
        code, out, said = command(*words, capsys=capsys, monkeypatch=monkeypatch)
        assert clean(out) and clean(said) and said.count("\n") <= 1


@pytest.mark.parametrize(
    "error", [RuntimeError(NASTY[0]), ModelError(NASTY[1]), OSError(2, NASTY[2], NASTY[3])]
)
def test_text_of_errors(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("seeingkit.cli.app", fail)
    code, out, said = command("plugins", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, out) == (1, "") and clean(said) and said.count("\n") == 1


def test_what_libraries_log_and_warn_of() -> None:
    program = f"""
import logging, sys, warnings
import seeingkit.cli
from seeingkit.__main__ import main
def app(**_):
    logging.getLogger("other").warning("%s", {NASTY[0]!r})
    warnings.warn({NASTY[1]!r})
seeingkit.cli.app = app
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and clean(done.stderr)
    assert "pwned" in done.stderr and "fake" in done.stderr
