"""The page of an intervention: made of its files alone, offline, with every part there can be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from seeingkit.errors import RunError
from seeingkit.report import intervention_html, rebuild_report, summarise_intervention
from seeingkit.results import InterventionResults
from seeingkit.viewing.records import read_run
from tests.helpers.chromium import Chromium
from tests.helpers.interventions import write_intervention

ABLATED = {"choose": None, "units": (0,), "dissection": None, "curve": (), "context": 0}
ABLATED |= {"context_classes": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("intervention") / "run"
    write_intervention(folder)
    rebuild_report(folder)
    return folder


def results(run: Path) -> InterventionResults:
    return InterventionResults.model_validate_json((run / "results.json").read_text())


def test_words_say_what_is_lost_beside_chance_and_what_was_not_used(run: Path) -> None:
    found = results(run)
    words = summarise_intervention(found)
    assert words.headline.startswith("Setting 1 unit of r4 to 0 removes ")
    assert "of the bright (" in words.headline
    told = " ".join(words.details)
    for said in ("random units (3 sets)", "are not any more become middle", "grows where there is"):
        assert said in told
    assert "more pixels" not in told and "bright" in intervention_html(found)
    alone = found.model_copy(update={"random": None, "n": 5})
    assert "too few for most claims" in summarise_intervention(alone).cautions[0]
    assert "No random units were measured" in summarise_intervention(alone).cautions[1]


@pytest.mark.slow
def test_words_of_other_edits(tmp_path: Path) -> None:
    grown = write_intervention(tmp_path / "a", **{**ABLATED, "insert": True, "units": (0, 1)})
    assert "makes bright grow from" in summarise_intervention(grown).headline
    every = write_intervention(tmp_path / "b", **{**ABLATED, "label": None})
    assert "gives less bright" in summarise_intervention(every).headline
    assert every.shown == "bright" and every.single is not None and every.single.label is None
    idle = write_intervention(tmp_path / "c", **{**ABLATED, "label": None, "units": (3,)})
    assert "is not shown to change the area of any class" in summarise_intervention(idle).headline
    assert idle.shown is None and {one.group for one in idle.pictures} == {"first"}
    unsure = write_intervention(tmp_path / "d", **{**ABLATED, "units": (3,), "each": 0})
    assert "is not shown to change the area of bright" in summarise_intervention(unsure).headline
    for name in "bc":
        assert rebuild_report(tmp_path / name).is_file()


@pytest.mark.slow
def test_the_page_is_made_of_files_alone_and_the_same_again(run: Path) -> None:
    before = (run / "report.html").read_bytes()
    program = (
        "import sys; from pathlib import Path; from seeingkit.report import rebuild_report\n"
        f"rebuild_report(Path({str(run)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (run / "report.html").read_bytes() == before
    names = {"effects", "curve", "units"}
    found = {path.name for path in (run / "figures").iterdir()}
    assert found == {f"{name}.{end}" for name in names for end in ("svg", "png")}


def test_tables_have_the_rows_of_the_results(run: Path) -> None:
    found = results(run)
    assert found.single is not None and found.context is not None and found.curve is not None
    sizes = {
        "effects": len(found.effect.classes),
        "single_units": len(found.single.effects),
        "cells": 16,
        "contexts": len(found.context.contexts),
        "context_classes": len(found.context.matrix),
    }
    for name, rows in sizes.items():
        assert pq.read_table(run / f"{name}.parquet").num_rows == rows
    rankings = pq.read_table(run / "curve.parquet")["ranking"].to_pylist()
    assert set(rankings) == {"optimised", "single effects", "IoU", "random"}


def test_a_picture_that_is_gone_is_named_and_the_viewer_knows_the_run(tmp_path: Path) -> None:
    found = write_intervention(tmp_path / "run", **{**ABLATED, "each": 0})
    seen = read_run(tmp_path / "run", tmp_path)
    assert (seen.kind, seen.state, seen.units) == ("intervention", "finished", 1)
    (tmp_path / "run" / found.pictures[0].files[0]).unlink()
    with pytest.raises(RunError, match=r"before\.png is missing"):
        rebuild_report(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_it_asks_nothing_fits_and_is_accessible(run: Path, browser: Chromium, width: int) -> None:
    browser.open(run / "report.html", width=width)
    assert browser.problems == [] and len(browser.requests) == 1
    wide = "Number(document.documentElement.dataset.scrollWidth) <= innerWidth"
    assert browser.evaluate(wide) and browser.violations() == []


@pytest.mark.slow
@pytest.mark.browser
def test_marks_can_be_left_out(run: Path, browser: Chromium) -> None:
    page = browser.open(run / "report.html")
    shown = "getComputedStyle(document.querySelector('.side .mark')).display"
    assert browser.evaluate(shown) != "none"
    page.uncheck("#mask")
    assert browser.evaluate(shown) == "none"
    browser.open(run / "report.html", scripts=False)
    assert browser.page.locator(".edit-pair").count() >= 8 and browser.problems == []
