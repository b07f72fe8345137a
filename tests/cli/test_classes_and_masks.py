"""Commands refuse counts without masks, and samples that leave out classes, before any image."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seeingkit.specs import GanSpec, SegmenterSpec
from tests.helpers.commands import command
from tests.helpers.planted import levels, planted
from tests.helpers.plugins import register_here
from tests.helpers.toys import Digits, LevelSegmenter

Command = Callable[..., tuple[int, str, str]]
CLASSES = 330


def plain(weights: object, options: object) -> object:
    return planted(0.2)


def classes(weights: object, options: object) -> object:
    return planted(0.2, tuple(f"class {k}" for k in range(CLASSES)))


def digits(weights: object, options: object) -> Digits:
    return Digits()


def shades(weights: object, options: object) -> LevelSegmenter:
    return levels()


@pytest.fixture
def seeingkit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command in this process, beside a folder of pictures: exit code, stdout, stderr."""
    common = {"summary": "a toy", "needs_weights": False}
    specs = [
        GanSpec(name="noclasses", target=f"{__name__}:plain", **common),
        GanSpec(name="manyclasses", target=f"{__name__}:classes", **common),
        SegmenterSpec(name="likely", target=f"{__name__}:digits", **common),
        SegmenterSpec(name="shades", target=f"{__name__}:shades", **common),
    ]
    register_here(monkeypatch, *specs)
    rng = np.random.default_rng(0)
    (tmp_path / "real").mkdir()
    for k in range(120):
        pixels = np.repeat(rng.integers(0, 255, (8, 8, 1), np.uint8), 3, 2)
        Image.fromarray(pixels).save(tmp_path / f"real/{k}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    return lambda words: command(*words.split(), capsys=capsys, monkeypatch=monkeypatch)


def refused(found: tuple[int, str, str], said: str) -> None:
    code, out, err = found
    assert code == 2 and not out, err
    *_, last = err.strip().splitlines()  # after warnings about the real images, of a run again
    assert said in last and err.count("seeingkit: ") == 1, err
    assert not Path("no").exists()


ANALYZE = (
    "analyze --data real --preset native --method none --permutations 0 --sensitivity off --out run"
)


@pytest.mark.parametrize(
    "words",
    [
        "dissect --layers r4",
        "intervene --layer r4 --units 0",
        "artifacts --data real --layer r4 --units 1",
        "paint --layer r4 --units bright=0 --out no",
        "analyze --data real -n 60",
    ],
)
def test_numbers_without_masks_are_refused(seeingkit: Command, words: str) -> None:
    found = seeingkit(f"{words} --gan noclasses --segmenter likely --preset native")
    refused(found, "likely gives counts without masks; this command needs a segmenter")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("intervene --layer r4 --units 0 -n 100", "--n 100: so many images have 100 of 330 cl"),
        ("intervene --layer r4 --units 0 -n 330 --each 50", "--each 50: so many images have 50 of"),
        (
            "intervene --layer r4 --choose 1 --class bright -n 330 --search 100",
            "--search 100: so many images have 100 of 330 classes; take 330 or more, or fewer "
            "classes with --labels",
        ),
        ("artifacts --data real --layer r4 --units 1 -n 100", "--n 100: so many images have 100"),
        (
            "artifacts --data real --layer r4 --units 1 -n 330 --search 100",
            "--search 100: so many images have 100 of 330 classes",
        ),
        ("paint --layer r4 --units bright=0 --out no", "--search 128: so many images have 128 of"),
        ("dissect --layers r4 -n 200", "200 images are one of each of 200 of 330 classes"),
        ("dissect --layers r4 -n 660", "320 images for the levels have 320 of 330 classes: take"),
    ],
)
def test_samples_that_leave_out_classes_are_refused(
    seeingkit: Command, words: str, said: str
) -> None:
    refused(seeingkit(f"{words} --gan manyclasses --segmenter shades --preset native"), said)


def test_few_classes_need_few_images(seeingkit: Command) -> None:
    words = "intervene --layer r4 --units 0 -n 8 --labels 3,9 --random 2 --out run"
    code, _, err = seeingkit(f"{words} --gan manyclasses --segmenter shades --preset native")
    assert code == 0, err


@pytest.mark.slow
def test_a_tracing_sees_every_class_and_so_do_its_levels(seeingkit: Command) -> None:
    """330 classes are more than the 320 images of the levels that are usual."""
    code, _, err = seeingkit(f"{ANALYZE} --gan manyclasses --segmenter shades -n 60")
    assert code == 0, err
    words = "trace run --layer r4 --units 1 --class middle --random 2"
    refused(seeingkit(f"{words} -n 50"), "--n 50: so many images have 50 of 330 classes")
    refused(seeingkit(f"{words} -n 330"), "--search 100: so many images have 100 of 330")
    numbers = "-n 330 --search 330"
    found = seeingkit(f"{words} {numbers} --dissected 200")
    refused(found, "--dissected 200: so many images have 200 of 330 classes")
    code, _, err = seeingkit(f"{words} {numbers} --dissected 660")
    assert code == 0, err
    assert json.loads(Path("run/results.json").read_text())["tracing"]["dissected"] == 660
