"""The checks after a comparison: they change no number, and what fails becomes a warning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.contracts import ImageSource
from seeingkit.errors import PluginError, UnknownNameError, UsageError
from seeingkit.images import open_folder
from seeingkit.models.registry import find_preset
from seeingkit.models.resolved import ResolvedModel
from seeingkit.report import summarise
from seeingkit.report.words.findings import Summary
from seeingkit.runs import checks as checking
from seeingkit.runs.checks import check
from seeingkit.runs.config import Config, make_config
from seeingkit.runs.plan import Plan, Side, resolve
from seeingkit.runs.sides import Sides
from seeingkit.specs import MetricSpec, Options
from tests.helpers.toys import LevelSegmenter, Noise, looked_at

NATIVE = find_preset("native")


class Sized(Noise):
    """Noise that knows the size it is stored at."""

    def stored_side(self, index: int) -> int:
        return 5


class Labelled(Sized):
    """Noise that knows its true labels: what LevelSegmenter sees."""

    label_names = ("-", "dark", "middle", "bright")

    def read_labels(self, indices: Sequence[int]) -> Tensor:
        return LevelSegmenter().segment(self.read(indices))[:, 0]


def config_of(**settings: object) -> Config:
    given = {"real": "a", "generated": "b", "segmenter": "levels", "preset": "native"}
    return make_config(command="compare", **{**given, **settings})


def plan(**settings: object) -> Plan:
    """A plan of toys, which no registry knows."""
    return Plan(config_of(**settings), NATIVE, "cpu", Side("a"), Side("b"), None)


def resolved(**settings: object) -> Plan:
    """A plan of names that are registered."""
    embedded = {"real": "minichurches", "generated": "minichurches", "segmenter": ""}
    return resolve(config_of(**{**embedded, **settings}))


def sides(real: ImageSource, generated: ImageSource, metric: ResolvedModel | None = None) -> Sides:
    return Sides(real, generated, LevelSegmenter(), LevelSegmenter(), metric=metric)


def checked(
    folder: Path,
    plan: Plan,
    real: ImageSource | None = None,
    metric: ResolvedModel | None = None,
) -> tuple[Comparison, Comparison]:
    """(before, after) of noise against other noise."""
    real, generated = real or Sized(12), Sized(12, name="other")
    before = looked_at(real, generated, folder)
    after = check(plan, before, sides(real, generated, metric), store=folder)
    return before, after


def test_checks_change_no_number_of_the_comparison(tmp_path: Path) -> None:
    before, after = checked(tmp_path, plan())
    added = {"resolution", "segmenter_share", "fidelity", "warnings"}
    assert after.results.model_dump(exclude=added) == before.results.model_dump(exclude=added)
    share = after.results.segmenter_share
    assert share is not None and share.kind == "scale" and share.against == "at 0.5 of the detail"
    assert after.results.resolution is not None
    assert after.results.fidelity is None


def test_own_labels_come_before_a_second_scale(tmp_path: Path) -> None:
    share = checked(tmp_path, plan(), Labelled(12))[1].results.segmenter_share
    assert share is not None and share.kind == "labels"
    assert share.pixel_accuracy == 1.0
    for settings in ({"truth": "none"}, {"sensitivity": "scale:0.25"}):
        share = checked(tmp_path, plan(**settings), Labelled(12))[1].results.segmenter_share
        assert share is not None and share.kind == "scale", settings
    assert share.against == "at 0.25 of the detail"


def test_off_checks_no_segmenter_but_the_resolution(tmp_path: Path) -> None:
    before, after = checked(tmp_path, plan(sensitivity="off"), Labelled(12))
    assert after.results.segmenter_share is None
    assert after.results.resolution is not None
    assert after.results.warnings == before.results.warnings


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ("data", "noise has no labels of its own"),
        ("FOLDER", "label maps are PNG files of numbers; there is none"),
    ],
)
def test_labels_that_are_not_there_become_a_warning(tmp_path: Path, truth: str, said: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    config = plan(truth=str(empty) if truth == "FOLDER" else truth)
    before, after = checked(tmp_path / "store", config)
    warning = after.results.warnings[-1]
    assert warning.startswith("The segmenter's share was not checked: ") and said in warning
    assert after.results.segmenter_share is None
    assert after.results.classes == before.results.classes


def test_a_measure_that_fails_loses_nothing(tmp_path: Path) -> None:
    spec = MetricSpec(name="absent", target="no_such_package.metrics:measure", summary="none")
    before, after = checked(tmp_path, plan(), metric=ResolvedModel("absent", spec, Options()))
    assert after.results.fidelity is None
    assert after.results.warnings[-1].startswith("The other measures are missing: ")
    assert after.results.segmenter_share is not None
    assert after.results.fsd == before.results.fsd


def test_other_errors_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(checking, "compare_resolution", broken)
    with pytest.raises(ZeroDivisionError):
        checked(tmp_path, plan())


def test_other_resolution_is_said_once(tmp_path: Path) -> None:
    summary = mismatched(tmp_path)
    said = [line for line in summary.cautions if "--preset paper@" in line]
    assert len(said) == 1
    assert said[0].startswith("The sides differ in resolution: the real images are 64 px")
    assert said[0].count("reads texture by its scale") == 1
    assert ".." not in said[0]


def mismatched(folder: Path) -> Summary:
    """Pictures against the same pictures at a quarter of their size."""
    for side, size in (("real", 64), ("small", 16)):
        (folder / side).mkdir()
        for k in range(12):
            draw = np.random.default_rng(k)
            pixels = Image.fromarray(draw.integers(0, 256, (64, 64, 3), dtype=np.uint8))
            pixels.resize((size, size), Image.Resampling.BOX).save(folder / side / f"{k}.png")
    real, small = (open_folder(folder / side, preset=NATIVE) for side in ("real", "small"))
    before = looked_at(real, small, folder / "store")
    after = check(plan(), before, sides(real, small), store=folder / "store")
    assert after.results.resolution is not None and after.results.resolution.mismatch
    share = after.results.segmenter_share
    assert share is not None and share.against.startswith("at 0.25")
    return summarise(after.results)


def test_a_second_segmenter_has_its_own_file(tmp_path: Path, shared: Path) -> None:
    weights = shared / "real" / "weights" / "espnetv2" / "espnetv2_s_1.0_city_1024x512.pth"
    if not weights.exists():
        pytest.skip("the weights are not here")
    named = f"espnetv2:{weights}"
    found = resolved(sensitivity=named)
    assert found.metric is None and found.second is not None
    assert found.second_name == f"espnetv2:{weights.name}"
    pictures = [torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(k)) for k in (1, 2)]
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for k, picture in enumerate(pictures):
            pixels = (picture.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{k}.png")
    real, generated = (open_folder(tmp_path / side, preset=NATIVE) for side in ("a", "b"))
    before = looked_at(real, generated, tmp_path / "store")
    look = replace(sides(real, generated), second=found.second)
    toys = replace(plan(sensitivity=named), second_name=found.second_name)
    after = check(toys, before, look, store=tmp_path / "store")
    # it was loaded and looked: only then is it known that the two have no class in common
    assert "the two segmenters have no class of the same name" in after.results.warnings[-1]


def test_what_a_check_needs_is_asked_for_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder of label maps"):
        resolved(truth=str(tmp_path / "nowhere"))
    with pytest.raises(UnknownNameError, match="no segmenter named 'nonsense'"):
        resolved(sensitivity="nonsense")
    with pytest.raises(UnknownNameError, match="nowhere"):
        resolved(sensitivity="espnetv2:nowhere.pth")
    assert resolved(sensitivity="scale:0.5").second is None


def test_a_missing_library_is_named_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(PluginError, match=r"seeingkit\[fidelity\]"):
        resolved(fidelity=True)


def test_equal_images_have_a_floor_above_their_distance(tmp_path: Path) -> None:
    both = Sized(12)
    results = looked_at(both, both, tmp_path).results
    assert results.fsd.value == 0
    text = " ".join(summarise(results).cautions)
    assert "The FSD of 0 is no larger than its floor" in text and " of 0) arises" not in text
