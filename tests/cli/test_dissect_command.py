"""The command ``dissect`` as people use it, on the embedded generator and segmenter."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import seeingkit
from seeingkit.analyses.dissection.observation import Layer, Observer
from seeingkit.analyses.dissection.presets import rule_of
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.report.numbers import read_numbers
from seeingkit.results import DissectionResults
from seeingkit.runs.config import make_config
from seeingkit.runs.dissect import dissection_run_config
from seeingkit.runs.manifest import command_line
from seeingkit.runs.plan import resolve
from seeingkit.runs.stored import check_stored, remove_unneeded, stored_files
from seeingkit.specs import GanSpec
from seeingkit.viewing.records import read_run
from tests.helpers.commands import command
from tests.helpers.plugins import register_here
from tests.helpers.toys import FlatSampler

WORDS = ("dissect", "--gan", "progan", "--layers", "r16.conv0,r8.conv1", "--level-images", "64")
N = 176
"""Eleven groups of 16: enough for a test."""

Dissect = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dissect")


@pytest.fixture
def dissect(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Dissect:
    """``seeingkit`` in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))
    return lambda *words: command(*map(str, words), capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture
def run(place: Path, dissect: Dissect) -> Path:
    """A finished run; made once."""
    if not (place / "run/report.html").exists():
        code, out, err = dissect(*WORDS, "--n", N, "--out", "run")
        assert code == 0, err
        (place / "out.txt").write_text(out)
        assert err.startswith(
            "dissecting r16.conv0, r8.conv1 of progan:minichurches in 176 images, segmented by "
            "upernet:minichurches; on "
        )
    return place / "run"


def results_of(run: Path) -> DissectionResults:
    return DissectionResults.model_validate_json((run / "results.json").read_text())


def numbers_alone(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found


# ---------------------------------------------------------------------------------------- a run


def test_a_run_has_its_records_tables_and_words(place: Path, run: Path) -> None:
    found = results_of(run)
    assert [layer.name for layer in found.layers] == ["r8.conv1", "r16.conv0"]
    assert [layer.units for layer in found.layers] == [128, 96] and len(found.units) == 224
    assert found.generator.name == "progan:minichurches" and found.n == N
    assert found.segmenter.name == "upernet:minichurches"
    assert found.settings.preset == "native" and found.settings.tested
    for layer in found.layers:
        own = [unit for unit in found.units if unit.layer == layer.name]
        assert layer.groups == N // 16 and layer.images == N
        assert layer.labelled == sum(unit.label is not None for unit in own) > 10
        assert sum(one.units for one in layer.classes) == layer.labelled
        assert sum(layer.categories.values()) == layer.labelled
        assert layer.by_iou >= layer.labelled and layer.by_iou_of_others > layer.units / 2
        for unit in own:
            assert unit.low <= unit.iou <= unit.high and 0 <= unit.active <= 1
            assert len(unit.strongest) == 12 and unit.peaks == sorted(unit.peaks, reverse=True)
            if unit.label:
                assert unit.q <= 0.05 and unit.excess >= 0.04 and unit.nearest == unit.label
    assert "tree" in {one.label for layer in found.layers for one in layer.classes}
    units = pq.read_table(run / "units.parquet").to_pylist()
    assert [row["iou"] for row in units] == [unit.iou for unit in found.units]
    assert [row["label"] for row in units] == [unit.label for unit in found.units]
    pairs = pq.read_table(run / "agreements.parquet").to_pylist()
    assert len(pairs) == 224 * len(found.settings.classes)
    assert sum(row["claimed"] for row in pairs) == sum(layer.claimed for layer in found.layers)
    unit = found.units[5]
    (row,) = (
        r
        for r in pairs
        if (r["layer"], r["unit"], r["label"]) == (unit.layer, unit.unit, unit.nearest)
    )
    assert (row["iou"], row["chance"], row["level"]) == (unit.iou, unit.chance, unit.level)
    assert row["iou"] == row["both"] / (row["active"] + row["area"] - row["both"])
    out = (place / "out.txt").read_text()
    assert "agree with a class more than place and area explain" in out
    assert "with the label maps of other images" in out
    assert out.strip().splitlines()[-1] == "report: run/report.html"


@pytest.mark.slow
def test_the_mask_that_is_shown_is_the_mask_that_was_counted(run: Path) -> None:
    found = results_of(run)
    generator = seeingkit.load_generator("progan:minichurches")
    segmenter = seeingkit.load_segmenter("upernet:minichurches")
    source = SamplerSource(generator, N, 0, preset=find_preset("native"))
    pictured = [unit for unit in found.units if unit.masks]
    assert 0 < len(pictured) <= 96
    for layer in ("r8.conv1", "r16.conv0"):
        unit = next(one for one in pictured if one.layer == layer)
        observer = Observer(
            source, segmenter, [Layer(generator.boundary(layer))], rule_of("default").side
        )
        with Image.open(run / str(unit.masks)) as picture:
            strip = np.asarray(picture.convert("L")) > 0
        for k, image in enumerate(unit.shown):
            first = image // 16 * 16  # the group in which the image was counted
            (seen,) = observer.groups([range(first, min(first + 16, N))])
            values = seen.maps[layer][image - first, unit.unit].numpy()
            assert values.max() == np.float32(unit.peaks[k])
            side = values.shape[1]
            assert np.array_equal(
                strip[:, k * side : (k + 1) * side], values > np.float32(unit.level)
            )
            with Image.open(run / found.pictures[str(image)]) as photo:
                assert photo.size == (64, 64)


@pytest.mark.slow
def test_the_manifest_repeats_the_run_without_making_a_part_twice(
    place: Path, run: Path, dissect: Dissect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("images are made again")

    monkeypatch.setattr(Observer, "observe", fail)
    manifest = json.loads((run / "manifest.json").read_text())
    told = shlex.split(manifest["command"])
    assert told[:2] == ["seeingkit", "dissect"] and manifest["finished"]
    code, out, err = dissect(*told[1:], "--json", "--out", "two")
    assert code == 0, err
    assert json.loads(out) == numbers_alone(run)
    code, _, err = dissect("dissect", "--config", "run/manifest.json", "--out", "three")
    assert code == 0, err
    for name in ("results.json", "units.parquet", "agreements.parquet"):
        assert (place / "three" / name).read_bytes() == (run / name).read_bytes()
    assert "--layers" in dissect("dissect", "--config", "run/manifest.json", "--layers", "all")[2]
    code, _, err = dissect("invert", "--config", "run/manifest.json")
    assert code == 2 and "a run of dissect; use seeingkit dissect" in err
    monkeypatch.undo()


@pytest.mark.slow
def test_part_of_the_work_is_used_by_more_images(
    place: Path, run: Path, dissect: Dissect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The levels are the same, and so are whole parts: only new images are looked at."""
    seen: list[int] = []
    watch = Observer.observe

    def observe(self: Observer, indices: Any) -> Any:
        seen.extend(indices)
        return watch(self, indices)

    monkeypatch.setattr(Observer, "observe", observe)
    code, _, err = dissect(*WORDS, "--n", 192, "--out", "more")
    assert code == 0, err
    assert sorted(seen) == list(range(192))  # one part of 256; none of the images of the levels


def test_numbers_exports_and_the_viewer_know_the_run(
    place: Path, run: Path, dissect: Dissect
) -> None:
    (numbers,) = read_numbers(run)
    assert numbers.kind == "dissection" and numbers.generator == "progan:minichurches"
    found = results_of(run)
    assert numbers.numbers["layers[r8.conv1].labelled"] == found.layers[0].labelled
    assert numbers.numbers["units"] == 224
    assert dissect("numbers", "run")[0] == 0 and dissect("report", "run")[0] == 0
    code, _, err = dissect("figure", "run")
    assert code != 0 and "compares no areas" in err
    record = read_run(run, place)
    assert (record.kind, record.units, record.images) == ("dissection", 224, N)
    assert (record.state, record.generator) == ("finished", "progan:minichurches")


def test_stored_parts_are_listed_checked_and_removed(run: Path, dissect: Dissect) -> None:
    found = [file for file in stored_files() if file.kind == "dissection"]
    assert len(found) >= 2 and not any(file.unneeded for file in found)
    abouts = {file.about for file in found}
    assert "levels of progan:minichurches by upernet" in abouts
    assert "images 1 to 176 of progan:minichurches by upernet" in abouts
    assert all(not fault for file, fault in check_stored() if file.kind == "dissection")
    code, out, _ = dissect("store", "ls")
    assert code == 0 and "dissection" in out
    part = next(file.path for file in found if file.about.startswith("images"))
    assert isinstance(part, Path)
    data = bytearray(part.read_bytes())
    part.write_bytes(bytes(data[:-9]) + bytes([data[-9] ^ 1]) + bytes(data[-8:]))
    assert dissect("store", "verify")[0] != 0
    part.write_bytes(bytes(data))
    assert not [file for file, _ in remove_unneeded() if file.kind == "dissection"]
    assert [file for file, _ in remove_unneeded(older_than=0) if file.kind == "dissection"]
    assert not [file for file in stored_files() if file.kind == "dissection"]


# ------------------------------------------------------------------------------ other settings


@pytest.mark.slow
def test_python_gives_results_and_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    found = seeingkit.dissect(
        "progan:minichurches",
        layers="r4.conv1",
        n=33,
        rule="pnas",
        basis="random",
        level_images=32,
        out=tmp_path / "run",
        store=tmp_path / "store",
    )
    assert repr(found).startswith("Dissection(") and "place and area" not in repr(found)
    assert "directions of r4.conv1" in found._repr_html_()
    (layer,) = found.results.layers
    assert layer.name == "r4.conv1/random" and layer.images == 32
    alone = "1 of 33 images was alone in a group and not counted; take a multiple of 16."
    assert found.results.cautions[-1] == alone
    assert any("has no null" in caution for caution in found.results.cautions)
    assert len(found.units) == layer.units and list(found.layers["labelled"]) == [layer.labelled]
    assert found.plot().to_dict()["datasets"]["layers"][0]["layer"] == "r4.conv1/random"
    assert (tmp_path / "store/dissections").is_dir()
    assert not (tmp_path / "cache/dissections").exists()


@pytest.mark.slow
def test_directions_of_python_and_of_a_file_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    settings: dict[str, Any] = {"layers": "r4.conv1", "n": 32, "level_images": 32}
    matrix = np.eye(128)[[5, 7]] * 2
    given = seeingkit.dissect("progan", basis=matrix, out="given", **settings)
    np.save("mine.npy", matrix)
    named = seeingkit.dissect("progan", basis="mine.npy", out="named", **settings)
    (first,), (second,) = given.results.layers, named.results.layers
    assert first.name.startswith("r4.conv1/given-") and second.name.startswith("r4.conv1/mine-")
    assert second.units == 2 and named.results.settings.basis == "mine.npy"
    assert [unit.iou for unit in given.results.units] == [unit.iou for unit in named.results.units]
    assert (
        "--basis mine.npy" in json.loads((tmp_path / "named/manifest.json").read_text())["command"]
    )
    assert "too few to label units of r4.conv1/mine-" in named._repr_html_()


def test_few_images_give_no_label_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    found = seeingkit.dissect(layers=["r4.conv1"], n=32, level_images=32, out=tmp_path / "run")
    assert found.results.layers[0].labelled == 0 and found.results.pictures == {}
    assert "Take at least 160 images" in found.results.cautions[0]
    assert "32 images are too few to label units of r4.conv1" in found._repr_html_()
    assert found.report.is_file()


def test_the_command_says_what_differs_from_the_defaults() -> None:
    config = dissection_run_config(
        "progan", layers=["a", "b"], rule="paper", basis="pca", fdr=0.1, n=50
    )
    plan = resolve(config)
    assert plan.config.generated == "progan" and plan.config.real == "minichurches"
    assert command_line(plan.config) == (
        "seeingkit dissect --gan progan --data minichurches --layers a,b --rule paper "
        "--basis pca --fdr 0.1 --segmenter upernet:minichurches --n 50 --preset native"
    )
    other = resolve(dissection_run_config("progan:minichurches")).config
    assert (other.real, other.preset, other.n) == ("minichurches", "native", 1000)
    same = make_config(real="r", generated="g", segmenter="s")
    changed = make_config(real="r", generated="g", segmenter="s", dissection={"layers": ("a",)})
    assert same.key() == changed.key()  # of no meaning to other commands
    first, second = (dissection_run_config("g", layers=[name]).key() for name in "ab")
    assert first != second


MISTAKES = [
    ("--gan progan --layers r8.conv9", "did you mean 'r8.conv1' or 'r8.conv0'"),
    ("--gan progan --layers w,image", "no boundary named 'w'; there are"),
    ("--gan progan --layers image", "image is no feature map; take one of r4.conv0"),
    ("--gan progan --rule papers", "--rule: "),
    ("--gan progan --data photos/", "dissect needs no real images"),
    ("--gan progan --data-option a=1", "dissect opens no data set"),
    ("--gan progan --fdr 2", "--fdr: "),
    ("--gan progan --basis mine", "--basis: a basis is units, pca, random, or a .npy or"),
    ("--gan progan --basis mine.npy", "mine.npy: no such file of directions"),
    ("--gan progann", "did you mean"),
    ("--gan flat", "which segmenter?"),
    ("--gan flat --segmenter upernet:minichurches", "gives images only"),
    ("--gan progan --layer r8.conv1", "did you mean '--layers'?"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "said"), MISTAKES)
def test_mistakes_are_one_line(
    dissect: Dissect, words: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = GanSpec(
        name="flat",
        summary="flat",
        target="tests.cli.test_dissect_command:flat",
        needs_weights=False,
    )
    register_here(monkeypatch, spec)
    code, out, err = dissect("dissect", *words.split(), "--n", "32", "--out", "no")
    assert code == 2 and not out, err
    assert len(err.strip().splitlines()) == 1 and said in err
    assert not Path("no").exists()


def flat(weights: object, options: object) -> FlatSampler:
    return FlatSampler()


def test_dissect_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun"):
        seeingkit.dissect("progan")


# ----------------------------------------------------------------------------------- processes


@pytest.mark.slow
def test_two_processes_give_the_run_of_one(tmp_path: Path) -> None:
    words = [*WORDS[:3], "--layers", "r8.conv1", "--level-images", "32", "-n", "512"]
    found = {}
    for name, program in (
        ("one", [sys.executable, "-m", "seeingkit"]),
        (
            "two",
            [
                *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
                *("--nproc-per-node", "2", "-m", "seeingkit"),
            ],
        ),
    ):
        folder = tmp_path / name
        folder.mkdir()
        environment = {**os.environ, "SEEINGKIT_CACHE": str(folder / "cache")}
        environment["OMP_NUM_THREADS"] = "1"
        done = subprocess.run(
            [*program, *words, "--out", "run"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("report: run/report.html") == 1
        parts = sorted((folder / "cache/dissections").rglob("*.safetensors"))
        assert len(parts) == 3
        found[name] = {path.name: path.read_bytes() for path in parts} | {
            file: (folder / "run" / file).read_bytes()
            for file in ("results.json", "units.parquet", "agreements.parquet")
        }
    assert found["one"] == found["two"]
