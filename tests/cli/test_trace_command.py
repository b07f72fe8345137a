"""The command ``trace`` as people use it, on a generator whose units draw known things."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seeingkit.report import rebuild_report
from seeingkit.results import Results
from seeingkit.specs import GanSpec, SegmenterSpec
from tests.helpers.commands import command
from tests.helpers.planted import BRIGHT, DARK, levels, planted
from tests.helpers.plugins import register_here
from tests.helpers.toys import Digits, LevelSegmenter

Command = Callable[..., tuple[int, str, str]]
NUMBERS = (
    *("--layer", "r4", "--units", "1", "-n", "50"),
    *("--search", "24", "--dissected", "160", "--random", "2"),
)


def planted_generator(weights: object, options: object) -> object:
    return planted(0.2)


def level_segmenter(weights: object, options: object) -> LevelSegmenter:
    return levels()


def digits(weights: object, options: object) -> Digits:
    return Digits()


SPECS = (
    GanSpec(
        name="plantedgan",
        summary="units that draw known things",
        target=f"{__name__}:planted_generator",
        needs_weights=False,
    ),
    SegmenterSpec(
        name="thirds",
        summary="dark, middle, bright",
        target=f"{__name__}:level_segmenter",
        needs_weights=False,
    ),
    SegmenterSpec(
        name="numbers",
        summary="how dark and how bright, without masks",
        target=f"{__name__}:digits",
        needs_weights=False,
    ),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real pictures with more that is bright and less that is dark."""
    found = tmp_path_factory.mktemp("trace")
    (found / "real").mkdir()
    rng = np.random.default_rng(0)
    for k in range(120):
        red = np.full((8, 8), 50, np.uint8)
        red[4:] = np.repeat(np.repeat(rng.choice([128, 240], (2, 4), p=[0.3, 0.7]), 2, 0), 2, 1)
        Image.fromarray(np.stack([red] * 3, 2)).save(found / "real" / f"{k}.png")
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


@pytest.fixture
def run(place: Path, seeingkit: Command) -> Path:
    """A finished analysis; made once."""
    if not (place / "run/report.html").exists():
        words = "analyze --gan plantedgan --data real --segmenter thirds --preset native --n 120"
        options = "--method none --permutations 0 --sensitivity off --out run"
        code, _, err = seeingkit(*words.split(), *options.split())
        assert code == 0, err
    return place / "run"


def test_classes_are_traced_to_the_units_that_draw_them(run: Path, seeingkit: Command) -> None:
    before = Results.model_validate_json((run / "results.json").read_bytes())
    verdicts = {one.label: one.verdict for one in before.classes}
    assert verdicts["bright"] == "omitted" and verdicts["dark"] == "excess", verdicts
    code, out, err = seeingkit("trace", run, *NUMBERS)
    assert code == 0, err
    assert "units that draw 1 of 1 missing class: bright" in out
    assert "units that make 1 of 1 class in excess: dark" in out
    after = Results.model_validate_json((run / "results.json").read_bytes())
    found = after.tracing
    assert found is not None
    assert after.model_copy(update={"tracing": None}) == before  # the findings stay
    assert found.missing[0].units == [BRIGHT] and found.missing[0].draws
    assert found.excess[0].units == [DARK] and found.excess[0].lowers
    assert found.excess[0].distance.direction == "nearer"
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Units behind these classes" in page and page.count('class="strips"') == 2
    assert found.missing[0].pictures is not None
    with Image.open(run / found.missing[0].pictures[1]) as strip:
        assert strip.size == (6 * 192, 192)


@pytest.mark.slow
def test_a_tracing_is_repeated_to_the_bit_and_the_page_made_again(
    run: Path, seeingkit: Command
) -> None:
    first = seeingkit("trace", run, *NUMBERS, "--class", "bright", "--json")
    second = seeingkit("trace", run, *NUMBERS, "--class", "bright", "--json")
    assert first[0] == 0 and json.loads(first[1]) == json.loads(second[1])
    page = (run / "report.html").read_text(encoding="utf-8")
    assert rebuild_report(run).read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("nowhere --layer r4", 1, "no such folder"),
        ("real", 1, "not a run"),
        ("run --layer r5", 2, "r5"),
        ("run --layer input", 2, "'input' is the latent"),
        ("run --layer r4 --units 9", 2, "--units 9: 'r4' has 4 units; choose fewer"),
        ("run --layer r4 --units 1 -n 2", 2, "--n 2: take 50 or more"),
        ("run --layer r4 --class unicorn", 2, "--class unicorn: the comparison has no such class"),
    ],
)
def test_mistakes_are_told_before_any_work(
    run: Path, seeingkit: Command, words: str, code: int, said: str
) -> None:
    got, out, err = seeingkit("trace", *words.split())
    assert got == code and not out, err
    assert len(err.strip().splitlines()) == 1 and said in err


def test_another_segmenter_than_that_of_the_run_is_refused(
    run: Path, seeingkit: Command, place: Path
) -> None:
    results = json.loads((run / "results.json").read_text())
    results["segmenter"]["weights_sha256"] = "0" * 64
    other = place / "other"
    other.mkdir()
    (other / "results.json").write_text(json.dumps(results))
    (other / "manifest.json").write_bytes((run / "manifest.json").read_bytes())
    code, out, err = seeingkit("trace", other, *NUMBERS)
    assert code == 1 and not out
    assert "segmenter are no longer those of the run; analyze again into another folder" in err


def test_classes_that_are_named_are_all_there_is(run: Path, seeingkit: Command) -> None:
    code, _, err = seeingkit("trace", run, *NUMBERS, "--class", "bright", "--most", "2")
    assert code == 2 and "--class names the classes: leave --most out" in err


def test_nothing_is_traced_without_masks(run: Path, seeingkit: Command, tmp_path: Path) -> None:
    record = (run / "manifest.json").read_text()
    assert record.count('"segmenter": "thirds"') == 1
    shutil.copytree(run, tmp_path / "copy")
    other = record.replace('"segmenter": "thirds"', '"segmenter": "numbers"')
    (tmp_path / "copy/manifest.json").write_text(other)
    code, out, err = seeingkit("trace", tmp_path / "copy", *NUMBERS)
    assert (code, out) == (2, "")
    assert "numbers gives counts without masks; this command needs a segmenter" in err
