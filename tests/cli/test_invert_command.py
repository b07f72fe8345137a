"""The command ``invert``, and inversion at the end of ``analyze``, as people use them."""

from __future__ import annotations

import html
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seeingkit import open_images
from seeingkit.cli.options import parse_options
from seeingkit.images import SamplerSource
from seeingkit.images.preprocess import quantise
from seeingkit.runs.config import InversionConfig, make_config
from seeingkit.runs.inversions import invert_omitted, prepare_inverters
from seeingkit.runs.invert import inversion_run_config
from seeingkit.runs.manifest import command_line
from seeingkit.runs.plan import resolve
from seeingkit.runs.sides import Sides
from tests.adapters.test_progan import seeded
from tests.analyses.inversion.test_vanishing import comparison
from tests.helpers.commands import command
from tests.helpers.toys import FlatSampler, LevelSegmenter, Noise

FAST = ("--steps", "5", "--own", "4", "--patched", "4", "--encoder", "none", "--perceptual", "none")
QUICK = ("--cut", "default", *FAST)
TINY = ("--gan", "progan", "--weights", "tiny.pth", "--segmenter", "none", *QUICK)
LONG = (*TINY[:-10], "--steps", "80", "--own", "2", *TINY[-4:], "--batch-size", "2")

KEYS = {"schema_version", "kind", "generator", "segmenter", "data", "inversion"}
KEYS |= {"calibrations", "inversions", "vanishing", "skipped", "warnings", "cautions"}

Invert = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes as PNG files, and two small generators."""
    folder = tmp_path_factory.mktemp("invert")
    scenes = open_images("minichurches", preset="native").read(range(900, 910))
    for name, few in (("photos", 3), ("many", 10)):
        (folder / name).mkdir()
        for k, pixels in enumerate(quantise(scenes[:few]).numpy()):
            Image.fromarray(pixels).save(folder / name / f"scene {k}.png")
    for name, sizes in (("tiny", (8, 8, 6, 5)), ("other", (7, 6, 5, 4))):
        tensors = seeded(sizes)
        last = next(key for key in tensors if key.startswith("output_") and "weight" in key)
        tensors[last] *= 8  # else its values would be doubtful for being small
        torch.save(tensors, folder / f"{name}.pth")
    return folder


@pytest.fixture
def invert(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Invert:
    """``seeingkit`` in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))
    return lambda *words: command(*map(str, words), capsys=capsys, monkeypatch=monkeypatch)


def done(answer: tuple[int, str, str], code: int = 0) -> dict[str, Any]:
    assert answer[0] == code, answer[2]
    found: dict[str, Any] = json.loads(answer[1])
    return found


def timeless(results: dict[str, Any]) -> dict[str, Any]:
    """Without how long it took."""
    calibrations = [{**c, "seconds": None} for c in results["calibrations"]]
    return {**results, "calibrations": calibrations}


# -------------------------------------------------------------------------------------- the results


@pytest.mark.slow
def test_photos_by_the_embedded_default(place: Path, invert: Invert) -> None:
    words = ["invert", "photos", *FAST, "--json"]
    found = done(invert(*words, "--out", "run"))
    assert found == json.loads((place / "run/results.json").read_text())
    assert (found["schema_version"], found["kind"]) == (1, "inversion")
    assert set(found) == KEYS
    assert found["generator"]["name"] == "progan:minichurches"
    assert found["segmenter"]["name"] == "upernet:minichurches"
    assert found["data"]["images"] == 3 and found["skipped"] == []
    assert "tree" in found["inversion"]["labels"]
    assert found["inversion"]["reference"].startswith("512 images of minichurches, compared by")
    done_at = [(c["method"], c["cut"], c["n"]) for c in found["calibrations"]]
    assert done_at == [("layered+r", "r4.conv1", 4), ("layered+r", "r8.conv1", 4)]
    assert [r["cut"] for r in found["inversions"]] == ["r8.conv1"] * 3 + ["r4.conv1"] * 3
    for part in (found["inversions"][:3], found["inversions"][3:]):
        assert sorted(r["image"] for r in part) == [f"scene {k}.png" for k in range(3)]
    assert {v["cut"] for v in found["vanishing"]} == {"r4.conv1", "r8.conv1"}
    for record in found["inversions"]:
        for name in ("photo", "reconstruction", "photo_labels", "reconstruction_labels"):
            with Image.open(place / "run" / record[name]) as picture:
                assert picture.size == (64, 64)
        assert (place / "run" / record["state"]).is_file()
        assert record["classes"] and all(
            record["lost"][c["label"]] == c["lost"] for c in record["classes"]
        )
        assert record["unfamiliar"] > 0 and record["unlike"] == (record["unfamiliar"] > 1)
        # the photo is kept as it was given, pixel for pixel
        given = Image.open(place / "photos" / record["image"])
        with given, Image.open(place / "run" / record["photo"]) as kept:
            assert np.array_equal(np.asarray(given), np.asarray(kept))
    assert (place / "run/report.html").stat().st_size > 10_000
    manifest = json.loads((place / "run/manifest.json").read_text())
    assert manifest["finished"] and manifest["hashes"]["photos"] == found["data"]["fingerprint"]

    # The manifest repeats the run in both ways that it offers.
    told = shlex.split(manifest["command"])
    assert told[0] == "seeingkit"
    again = done(invert(*told[1:], "--json", "--out", "two"))
    assert timeless(again) == timeless(found)
    config = done(invert("invert", "--config", "run/manifest.json", "--out", "three", "--json"))
    assert timeless(config) == timeless(found)
    keys = {
        json.loads((place / r / "manifest.json").read_text())["command"] for r in ("two", "three")
    }
    assert keys == {manifest["command"]}


