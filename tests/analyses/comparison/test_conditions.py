"""Class-conditional generators: which classes are drawn, and what each of them leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from torch import Tensor

from seeingkit.analyses.comparison.compare import compare
from seeingkit.analyses.comparison.conditions import (
    labels_for,
    photo_classes,
)
from seeingkit.contracts import GeneratorInfo, Latent, LatentSpec, Sampler
from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.images import SamplerSource, open_images
from seeingkit.models.registry import find_preset
from seeingkit.report.sections.evidence import conditions_section
from seeingkit.runs.analyze import analyze
from seeingkit.runs.config import InversionConfig
from seeingkit.runs.tables import write_conditions
from seeingkit.tallies import Tally, tally
from tests.helpers.toys import LevelSegmenter

NAMES = ("night", "dusk", "day")


class Brightness(Sampler):
    """Class k is a flat picture of level -0.8, 0 or 0.8, with a trace of z."""

    def __init__(self, conditional: bool = True) -> None:
        self.info = GeneratorInfo(
            family="brightness",
            resolution=8,
            latent=(LatentSpec(shape=(1,)),),
            class_names=NAMES if conditional else (),
        )

    def __call__(self, latent: Latent) -> Tensor:
        level = (latent["label"].float() - 1) * 0.8 + 0.01 * latent["z"][:, 0].tanh()
        return level.reshape(-1, 1, 1, 1).expand(-1, 3, 8, 8).clone()


def folders(root: Path, levels: dict[str, list[int]]) -> Path:
    """Flat grey pictures, a folder for each class."""
    for name, values in levels.items():
        (root / name).mkdir(parents=True)
        for k, value in enumerate(values):
            Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(root / name / f"{k}.png")
    return root


def test_policies() -> None:
    sampler = Brightness()
    assert labels_for(None, sampler) == labels_for("uniform", sampler) == [0, 1, 2]
    assert labels_for("2, 0,day", sampler) == [2, 0, 2]
    assert labels_for(None, Brightness(conditional=False)) is None
    with pytest.raises(UsageError, match="not conditional: leave --label and --labels out"):
        labels_for("uniform", Brightness(conditional=False))
    with pytest.raises(UsageError, match="no class 3; the classes are 0 to 2"):
        labels_for("3", sampler)
    with pytest.raises(UnknownNameError, match="'days'; did you mean 'day'"):
        labels_for("days", sampler)
    with pytest.raises(UsageError, match="needs real images"):
        labels_for("data", sampler)


def test_data_policy_follows_the_real_images(tmp_path: Path) -> None:
    real = open_images(folders(tmp_path, {"day": [220, 230], "night": [20]}), preset="native")
    assert labels_for("data", Brightness(), real) == [2, 2, 0]
    counted = tally(real, LevelSegmenter(), store=tmp_path / "store")
    assert photo_classes(Brightness(), counted) == {
        item: 2 if item.startswith("day") else 0 for item in real.ids
    }


def test_each_class_is_compared_with_its_own_real_images(tmp_path: Path) -> None:
    """Real days are bright, real nights are half bright: only the generator's nights differ."""
    real_source = open_images(
        folders(tmp_path / "real", {"day": [228] * 30, "night": [25, 228] * 15}), preset="native"
    )
    generated_source = SamplerSource(Brightness(), 60, 0, [0, 2], preset=find_preset("native"))
    store = tmp_path / "store"
    real = tally(real_source, LevelSegmenter(), store=store)
    generated = tally(generated_source, LevelSegmenter(), store=store)
    results = compare(real, generated, permutations=0).results
    night, day = results.conditions
    assert (night.name, night.n_real, night.n_generated, night.against) == (
        "night",
        30,
        30,
        "class",
    )
    assert day.fsd.value == pytest.approx(0, abs=1e-9)
    assert results.real_classes is not None and results.real_classes.by == "name"
    shown = [(f.folder, f.label, f.name, f.images) for f in results.real_classes.folders]
    assert shown == [("night", 0, "night", 30), ("day", 2, "day", 30)]
    # dark 50 → 100 %, bright 50 → 0 %: mean term 50² + 50²; covariance of a coin in [0, 100]:
    # 2500 · 30/29 · [[1, −1], [−1, 1]], trace twice that, against none
    assert night.fsd.mean_term == pytest.approx(5000)
    assert night.fsd.cov_term == pytest.approx(2 * 2500 * 30 / 29)
    assert {c.label: c.verdict for c in night.classes} == {"dark": "excess", "bright": "omitted"}
    section = conditions_section(results)
    assert section is not None
    assert "against the real images of that class" in section.body
    assert "night → 0 night (30 images), day → 2 day (30 images)" in section.body
    assert section.body.index("night") < section.body.index("day")  # worst first
    path = write_conditions(tmp_path / "conditions.parquet", generated)
    assert path is not None
    table = pyarrow.parquet.read_table(path).to_pylist()
    assert {(row["name"], row["class"], round(row["area"], 9)) for row in table} == {
        ("night", "dark", 100.0),
        ("day", "bright", 100.0),
    }


