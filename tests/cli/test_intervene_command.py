"""``seeingkit intervene``: what it prints and writes, and the one line that answers a mistake."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from seeingkit.analyses.interventions import parts
from seeingkit.cli.options import unit_numbers
from seeingkit.errors import UsageError
from seeingkit.report import rebuild_report
from seeingkit.results.interventions import InterventionResults
from tests.helpers.commands import command

Ran = Callable[..., tuple[int, str, str]]
AT = ("--gan", "progan:minichurches", "--layer", "r8.conv1")


@pytest.fixture
def intervene(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ran:
    return functools.partial(command, "intervene", capsys=capsys, monkeypatch=monkeypatch)


def test_it_prints_a_table_and_makes_a_run(
    intervene: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "made" / "run"
    store = ("--store", str(tmp_path / "store"))
    words = ("--units", "13,112,35", "--class", "tree", "-n", "6", "--random", "1")
    code, printed, told = intervene(*AT, *words, "--curve", "1,3", "--out", str(out), *store)
    assert code == 0 and "pictures are generated and segmented" in told
    lines = printed.splitlines()
    assert lines[0].startswith("progan:minichurches, r8.conv1: 3 units set to 0, 6 images; ")
    assert lines[2].split()[:4] == ["class", "before", "after", "change"]
    for said in ("what grows instead", "as many random units (1 set)", "tree that is left"):
        assert said in printed
    assert lines[-1] == f"report: {out / 'report.html'}"
    text = (out / "results.json").read_text(encoding="utf-8")
    found = InterventionResults.model_validate_json(text)
    assert (found.units, found.edit, found.label, found.n) == ([13, 112, 35], "ablation", "tree", 6)
    assert (found.kind, found.seed) == ("intervention", 4_000_000)
    assert (found.segmenter.name, found.preset) == ("upernet:minichurches", "native")
    assert found.random is not None and [c.label for c in found.random.classes] == ["tree"]
    assert found.curve is not None and [p.units for p in found.curve.lines[0].points] == [1, 3]
    effects = pq.read_table(out / "effects.parquet")
    assert effects["label"].to_pylist() == [one.label for one in found.effect.classes]
    assert pq.read_table(out / "curve.parquet")["ranking"].to_pylist()[-1] == "random"
    # The manifest repeats it, of stored counts alone, and the page can be made again.
    page = (out / "report.html").read_bytes()
    again = ("--config", str(out / "manifest.json"), "--out", str(tmp_path / "again"), *store)
    monkeypatch.setattr(parts, "_made", lambda *_: pytest.fail("made again"))
    assert intervene(*again, "--json")[0] == 0
    assert (tmp_path / "again" / "results.json").read_text(encoding="utf-8") == text
    assert rebuild_report(out).read_bytes() == page


@pytest.mark.slow
def test_an_insertion_with_a_map_as_json(intervene: Ran, tmp_path: Path) -> None:
    end = ("--json", "--store", str(tmp_path / "store"), "--out")
    words = ("--units", "13", "--insert", "--class", "sky", "-n", "2", "--random", "0")
    words += ("--context", "4", "--context-classes", "--search", "3")
    code, printed, _ = intervene(*AT, *words, *end, str(tmp_path / "sky"))
    found = json.loads(printed)
    assert (code, found["edit"], len(found["values"])) == (0, "insertion", 1)
    assert found["context"]["matrix"] and (tmp_path / "sky" / "cells.parquet").is_file()
    assert found["causal"]["label"] == "sky" and len(found["context"]["cells"]) == 4
    assert found["random"] is None and found["choice"] is None
    words = ("--units", "13", "--insert", "--value", "2.5", "-n", "2", "--random", "0")
    code, printed, _ = intervene(*AT, *words, "--box", "0.5,0,1,1", *end, str(tmp_path / "box"))
    found = json.loads(printed)
    assert (found["values"], found["box"], found["causal"]) == ([2.5], [0.5, 0, 1, 1], None)


MISTAKES = [
    ("", "name a layer with --layer"),
    ("--layer r8.conv1", "name units with --units, or choose some with --choose; one of the two"),
    ("--layer r8.conv1 --units 3 --choose 2", "one of the two"),
    ("--layer r8.conv1 --units 3-", "'3-' is no number; write a list as 3,17,40-44"),
    ("--layer r9.conv1 --units 3", "no boundary named 'r9.conv1'; did you mean"),
    ("--layer r8.conv1 --units 300", "no unit 300 at 'r8.conv1'; its units are 0 to 127"),
    ("--layer r8.conv1 --units 3,3", "unit 3 is given twice"),
    ("--layer r8.conv1 --units 3 --curve 2 --class tree", "there are 1 units to be ablated"),
    ("--layer r8.conv1 --units 3 --by iou", "--by iou is for units that are chosen"),
    ("--layer r8.conv1 --choose 2 --class tree --by single", "--by single: give --each"),
    ("--layer r8.conv1 --choose 2 --class tree --by iou", "--by iou: give --dissection"),
    ("--layer r8.conv1 --choose 2 --class tree --by luck", "--by: input should be 'optimised'"),
    ("--layer r8.conv1 --choose 200 --class tree", "200 units: 'r8.conv1' has 128"),
    ("--layer r8.conv1 --units 3 --each 1", "--each 1: an effect needs at least two images"),
    ("--layer r8.conv1 --units 3 --context-classes", "--context-classes is for a map"),
    ("--layer r8.conv1 --units 3 --class tree --context 99", "give a smaller step"),
    ("--layer r8.conv1 --units 3 --out effect.json", "give --out effect"),
    ("--layer w --units 3 --box 0,0,1,1", "'w'"),
    ("--layer r8.conv1 --units 3 --class tre", "no label named 'tre'; did you mean 'tree'"),
    ("--layer r8.conv1 --choose 3", "to choose units: name the class that it is for"),
    ("--layer r8.conv1 --units 3 --insert", "an insertion without values: name the class"),
    ("--layer r8.conv1 --units 3 --curve 1", "a curve: name the class that it is for"),
    ("--layer r8.conv1 --units 3 --context 2", "a map of insertions: name the class"),
    ("--layer r8.conv1 --units 3 --value 1", "values are for an insertion of units"),
    ("--layer r8.conv1 --units 3 --value x", "--value x: give numbers, as 0.5,1"),
    ("--layer r8.conv1 --units 3,4,5 --insert --value 1,2", "2 values for 3 units"),
    ("--layer r8.conv1 --units 3 --box 1,2", "--box 1,2: give top,left,bottom,right"),
    ("--layer r8.conv1 --units 3 --box 0.5,0,0.2,1", "box 0.5,0,0.2,1: give top,left"),
    ("--layer r8.conv1 --units 3 -n 1", "--n: input should be greater than or equal to 2"),
    ("--layer r8.conv1 --units 3 --level 2", "--level: input should be less than 1"),
    ("--layer r8.conv1 --units 3 --labels 1", "leave --label and --labels out"),
    ("--layer r8.conv1 --units 3 --preset tiny", "no preset named 'tiny'"),
    ("--layer image --units 3", "'image' is the image; name a layer between"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes_are_told_in_one_line(intervene: Ran, words: str, message: str) -> None:
    code, out, err = intervene("--gan", "progan:minichurches", *words.split())
    assert (code, out) == (2, "")
    assert message in err and len(err.splitlines()) == 1


def test_a_run_that_ranks_no_units_is_named(intervene: Ran, tmp_path: Path) -> None:
    words = ("--choose", "2", "--class", "tree", "--by", "iou", "--dissection")
    code, _, err = intervene(*AT, *words, str(tmp_path / "none"))
    assert code == 1 and "no such folder" in err and len(err.splitlines()) == 1


def test_lists_of_units() -> None:
    assert unit_numbers(" 3 ,5-5, 7-9") == [3, 5, 7, 8, 9]
    for text in ("", "a", "5-3", "1,,2", "-1", "0-999999999"):
        with pytest.raises(UsageError, match="write a list as"):
            unit_numbers(text)


def test_help_groups_the_options(intervene: Ran) -> None:
    code, out, _ = intervene("-h")
    places = [out.index(f"\n{panel}:\n") for panel in ("Intervention", "Effect", "Generator")]
    assert code == 0 and places == sorted(places)