def test_words_say_what_vanished_and_where_the_report_is(place: Path, invert: Invert) -> None:
    code, out, err = invert("invert", "photos", *TINY)
    assert code == 0, err
    assert err.startswith(
        "inverting 3 photos through progan by layered+r, segmented by no segmenter"
    )
    assert "layered+r" in out and "dB" in out
    report = out.strip().splitlines()[-1].removeprefix("report: ")
    assert (place / report).is_file() and report.startswith("runs")


def test_preset_paper_names_its_differences_in_print_results_and_report(
    place: Path, invert: Invert, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["invert", "photos/scene 0.png", *TINY, "--own", "0", "--preset", "paper"]
    code, out, err = invert(*words, "--cut", "r4.conv1,r8.conv1", "--out", "published")
    assert code == 0, err
    found = json.loads((place / "published/results.json").read_text())
    named = found["inversion"]["differences"]
    for part in ("L1 of pixels alone", "no encoder"):
        assert any(part in sentence for sentence in named)
    assert sum("r is at r4.conv1" in s for s in named) == 1 and "steps 5 (the paper" in named[-1]
    assert found["warnings"][: len(named)] == [f"Preset paper: {s}" for s in named]
    page = html.unescape((place / "published/report.html").read_text())
    for sentence in named:
        assert f"Preset paper: {sentence}" in out and sentence in page
        assert f"preset paper: {sentence}" in caplog.text  # before the long work, too
    quick = done(invert(*words[:-2], "--json", "--out", "quick"))
    assert quick["inversion"]["differences"] == []
    assert not any("Preset paper" in warning for warning in quick["warnings"])


@pytest.mark.slow
def test_methods_and_cuts(place: Path, invert: Invert) -> None:
    words = ["invert", "photos", *TINY, "--method", "layered+r,z,z", "--cut", "r4.conv1,r8.conv1"]
    found = done(invert(*words, "--json", "--out", "several"))
    pairs = [(m, c) for c in ("r4.conv1", "r8.conv1") for m in ("layered+r", "z")]
    assert [(c["method"], c["cut"]) for c in found["calibrations"]] == pairs
    # Records of the generator's own cut come last: a report shows the last first.
    assert [(r["method"], r["cut"]) for r in found["inversions"][::3]] == pairs[2:] + pairs[:2]
    assert len(found["inversions"]) == 12
    z = [c["z_correlation"] is not None for c in found["calibrations"]]
    assert z == [False, True, False, True]


@pytest.mark.slow
def test_every_cut(place: Path, invert: Invert) -> None:
    words = ["invert", "photos/scene 0.png", *TINY, "--cut", "all", "--own", "0", "--json"]
    found = done(invert(*words, "--out", "all"))
    cuts = [f"r{size}.conv{k}" for size in (4, 8, 16) for k in (0, 1)]
    assert [r["cut"] for r in found["inversions"]] == [c for c in cuts if c != "r4.conv1"] + [
        "r4.conv1"
    ]
    assert found["calibrations"] == []
    quality = {r["cut"]: r["psnr"] for r in found["inversions"]}
    assert quality["r16.conv1"] > quality["r4.conv0"]  # nearer to the image, all can be drawn


def test_without_a_segmenter_there_are_no_classes(place: Path, invert: Invert) -> None:
    found = done(invert("invert", "photos", *TINY, "--json", "--out", "blind"))
    assert found["segmenter"] is None and found["inversion"]["labels"] == []
    for record in found["inversions"]:
        assert record["classes"] == [] and record["photo_labels"] is None
    assert found["inversion"]["reference"].startswith("512 images that progan made")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda key: key != "preset"),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.lists(st.text(), max_size=2)
        | st.floats(allow_nan=False, allow_infinity=False),
        max_size=3,
    )
)
def test_options_of_any_kind_survive_the_command_of_a_manifest(options: dict[str, Any]) -> None:
    inversion = InversionConfig(methods=("z",), options=options)
    config = make_config(
        command="invert",
        real="",
        generated="g",
        segmenter="s",
        photos=("a b",),
        inversion=inversion,
        gan_options=options,
    )
    words = shlex.split(command_line(config))
    assert words[:3] == ["seeingkit", "invert", "a b"]
    for flag in ("--inverter-option", "--gan-option"):
        pairs = [words[k + 1] for k, word in enumerate(words) if word == flag]
        assert parse_options(pairs) == options


