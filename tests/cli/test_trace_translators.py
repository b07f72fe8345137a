"""The command ``trace`` on a generator that translates images, to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seeingkit.results import Results
from tests.cli.test_trace_command import SPECS
from tests.helpers.commands import command, pictures
from tests.helpers.plugins import register_here
from tests.helpers.translators import cyclegan

Command = Callable[..., tuple[int, str, str]]
SOURCE = 320  # 160 images for the dissection, from the half that is measured on
NUMBERS = ("--units", "2", "-n", "50", "--search", "24", "--random", "2", "--most", "1")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, images to translate, and real pictures that are brighter than it draws."""
    found = tmp_path_factory.mktemp("translators")
    torch.save(cyclegan(blocks=1).state_dict(), found / "g.pth")
    pictures(found / "photos", SOURCE, 0, side=16)
    (found / "real").mkdir()
    rng = np.random.default_rng(0)
    for k in range(60):
        red = np.repeat(np.repeat(rng.choice([10, 250], (2, 2), p=[0.1, 0.9]), 8, 0), 8, 1)
        Image.fromarray(np.stack([red] * 3, 2).astype(np.uint8)).save(found / f"real/{k}.png")
    return found


@pytest.fixture
def seeingkit(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command in this process: exit code, stdout, stderr."""
    register_here(monkeypatch, *SPECS)
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))
    return lambda *words: command(*map(str, words), capsys=capsys, monkeypatch=monkeypatch)


def test_classes_of_translations_are_traced(seeingkit: Command) -> None:
    words = "analyze --weights g.pth --gan-option source=photos --gan-option resolution=16"
    more = "--data real --segmenter thirds --preset native --n 60 --method none --permutations 0"
    code, _, err = seeingkit(*words.split(), *more.split(), "--sensitivity", "off", "--out", "run")
    assert code == 0, err
    for wrong, said in (
        (("--dissected", "161"), "--dissected: 161 images asked for, 160 can be translated"),
        (("--dissected", "160", "-n", "161"), "--n: 161 images asked for, 160 can be translated"),
        (("--dissected", "160", "--search", "161"), "--search: 161 images asked for, 160 can be"),
    ):
        code, out, err = seeingkit("trace", "run", *NUMBERS, *wrong)
        assert code and said in err and not out, err
        assert len(err.strip().splitlines()) == 1
    code, out, err = seeingkit("trace", "run", *NUMBERS, "--dissected", "160")
    assert code == 0, err
    results = Results.model_validate_json(Path("run/results.json").read_bytes())
    found = results.tracing
    assert found is not None and found.n == 50 and found.dissected == 160
    assert found.missing or found.excess
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "Units behind these classes" in page
