"""The command ``assess`` as people use it, on a small generator of a third party."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seeingkit
from seeingkit import AutoStaged
from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.rewriting.moments import key_moments
from seeingkit.analyses.rewriting.plan import plan
from seeingkit.errors import RunError, UnknownNameError, UsageError
from seeingkit.images.preprocess import quantise
from seeingkit.report import rebuild_report, summarise_assessment
from seeingkit.report.words.rewriting import points
from seeingkit.results import AssessmentResults
from seeingkit.results.gates import NumberGate, check_gates, parse_gate
from seeingkit.results.paths import numbers_of, value_at
from seeingkit.runs.assess import Assessment
from seeingkit.runs.config import read_config
from seeingkit.runs.manifest import command_line
from seeingkit.specs import GanSpec, SegmenterSpec
from seeingkit.viewing.access import Secrets
from seeingkit.viewing.library import Library
from seeingkit.viewing.pages import compare_page, run_page, runs_page
from tests.helpers.chromium import Chromium
from tests.helpers.commands import command
from tests.helpers.plugins import register_here
from tests.helpers.rewriting import request, small
from tests.helpers.toys import LevelSegmenter

Call = Callable[..., tuple[int, str, str]]
WORDS = "--gan third --segmenter thirds --data real --preset native -n 40"
MODELS = WORDS.split(" ")


def load_third(weights: object, options: object) -> AutoStaged:
    return small()


def load_thirds(weights: object, options: object) -> LevelSegmenter:
    return LevelSegmenter("thirds")


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    here = "tests.cli.test_assess_command"
    common = {"summary": "a toy", "needs_weights": False}
    specs = [
        GanSpec(name="third", target=f"{here}:load_third", **common),
        SegmenterSpec(name="thirds", target=f"{here}:load_thirds", **common),
    ]
    with pytest.MonkeyPatch.context() as patch:
        register_here(patch, *specs)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real images, an edit, the same at strength 0, and one without a request."""
    folder = tmp_path_factory.mktemp("assess")
    (folder / "real").mkdir()
    generator = small()
    images = quantise(generator(generator.latents(range(40), seed=10**8))).numpy()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"real/{number:03d}.png")
    named = seeingkit.load_generator("third")
    moments = key_moments(named, named.site("r8"), Sample(range(30), 9))
    edit = plan(named, request(), "r8", rank=2, keep=0.1, moments=moments)
    edit.save(folder / "tower2tree.safetensors")
    edit.at(0).save(folder / "nothing.safetensors")
    replace(edit.at(0), request=None).save(folder / "mute.safetensors")
    return folder


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """``seeingkit`` in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(folder / "cache"))
    return lambda *words: command(*map(str, words), capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture
def run(folder: Path, call: Call) -> Path:
    """A finished run; made once."""
    if not (folder / "run/report.html").exists():
        words = ("--edit", "tower2tree.safetensors", "--wanted", "bright", "--out", "run")
        code, out, err = call("assess", *MODELS, *words)
        assert code == 0, err
        (folder / "out.txt").write_text(out)
        assert err.startswith(
            "assessing tower2tree of third: 40 images without and with, against 40 of real, "
            "segmented by thirds; on "
        )
    return folder / "run"


def results_of(run: Path) -> AssessmentResults:
    return AssessmentResults.model_validate_json((run / "results.json").read_text())


def test_the_finding_is_written_and_printed(run: Path, folder: Path) -> None:
    results, out = results_of(run), (folder / "out.txt").read_text()
    (edit,) = results.edits
    assert (edit.name, edit.site, edit.rank, edit.wanted) == ("tower2tree", "r8", 2, ["bright"])
    assert edit.matching and 0 < edit.images <= 40 and edit.success.value is not None
    assert results.n == results.n_real == 40 and results.seed == 12_000_000
    summary = summarise_assessment(results)
    assert summary.headline.partition(":")[0] in out and "report: run/report.html" in out
    assert points(edit.success.value).split()[0] in out and "FSD from" in out
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["finished"] and manifest["hashes"]["edit tower2tree"] == edit.digest
    assert results.cautions == list(summary.cautions)


def test_gates_are_asked_of_every_number(run: Path) -> None:
    results = results_of(run)
    checked = 0
    for path, value in numbers_of(results).items():
        gate = parse_gate(f"{path} > 0", AssessmentResults)
        assert isinstance(gate, NumberGate)
        found, why = value_at(results, results, gate.path)
        assert found == value if value is not None else (found is None and why), path
        checked += 1
    assert checked > 60
    gates = ["edits > 1", "effect.class[bright].before < 0", "touched.value <= 1", "edits == 1"]
    failures = check_gates(gates, results, ["bright", "never"])
    assert [line.partition(":")[0] for line in failures] == ["touched.value <= 1", "edits == 1"]
    assert not check_gates(["effect.class[never].after > 0"], results, ["bright", "never"])
    (failure,) = check_gates(["effect.class[never].q_area < 1"], results, ["bright", "never"])
    assert failure.endswith("(no image shows never), so the gate cannot be passed")
    with pytest.raises(UnknownNameError, match="no class named 'never'"):
        check_gates(["effect.class[never].after > 0"], results)


def test_a_gate_that_fails_ends_with_its_exit_code(run: Path, call: Call) -> None:
    again = ("assess", "--config", "run", "--out", "run")
    code, _, err = call(*again, "--fail-if", "edits[tower2tree].success.value <= 1")
    assert code == 4 and "gate failed: edits[tower2tree].success.value <= 1: it is " in err
    assert read_config(run).fail_if == ("edits[tower2tree].success.value <= 1",)
    code, _, err = call(*again, "--fail-if", "edits[tower2tree].success.value > 1")
    assert code == 4, "the earlier gate stays"
    for gate, message in [
        ("omitted: bright", "omitted is a verdict of a comparison; of edits ask for numbers"),
        ("edits[other].success.value > 0", "no edit named 'other'"),
        ("effect.class[dragon].after > 0", "no class named 'dragon'"),
        ("fsd.value > 0", "no number named 'fsd'"),
        ("distance > 0", "distance is not a number; name one of its numbers: before, "),
    ]:
        code, out, err = call(
            "assess", *MODELS, "--edit", "tower2tree.safetensors", "--fail-if", gate
        )
        assert code == 2 and message in err and not out, err


def test_pictures_are_of_the_groups_and_of_the_request(run: Path) -> None:
    results = results_of(run)
    groups = [one.group for one in results.pictures]
    assert groups == ["match"] * 8 + ["first"] * 8 + ["outside"] * 8
    assert [one.image for one in results.pictures[8:16]] == list(range(8))
    matched = [one.matched for one in results.pictures[:8]]
    assert matched == sorted(matched, reverse=True) and matched[0] > 0
    for one in results.pictures:
        match, changed = (np.asarray(Image.open(run / name)) for name in one.masks)
        assert match.mean() == pytest.approx(one.matched)
        assert changed.mean() == pytest.approx(one.moved)
    roles = [one.role for one in results.edits[0].request]
    assert roles == ["copy", "paste", "context", "context"]


def test_python_goes_on_from_stored_counts_and_finds_the_same(
    run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_config(run)
    words = shlex.split(command_line(config))[1:]
    assert words[0] == "assess" and words[words.index("--wanted") + 1] == "bright"
    stored = sorted((folder / "cache/rewriting").glob("??/*.safetensors"))
    stored[0].unlink()  # as of a run that was killed
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(folder / "cache"))
    models = {"segmenter": "thirds", "preset": "native", "n": 40, "wanted": ["bright"]}
    found = seeingkit.assess(
        "third", "real", edits="tower2tree.safetensors", out="python", **models
    )
    assert isinstance(found, Assessment) and found.results == results_of(run)
    assert found.run.path == Path("python") and found.report.exists()
    assert "tower2tree" in repr(found) and "<p>report: " in found._repr_html_()
    assert list(found.classes["label"]) and found.to_dict()["kind"] == "assessment"
    with pytest.raises(UsageError, match="no edit to assess"):
        seeingkit.assess("third", "real", edits=[])


def test_stored_work_is_listed_and_checked(run: Path, folder: Path, call: Call) -> None:
    code, out, err = call("store", "ls", folder / "cache/rewriting")
    assert code == 0, err
    assert "edits of custom, r8.up by thirds" in out or "edits of " in out
    assert "moments of keys" in out and "not needed" not in out
    code, _, err = call("store", "verify", folder / "cache/rewriting")
    assert code == 0, err
    path = next((folder / "cache/rewriting").glob("??/*.safetensors"))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert call("store", "verify", folder / "cache/rewriting")[0] == 1
    path.write_bytes(data)


def test_edits_that_do_nothing_have_no_verdict(folder: Path, call: Call) -> None:
    """One at strength 0, and one that does not say what it was planned for."""
    words = ("nothing.safetensors", "mute.safetensors", "--wanted", "bright")
    code, out, err = call("assess", *MODELS, *words, "--out", "none")
    assert code == 0, err
    results = results_of(folder / "none")
    first, second = results.edits
    assert first.success.value == first.outside.value == first.labels_outside.value == 0
    assert not first.claimed and results.touched.value == 0
    assert results.distance.gain == 0 and results.distance.claim == "no evidence"
    claims = {(one.area_claim, one.images_claim) for one in results.effect.classes}
    assert claims == {("no evidence", "no evidence")} and not results.effect.changes
    assert "is not shown to bring bright to matching places" in out
    assert "No class surely gains or loses" in out
    assert first.matching and not second.matching and second.success.value is None
    assert second.images == 0 and second.wanted == [] and second.request == []
    assert "mute does not say where it is meant to act." in out
    assert "holds no request" in " ".join(results.cautions)


def test_what_cannot_be_right_is_refused_before_any_image(folder: Path, call: Call) -> None:
    for words, told in (
        ([], "no edit to assess: name its file, such as"),
        (["tower2tree.safetensors", "--edit", "mute.safetensors"], "take one of them"),
        (["--edit", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--edit", "tower2tree.safetensors", "--wanted", "castle"], "castle"),
        (["--edit", "tower2tree.safetensors", "--data", "nowhere"], "nowhere"),
    ):
        code, out, err = call("assess", *MODELS, *words, "--out", "no")
        assert code and told in err and "Traceback" not in err and not out
        assert not (folder / "no").exists()


def test_the_page_is_made_of_files_alone(run: Path, tmp_path: Path) -> None:
    page = (run / "report.html").read_text()
    rebuild_report(run)
    assert (run / "report.html").read_text() == page
    for text in ("What tower2tree asks for", "copied, image 1", "Distance from the real images"):
        assert text in page
    assert (run / "figures/effects.svg").exists()
    picture = run / results_of(run).edits[0].request[0].mask
    picture.rename(tmp_path / "aside.png")
    with pytest.raises(RunError, match="is missing"):
        rebuild_report(run)
    (tmp_path / "aside.png").rename(picture)


def test_the_viewer_lists_and_shows_the_run(run: Path, folder: Path) -> None:
    library = Library(folder, Secrets())
    listing = library.listing()
    key, one = next((k, r) for k, r in listing.runs.items() if r.title == "run")
    assert one.kind == "assessment"
    assert "assessment" in runs_page(listing, library.root, "/T/", {}, [])
    assert "matching places" in run_page(library, key, one, "/T/")
    status, text = compare_page(library, "/T/", {}, [key])
    assert status == 404 and "an assessment of edits has no distance" in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_asks_nothing_fits_and_is_accessible(
    run: Path, browser: Chromium, width: int
) -> None:
    browser.open(run / "report.html", width=width)
    assert browser.problems == [] and len(browser.requests) == 1
    wide = "Number(document.documentElement.dataset.scrollWidth) <= innerWidth"
    assert browser.evaluate(wide) and browser.violations() == []
