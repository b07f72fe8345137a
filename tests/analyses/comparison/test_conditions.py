"""Class-conditional generators: which classes are drawn, and what each of them leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from torch import Tensor

from seeingkit.analyses.comparison.compare import compare
from seeingkit.analyses.comparison.conditions import (
    image_classes,
    labels_for,
    match_classes,
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
from seeingkit.tallies import tally
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
    with pytest.raises(UsageError, match="one folder for each class"):
        labels_for("data", sampler)


def test_folders_are_classes() -> None:
    assert image_classes(["a/1.png", "b/2.png"]) == ["a", "b"]
    assert image_classes(["a/1.png", "2.png"]) is None
    assert image_classes(["a/1.png", "a/2.png"]) is None  # one folder says nothing
    assert match_classes(["Day", "night"], NAMES) == {"Day": 2, "night": 0}
    assert match_classes(["0", "2"], NAMES) == {"0": 0, "2": 2}
    assert match_classes(["n03", "n01", "n02"], NAMES) == {"n01": 0, "n02": 1, "n03": 2}
    with pytest.raises(UsageError, match="'noon'"):
        match_classes(["night", "noon"], NAMES)


def test_data_policy_follows_the_real_images(tmp_path: Path) -> None:
    real = open_images(folders(tmp_path, {"day": [220, 230], "night": [20]}), preset="native")
    assert labels_for("data", Brightness(), real) == [2, 2, 0]
    assert photo_classes(Brightness(), real.ids) == {
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
    # dark 50 → 100 %, bright 50 → 0 %: mean term 50² + 50²; covariance of a coin in [0, 100]:
    # 2500 · 30/29 · [[1, −1], [−1, 1]], trace twice that, against none
    assert night.fsd.mean_term == pytest.approx(5000)
    assert night.fsd.cov_term == pytest.approx(2 * 2500 * 30 / 29)
    assert {c.label: c.verdict for c in night.classes} == {"dark": "excess", "bright": "omitted"}
    section = conditions_section(results)
    assert section is not None
    assert "against the real images of that class" in section.body
    assert section.body.index("night") < section.body.index("day")  # worst first
    path = write_conditions(tmp_path / "conditions.parquet", generated)
    assert path is not None
    table = pyarrow.parquet.read_table(path).to_pylist()
    assert {(row["name"], row["class"], round(row["area"], 9)) for row in table} == {
        ("night", "dark", 100.0),
        ("day", "bright", 100.0),
    }


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
    assert [c.n_generated for c in results.conditions] == [3, 2, 2]
    few = compare(real, generated.take(range(5)), permutations=0, force=True).results
    assert [c.name for c in few.conditions] == ["night", "dusk"]
    assert any("Too few images" in warning and "day" in warning for warning in few.warnings)


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
