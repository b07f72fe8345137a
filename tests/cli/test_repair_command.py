"""The command ``repair`` as people use it, on a generator that forgot red spots."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from seeingkit.images import SamplerSource
from seeingkit.images.preprocess import quantise
from seeingkit.models.weightedits import WeightEdit
from seeingkit.results import Results
from seeingkit.runs.repair import with_earlier
from seeingkit.specs import PRESETS, GanSpec, SegmenterSpec
from tests.helpers.commands import command
from tests.helpers.plugins import register_here
from tests.helpers.spotted import Reds, spotted

Command = Callable[..., tuple[int, str, str]]
NUMBERS = (
    *("--cut", "r16.place", "--photos", "3", "--rank", "1", "--keep", "1", "--trials", "1"),
    *("--search", "8", "-n", "24"),
)


def forgetful(weights: object, options: object) -> object:
    return spotted()


def reds(weights: object, options: object) -> Reds:
    return Reds()


SPECS = (
    GanSpec(
        name="spottedgan",
        summary="grey grounds, spots forgotten",
        target=f"{__name__}:forgetful",
        needs_weights=False,
    ),
    SegmenterSpec(name="redspots", summary="spots", target=f"{__name__}:reds", needs_weights=False),
)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures with and without spots."""
    found = tmp_path_factory.mktemp("repair") / "real"
    found.mkdir()
    pictures, _, _ = SamplerSource(spotted(drawn=True), 60, seed=3, preset=PRESETS["native"]).load(
        range(60)
    )
    assert pictures is not None
    for k, picture in enumerate(quantise(pictures).numpy()):
        Image.fromarray(picture).save(found / f"{k:02d}.png")
    return found


@pytest.fixture
def seeingkit(
    real: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command in this process: exit code, stdout, stderr."""
    register_here(monkeypatch, *SPECS)
    monkeypatch.chdir(real.parent)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(real.parent / "cache"))
    return lambda *words: command(*words, capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture
def run(real: Path, tmp_path: Path, seeingkit: Command) -> Path:
    """A finished analysis, made once for the module and copied."""
    made = real.parent / "analysis"
    if not made.exists():
        code, _, err = seeingkit(
            *("analyze", "--gan", "spottedgan", "--data", "real", "--segmenter", "redspots"),
            *("--n", "60", "--method", "none", "--preset", "native", "--out", str(made)),
            *("--permutations", "0", "--sensitivity", "off"),
        )
        assert code == 0, err
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
def test_a_repair_stands_in_the_report(run: Path, seeingkit: Command) -> None:
    code, out, err = seeingkit("repair", str(run), *NUMBERS)
    assert code == 0, err
    assert "spot at r16: an edit of rank 1 gives" in err  # before any image of an edit
    assert "One layer was edited for 1 missing class; more often drawn, but not back: spot." in out
    results = Results.model_validate_json((run / "results.json").read_text())
    assert results.repair is not None
    (one,) = results.repair.classes
    assert one.label == "spot" and one.verdict == "partly" and one.photos == 3 and not one.by_truth
    assert one.edit == "repair/0002-spot.safetensors"
    assert WeightEdit.load(run / one.edit).site == "r16"
    for name in one.pictures:
        with Image.open(run / name) as picture:
            assert picture.width == 6 * 192
    page = (run / "report.html").read_text()
    assert "Can an edit bring these classes back?" in page
    assert "Photos of it; outlined: it." in page
    other = one.model_copy(update={"label": "boat"})
    fresh = results.repair.model_copy(update={"classes": [other]})
    assert [each.label for each in with_earlier(run, fresh).classes] == ["spot", "boat"]
    unlike = fresh.model_copy(update={"n": 25})
    assert [each.label for each in with_earlier(run, unlike).classes] == ["boat"]
    again = json.loads(seeingkit("repair", str(run), *NUMBERS, "--json")[1])
    assert again == results.repair.model_dump(mode="json")
    code, _, err = seeingkit(
        *("analyze", "--gan", "spottedgan", "--edit", str(run / one.edit), "--data", "real"),
        *("--segmenter", "redspots", "--n", "60", "--method", "none", "--preset", "native"),
        *("--permutations", "0", "--sensitivity", "off", "--out", str(run.parent / "edited")),
    )
    assert code == 0, err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--class", "ground"), "generated images show no less of ground than real ones do"),
        (("--class", "boat"), "--class boat: the comparison has no such class"),
        (("--class", "spot", "--most", "2"), "leave --most out"),
        (("--site", "r99"), "no site named 'r99'"),
        (("--photos", "2"), "photos 2: take at least 3"),
        (("--second", "redspots"), "this is the segmenter of the comparison"),
        (("--cut", "r16"), "no site behind 'r16', where photos are inverted"),
    ],
)
def test_wrong_options_are_refused(
    run: Path, seeingkit: Command, options: tuple[str, ...], said: str
) -> None:
    before = (run / "results.json").read_bytes()
    code, _, err = seeingkit("repair", str(run), *NUMBERS, *options)
    assert code != 0 and said in err
    assert "Traceback" not in err
    assert (run / "results.json").read_bytes() == before


def test_a_folder_without_an_analysis_is_refused(tmp_path: Path, seeingkit: Command) -> None:
    code, _, err = seeingkit("repair", str(tmp_path))
    assert code != 0 and str(tmp_path.name) in err
