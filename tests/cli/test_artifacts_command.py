"""The command ``artifacts`` as people use it, on a generator with a planted artifact unit."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import seeingkit
from seeingkit.analyses.comparison.checks.metrics import resolve_metric
from seeingkit.analyses.interventions.artifacts.real import RealRows
from seeingkit.analyses.interventions.artifacts.stage import Artifacts, find_artifacts
from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.contracts import ImageSource
from seeingkit.errors import ExitCode, RunError, UsageError
from seeingkit.images import Selection
from seeingkit.images.preprocess import quantise
from seeingkit.models.staged import StagedAdapter
from seeingkit.report import rebuild_report, summarise_artifacts
from seeingkit.results import ArtifactResults, FidelityResult
from seeingkit.runs.artifacts import ArtifactSearch
from seeingkit.runs.config import make_config, read_config
from seeingkit.runs.manifest import command_line
from seeingkit.specs import GanSpec, MetricSpec, SegmenterSpec
from seeingkit.tallies.counting import tally
from seeingkit.viewing.access import Secrets
from seeingkit.viewing.library import Library
from seeingkit.viewing.pages import compare_page, run_page, runs_page
from tests.analyses.artifacts.test_marks import painted, uri
from tests.helpers.artifact_toys import ARTIFACT, speckled, subject
from tests.helpers.chromium import Chromium
from tests.helpers.commands import command
from tests.helpers.plugins import register_here, registry_of
from tests.helpers.toys import FlatSampler, LevelSegmenter

BLANK = uri(np.zeros((16, 16), np.uint8))
WHITE = uri(np.full((16, 16), 255, np.uint8))
Call = Callable[..., tuple[int, str, str]]
WORDS = "--gan speckled --segmenter thirds --data real --preset native --layer r8"
MODELS = WORDS.split(" ")
SMALL = ["--search", "100", "--random", "6", "-n", "100"]


def load_speckled(weights: object, options: object) -> StagedAdapter:
    return speckled(1.2, shift=0.15)


def load_flat(weights: object, options: object) -> FlatSampler:
    return FlatSampler()


def load_thirds(weights: object, options: object) -> LevelSegmenter:
    return LevelSegmenter("thirds")


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    here = "tests.cli.test_artifacts_command"
    common = {"summary": "a toy", "needs_weights": False}
    specs = [
        GanSpec(name="speckled", target=f"{here}:load_speckled", **common),
        GanSpec(name="evenly", target=f"{here}:load_flat", **common),
        SegmenterSpec(name="thirds", target=f"{here}:load_thirds", **common),
    ]
    with pytest.MonkeyPatch.context() as patch:
        register_here(patch, *specs)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")
    (folder / "real").mkdir()
    clean = subject()
    for rows, state in clean.states(Sample(range(200), 10**8)):
        for row, image in zip(rows, quantise(clean.images(state)).numpy(), strict=True):
            Image.fromarray(image).save(folder / f"real/{row:03d}.png")
    return folder


@pytest.fixture
def call(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """``seeingkit`` in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))
    return lambda *words: command(*map(str, words), capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture
def run(place: Path, call: Call) -> Path:
    """A finished run; made once."""
    if not (place / "run/report.html").exists():
        code, out, err = call("artifacts", *MODELS, *SMALL, "--units", "1,3", "--out", "run")
        assert code == 0, err
        (place / "out.txt").write_text(out)
        assert err.startswith(
            "searching artifact units of r8 of speckled in 100 images, tests in 100 images against "
            "200 of real, segmented by thirds; on "
        )
    return place / "run"


def results_of(run: Path) -> ArtifactResults:
    return ArtifactResults.model_validate_json((run / "results.json").read_text())


def test_the_planted_unit_is_found_and_printed(run: Path, place: Path) -> None:
    results, out = results_of(run), (place / "out.txt").read_text()
    assert results.units[0].unit == ARTIFACT and results.tests[0].claim == "gain"
    assert (results.n, results.n_real, results.layer_units) == (100, 134, 12)
    assert results.settings.search_seed == 8_000_000 and results.settings.search_real == 66
    assert out.startswith("Unit 7 of r8 found as artifacts: without it") or "Units 7, " in out
    assert "report: run/report.html" in out and "gain of the chosen units" in out
    assert "Distances are of areas of classes" in out
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["finished"] and set(manifest["hashes"]) >= {"real images"}


def test_pictures_show_images_without_and_with_the_ablation(run: Path) -> None:
    results = results_of(run)
    shown = [unit for unit in results.units if unit.strip]
    assert [unit.unit for unit in shown] == results.tests[1].units
    strip = np.asarray(Image.open(run / str(shown[0].strip)))
    assert strip.shape == (16, 48, 3)
    assert strip[:8].mean() > strip[8:].mean() + 10  # the bright patches are gone
    assert [pair.why for pair in results.pairs] == ["most changed"] * 6 + ["drawn"] * 6
    moved = [pair.moved for pair in results.pairs[:6]]
    assert moved == sorted(moved, reverse=True) and len({p.image for p in results.pairs}) == 12


def test_the_run_repeats_from_its_command_and_its_manifest(
    run: Path, place: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_config(run)
    words = shlex.split(command_line(config))[1:]
    assert words[:3] == ["artifacts", "--gan", "speckled"] and "--units" in words
    code, _, err = call("artifacts", "--config", "run", "--out", "again", "--json")
    assert code == 0, err
    assert results_of(place / "again") == results_of(run)
    with pytest.raises(RunError, match="other settings"):
        seeingkit.artifacts("speckled", "real", segmenter="thirds", preset="native", out="run")
    other = make_config(command="analyze", real="real", generated="speckled", segmenter="thirds")
    assert "artifacts" not in command_line(other)


def test_from_python_with_painted_regions_and_another_strength(
    place: Path, monkeypatch: pytest.MonkeyPatch, run: Path
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))
    (place / "marks.json").write_text(json.dumps(painted()))
    found = seeingkit.artifacts(
        "speckled",
        "real",
        layer="r8",
        units=1,
        marks="marks.json",
        alpha=0.9,
        search=100,
        random=6,
        n=100,
        segmenter="thirds",
        preset="native",
        out="marked",
    )
    assert isinstance(found, ArtifactSearch) and "1 unit: gain" in repr(found)
    assert found.results.settings.ranking == "marks" and found.results.settings.alpha == 0.9
    assert found.results.tests[0].units == [ARTIFACT] and found.results.settings.marks_sha256
    assert "found as artifacts" in found._repr_html_()
    assert list(found.tests["claim"]) == ["gain"] and list(found.tests["units"]) == ["7"]
    assert len(found.units["unit"]) == 12 and found.units["unit"][0] == ARTIFACT
    assert "agreement of each unit" in re.sub(r"\s+", " ", found.report.read_text())


MISTAKES = [
    ("--layer r9", "no boundary named 'r9'"),
    ("--layer input", "name a layer between"),
    ("--units 7", "at most 6"),
    ("--units 0", "--units: "),
    ("--units x", "'x' is no number"),
    ("--alpha 2", "--alpha: "),
    ("--search 10", "--search: "),
    ("--random 1", "--random: "),
    ("--ranking iou", "--ranking: "),
    ("--ranking marks", "painted regions"),
    ("--marks none.json", "none.json: cannot be read"),
    ("--features vgg", "did you mean"),
    ("--gan evenly", "gives images only"),
    ("-n 20", "at least 50 images"),
    ("--unit 5", "did you mean '--units'?"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "said"), MISTAKES)
def test_mistakes_are_one_line(call: Call, words: str, said: str) -> None:
    code, out, err = call("artifacts", *MODELS, *SMALL, *words.split(), "--out", "no")
    assert code == 2 and not out, err
    assert said in err and len(err.strip().splitlines()) == 1, err
    assert not Path("no").exists()


def test_few_real_images_are_refused_before_any_work(call: Call, place: Path) -> None:
    (place / "few").mkdir()
    for k in range(20):
        Image.new("RGB", (8, 8), (k, 0, 0)).save(place / f"few/{k}.png")
    code, _, err = call("artifacts", *MODELS, *SMALL, "--data", "few", "--out", "no")
    assert code == 2 and "20 real images are too few" in err and not (place / "no").exists()
    code, _, err = call("artifacts", *MODELS, *SMALL, "--data", "nowhere", "--out", "no")
    assert code == 1 and "no such path: nowhere" in err and not (place / "no").exists()


BAD_MARKS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda marks: marks["images"].pop() and marks["images"].pop(), "paint two or more"),
    (lambda marks: marks["images"][0].update(label=1), "and some do not"),
    (lambda marks: [one.update(label=1) for one in marks["images"]], "conditional generator"),
    (lambda marks: [one.update(mask=BLANK) for one in marks["images"]], "nothing is painted"),
    (lambda marks: marks["images"][0].update(mask=BLANK[:-40]), "cannot be read"),
    (lambda marks: [one.update(mask=WHITE) for one in marks["images"]], "are the same"),
    (lambda marks: marks.update(seed=40), "were used to choose"),
    (lambda marks: marks["generator"].update(identity="0" * 64), "with other options"),
]


