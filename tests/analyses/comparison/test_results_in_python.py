"""What people type first at a comparison: fsd, omitted, classes, pairs, plot, and its display."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seeingkit
from seeingkit import Tally, compare, compare_generators
from seeingkit.analyses.comparison import tables
from seeingkit.analyses.inversion import tables as inversion_tables
from seeingkit.runs.analyze import Analysis
from seeingkit.runs.directory import RunDirectory
from seeingkit.runs.generators import GeneratorsAnalysis

NAMES = ("-", "sky", "tree", "person")
HOSTILE = "<script>\x1b[31m"
DOCUMENT = Path(__file__).parents[3] / "docs" / "python.md"


def tally(*columns: list[float], names: tuple[str, ...] = NAMES) -> Tally:
    """Area fractions by class; nothing fills the rest."""
    rows = np.column_stack([np.zeros(len(columns[0])), *columns])
    rows[:, 0] = 1 - rows.sum(1)
    return Tally.from_fractions(rows, names)


REAL = tally([0.4, 0.6] * 20, [0.2] * 40, [0.1, 0.1, 0.1, 0.0] * 10)
DRAWN = tally([0.4, 0.6] * 20, [0.3] * 40, [0.0] * 40)


@pytest.fixture(params=["pandas", "without pandas"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "pandas":
        monkeypatch.setitem(sys.modules, "pandas", None)


def rows(frame: Any) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in frame.to_dict("records")}


def test_the_first_things_people_type(either: None) -> None:
    found = compare(REAL, DRAWN, permutations=0)
    # Person: mean 7.5 against 0; tree 20 against 30; nothing the rest: 22.5 against 20. Only these
    # and the spread of person (100 · 0.1² · 3/4 · 1/4 · 40/39) differ.
    assert found.fsd is found.results.fsd
    assert found.fsd.mean_term == pytest.approx(7.5**2 + 10**2 + 2.5**2)
    assert float(found.fsd) == found.fsd.value
    assert found.omitted == ["person"]


def test_classes_are_a_table_in_percent_shares_and_counts(either: None) -> None:
    found = compare(REAL, DRAWN, permutations=0)
    assert list(found.classes.columns) == list(tables.CLASSES)
    by_name = rows(found.classes)
    assert list(by_name) == ["sky", "tree", "person"]  # "no object" is none; largest first
    person = by_name["person"]
    assert person["real_area"] == pytest.approx(7.5)
    assert person["generated_area"] == 0
    assert person["relative_difference"] == -1
    assert (person["real_images"], person["generated_images"]) == (30, 0)
    assert (person["verdict"], person["omitted"]) == ("omitted", True)
    assert by_name["tree"]["relative_difference"] == pytest.approx(0.5)
    record = next(c for c in found.results.classes if c.label == "person")
    assert person["p_value"] == record.p_value
    assert person["q_value"] == record.q_value
    # The parts of the classes, and of nothing, are the two terms of the distance.
    nothing = next(c for c in found.results.classes if c.index == 0)
    for term in ("fsd_mean_term", "fsd_cov_term"):
        parts = sum(row[term] for row in by_name.values()) + getattr(nothing, term)
        assert parts == pytest.approx(getattr(found.fsd, term.removeprefix("fsd_")), abs=1e-9)
    assert [r for r, x in by_name.items() if x["omitted"]] == found.omitted


def test_a_paired_comparison_has_the_counts_of_its_pairs(either: None) -> None:
    found = compare(REAL, DRAWN, permutations=0, paired=True)
    assert list(found.classes.columns) == [*tables.CLASSES, *tables.PAIRED]
    person = rows(found.classes)["person"]
    assert (person["only_real"], person["only_generated"]) == (30, 0)
    assert (person["vanished"], person["appeared"]) == (30, 0)
    assert person["mean_difference"] == pytest.approx(-7.5)
    assert len(found.pairs) == 0
    assert "pairs" in found._repr_html_()


def test_pairs_of_classes(either: None) -> None:
    both, one, none = [0.1, 0.1], [0.1, 0.0], [0.0, 0.1]
    real = tally(*zip(*[(0.5, *both)] * 100 + [(0.5, 0.0, 0.0)] * 100, strict=True))
    drawn = tally(*zip(*[(0.5, *one)] * 100 + [(0.5, *none)] * 100, strict=True))
    found = compare(real, drawn, permutations=0)
    assert list(found.pairs.columns) == list(tables.PAIRS)
    (pair,) = found.pairs.to_dict("records")
    assert {pair["first"], pair["second"]} == {"tree", "person"}
    assert (pair["real_together"], pair["generated_together"]) == (0.5, 0)
    assert pair["verdict"] == "apart"


@pytest.mark.slow
def test_the_chart_has_its_data_and_can_be_saved(tmp_path: Path) -> None:
    found = compare(REAL, DRAWN, permutations=0)
    for layout in ("wide", "narrow"):
        data = found.plot(layout).to_dict()["datasets"]["classes"]  # type: ignore[arg-type]
        assert [(row["label"], row["real"]) for row in data] == [
            ("sky", pytest.approx(50)),
            ("tree", pytest.approx(20)),
            ("person", pytest.approx(7.5)),
        ]
    found.plot().save(str(tmp_path / "figure.svg"))
    assert "person" in (tmp_path / "figure.svg").read_text(encoding="utf-8")
    (bundle,) = [found.plot()._repr_mimebundle_()]
    assert "person" in json.dumps(bundle)


def test_display_is_short_as_text_and_whole_in_print() -> None:
    found = compare(REAL, DRAWN, permutations=0)
    images = "40 real and 40 generated images"
    assert repr(found) == f"Comparison({images}, FSD 193.7, omitted: person)"
    assert str(found).startswith("1 of 3 classes that the real images show is omitted")
    assert repr(REAL) == "Tally(40 images, 4 labels in pixels)"


def test_hostile_names_are_shown_escaped() -> None:
    names = ("-", "sky", "tree", HOSTILE)
    sides = [Tally.from_fractions(side.fractions(), names) for side in (REAL, DRAWN)]
    found = compare(*sides, permutations=0)
    several = compare_generators(sides[0], {HOSTILE: sides[1], "b": sides[0]}, permutations=0)
    shown = [found._repr_html_(), several._repr_html_(), sides[0]._repr_html_()]
    assert not any("<script>" in text or "\x1b" in text for text in shown)
    plain = [repr(found), str(found), repr(several), str(several), repr(sides[0])]
    charts = [json.dumps(x.plot().to_dict(), ensure_ascii=False) for x in (found, several)]
    frames = [found.classes, several.classes, several.differences, several.contrasts]
    cells = [str(frame.to_dict("records")) for frame in frames]
    assert not any("\x1b" in text for text in (*plain, *charts))
    assert not any("\\x1b" in text for text in cells)
    assert all("script" in text for text in (*shown, *plain[:-1], *charts, *cells))


@pytest.mark.slow
def test_several_generators(either: None) -> None:
    found = compare_generators(REAL, {"near": REAL, "far": DRAWN}, permutations=0)
    assert {name: float(fsd) for name, fsd in found.fsd.items()} == {
        "near": 0,
        "far": float(compare(REAL, DRAWN, permutations=0).fsd),
    }
    assert found.omitted == {"near": [], "far": ["person"]}
    assert list(found.classes.columns) == ["generator", *tables.CLASSES]
    assert list(found.classes["generator"]) == ["near"] * 3 + ["far"] * 3
    assert list(found.classes["label"]) == ["sky", "tree", "person"] * 2
    (difference,) = found.differences.to_dict("records")
    assert list(difference) == list(tables.DIFFERENCES)
    assert (difference["first"], difference["second"]) == ("near", "far")
    assert difference["p_swap"] != difference["p_swap"]  # not tested: NaN
    person = rows(found.contrasts)["person"]
    assert list(person) == list(tables.CONTRASTS)
    assert [person[f"area_{x}"] for x in ("real", "first", "second")] == pytest.approx(
        [7.5] * 2 + [0]
    )
    assert [person[f"images_{x}"] for x in ("real", "first", "second")] == [0.75, 0.75, 0]
    assert person["area_more"] == person["images_closer"] == "near"
    assert rows(found.contrasts)["sky"]["area_more"] == ""
    assert repr(found) == "GeneratorsComparison(40 real images, FSD: near 0, far 193.7)"
    assert {row["generator"] for row in found.plot().to_dict()["datasets"]["generators"]} == {
        "near",
        "far",
    }


@pytest.mark.slow
def test_a_finished_run_answers_as_its_comparison(tmp_path: Path) -> None:
    found = compare(REAL, DRAWN, permutations=0)
    analysis = Analysis(RunDirectory(tmp_path / "run<1>"), found)
    assert analysis.fsd is found.fsd and analysis.results is found.results
    assert analysis.omitted == ["person"]
    assert analysis.classes.equals(found.classes) and analysis.pairs.equals(found.pairs)
    assert len(analysis.losses) == len(analysis.vanishing) == 0
    assert analysis.plot().to_dict() == found.plot().to_dict()
    assert repr(analysis).startswith("Analysis(Comparison(40 real")
    assert str(analysis).endswith("report.html")
    assert "run&lt;1&gt;" in analysis._repr_html_()


def test_a_finished_run_of_several_generators(tmp_path: Path) -> None:
    found = compare_generators(REAL, {"near": REAL, "far": DRAWN}, permutations=0)
    run = GeneratorsAnalysis(RunDirectory(tmp_path), found)
    assert run.fsd == found.fsd and run.omitted == found.omitted and run.results is found.results
    for name in ("classes", "differences", "contrasts"):
        assert getattr(run, name).equals(getattr(found, name)), name
    assert "far" in run._repr_html_()


def test_a_tally_has_a_table_of_its_classes(either: None) -> None:
    found = rows(REAL.classes)
    assert found["person"]["mean"] == pytest.approx(7.5) and found["person"]["images"] == 30
    assert REAL.classes.attrs["mean"] == "mean area over all images, percent"


@pytest.mark.slow
def test_importing_seeingkit_and_its_results_imports_no_pandas() -> None:
    import subprocess

    program = (
        "import sys, seeingkit.results, seeingkit; seeingkit.compare; "
        "print([m for m in ('pandas', 'altair') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *((tables, name) for name in ("CLASSES", "PAIRED", "PAIRS", "DIFFERENCES", "CONTRASTS")),
        *((inversion_tables, name) for name in ("LOSSES", "VANISHING")),
    ],
)
def test_every_column_is_documented_in_its_own_words(module: Any, name: str) -> None:
    columns = getattr(module, name)
    lines = [f"| `{column}` | {about} |" for column, (_, about) in columns.items()]
    assert "| --- | --- |\n" + "\n".join(lines) + "\n\n" in DOCUMENT.read_text("utf-8") + "\n"


def test_names_of_the_document_are_there() -> None:
    text = DOCUMENT.read_text("utf-8")
    listed = re.findall(r"^\| `(\w+)` \| `\w+` \| (.*) \|$", text, re.MULTILINE)
    assert [kind for kind, _ in listed] == [
        "Comparison",
        "GeneratorsComparison",
        "Analysis",
        "Inversion",
        "Dissection",
        "Interventions",
        "UnitContrasts",
        "ArtifactSearch",
        "Assessment",
        "Tally",
    ]
    for kind, names in listed:
        has = {*dir(getattr(seeingkit, kind)), *getattr(seeingkit, kind).__dataclass_fields__}
        for name in re.findall(r"`(\w+)(?:\(\))?`", names):
            assert name in has or name in seeingkit.__all__, f"{kind}.{name}"
