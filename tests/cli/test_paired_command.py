"""``compare --paired`` as people use it: pairs by name, words, exit codes, repeated runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seeingkit.errors import UsageError
from seeingkit.runs.analyze import analysis_config, comparison_config
from seeingkit.runs.config import make_config
from seeingkit.runs.plan import resolve
from tests.helpers import commands

PAIRS = 8
PAIRED = (
    "compare",
    "photos",
    "edited",
    "--paired",
    "--segmenter=upernet:minichurches",
    "--permutations=9",
    "--sensitivity=off",
    "--preset=native",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise pictures, and each with its upper half painted white; one more pair is half broken."""
    place = tmp_path_factory.mktemp("paired")
    (place / "photos").mkdir()
    (place / "edited").mkdir()
    rng = np.random.default_rng(0)
    for k in range(PAIRS):
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "photos" / f"{k}_photo.png")
        pixels[:32] = 255
        Image.fromarray(pixels).save(place / "edited" / f"{k}_edited.png")
    return place


@pytest.fixture
def command(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))

    def run(*words: str) -> tuple[int, str, str]:
        return commands.command(*words, capsys=capsys, monkeypatch=monkeypatch)

    return run


def test_pairs_from_pictures_to_report(place: Path, command: Any) -> None:
    code, out, err = command(*PAIRED, "--out", "run")
    assert code == 0, err
    assert out.startswith("Within 8 pairs")
    assert "vanishes" in out.splitlines()[2] and "95 %" not in out
    assert "paired by their names without “photo” and “edited”" in out
    found = json.loads((place / "run/results.json").read_text())
    paired = found["paired"]
    assert (paired["pairs"], paired["matched"], paired["words"]) == (
        8,
        "words",
        ["photo", "edited"],
    )
    assert paired["exact_fsd"] is False and paired["swaps"] == 9
    assert found["pairs"] is found["power"] is found["scenes"] is None
    for pair in paired["images"]:
        assert pair["real"].split("_")[0] == pair["generated"].split("_")[0]
    page = (place / "run/report.html").read_text(encoding="utf-8")
    assert 'id="pairs"' in page and "the generated image that belongs to it" in page
    assert page.count('data-class="scene"') == 2 * len(paired["images"])  # side by side
    # The manifest repeats it, paired.
    code, again, err = command("analyze", "--config", "run", "--out", "two", "--json")
    assert code == 0, err
    assert json.loads(again) == found


@pytest.mark.slow
def test_the_same_choice_of_images_on_both_sides(command: Any) -> None:
    code, out, err = command(*PAIRED, "--n", "5", "--seed", "3", "--json", "--out", "five")
    assert code == 0, err
    assert json.loads(out)["paired"]["pairs"] == 5


@pytest.mark.slow
def test_a_broken_image_drops_its_pair(place: Path, command: Any) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(place / "photos" / "9_photo.png")
    (place / "edited" / "9_edited.png").write_text("not a picture")
    try:
        code, out, err = command(*PAIRED, "--out", "broken")
    finally:
        (place / "photos" / "9_photo.png").unlink()
        (place / "edited" / "9_edited.png").unlink()
    assert code == 3, err
    found = json.loads((place / "broken/results.json").read_text())["paired"]
    assert (found["pairs"], found["left_out_real"], found["left_out_generated"]) == (8, 1, 0)
    assert "1 image was left out because the partner was skipped" in out


@pytest.mark.slow
def test_an_image_without_a_partner_is_named(place: Path, command: Any) -> None:
    lonely = place / "photos" / "12_photo.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(lonely)
    try:
        code, out, err = command(*PAIRED, "--out", "lonely")
        forced = command(*PAIRED, "--force", "--out", "forced")
    finally:
        lonely.unlink()
    assert code not in (0, 3, 4) and not out
    assert "12_photo.png" in err and "--force" in err and len(err.splitlines()) == 1
    assert forced[0] == 0
    assert "1 image has no partner of the same name and took no part" in forced[1]


@pytest.mark.slow
def test_a_gate_judges_the_pairs(command: Any) -> None:
    code, _, err = command(*PAIRED, "--out", "run", "--fail-if", "paired.pairs < 10")
    assert code == 4
    said, failed = err.splitlines()
    assert said.startswith("comparing 8 images of edited with 8 of photos, segmented by upernet")
    assert failed == "gate failed: paired.pairs < 10: it is 8"


def test_only_compare_and_translations_have_pairs() -> None:
    assert comparison_config("a", "b", segmenter="s", paired=True).paired
    assert not comparison_config("a", "b", segmenter="s").paired
    with pytest.raises(UsageError, match="--paired: it is for the command compare"):
        make_config(command="dissect", generated="progan", paired=True)
    with pytest.raises(UsageError, match="--paired: progan:minichurches translates no images"):
        resolve(analysis_config("progan:minichurches", "minichurches", paired=True))
