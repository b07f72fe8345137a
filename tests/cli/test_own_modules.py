"""A module of one's own, by its code: ``dissect`` and ``intervene``, without and with classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seeingkit import AutoStaged, dissect
from seeingkit.errors import UsageError
from seeingkit.results import DissectionResults
from seeingkit.results.interventions import InterventionResults
from seeingkit.specs import SegmenterSpec
from tests.helpers.commands import command
from tests.helpers.plugins import register_here
from tests.helpers.toys import LevelSegmenter

Command = Callable[..., tuple[int, str, str]]

CODE = '''
"""Unit 0 draws bright cells, unit 1 dark ones below; unit 2 shows the class alone."""

import torch
from torch import nn


class Units(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(2))
        self.classes = classes

    def forward(self, z, label=None):
        drawn = (z.reshape(-1, 2, 4, 4) * self.gain[:, None, None]).relu()
        where = torch.zeros(len(z), 1, 4, 4)
        if label is not None:
            rows = torch.arange(4)[None, None, :, None] % self.classes
            where = where + (rows == label[:, None, None, None]).float()
        return torch.cat([drawn, where], 1)


class Picture(nn.Module):
    def forward(self, x):
        red = (x[:, :1] - x[:, 1:2] + 0.001 * x[:, 2:]).repeat_interleave(2, 2)
        return red.repeat_interleave(2, 3).expand(-1, 3, -1, -1).clamp(-1, 1)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.units, self.picture = Units(0), Picture()

    def forward(self, z):
        return self.picture(self.units(z))


class Classed(nn.Module):
    def __init__(self):
        super().__init__()
        self.units, self.picture = Units(4), Picture()

    def forward(self, z, label):
        return self.picture(self.units(z, label))
'''


def level_segmenter(weights: object, options: object) -> LevelSegmenter:
    return LevelSegmenter()


SPEC = SegmenterSpec(
    name="thirds",
    summary="dark, middle, bright",
    target=f"{__name__}:level_segmenter",
    needs_weights=False,
)


@pytest.fixture
def seeingkit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command in this process, beside a file of code and a file of trained numbers."""
    register_here(monkeypatch, SPEC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.py").write_text(CODE)
    torch.save({"netG": {"units.gain": torch.tensor([0.8, 0.5])}}, tmp_path / "mine.pth")
    return lambda *words: command(*words, capsys=capsys, monkeypatch=monkeypatch)


def words(gan: str, *more: str) -> list[str]:
    return [*("--gan", gan, "--segmenter", "thirds", "--preset", "native"), *more]


def test_units_of_a_module_get_labels_and_remove_what_they_draw(
    seeingkit: Command, tmp_path: Path
) -> None:
    own = words("module:mine.py:Generator", "--weights", "mine.pth", "--gan-option", "latent=32")
    code, said, told = seeingkit(
        *("dissect", *own, "--layers", "units", "-n", "160", "--level-images", "64", "--out", "d")
    )
    assert code == 0, told
    assert "units" in said and "bright 1" in said
    found = DissectionResults.model_validate_json((tmp_path / "d/results.json").read_text())
    assert [unit.label for unit in found.units] == ["bright", "dark", None]
    assert (tmp_path / "d/report.html").stat().st_size > 10_000
    code, _, told = seeingkit(
        *("intervene", *own, "--layer", "units", "--choose", "1", "--class", "bright", "-n", "24"),
        *("--search", "24", "--random", "1", "--dissection", "d", "--by", "iou", "--out", "i"),
    )
    assert code == 0, told
    edited = InterventionResults.model_validate_json((tmp_path / "i/results.json").read_text())
    bright = next(one for one in edited.effect.classes if one.label == "bright")
    assert edited.units == [0] and bright.before > 5 and bright.after == 0
    assert (tmp_path / "i/report.html").stat().st_size > 10_000


def test_a_module_that_is_loaded_gives_the_same_results_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    names: dict[str, Any] = {}
    exec(CODE, names)  # as a notebook has it
    generator = AutoStaged(names["Generator"](), stages={"units": "units"}, latent=(32,))
    found = dissect(generator, segmenter=LevelSegmenter(), layers="units", n=160, level_images=64)
    assert [unit.label for unit in found.results.units] == ["bright", "dark", None]
    assert found.report is None and repr(found) == "Dissection(2 of 3 units have a label)"
    assert list(found.units["label"])[:2] == ["bright", "dark"] and "<" in found._repr_html_()
    assert not list(tmp_path.rglob("*.safetensors"))
    with pytest.raises(UsageError, match="give a loaded segmenter"):
        dissect(generator, segmenter="thirds")
    with pytest.raises(UsageError, match="out and store are for a generator by its name"):
        dissect(generator, segmenter=LevelSegmenter(), out=tmp_path)
    with pytest.raises(UsageError, match="weights: only for a generator by its name"):
        dissect(generator, segmenter=LevelSegmenter(), weights="mine.pth")
    with pytest.raises(UsageError, match="names of a segmenter"):
        dissect("progan:minichurches", segmenter=LevelSegmenter())


def test_a_module_with_classes_is_dissected_class_by_class(
    seeingkit: Command, tmp_path: Path
) -> None:
    own = words("module:mine.py:Classed", "--gan-option", "latent=32")
    own += ["--gan-option", "class_count=4", "--labels", "1,2"]
    code, _, told = seeingkit(
        *("dissect", *own, "--layers", "units", "-n", "192", "--level-images", "64", "--out", "d")
    )
    assert code == 0, told
    found = DissectionResults.model_validate_json((tmp_path / "d/results.json").read_text())
    assert [unit.label for unit in found.units] == ["bright", "dark", None]
    code, _, told = seeingkit(
        *("intervene", *own, "--layer", "units", "--units", "0", "-n", "24", "--out", "i"),
    )
    assert code == 0, told
    edited = InterventionResults.model_validate_json((tmp_path / "i/results.json").read_text())
    assert next(one for one in edited.effect.classes if one.label == "bright").after == 0