@pytest.mark.slow
def test_n_photos_and_the_numbers_of_a_seed(place: Path, invert: Invert) -> None:
    words = ["invert", "many", *TINY, "--n", "4", "--own", "0", "--json"]
    found = done(invert(*words, "--out", "four"))
    ids = {r["image"] for r in found["inversions"]}
    assert len(ids) == 4 and ids <= {f"scene {k}.png" for k in range(10)}
    other = done(invert(*words, "--seed", "3", "--out", "other four"))
    assert {r["image"] for r in other["inversions"]} != ids


# ---------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["photos", *TINY, "--cut", "r7"], 2, "no boundary named 'r7'; there are: "),
        (["photos", *TINY, "--cut", "elsewhere"], 2, "r16.conv1, r4.conv0, r4.conv1, r8.conv0"),
        (["photos", *TINY, "--method", "layred"], 2, "no inverter named 'layred'"),
        (["photos", *TINY, "--method", "none"], 2, "leaves nothing to do"),
        (["photos", *TINY, "--inverter-option", "stepz=3"], 2, "option 'stepz'"),
        (["photos", *TINY, "--inverter-option", "cut=r8"], 2, "--cut"),
        (["photos", *TINY, "--inverter-option", "steps=3"], 2, "'steps' is given twice"),
        (["photos", *TINY, "--steps", "-1"], 2, "steps"),
        (["photos", *TINY, "--own", "-1"], 2, "--own"),
        (["photos", *TINY, "--preset", "slow"], 2, "preset"),
        (["photos", *TINY[:3], "none.pth", *TINY[4:]], 1, "none.pth"),
        (["nowhere.png", *TINY], 1, "nowhere.png"),
        (["photos", "nowhere.png", *TINY], 1, "nowhere.png"),
        (["photos/*.gif", *TINY], 1, "photos/*.gif"),
        (["tiny.pth", *TINY], 1, "tiny.pth"),
        ([*TINY], 2, "at least one photo"),
        (
            ["photos", "--config", "run/manifest.json"],
            2,
            "--config repeats a run as it was; leave photos out",
        ),
        (
            ["--config", "run/manifest.json", "--seed", "3", "--cut", "layer2"],
            2,
            "leave --cut, --s",
        ),
        (["--config", "none.json"], 1, "none.json: cannot be read"),
        (["photos", *TINY, "--method", "layered"], 2, "--encoder none leaves nothing"),
    ],
)
def test_errors_are_one_line_with_the_documented_code(
    invert: Invert, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    found, out, err = invert("invert", *words, "--json")
    assert found == code, err
    assert says in err and len(err.strip().splitlines()) == 1
    assert out == ""


def test_files_that_are_no_photos_are_named_and_the_others_go_on(
    place: Path, invert: Invert
) -> None:
    (place / "notes.md").write_text("not a photo")
    (place / "broken.png").write_text("not a photo either")
    photos = ["photos/scene 0.png", "notes.md", "broken.png", "photos/scene 1.png"]
    answer = invert("invert", *photos, *TINY, "--json", "--out", "mixed")
    found = done(answer, code=3)
    assert answer[2] == ""
    assert [r["image"] for r in found["inversions"]] == ["scene 0.png", "scene 1.png"]
    skipped = {s["item"]: s["reason"] for s in found["skipped"]}
    assert set(skipped) == {"notes.md", "broken.png"} and all(skipped.values())
    assert {s["source"] for s in found["skipped"]} == {"photo"}
    strict = invert("invert", *photos, *TINY, "--on-bad", "fail", "--out", "strict")
    assert strict[0] == 1 and "broken.png" in strict[2]
    alone = invert("invert", "broken.png", *TINY, "--out", "none")
    assert alone[0] == 1 and "no photo could be inverted" in alone[2] and "broken.png" in alone[2]


@pytest.mark.slow
def test_an_encoder_is_for_its_own_generator(place: Path, invert: Invert) -> None:
    base = ["invert", "photos", "--gan", "progan", *TINY[4:], "--method", "layered", "--json"]
    base[base.index("none", base.index("--encoder"))] = "train"
    made = done(
        invert(*base, "--weights", "tiny.pth", "--inverter-option", "encoder_steps=3", "--out", "e")
    )
    (about,) = made["inversion"]["encoders"]
    (file,) = (place / "cache/encoders").glob("*.safetensors")
    base[base.index("train")] = str(file)
    used = done(invert(*base, "--weights", "tiny.pth", "--out", "own"))
    assert used["inversion"]["encoders"] == [about]
    assert [r["psnr"] for r in used["inversions"]] == [r["psnr"] for r in made["inversions"]]
    code, out, err = invert(*base, "--weights", "other.pth", "--out", "others")
    assert (code, out) == (1, "")
    assert str(file) in err and f"trained for generator {about['generator']}" in err
    assert len(err.strip().splitlines()) == 1


def test_what_was_given_is_checked_before_an_encoder_is_trained(
    place: Path, invert: Invert, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("an encoder was trained")

    monkeypatch.setattr("seeingkit.analyses.inversion.encoders.training.train_encoder", never)
    (place / "empty.png").write_bytes(b"")
    base = ["--gan", "progan", "--weights", "tiny.pth", "--method", "layered", "--encoder", "train"]
    base += ["--perceptual", "none"]
    for words, says in (
        (["empty.png", "--segmenter", "none"], "no photo could be inverted"),
        (["photos", "empty.png", "--segmenter", "none", "--on-bad", "fail"], "empty.png: "),
        (["photos", "--segmenter", "upernet", "--segmenter-weights", "empty.png"], "empty.png"),
        (["photos", "--segmenter", "none", "--out", "photos"], "holds no run"),
        (["photos", "--segmenter", "none", "--cut", "r99"], "r99"),
    ):
        code, out, err = invert("invert", *words, *base)
        assert code in (1, 2) and out == "" and says in err, err
        assert len(err.strip().splitlines()) == 1


def test_a_run_directory_is_for_one_run(place: Path, invert: Invert) -> None:
    words = ["invert", "photos/scene 0.png", *TINY, "--own", "0", "--out", "mine", "--json"]
    first = done(invert(*words))
    assert timeless(done(invert(*words))) == timeless(first)
    code, _, err = invert(*words, "--seed", "9")
    assert code == 1 and "holds a run with other settings" in err


# ---------------------------------------------------------------------- stopping, resuming, sharing


def start(place: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seeingkit", *words],
        cwd=place,
        env={**os.environ, "SEEINGKIT_CACHE": str(place / "cache"), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def inversions(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}


@pytest.fixture(scope="module")
def undisturbed(place: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Results and inversions of one run of ten photos that nothing disturbed."""
    words = ("invert", "many", *LONG, "--out", "whole", "--store", "whole-store", "--json")
    process = start(place, *words)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out), inversions(place / "whole-store")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_resumed(
    place: Path,
    invert: Invert,
    undisturbed: tuple[dict[str, Any], dict[str, bytes]],
    how: signal.Signals,
) -> None:
    results, files = undisturbed
    assert len(files) == 12
    words = ("invert", "many", *LONG, "--out", how.name, "--store", f"{how.name}-store", "--json")
    store = place / f"{how.name}-store"
    process = start(place, *words)
    deadline = time.monotonic() + 120
    while len(list(store.rglob("*.safetensors"))) < 4:
        assert time.monotonic() < deadline
        assert process.poll() is None, "finished before it could be stopped"
        time.sleep(0.005)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert out == ""
    if how == signal.SIGINT:
        assert process.returncode == 130
        last = err.splitlines()[-1]  # after lines of progress, on a slow machine
        assert last == "seeingkit: interrupted; the same command continues where this stopped"
        assert not list(store.rglob("*.tmp"))
    kept = inversions(store)
    assert 4 <= len(kept) < 12
    assert kept.items() <= files.items()  # whole files, and to the last bit
    stamps = {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}
    assert timeless(done(invert(*words))) == timeless(results)
    assert inversions(store) == files
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps  # not done again
    for name in {r["reconstruction"] for r in results["inversions"]}:
        assert (place / how.name / name).read_bytes() == (place / "whole" / name).read_bytes()


@pytest.mark.slow
def test_two_processes_share_the_photos(
    place: Path,
    invert: Invert,
    undisturbed: tuple[dict[str, Any], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results, files = undisturbed
    words = ("invert", "many", *LONG, "--out", "shared", "--store", "shared-store", "--json")
    other = start(place, *words, RANK="1", WORLD_SIZE="2")  # begins later, its imports take a while
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    try:
        found = done(invert(*words))
        out, err = other.communicate(timeout=60)
    finally:
        other.kill()
    assert (other.returncode, out) == (0, ""), err
    assert timeless(found) == timeless(results)
    assert inversions(place / "shared-store") == files


# ------------------------------------------------------------------------------------------ analyze


@pytest.mark.slow
def test_analyze_ends_with_inversions(place: Path, invert: Invert) -> None:
    words = ["analyze", "--n", "40", "--permutations", "0", "--seed", "1", *QUICK]
    found = done(invert(*words, "--per-class", "1", "--json", "--out", "analysis"))
    missing = {c["label"] for c in found["classes"] if c["verdict"] in ("omitted", "reduced")}
    assert found["inversions"] and found["fsd"]["value"] > 0
    for record in found["inversions"]:
        assert record["picked_for"] in (missing or {None})
        assert record["image"].startswith("scene2-")
        for name in ("photo", "reconstruction", "photo_labels", "reconstruction_labels", "state"):
            assert (place / "analysis" / record[name]).is_file()
    for record in found["inversions"]:  # a photo picked for a class shows it
        if record["picked_for"]:
            assert record["picked_for"] in {c["label"] for c in record["classes"]}
    (calibration,) = found["calibrations"]
    assert calibration["n"] == 4
    assert found["inversion"]["options"]["pick"] == "stratified"
    manifest = json.loads((place / "analysis/manifest.json").read_text())
    told = shlex.split(manifest["command"])
    again = done(invert(*told[1:], "--json", "--out", "analysis again"))
    assert timeless(again) == timeless(found)
    # The comparison is the same without inversion, which leaves no trace.
    plain = done(invert(*words[:7], "--method", "none", "--json", "--out", "plain"))
    assert plain["inversions"] == [] and plain["calibrations"] == [] and plain["inversion"] is None
    for name in ("fsd", "classes", "n_real", "n_generated"):
        assert plain[name] == found[name]
    assert not (place / "plain/inversions").exists()


def test_a_named_photo_of_the_data_set(place: Path, invert: Invert) -> None:
    words = ["analyze", "--n", "40", "--permutations", "0", "--seed", "1", *QUICK, "--own", "0"]
    found = done(invert(*words, "--ids", "scene2-000007", "--json", "--out", "listed"))
    assert [r["image"] for r in found["inversions"]] == ["scene2-000007"]
    code, _, err = invert(*words, "--ids", "scene2-999999", "--out", "unlisted")
    assert code == 2 and "no real image named 'scene2-999999'" in err


def test_what_cannot_be_cut_is_not_inverted_and_it_is_said() -> None:
    plan = resolve(inversion_run_config(["minichurches"], "progan:minichurches"))
    segmenter = LevelSegmenter()
    sides = Sides(Noise(4), SamplerSource(FlatSampler(), 4, 0), segmenter, segmenter)
    assert prepare_inverters(plan, sides.generated) == {}
    found = invert_omitted(plan, comparison(), sides, {}, None)
    assert found.records == [] and found.calibrations == []
    assert found.warnings == [
        "the generated side is no generator that can be cut, so no photo was inverted"
    ]
