"""Encoders that came with a generator, by the command, as a newcomer tries them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from seeingkit import open_images
from seeingkit.images.preprocess import quantise
from tests.helpers import encoders_by_hand as by_hand
from tests.helpers.commands import command

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--segmenter", "none", "--perceptual", "none", "--own", "2", "--cut", "default")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, and the files of an ALI and of a small BigBiGAN."""
    folder = tmp_path_factory.mktemp("encoders")
    scene = open_images("minichurches", preset="native").read([900])
    Image.fromarray(quantise(scene).numpy()[0]).save(folder / "photo.png")
    ali = by_hand.ali_generator()
    ali["main.18.weight"] *= 4  # else its values would be doubtful for being small
    torch.save(ali, folder / "netG_epoch_9.pth")
    torch.save(ali, folder / "netG.pth")
    torch.save(by_hand.ali_encoder(), folder / "netE_epoch_9.pth")
    torch.save(by_hand.bigbigan(by_hand.Recipe()), folder / "checkpoint_50.pth")
    torch.save(by_hand.bigbigan(by_hand.Recipe(), seed=1), folder / "checkpoint_90.pth")
    return folder


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))
    return lambda *words: command(*words, capsys=capsys, monkeypatch=monkeypatch)


def results(answer: tuple[int, str, str]) -> dict[str, Any]:
    assert answer[0] == 0, answer[2]
    found: dict[str, Any] = json.loads(answer[1])
    return found


def test_the_encoder_beside_the_generator_is_used(run: Run) -> None:
    words = ("invert", "photo.png", "--weights", "netG_epoch_9.pth", "--steps", "2")
    found = results(run(*words, "--method", "encoder,layered+r", *QUICK, "--json", "--out", "a"))
    (encoder,) = found["inversion"]["encoders"]
    assert (encoder["family"], encoder["draw"], encoder["kind"]) == ("ali", "mean", "direct")
    assert sorted({r["method"] for r in found["inversions"]}) == ["encoder", "layered+r"]
    said = [text for text in found["warnings"] if "encoder that came with ali" in text]
    assert len(said) == 1 and "no file says so" in said[0]
    assert "encoder that came with ali" in Path("a/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_named_encoder_is_used_and_a_stranger_is_refused(run: Run) -> None:
    words = ("invert", "photo.png", "--method", "encoder", *QUICK)
    ali = (*words, "--weights", "netG.pth")
    option = ("--encoder-option", "draw=sample", "--encoder-option", "seed=3")
    found = results(run(*ali, "--encoder", "netE_epoch_9.pth", *option, "--json", "--out", "b"))
    (encoder,) = found["inversion"]["encoders"]
    assert (encoder["family"], encoder["draw"], encoder["seed"]) == ("ali", "sample", 3)
    small = (*words, "--weights", "checkpoint_50.pth", "--label", "1")
    code, _, said = run(*small, "--encoder", "checkpoint_90.pth", "--out", "d")
    assert code == 1 and "trained together with another generator" in said
    code, _, said = run(*small, "--encoder", "netE_epoch_9.pth", "--out", "d")
    assert code == 1 and "an encoder of ali, and the generator is bigbigan" in said
    code, _, said = run(*ali, "--encoder", "netG.pth", "--out", "d")
    assert code == 1 and "not an encoder" in said
    assert not Path("d").exists()


@pytest.mark.slow
def test_lists_and_inspection_name_them(run: Run) -> None:
    assert {"ali", "bigbigan"} <= {one["name"] for one in results_of_list(run)}
    code, out, _ = run("weights", "inspect", "checkpoint_50.pth")
    assert code == 0 and "encoder read by bigbigan" in out
    code, out, _ = run("weights", "inspect", "netE_epoch_9.pth")
    assert code == 0 and "give it with --encoder" in " ".join(out.split())
    code, _, said = run("invert", "photo.png", "--weights", "netE_epoch_9.pth", *QUICK)
    assert code == 1 and "read by the encoder ali" in said


def results_of_list(run: Run) -> list[dict[str, Any]]:
    code, out, said = run("ls", "encoders", "--json")
    assert code == 0, said
    found: list[dict[str, Any]] = json.loads(out)
    return found