def test_a_data_set_s_list_is_followed_before_its_folders(tmp_path: Path) -> None:
    """Buckets 00000 and 00001, and a dataset.json with class 2 for the bright ones."""
    levels = {"00000": [25, 228, 25], "00001": [228, 25]}
    root = folders(tmp_path / "real", levels)
    labels: list[list[object]] = [
        [f"{folder}/{k}.png", 2 if level > 100 else 0]
        for folder, values in levels.items()
        for k, level in enumerate(values)
    ][:-1]  # the last picture has no class
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    source = open_images(root, preset="native")
    assert labels_for("data", Brightness(), source) == [0, 2, 0, 2]
    real = tally(source, LevelSegmenter(), store=tmp_path / "store")
    assert real.conditions is not None and real.conditions.tolist() == [0, 2, 0, 2, -1]
    assert photo_classes(Brightness(), real) is None  # one photo has no class
    generated = tally(
        SamplerSource(Brightness(), 4, 0, [0, 2], preset=find_preset("native")),
        LevelSegmenter(),
        store=tmp_path / "store",
    )
    results = compare(real, generated, permutations=0, force=True).results
    assert [(c.name, c.n_real, c.fsd.value) for c in results.conditions] == [
        ("night", 2, pytest.approx(0)),
        ("day", 2, pytest.approx(0)),
    ]
    assert results.real_classes is not None and results.real_classes.without == 1
    again = Tally.load(real.save(tmp_path / "real.parquet")).conditions
    assert again is not None and again.tolist() == [0, 2, 0, 2, -1]
    labels[0][1] = 1  # another list is another data set
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert open_images(root, preset="native").fingerprint != source.fingerprint


def test_without_real_classes_all_real_images_count(tmp_path: Path) -> None:
    folders(tmp_path / "real", {"x": [25, 228] * 5})
    real = tally(
        open_images(tmp_path / "real" / "x", preset="native"),
        LevelSegmenter(),
        store=tmp_path / "store",
    )
    generated = tally(
        SamplerSource(Brightness(), 7, preset=find_preset("native")),
        LevelSegmenter(),
        store=tmp_path / "store",
    )
    results = compare(real, generated, permutations=0, force=True).results
    assert [c.against for c in results.conditions] == ["all", "all", "all"]
    assert results.real_classes is not None and results.real_classes.by == "none"
    section = conditions_section(results)
    assert section is not None and "with all real images: the real images do not" in section.body
    assert [c.n_generated for c in results.conditions] == [3, 2, 2]
    few = compare(real, generated.take(range(5)), permutations=0, force=True).results
    assert [c.name for c in few.conditions] == ["night", "dusk"]
    assert any("Too few images" in warning and "day" in warning for warning in few.warnings)


def test_classes_of_a_generator_on_the_real_side_are_its_own(tmp_path: Path) -> None:
    real, generated = (
        tally(
            SamplerSource(Brightness(), 6, seed, preset=find_preset("native")),
            LevelSegmenter(),
            store=tmp_path,
        )
        for seed in (0, 1)
    )
    results = compare(real, generated, permutations=0).results
    assert results.real_classes is not None and results.real_classes.by == "none"


def test_unconditional_runs_say_nothing_of_classes(tmp_path: Path) -> None:
    class Grey(Sampler):
        info = GeneratorInfo(family="grey", resolution=8, latent=(LatentSpec(shape=(1,)),))

        def __call__(self, latent: Latent) -> Tensor:
            return latent["z"].reshape(-1, 1, 1, 1).tanh().expand(-1, 3, 8, 8).clone()

    sides = [
        tally(SamplerSource(Grey(), 4, seed), LevelSegmenter(), store=tmp_path) for seed in (0, 9)
    ]
    results = compare(*sides, permutations=0).results
    assert results.conditions == []
    assert conditions_section(results) is None
    assert write_conditions(tmp_path / "none.parquet", sides[1]) is None
    assert not (tmp_path / "none.parquet").exists()


@pytest.mark.slow
def test_a_conditional_biggan_is_analysed_class_by_class(shared: Path, tmp_path: Path) -> None:
    found = analyze(
        "auto",
        "minichurches",
        weights=str(shared / "golden/biggan_ajbrock/unshared-r32/G_ema.pth"),
        labels="1,3",
        n=8,
        permutations=0,
        inversion=InversionConfig(),
        out=tmp_path / "run",
        store=tmp_path / "store",
    )
    results = found.comparison.results
    assert results.generated.name == "biggan"
    assert [(c.name, c.n_generated, c.against) for c in results.conditions] == [
        ("1", 4, "all"),
        ("3", 4, "all"),
    ]
    page = found.report.read_text(encoding="utf-8")
    assert "Classes of the generator" in page
    assert "--labels 1,3" in page