@pytest.mark.parametrize(("spoil", "said"), BAD_MARKS)
def test_bad_marks_are_refused_before_any_work(
    call: Call,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[dict[str, Any]], Any],
    said: str,
) -> None:
    marks = painted(3)
    spoil(marks)
    (place / "bad.json").write_text(json.dumps(marks))
    monkeypatch.delattr("seeingkit.runs.artifacts.tally_side")
    code, _, err = call("artifacts", *MODELS, *SMALL, "--marks", "bad.json", "--out", "no")
    assert code == 2 and said in err and len(err.strip().splitlines()) == 1, err
    assert not (place / "no").exists()


class Recorder:
    """Another library's metric that remembers the real images it was given."""

    given: tuple[str, ...] = ()

    def __call__(self, real: ImageSource, generated: ImageSource, **_: object) -> FidelityResult:
        Recorder.given = tuple(map(str, real.ids))
        many = {"n_real": len(real), "n_generated": len(generated)}
        return FidelityResult(library="here", features="none", values={"zero": 0.0}, **many)


def load_recorder(weights: object, options: object) -> Recorder:
    return Recorder()


@pytest.mark.slow
def test_other_metrics_see_no_image_that_units_were_chosen_with(
    call: Call, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image 5 cannot be read, and no other image changes its part for that."""
    here = "tests.cli.test_artifacts_command:load_recorder"
    spec = MetricSpec(name="recorder", summary="toy", target=here, needs_weights=False)
    resolved = resolve_metric("recorder", known=registry_of(spec))
    monkeypatch.setattr("seeingkit.runs.plan.resolve_metric", lambda **_: resolved)
    shutil.copytree(place / "real", place / "spoilt")
    (place / "spoilt/005.png").write_bytes(b"no picture")
    seen: list[RealRows] = []

    def find(*args: Any, **given: Any) -> Artifacts:
        seen.append(args[3])
        return find_artifacts(*args, **given)

    monkeypatch.setattr("seeingkit.runs.artifacts.find_artifacts", find)
    words = [*MODELS, *SMALL, "--ranking", "images", "--units", "1", "--data", "spoilt"]
    code, _, err = call("artifacts", *words, "--fidelity", "--out", "spoilt-run")
    assert code == ExitCode.SKIPPED, err
    results = results_of(place / "spoilt-run")
    assert results.fidelity is not None and [one.item for one in results.skipped] == ["005.png"]
    assert len(Recorder.given) == results.n_real and "005.png" not in Recorder.given
    source = seeingkit.open_images(str(place / "spoilt"), preset="native")
    numbers = [source.ids.index(item) for item in Recorder.given]
    wanted = tally(Selection(source, numbers), LevelSegmenter("thirds"), store=place / "again")
    assert np.array_equal(seen[0].test, wanted.percent())


def test_it_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun"):
        seeingkit.artifacts("progan")


# ------------------------------------------------------------------------------------- the page


def test_words_of_every_claim(run: Path) -> None:
    results = results_of(run)
    test = results.tests[0]
    for claim, said in (
        ("gain", "found as artifacts"),
        ("gain of any units", "but it is not shown that random units do less"),
        ("no evidence", "does not surely change"),
        ("loss", "farther away"),
    ):
        made = test.model_copy(update={"claim": claim})
        one = results.model_copy(update={"tests": [made], "pictured": made.units})
        words = summarise_artifacts(one)
        assert said in words.headline
        small = "would not be seen" in " ".join(words.cautions)
        assert small == (claim == "no evidence")
    near = test.model_copy(update={"before": 1.0, "before_error": 1.0})
    one = results.model_copy(update={"tests": [near], "pictured": near.units})
    assert "little to gain" in summarise_artifacts(one).cautions[0]


def test_the_page_is_made_of_files_alone(run: Path, tmp_path: Path) -> None:
    before = (run / "report.html").read_bytes()
    rebuild_report(run)
    assert (run / "report.html").read_bytes() == before
    results = results_of(run)
    (run / str(results.units[0].strip)).rename(tmp_path / "aside.png")
    with pytest.raises(RunError, match="is missing"):
        rebuild_report(run)
    (tmp_path / "aside.png").rename(run / str(results.units[0].strip))


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_asks_nothing_fits_and_is_accessible(
    run: Path, browser: Chromium, width: int
) -> None:
    browser.open(run / "report.html", width=width)
    assert browser.problems == [] and len(browser.requests) == 1
    wide = "Number(document.documentElement.dataset.scrollWidth) <= innerWidth"
    assert browser.evaluate(wide) and browser.violations() == []


def test_the_viewer_lists_it_and_compares_nothing(run: Path, place: Path) -> None:
    library = Library(place, Secrets())
    listing = library.listing()
    key, one = next((k, r) for k, r in listing.runs.items() if r.title == "run")
    assert one.kind == "artifact units"
    assert "12 units" in runs_page(listing, library.root, "/T/", {}, [])
    text = run_page(library, key, one, "/T/")
    assert "units searched" in text and "found as artifacts" in text
    status, text = compare_page(library, "/T/", {}, [key])
    assert status == 404 and "a search for artifact units has no distance" in text
