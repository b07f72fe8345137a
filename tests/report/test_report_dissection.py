"""The page of a dissection: made of its files alone, offline, quick with many units."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from seeingkit.errors import RunError
from seeingkit.report import rebuild_report, summarise_dissection
from tests.helpers.chromium import Chromium
from tests.helpers.dissections import made_dissection, write_dissection

HOSTILE = ("</script><b>sky", "tree\u202egpj", 'x" onload="alert(1)', "'; drop")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dissection") / "run"
    write_dissection(folder)
    rebuild_report(folder)
    return folder


def test_words_name_the_layer_its_classes_and_what_was_not_tested() -> None:
    results = made_dissection()
    words = summarise_dissection(results)
    assert words.headline.startswith("20 of 30 units of r4.conv")
    assert "agree with a class more than place and area explain: " in words.headline
    assert len(words.details) == 1 and words.cautions == ()
    rule = results.settings.model_copy(update={"tested": False, "rule": "paper"})
    published = summarise_dissection(results.model_copy(update={"settings": rule}))
    assert "which has no null" in published.headline
    assert "50\u00a0% of the units" in published.cautions[0]
    few = [layer.model_copy(update={"groups": 3, "labelled": 0}) for layer in results.layers]
    words = summarise_dissection(results.model_copy(update={"layers": few, "n": 48}))
    assert words.headline == "48 images are too few to label units of r4.conv0."
    assert "Take at least 160 images" in words.cautions[0]


@pytest.mark.slow
def test_the_page_is_made_of_files_alone_and_the_same_again(run: Path) -> None:
    before = (run / "report.html").read_bytes()
    program = (
        "import sys; from pathlib import Path; from seeingkit.report import rebuild_report\n"
        f"rebuild_report(Path({str(run)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (run / "report.html").read_bytes() == before
    assert {path.name for path in (run / "figures").iterdir()} == {"units.svg", "units.png"}
    text = before.decode()
    assert "How sure" in text and "nothing belongs together" in text
    assert "All 40 units with a label have pictures." in text


@pytest.mark.slow
def test_a_picture_that_is_gone_or_outside_is_named(tmp_path: Path) -> None:
    results = write_dissection(tmp_path)
    gone = next(unit.masks for unit in results.units if unit.masks)
    (tmp_path / str(gone)).unlink()
    with pytest.raises(RunError, match=r"units/\d+\.png is missing"):
        rebuild_report(tmp_path)
    path = tmp_path / "results.json"
    path.write_text(path.read_text().replace(str(gone), "../../secret.png"))
    with pytest.raises(RunError, match="does not name a file inside"):
        rebuild_report(tmp_path)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.slow)])
def test_it_asks_nothing_fits_and_is_accessible(run: Path, browser: Chromium, width: int) -> None:
    browser.open(run / "report.html", width=width)
    assert browser.problems == [] and len(browser.requests) == 1
    wide = "Number(document.documentElement.dataset.scrollWidth) <= innerWidth"
    assert browser.evaluate(wide) and browser.violations() == []


@pytest.mark.slow
@pytest.mark.browser
def test_units_are_filtered_sorted_and_shown_a_part_at_a_time(run: Path, browser: Chromium) -> None:
    page = browser.open(run / "report.html")
    visible = "[...document.querySelectorAll('.unit')].filter((x) => x.offsetParent)"
    rows = "[...document.querySelectorAll('#unit-table tbody tr')]"
    assert browser.evaluate(f"{rows}.length") == 40
    assert browser.evaluate(f"{visible}.length") < 40
    page.select_option("#by-class", "tree")
    assert browser.evaluate(f"{visible}.every((x) => x.dataset.label === 'tree')")
    trees = browser.evaluate(f"{visible}.length")
    assert trees == browser.evaluate(f"{rows}.length") > 8
    page.select_option("#by-layer", "r4.conv1")
    assert 0 < browser.evaluate(f"{visible}.length") < trees
    page.select_option("#by-class", "")
    page.select_option("#by-layer", "")
    page.select_option("#by-category", "material")
    assert browser.evaluate(f"{visible}.every((x) => x.dataset.category === 'material')")
    page.select_option("#by-category", "")
    shown = browser.evaluate(f"{visible}.length")
    page.click(".all-of >> visible=true >> nth=0")
    assert browser.evaluate(f"{visible}.length") > shown
    page.check("#unlabelled")
    assert browser.evaluate(f"{rows}.length") == 60
    assert "nearest" in browser.evaluate("document.querySelector('#unit-table tbody').innerText")
    page.click("#unit-table button[data-key=iou]")
    ious = browser.evaluate(f"{rows}.map((x) => Number(x.cells[4].textContent))")
    assert ious == sorted(ious, reverse=True)
    page.select_option("#order", "iou")
    first = browser.evaluate(
        "[...document.querySelector('.unit-cards').children].map((x) => Number(x.dataset.iou))"
    )
    assert first == sorted(first, reverse=True)
    mask = "getComputedStyle(document.querySelector('.shot i')).display"
    assert browser.evaluate(mask) == "block"
    page.uncheck("#mask")
    assert browser.evaluate(mask) == "none"
    browser.open(run / "report.html", scripts=False)
    assert browser.page.locator(".unit:visible").count() == 40
    assert browser.problems == []


@pytest.mark.browser
def test_names_of_classes_are_text(tmp_path: Path, browser: Chromium) -> None:
    write_dissection(tmp_path, names=HOSTILE)
    rebuild_report(tmp_path)
    page = browser.open(tmp_path / "report.html")
    assert browser.problems == [] and browser.evaluate("document.querySelector('h3 b')") is None
    assert "\u202e" not in (tmp_path / "report.html").read_text()
    page.select_option("#by-class", HOSTILE[2])
    assert browser.evaluate("document.querySelectorAll('.unit:not([hidden])').length") > 0


@pytest.mark.slow
@pytest.mark.browser
def test_many_units_open_fast(tmp_path: Path, browser: Chromium) -> None:
    results = write_dissection(tmp_path, layers=14, units=512)
    rebuild_report(tmp_path)
    assert len(results.units) == 7168
    size = (tmp_path / "report.html").stat().st_size
    begun = time.monotonic()
    browser.open(tmp_path / "report.html")
    seconds = time.monotonic() - begun
    print(f"{size / 1e6:.1f} MB, open and ready after {seconds:.2f} s")
    assert size < 12e6 and seconds < 15
    assert browser.evaluate("document.querySelectorAll('#unit-table tbody tr').length") == 100
    assert browser.evaluate("document.querySelectorAll('.unit').length") == 96
